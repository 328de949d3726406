/** The plane for an existing VPC, from a configuration file. */
import { Annotations, Duration, RemovalPolicy, Stack } from 'aws-cdk-lib';
import type { ISubnet, IVpc } from 'aws-cdk-lib/aws-ec2';
import { LaunchTemplate, SecurityGroup, Subnet, Vpc } from 'aws-cdk-lib/aws-ec2';
import { NetworkTargetGroup } from 'aws-cdk-lib/aws-elasticloadbalancingv2';
import { Role } from 'aws-cdk-lib/aws-iam';
import { Key } from 'aws-cdk-lib/aws-kms';
import { RetentionDays } from 'aws-cdk-lib/aws-logs';
import { HostedZone } from 'aws-cdk-lib/aws-route53';
import { Secret } from 'aws-cdk-lib/aws-secretsmanager';
import { Topic } from 'aws-cdk-lib/aws-sns';
import type { Construct } from 'constructs';
import type { ClusterConfig, RejoinConfig, SubnetConfig } from './config.ts';
import type { ControlPlaneProps } from './control-plane.ts';
import { ControlPlane } from './control-plane.ts';
import type { ArchiveDeclaration, EndpointDeclaration, EngineDeclaration } from './spec/declaration.ts';
import { Endpoint, Engine } from './spec/declaration.ts';

export interface RejoinStackProps {
  readonly config: RejoinConfig;
  /** As `ControlPlaneProps.bundleDir`. */
  readonly bundleDir?: string;
}

export class RejoinStack extends Stack {
  readonly plane: ControlPlane;

  constructor(scope: Construct, id: string, props: RejoinStackProps) {
    const { config } = props;
    super(scope, id, {
      description: 'Rejoin: keeps self-managed databases on EC2 alive',
      env: { ...(config.account && { account: config.account }), ...(config.region && { region: config.region }) },
    });
    this.plane = new ControlPlane(this, 'Rejoin', {
      ...this.network(config),
      ...this.references(config),
      ...options(config),
      ...(props.bundleDir !== undefined && { bundleDir: props.bundleDir }),
    });
    for (const cluster of config.clusters) this.manage(cluster, config);
  }

  private network(config: RejoinConfig): Pick<ControlPlaneProps, 'vpc' | 'vpcSubnets' | 'databaseSecurityGroup'> {
    const subnets = config.vpc.subnets;
    const routeTables = subnets.flatMap((s) => s.routeTableId ?? []);
    const vpc: IVpc = Vpc.fromVpcAttributes(this, 'Vpc', {
      vpcId: config.vpc.id,
      availabilityZones: [...new Set(subnets.map((s) => s.zone))],
    });
    if (config.vpcEndpoints && routeTables.length < subnets.length) {
      throw new Error(
        `vpcEndpoints is true and ${subnets.length - routeTables.length} of vpc.subnets have no routeTableId: ` +
          'give it for each, since the endpoints of S3 and DynamoDB are entries of route tables',
      );
    }
    const group = config.databaseSecurityGroupId;
    return {
      vpc,
      vpcSubnets: { subnets: this.subnets('Vpc', subnets) },
      ...(group && { databaseSecurityGroup: SecurityGroup.fromSecurityGroupId(this, 'DatabaseSecurityGroup', group) }),
    };
  }

  private references(config: RejoinConfig): Pick<ControlPlaneProps, 'notify' | 'instanceRoles' | 'volumeKeys'> {
    const { notifyTopicArn: topicArn, notifyTopicKeyArn: keyArn } = config;
    return {
      ...(topicArn && { notify: Topic.fromTopicAttributes(this, 'Notify', { topicArn, ...(keyArn && { keyArn }) }) }),
      instanceRoles: (config.instanceRoleArns ?? []).map((arn, i) =>
        Role.fromRoleArn(this, `InstanceRole${i}`, arn, { mutable: false }),
      ),
      volumeKeys: (config.volumeKeyArns ?? []).map((arn, i) => Key.fromKeyArn(this, `VolumeKey${i}`, arn)),
    };
  }

  private manage(cluster: ClusterConfig, config: RejoinConfig): void {
    const at = `Given-${cluster.name}`;
    const template = cluster.launchTemplate;
    this.plane.manage(cluster.name, {
      engine: engineOf(cluster.engine),
      nodes: cluster.nodes,
      launchTemplate: LaunchTemplate.fromLaunchTemplateAttributes(this, `${at}-Template`, {
        launchTemplateId: template.id,
      }),
      ...(template.version !== undefined && { launchTemplateVersion: template.version }),
      subnets: this.subnets(at, cluster.subnets ?? config.vpc.subnets),
      credentials: Secret.fromSecretCompleteArn(this, `${at}-Credentials`, cluster.credentialsSecretArn),
      endpoints: cluster.endpoints.map((e, i) => this.endpoint(`${at}-Endpoint${i}`, e)),
      ...(cluster.policy && { policy: cluster.policy }),
      ...(cluster.dataDevice !== undefined && { dataDevice: cluster.dataDevice }),
      ...(cluster.deadAfterSeconds !== undefined && { deadAfter: Duration.seconds(cluster.deadAfterSeconds) }),
      ...(cluster.retryAfterSeconds !== undefined && { retryAfter: Duration.seconds(cluster.retryAfterSeconds) }),
      ...(cluster.instanceRoleArn !== undefined && {
        instanceRole: Role.fromRoleArn(this, `${at}-Role`, cluster.instanceRoleArn, { mutable: false }),
      }),
      ...(cluster.archive && { archive: archiveOf(cluster.archive) }),
    });
  }

  private endpoint(id: string, endpoint: ClusterConfig['endpoints'][number]): EndpointDeclaration {
    switch (endpoint.kind) {
      case 'targetGroup':
        return Endpoint.targetGroup(
          NetworkTargetGroup.fromTargetGroupAttributes(this, id, { targetGroupArn: endpoint.arn }),
          {
            route: endpoint.route,
            ...(endpoint.drainSeconds !== undefined && { drain: Duration.seconds(endpoint.drainSeconds) }),
          },
        );
      case 'dns': {
        const zone = HostedZone.fromHostedZoneAttributes(this, id, {
          hostedZoneId: endpoint.zoneId,
          zoneName: endpoint.zoneName,
        });
        return Endpoint.dns(zone, endpoint.name, {
          route: endpoint.route,
          ...(endpoint.ttlSeconds !== undefined && { ttl: Duration.seconds(endpoint.ttlSeconds) }),
        });
      }
    }
  }

  private subnets(id: string, subnets: readonly SubnetConfig[]): ISubnet[] {
    return subnets.map((s, i) => {
      const subnet = Subnet.fromSubnetAttributes(this, `${id}-Subnet${i}`, {
        subnetId: s.id,
        availabilityZone: s.zone,
        ...(s.routeTableId && { routeTableId: s.routeTableId }),
      });
      Annotations.of(subnet).acknowledgeWarning(
        '@aws-cdk/aws-ec2:noSubnetRouteTableId',
        'route tables are used for VPC endpoints only',
      );
      return subnet;
    });
  }
}

function engineOf(given: ClusterConfig['engine']): EngineDeclaration {
  switch (given.kind) {
    case 'galera':
      return Engine.galera(given);
    case 'postgres':
      return Engine.postgres(given);
  }
}

const archiveOf = (given: NonNullable<ClusterConfig['archive']>): ArchiveDeclaration => ({
  rpo: Duration.seconds(given.rpoSeconds),
  retention: Duration.days(given.retentionDays),
  baseBackupEvery: Duration.seconds(given.baseBackupSeconds),
  ...(given.drillSeconds !== undefined && { drillEvery: Duration.seconds(given.drillSeconds) }),
});

/** The values that CloudWatch Logs takes, since any other fails only at deployment. */
const RETENTIONS: readonly number[] = Object.values(RetentionDays).filter((value) => typeof value === 'number');

function options(config: RejoinConfig): Partial<ControlPlaneProps> {
  const days = config.logRetentionDays;
  if (days !== undefined && !RETENTIONS.includes(days)) {
    throw new Error(
      `logRetentionDays is ${days}: CloudWatch Logs takes ${RETENTIONS.filter((r) => r < 9999).join(', ')}`,
    );
  }
  return {
    ...(days !== undefined && { retention: days }),
    ...(config.databasePorts && { databasePorts: config.databasePorts }),
    ...(config.vpcEndpoints !== undefined && { vpcEndpoints: config.vpcEndpoints }),
    ...(config.probeIntervalMs !== undefined && { probeInterval: Duration.millis(config.probeIntervalMs) }),
    ...(config.sweepSeconds !== undefined && { sweep: Duration.seconds(config.sweepSeconds) }),
    ...(config.quotas !== undefined && { quotas: config.quotas }),
    ...(config.archiveLockDays !== undefined && { archiveLock: Duration.days(config.archiveLockDays) }),
    ...(config.destroyWithStack && { removalPolicy: RemovalPolicy.DESTROY }),
    ...(config.runbook !== undefined && { runbook: config.runbook }),
    ...(config.logLevel && { logLevel: config.logLevel }),
  };
}
