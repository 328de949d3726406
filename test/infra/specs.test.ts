import { App, CfnParameter, Duration, Fn, Stack } from 'aws-cdk-lib';
import { Annotations, Match, Template } from 'aws-cdk-lib/assertions';
import { LaunchTemplate, MachineImage, Vpc } from 'aws-cdk-lib/aws-ec2';
import type { IVpc } from 'aws-cdk-lib/aws-ec2';
import { NetworkTargetGroup, Protocol, TargetType } from 'aws-cdk-lib/aws-elasticloadbalancingv2';
import { Role, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import { HostedZone } from 'aws-cdk-lib/aws-route53';
import { Secret } from 'aws-cdk-lib/aws-secretsmanager';
import type { ISecret } from 'aws-cdk-lib/aws-secretsmanager';
import { describe, expect, it } from 'vitest';
import { parseSpec } from '../../lambdas/model/spec.ts';
import type { ManageProps, Policy } from '../../lib/index.ts';
import { Endpoint, Engine, ManagedCluster } from '../../lib/index.ts';
import { planeStack, resourcesOf, targetGroup } from './fixture.ts';

const zoneIn = (stack: Stack, zoneName = 'db.example.com') =>
  HostedZone.fromHostedZoneAttributes(stack, `Zone-${zoneName}`, { hostedZoneId: 'Z0123456789ABCDEFGHIJ', zoneName });

const ARCHIVE = {
  rpo: Duration.seconds(10),
  retention: Duration.days(35),
  baseBackupEvery: Duration.hours(24),
} as const;

/** Each case changes one thing of a right declaration. */
const wrong: readonly (readonly [string, (stack: Stack, valid: ManageProps) => Partial<ManageProps>, RegExp])[] = [
  ['one node', () => ({ nodes: 1 }), /nodes is 1: a cluster has at least 2 nodes/],
  [
    'two nodes of Galera',
    () => ({ nodes: 2 }),
    /nodes is 2: a Galera cluster that survives the loss of a node has at least 3 nodes/,
  ],
  [
    'two nodes of PostgreSQL with a quorum',
    () => ({ engine: Engine.postgres({ durability: 'quorum' }), nodes: 2 }),
    /nodes is 2: with durability "quorum" use at least 3 nodes/,
  ],
  [
    'as many acknowledgements as there are replicas',
    () => ({ engine: Engine.postgres({ durability: 'quorum', acknowledgements: 2 }) }),
    /engine\.acknowledgements is 2: give at most 1 with 3 nodes/,
  ],
  [
    'acknowledgements where nobody is waited for',
    () => ({ engine: Engine.postgres({ durability: 'async', acknowledgements: 1 }) }),
    /engine\.acknowledgements is 1: leave it out with durability "async"/,
  ],
  [
    'no acknowledgement',
    () => ({ engine: Engine.postgres({ durability: 'quorum', acknowledgements: 0 }) }),
    /engine\.acknowledgements is 0: give at least 1 acknowledgement/,
  ],
  [
    'a durability that there is not',
    () => ({ engine: Engine.postgres({ durability: 'eventual' as 'async' }) }),
    /engine\.durability is "eventual": give "quorum" or "async"/,
  ],
  [
    'slots that there are not',
    () => ({ engine: Engine.postgres({ durability: 'async', slots: 'logical' as 'none' }) }),
    /engine\.slots is "logical": give "physical" or "none"/,
  ],
  [
    'a negative lag',
    () => ({ engine: Engine.postgres({ durability: 'async', maxLagBytes: -1 }) }),
    /engine\.maxLagBytes is -1: give at least 0 bytes/,
  ],
  [
    'a role name with a quote',
    () => ({ engine: Engine.postgres({ durability: 'async', replicationUser: "o'hara" }) }),
    /engine\.replicationUser is "o'hara": give a role name: up to 63 lower-case letters/,
  ],
  [
    'a port of PostgreSQL that is none',
    () => ({ engine: Engine.postgres({ durability: 'async', port: 0 }) }),
    /engine\.port is 0: a TCP port is from 1 to 65535/,
  ],
  ['four nodes', () => ({ nodes: 4 }), /nodes is 4: use an odd number/],
  ['eleven nodes', () => ({ nodes: 11 }), /nodes is 11: .*at most 9/],
  [
    'a port that is none',
    () => ({ engine: Engine.galera({ port: 70_000 }) }),
    /engine\.port is 70000: a TCP port is from 1 to 65535/,
  ],
  ['no subnet', () => ({ subnets: [] }), /subnets is \[\]: give at least one subnet/],
  ['no endpoint', () => ({ endpoints: [] }), /endpoints is \[\]: give at least one endpoint/],
  [
    'a device without /dev',
    () => ({ dataDevice: 'sdf' }),
    /dataDevice is "sdf": give a device name, such as \/dev\/sdf/,
  ],
  ['an unknown policy', () => ({ policy: 'REPAIR' as Policy }), /policy is "REPAIR": /],
  [
    'a template version that is none',
    () => ({ launchTemplateVersion: 'newest' }),
    /launchTemplate\.version is "newest": give \$Default/,
  ],
  [
    'impatience',
    () => ({ deadAfter: Duration.seconds(1) }),
    /timing\.deadAfterSeconds is 1: give from 5 to 3600 seconds/,
  ],
  [
    'a TTL of an hour',
    (stack) => ({ endpoints: [Endpoint.dns(zoneIn(stack), 'orders', { route: 'writer', ttl: Duration.hours(1) })] }),
    /endpoints\[0\]\.ttlSeconds is 3600: give from 1 to 300 seconds/,
  ],
  [
    'a record name in capitals',
    (stack) => ({ endpoints: [Endpoint.dns(zoneIn(stack), 'Orders', { route: 'writer' })] }),
    /endpoints\[0\]\.name is "Orders\.db\.example\.com\.": give a fully qualified lower-case name/,
  ],
  [
    'a record name in capitals in a zone whose name is not known yet',
    (stack) => ({
      endpoints: [
        Endpoint.dns(zoneIn(stack, new CfnParameter(stack, 'ZoneName').valueAsString), 'Orders', { route: 'writer' }),
      ],
    }),
    /endpoints\[0\]\.name is "Orders\.<known at deployment>\.": give a fully qualified lower-case name/,
  ],
  [
    'an ARN of another service, its Region not known yet',
    (stack) => ({
      credentials: Secret.fromSecretCompleteArn(
        stack,
        'Other',
        `arn:aws:ssm:${stack.region}:${stack.account}:parameter/orders-AbCdEf`,
      ),
    }),
    /credentialsSecretArn is "arn:aws:ssm:<known at deployment>:.*give the ARN of a Secrets Manager secret/,
  ],
  [
    'two writers',
    (stack) => ({
      endpoints: ['one', 'two'].map((name) => Endpoint.targetGroup(targetGroup(stack, name), { route: 'writer' })),
    }),
    /endpoints is 2 target groups with route "writer": give one/,
  ],
  [
    'one group named twice',
    (_stack, valid) => ({
      endpoints: [...valid.endpoints, ...valid.endpoints.map((e) => ({ ...e, route: 'healthy' }) as typeof e)],
    }),
    /endpoints\[1\] is ".*targetgroup\/writer.*": name each target group and record once/,
  ],
  [
    'an RPO of a second',
    () => ({ archive: { ...ARCHIVE, rpo: Duration.seconds(1) } }),
    /archive\.rpoSeconds is 1: give from 2 to 3600 seconds/,
  ],
  [
    'half a day of retention',
    () => ({ archive: { ...ARCHIVE, retention: Duration.hours(12) } }),
    /archive\.retentionDays is 0\.5: give a whole number of days/,
  ],
  [
    'a base backup each second',
    () => ({ archive: { ...ARCHIVE, baseBackupEvery: Duration.seconds(1) } }),
    /archive\.baseBackupSeconds is 1: give from 60 to 2678400 seconds/,
  ],
  [
    'no base backup within the retention',
    () => ({ archive: { ...ARCHIVE, retention: Duration.days(1), baseBackupEvery: Duration.days(2) } }),
    /archive\.baseBackupSeconds is 172800: give at most the retention of 1 day\(s\), 86400 seconds/,
  ],
  [
    'a drill each second',
    () => ({ archive: { ...ARCHIVE, drillEvery: Duration.seconds(1) } }),
    /archive\.drillSeconds is 1: give from 60 to 31622400 seconds/,
  ],
];

describe('a wrong specification is refused at synth', () => {
  it.each(wrong)('%s', (_what, change, message) => {
    const { stack, plane, valid } = planeStack();
    expect(() => plane.manage('orders', { ...valid, ...change(stack, valid) })).toThrow(message);
  });

  it.each(['Orders', 'o', '9lives', 'a-', 'a'.repeat(31)])('the name %s', (name) => {
    const { plane, valid } = planeStack();
    expect(() => plane.manage(name, valid)).toThrow(/name is ".*": use 2 to 30 lower-case letters/);
  });

  it('a name known only at deployment', () => {
    const { stack, valid } = planeStack();
    const name = new CfnParameter(stack, 'Name').valueAsString;
    expect(() => new ManagedCluster(stack, 'Cluster', { ...valid, name })).toThrow(
      /name is known only at deployment: .*give it as plain text/,
    );
  });

  it('every problem at once, each on its line', () => {
    const { plane, valid } = planeStack();
    expect(() => plane.manage('orders', { ...valid, nodes: 4.5, dataDevice: 'sdf' })).toThrow(
      /nodes is 4\.5.*\n.*dataDevice is "sdf"/,
    );
  });

  it('a second cluster of the same name', () => {
    const { plane, valid } = planeStack();
    plane.manage('orders', valid);
    expect(() => plane.manage('orders', valid)).toThrow(/cluster "orders" is declared twice: give each/);
  });
});

function specIn(template: Template): Record<string, unknown> {
  const [, parameter] = resourcesOf(template, 'AWS::SSM::Parameter')[0] ?? [];
  return JSON.parse(String(parameter?.Properties['Value'])) as Record<string, unknown>;
}

describe('a right specification', () => {
  it('is stored as the JSON that the functions parse, defaults filled in', () => {
    const { stack, plane, valid } = planeStack();
    plane.manage('orders', {
      ...valid,
      endpoints: [...valid.endpoints, Endpoint.dns(zoneIn(stack), 'orders', { route: 'writer' })],
    });
    const template = Template.fromStack(stack);
    template.hasResourceProperties('AWS::SSM::Parameter', { Name: '/rejoin/clusters/orders', Type: 'String' });
    const spec = specIn(template);
    expect(parseSpec(spec)).toEqual({ ok: true, spec });
    expect(spec).toMatchObject({
      version: 1,
      engine: { kind: 'galera', port: 3306 },
      launchTemplate: { version: '$Default' },
      endpoints: [{ drainSeconds: 30 }, { name: 'orders.db.example.com.', ttlSeconds: 5 }],
      policy: 'HEAL',
      dataDevice: '/dev/sdf',
      timing: { deadAfterSeconds: 15, retryAfterSeconds: 1800 },
    });
  });

  it('may be made of resources of the same app: their tokens are no errors, and the target groups get the tag', () => {
    const { plane } = planeStack();
    const stack = Stack.of(plane);
    const vpc = new Vpc(stack, 'New', { maxAzs: 3 }) as IVpc;
    const group = (id: string) =>
      new NetworkTargetGroup(stack, id, { vpc, port: 3306, protocol: Protocol.TCP, targetType: TargetType.INSTANCE });
    const [writer, readers] = [group('Writer'), group('Readers')];
    plane.manage('orders', {
      engine: Engine.galera(),
      nodes: 3,
      launchTemplate: new LaunchTemplate(stack, 'Own', {
        machineImage: MachineImage.latestAmazonLinux2023(),
        role: new Role(stack, 'Database', { assumedBy: new ServicePrincipal('ec2.amazonaws.com') }),
      }),
      subnets: vpc.privateSubnets,
      credentials: new Secret(stack, 'Credentials') as ISecret,
      endpoints: [
        Endpoint.targetGroup(writer, { route: 'writer' }),
        Endpoint.targetGroup(readers, { route: 'healthy' }),
        Endpoint.dns(new HostedZone(stack, 'Zone', { zoneName: 'db.example.com' }), 'orders', { route: 'writer' }),
      ],
    });
    const template = Template.fromStack(stack);
    for (const [, g] of resourcesOf(template, 'AWS::ElasticLoadBalancingV2::TargetGroup')) {
      expect(g.Properties['Tags']).toContainEqual({ Key: 'rejoin:cluster', Value: 'orders' });
    }
    const policies = JSON.stringify(resourcesOf(template, 'AWS::IAM::Policy'));
    expect(policies).toMatch(/"Action":"iam:PassRole".*?"Fn::GetAtt":\["Database/);
    Annotations.fromStack(stack).hasNoWarning('*', Match.stringLikeRegexp('instance profile'));
  });

  it('names one imported group twice through a token, and that is found too', () => {
    const { stack, plane, valid } = planeStack();
    const arn = Fn.importValue('writer-group');
    const twice = ['A', 'B'].map((id) =>
      NetworkTargetGroup.fromTargetGroupAttributes(stack, id, { targetGroupArn: arn }),
    );
    expect(() =>
      plane.manage('orders', { ...valid, endpoints: twice.map((g) => Endpoint.targetGroup(g, { route: 'healthy' })) }),
    ).toThrow(/name each target group and record once/);
  });

  it('warns when a loss of one zone can cost the quorum, and when no role can be passed', () => {
    const { stack, plane, valid } = planeStack();
    plane.manage('orders', { ...valid, subnets: valid.subnets.slice(0, 2) });
    const warnings = Annotations.fromStack(stack);
    warnings.hasWarning('*', Match.stringLikeRegexp('subnets are in 2 zone'));
    warnings.hasWarning('*', Match.stringLikeRegexp('give instanceRole here'));
  });

  it('may live in another stack, which redeploys no function of the plane', () => {
    const alone = planeStack();
    const before = resourcesOf(Template.fromStack(alone.stack), 'AWS::Lambda::Function');
    const { stack, plane, valid } = planeStack();
    const other = new Stack(App.of(stack), 'Other');
    const cluster = new ManagedCluster(other, 'Orders', {
      ...valid,
      name: 'orders',
      endpoints: [Endpoint.targetGroup(targetGroup(other, 'orders'), { route: 'writer' })],
    });
    plane.allow(cluster.access);
    const template = Template.fromStack(stack);
    expect(resourcesOf(template, 'AWS::Lambda::Function')).toEqual(before);
    expect(resourcesOf(template, 'AWS::SSM::Parameter')).toEqual([]);
    expect(JSON.stringify(resourcesOf(template, 'AWS::IAM::Policy'))).toContain('secret:orders-AbCdEf');
    Template.fromStack(other).hasResourceProperties('AWS::SSM::Parameter', { Name: '/rejoin/clusters/orders' });
  });
});
