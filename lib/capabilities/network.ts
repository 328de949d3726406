/** The functions' place in the VPC: their security group, the way to the databases, and endpoints for AWS's APIs. */
import type { ISecurityGroup, IVpc, SubnetSelection } from 'aws-cdk-lib/aws-ec2';
import {
  GatewayVpcEndpointAwsService,
  InterfaceVpcEndpointAwsService,
  Peer,
  Port,
  SecurityGroup,
} from 'aws-cdk-lib/aws-ec2';
import type { Construct } from 'constructs';

/** Out to AWS's APIs (443) and, by `openDatabasePort`, to the databases' ports; nothing comes in. */
export function functionSecurityGroup(scope: Construct, vpc: IVpc): SecurityGroup {
  const group = new SecurityGroup(scope, 'FunctionSecurityGroup', {
    vpc,
    description: 'Rejoin: functions that probe databases',
    allowAllOutbound: false,
  });
  group.addEgressRule(Peer.anyIpv4(), Port.tcp(443), 'AWS APIs');
  return group;
}

/** From the functions to the databases; to any address when the databases' own group is not known. */
export function openDatabasePort(functions: ISecurityGroup, databases: ISecurityGroup | undefined, port: number): void {
  const why = `database port ${port}`;
  functions.addEgressRule(databases ?? Peer.anyIpv4(), Port.tcp(port), why);
  databases?.addIngressRule(functions, Port.tcp(port), `Rejoin: probes on ${why}`);
}

const INTERFACES: Readonly<Record<string, InterfaceVpcEndpointAwsService>> = {
  Ec2: InterfaceVpcEndpointAwsService.EC2,
  Elb: InterfaceVpcEndpointAwsService.ELASTIC_LOAD_BALANCING,
  Secrets: InterfaceVpcEndpointAwsService.SECRETS_MANAGER,
  Sns: InterfaceVpcEndpointAwsService.SNS,
  Sqs: InterfaceVpcEndpointAwsService.SQS,
  Ssm: InterfaceVpcEndpointAwsService.SSM,
  States: InterfaceVpcEndpointAwsService.STEP_FUNCTIONS,
};

/**
 * Endpoints, so that the functions reach AWS's APIs without a NAT gateway. Route 53's API has none: with DNS endpoints
 * a way out to the internet stays necessary.
 */
export function vpcEndpoints(scope: Construct, vpc: IVpc, subnets: SubnetSelection, functions: ISecurityGroup): void {
  const group = new SecurityGroup(scope, 'EndpointSecurityGroup', {
    vpc,
    description: 'Rejoin: interface endpoints for the functions',
    allowAllOutbound: false,
  });
  group.addIngressRule(functions, Port.tcp(443), 'Rejoin functions');
  for (const [name, service] of Object.entries(INTERFACES)) {
    vpc.addInterfaceEndpoint(`Rejoin${name}`, {
      service,
      subnets,
      securityGroups: [group],
      open: false,
      privateDnsEnabled: true,
    });
  }
  vpc.addGatewayEndpoint('RejoinDynamoDb', { service: GatewayVpcEndpointAwsService.DYNAMODB, subnets: [subnets] });
  vpc.addGatewayEndpoint('RejoinS3', { service: GatewayVpcEndpointAwsService.S3, subnets: [subnets] });
}
