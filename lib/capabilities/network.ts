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

export interface NetworkProps {
  readonly vpc: IVpc;
  readonly databaseSecurityGroup: ISecurityGroup | undefined;
  readonly databasePorts: readonly number[];
}

/** Out to AWS's APIs (443) and to the databases' ports, and nowhere else; nothing comes in. */
export function functionSecurityGroup(scope: Construct, props: NetworkProps): SecurityGroup {
  const group = new SecurityGroup(scope, 'FunctionSecurityGroup', {
    vpc: props.vpc,
    description: 'Rejoin: functions that probe databases',
    allowAllOutbound: false,
  });
  group.addEgressRule(Peer.anyIpv4(), Port.tcp(443), 'AWS APIs');
  for (const port of props.databasePorts) {
    const why = `database port ${port}`;
    group.addEgressRule(props.databaseSecurityGroup ?? Peer.anyIpv4(), Port.tcp(port), why);
    props.databaseSecurityGroup?.addIngressRule(group, Port.tcp(port), `Rejoin: probes on ${why}`);
  }
  return group;
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
