/**
 * What a platform team has before it deploys Rejoin, made through the AWS API: a VPC with three zones, a launch template
 * for the database hosts and their role, target groups, a hosted zone, and the secret with the probe's user.
 */
import {
  AuthorizeSecurityGroupIngressCommand,
  CreateLaunchTemplateCommand,
  CreateSecurityGroupCommand,
  CreateSubnetCommand,
  CreateVpcCommand,
  DescribeImagesCommand,
  EC2Client,
} from '@aws-sdk/client-ec2';
import {
  AddTagsCommand,
  CreateTargetGroupCommand,
  ElasticLoadBalancingV2Client,
} from '@aws-sdk/client-elastic-load-balancing-v2';
import {
  AddRoleToInstanceProfileCommand,
  AttachRolePolicyCommand,
  CreateInstanceProfileCommand,
  CreateRoleCommand,
  IAMClient,
} from '@aws-sdk/client-iam';
import { CreateHostedZoneCommand, Route53Client } from '@aws-sdk/client-route-53';
import { CreateSecretCommand, SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import { CLUSTER_TAG } from '../lambdas/model/spec.ts';
import type { AdminConfig } from './cloud/cloud.ts';

export interface Environment {
  readonly vpcId: string;
  readonly subnets: readonly { readonly id: string; readonly zone: string }[];
  readonly securityGroupId: string;
  readonly launchTemplateId: string;
  readonly hostRoleArn: string;
  readonly writerGroupArn: string;
  readonly readGroupArn: string;
  readonly zoneId: string;
  readonly zoneName: string;
  readonly secretArn: string;
}

export interface EnvironmentOptions {
  readonly cluster: string;
  /** Such as 127.42.0.0/16: loopback addresses, which the hosts' processes can bind. */
  readonly vpcCidr: string;
  /** One subnet for each zone. */
  readonly subnetCidrs: readonly string[];
  readonly port: number;
  /** What the nodes use among themselves, beside it. */
  readonly peerPorts: readonly number[];
  readonly probeUser: { readonly username: string; readonly password: string };
  readonly dataDevice: string;
  readonly dataGiB: number;
}

/** Where a host's data volume is attached. */
export const DATA_DEVICE = '/dev/sdf';
const HOST_ROLE = 'orders-database-host';
const NLB_HEALTH_CHECK_SECONDS = 5; // the shortest that NLB offers

const must = <T>(value: T | undefined, what: string): T => {
  if (value === undefined) throw new Error(`the emulated AWS answered without ${what}; see its log`);
  return value;
};

/** Makes all of it; each part once, on a fresh account. */
export async function createEnvironment(config: AdminConfig, options: EnvironmentOptions): Promise<Environment> {
  const ec2 = new EC2Client(config);
  const vpc = await ec2.send(new CreateVpcCommand({ CidrBlock: options.vpcCidr }));
  const vpcId = must(vpc.Vpc?.VpcId, 'a VPC id');
  const [subnets, securityGroupId, hostRoleArn, [writerGroupArn, readGroupArn], zone, secretArn] = await Promise.all([
    createSubnets(ec2, vpcId, config.region, options.subnetCidrs),
    createSecurityGroup(ec2, vpcId, options),
    createHostRole(config),
    createTargetGroups(config, vpcId, options),
    createZone(config, vpcId),
    createSecret(config, options),
  ]);
  const launchTemplateId = await createLaunchTemplate(ec2, securityGroupId, options);
  return {
    vpcId,
    subnets,
    securityGroupId,
    launchTemplateId,
    hostRoleArn,
    writerGroupArn,
    readGroupArn,
    ...zone,
    secretArn,
  };
}

async function createSubnets(
  ec2: EC2Client,
  vpcId: string,
  region: string,
  cidrs: readonly string[],
): Promise<Environment['subnets']> {
  return Promise.all(
    cidrs.map(async (cidr, i) => {
      const zone = `${region}${'abc'[i % 3]}`;
      const made = await ec2.send(new CreateSubnetCommand({ VpcId: vpcId, CidrBlock: cidr, AvailabilityZone: zone }));
      return { id: must(made.Subnet?.SubnetId, 'a subnet id'), zone };
    }),
  );
}

async function createSecurityGroup(ec2: EC2Client, vpcId: string, options: EnvironmentOptions): Promise<string> {
  const made = await ec2.send(
    new CreateSecurityGroupCommand({
      GroupName: `${options.cluster}-database`,
      Description: 'database hosts',
      VpcId: vpcId,
    }),
  );
  const id = must(made.GroupId, 'a security group id');
  await ec2.send(
    new AuthorizeSecurityGroupIngressCommand({
      GroupId: id,
      IpPermissions: [options.port, ...options.peerPorts].map((port) => ({
        IpProtocol: 'tcp',
        FromPort: port,
        ToPort: port,
        IpRanges: [{ CidrIp: options.vpcCidr }],
      })),
    }),
  );
  return id;
}

async function createHostRole(config: AdminConfig): Promise<string> {
  const iam = new IAMClient(config);
  const role = await iam.send(
    new CreateRoleCommand({
      RoleName: HOST_ROLE,
      AssumeRolePolicyDocument: JSON.stringify({
        Version: '2012-10-17',
        Statement: [{ Effect: 'Allow', Principal: { Service: 'ec2.amazonaws.com' }, Action: 'sts:AssumeRole' }],
      }),
    }),
  );
  await iam.send(
    new AttachRolePolicyCommand({
      RoleName: HOST_ROLE,
      PolicyArn: 'arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore',
    }),
  );
  await iam.send(new CreateInstanceProfileCommand({ InstanceProfileName: HOST_ROLE }));
  await iam.send(new AddRoleToInstanceProfileCommand({ InstanceProfileName: HOST_ROLE, RoleName: HOST_ROLE }));
  return must(role.Role?.Arn, 'a role ARN');
}

async function createTargetGroups(
  config: AdminConfig,
  vpcId: string,
  options: EnvironmentOptions,
): Promise<[string, string]> {
  const elb = new ElasticLoadBalancingV2Client(config);
  const create = async (name: string): Promise<string> => {
    const made = await elb.send(
      new CreateTargetGroupCommand({
        Name: name,
        Protocol: 'TCP',
        Port: options.port,
        VpcId: vpcId,
        TargetType: 'instance',
        HealthCheckProtocol: 'TCP',
        HealthCheckIntervalSeconds: NLB_HEALTH_CHECK_SECONDS,
        HealthCheckTimeoutSeconds: NLB_HEALTH_CHECK_SECONDS,
        HealthyThresholdCount: 2,
        UnhealthyThresholdCount: 2,
      }),
    );
    const arn = must(made.TargetGroups?.[0]?.TargetGroupArn, 'a target group ARN');
    await elb.send(new AddTagsCommand({ ResourceArns: [arn], Tags: [{ Key: CLUSTER_TAG, Value: options.cluster }] }));
    return arn;
  };
  return [await create(`${options.cluster}-writer`), await create(`${options.cluster}-read`)];
}

async function createZone(config: AdminConfig, vpcId: string): Promise<{ zoneId: string; zoneName: string }> {
  const zoneName = 'db.rehearsal.internal';
  const made = await new Route53Client(config).send(
    new CreateHostedZoneCommand({
      Name: zoneName,
      CallerReference: 'rehearsal',
      HostedZoneConfig: { PrivateZone: true, Comment: 'rehearsal' },
      VPC: { VPCId: vpcId, VPCRegion: config.region as 'eu-west-1' },
    }),
  );
  return { zoneId: must(made.HostedZone?.Id, 'a hosted zone id').replace('/hostedzone/', ''), zoneName };
}

async function createSecret(config: AdminConfig, options: EnvironmentOptions): Promise<string> {
  const made = await new SecretsManagerClient(config).send(
    new CreateSecretCommand({ Name: `${options.cluster}/probe`, SecretString: JSON.stringify(options.probeUser) }),
  );
  return must(made.ARN, 'a secret ARN');
}

async function createLaunchTemplate(
  ec2: EC2Client,
  securityGroupId: string,
  options: EnvironmentOptions,
): Promise<string> {
  const images = await ec2.send(new DescribeImagesCommand({ Owners: ['amazon'] }));
  const made = await ec2.send(
    new CreateLaunchTemplateCommand({
      LaunchTemplateName: `${options.cluster}-host`,
      LaunchTemplateData: {
        ImageId: must(images.Images?.[0]?.ImageId, 'an image'),
        InstanceType: 'r7g.large',
        SecurityGroupIds: [securityGroupId],
        IamInstanceProfile: { Name: HOST_ROLE },
        BlockDeviceMappings: [
          {
            DeviceName: options.dataDevice,
            Ebs: { VolumeSize: options.dataGiB, VolumeType: 'gp3', DeleteOnTermination: false, Encrypted: true },
          },
        ],
      },
    }),
  );
  return must(made.LaunchTemplate?.LaunchTemplateId, 'a launch template id');
}
