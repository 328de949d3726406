import { Template } from 'aws-cdk-lib/assertions';
import { describe, expect, it } from 'vitest';
import { UNSCOPED } from '../../lib/permissions.ts';
import { ARCHIVE_WORKFLOW_NAMES, FUNCTION_NAMES, WORKFLOW_NAMES } from '../../lib/names.ts';
import { exampleConfig, exampleStack, exampleTemplate, newApp, resourcesOf } from './fixture.ts';

interface Statement {
  readonly Action: string | readonly string[];
  readonly Resource: unknown;
  readonly Condition?: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
}

const template = exampleTemplate();

/** Short names of an engine's documents. */
const scriptsOf = (engine: string, scripts: string): string[] => scripts.split(' ').map((s) => `${engine}-${s}`);

const listed = (value: unknown): readonly unknown[] => (Array.isArray(value) ? (value as readonly unknown[]) : [value]);
const actionsOf = (s: Statement): readonly string[] => listed(s.Action) as readonly string[];

const policies = resourcesOf(template, 'AWS::IAM::Policy').map(([id, policy]) => ({
  id,
  statements: (policy.Properties['PolicyDocument'] as { Statement: readonly Statement[] }).Statement,
}));
const statements = policies.flatMap(({ id, statements: all }) => all.map((statement) => ({ id, statement })));

const of = (capability: string): readonly Statement[] =>
  policies.find(({ id }) => id.startsWith(`Rejoin${capability}Function`))?.statements ?? [];

/** `Replace`, `ArchiveRestore`: whose policy. */
const roleOf = (id: string): string | undefined => /^Rejoin(\w+?)Function/.exec(id)?.[1];

const allowing = (action: string, from: readonly Statement[]): readonly Statement[] =>
  from.filter((s) => actionsOf(s).includes(action));

describe('IAM', () => {
  it('has a policy for each function and each machine', () => {
    expect(policies).toHaveLength(FUNCTION_NAMES.length + WORKFLOW_NAMES.length + ARCHIVE_WORKFLOW_NAMES.length);
  });

  it('grants no action by wildcard', () => {
    const wild = statements.flatMap(({ id, statement }) =>
      actionsOf(statement)
        .filter((a) => a.includes('*'))
        .map((a) => `${id}: ${a}`),
    );
    expect(wild).toEqual([]);
  });

  it("publishes to a topic that is encrypted with the platform team's key by leave to use it, through SNS", () => {
    const config = {
      ...exampleConfig(),
      notifyTopicArn: 'arn:aws:sns:eu-west-1:111122223333:ops',
      notifyTopicKeyArn: 'arn:aws:kms:eu-west-1:111122223333:key/01234567-89ab-cdef-0123-456789abcdef',
    };
    const withKey = Template.fromStack(exampleStack(newApp(), config));
    const holders = resourcesOf(withKey, 'AWS::IAM::Policy').filter(([, policy]) =>
      (policy.Properties['PolicyDocument'] as { Statement: readonly Statement[] }).Statement.some(
        (s) => s.Resource === config.notifyTopicKeyArn && actionsOf(s).includes('kms:GenerateDataKey'),
      ),
    );
    expect(holders.map(([id]) => roleOf(id)).sort()).toEqual([
      ...['ArchiveBackup', 'ArchiveRestore', 'Bootstrap', 'Failover', 'Reconcile', 'Replace', 'Rolling', 'Switchover'],
    ]);
  });

  it('uses no policy managed by AWS', () => {
    for (const [id, role] of resourcesOf(template, 'AWS::IAM::Role'))
      expect(role.Properties['ManagedPolicyArns'], id).toBeUndefined();
  });

  it('grants on every resource only what is on the reasoned list', () => {
    const unreasoned = statements
      .filter(({ statement }) => listed(statement.Resource).includes('*'))
      .flatMap(({ id, statement }) =>
        actionsOf(statement)
          .filter((a) => UNSCOPED[a] === undefined)
          .map((a) => `${id}: ${a}`),
      );
    expect(unreasoned).toEqual([]);
  });

  it('has nothing on the reasoned list that nobody uses', () => {
    const used = new Set(
      statements.filter(({ statement }) => statement.Resource === '*').flatMap(({ statement }) => actionsOf(statement)),
    );
    expect(Object.keys(UNSCOPED).filter((action) => !used.has(action))).toEqual([]);
  });

  it.each([
    ['ec2:TerminateInstances', 'ec2:ResourceTag/rejoin:cluster'],
    ['ec2:StopInstances', 'ec2:ResourceTag/rejoin:cluster'],
    ['ec2:AttachVolume', 'ec2:ResourceTag/rejoin:cluster'],
    ['ec2:DetachVolume', 'ec2:ResourceTag/rejoin:cluster'],
    ['ec2:DeleteVolume', 'ec2:ResourceTag/rejoin:cluster'],
    ['elasticloadbalancing:RegisterTargets', 'aws:ResourceTag/rejoin:cluster'],
    ['elasticloadbalancing:DeregisterTargets', 'aws:ResourceTag/rejoin:cluster'],
    ['elasticloadbalancing:ModifyTargetGroupAttributes', 'aws:ResourceTag/rejoin:cluster'],
  ])('%s needs the tag, wherever it is granted', (action, key) => {
    const grants = allowing(
      action,
      statements.map((s) => s.statement),
    );
    expect(grants.length).toBeGreaterThan(0);
    for (const grant of grants) expect(grant.Condition).toMatchObject({ StringLike: { [key]: '*' } });
  });

  it.each(['Replace', 'Failover', 'ArchiveRestore'])(
    '%s: demands the tag of every launched instance and volume',
    (role) => {
      const grants = allowing('ec2:RunInstances', of(role)).filter((s) =>
        /:(instance|volume)\//.test(JSON.stringify(s.Resource)),
      );
      expect(grants).toHaveLength(1);
      expect(grants[0]?.Condition).toEqual({ StringLike: { 'aws:RequestTag/rejoin:cluster': '*' } });
    },
  );

  it.each(['Replace', 'Failover'])('%s: tags only what is being launched, and its own volumes', (role) => {
    const conditions = allowing('ec2:CreateTags', of(role)).map((s) => s.Condition);
    expect(conditions).toHaveLength(2);
    expect(conditions).toContainEqual({ StringEquals: { 'ec2:CreateAction': 'RunInstances' } });
    expect(conditions).toContainEqual({ StringLike: { 'ec2:ResourceTag/rejoin:cluster': '*' } });
  });

  it("passes only the instances' roles, and only to EC2", () => {
    const grant = {
      Action: 'iam:PassRole',
      Effect: 'Allow',
      Condition: { StringEquals: { 'iam:PassedToService': 'ec2.amazonaws.com' } },
      Resource: 'arn:aws:iam::111122223333:role/orders-database',
    };
    const holders = policies.filter((p) => allowing('iam:PassRole', p.statements).length > 0);
    expect(holders.map(({ id }) => roleOf(id)).sort()).toEqual([...['ArchiveRestore', 'Failover', 'Replace']]);
    for (const { statements: of } of holders) expect(allowing('iam:PassRole', of)).toEqual([grant]);
  });

  it('lets only a bootstrap start a new primary component', () => {
    const documents = (role: string): string =>
      JSON.stringify(allowing('ssm:SendCommand', of(role)).map((s) => s.Resource));
    expect(documents('Bootstrap')).toContain('galera-bootstrap');
    for (const role of ['Replace', 'Failover', 'Switchover', 'Rolling'])
      expect(documents(role)).not.toContain('galera-bootstrap');
  });

  it.each([
    [
      'Replace',
      [
        ...scriptsOf('galera', 'join position prepare stop'),
        ...scriptsOf('postgres', 'join position prepare restore stop'),
      ],
    ],
    ['Bootstrap', scriptsOf('galera', 'bootstrap join position')],
    ['Failover', scriptsOf('postgres', 'prepare start')],
    ['Operate', scriptsOf('postgres', 'position')],
    ['Switchover', scriptsOf('postgres', 'join start stop')],
    ['ArchiveBackup', [...scriptsOf('galera', 'backup'), ...scriptsOf('postgres', 'backup')]],
    [
      'ArchiveRestore',
      [...scriptsOf('galera', 'checksum prepare restore'), ...scriptsOf('postgres', 'checksum prepare restore')],
    ],
  ])('%s runs only the documents that it needs, on hosts with the tag', (role, expected) => {
    const [documents, hosts] = [false, true].map((c) =>
      allowing('ssm:SendCommand', of(role)).filter((s) => (s.Condition !== undefined) === c),
    );
    expect(documents).toHaveLength(1);
    const named = listed(documents?.[0]?.Resource).map(
      (a) => /:document\/rejoin-([a-z-]+)"/.exec(JSON.stringify(a))?.[1],
    );
    expect(named.sort()).toEqual(expected);
    expect(hosts?.map((s) => s.Condition)).toEqual([{ StringLike: { 'ssm:resourceTag/rejoin:cluster': '*' } }]);
  });

  it.each([
    ['Reconcile', ['bootstrap', 'failover', 'replace'], [...WORKFLOW_NAMES]],
    ['Rolling', ['replace', 'switchover'], ['replace', 'switchover']],
    ['ArchiveKeeper', ['backup', 'drill'], []],
  ])('lets %s start and look at the executions of those machines only', (role, started, seen) => {
    const machines = (action: string) =>
      allowing(action, of(role))
        .flatMap((s) => listed(s.Resource))
        .map((r) => /:(?:stateMachine|execution):rejoin-([a-z]+)(?::\*)?"/.exec(JSON.stringify(r))?.[1])
        .sort();
    expect(machines('states:StartExecution')).toEqual([...started].sort());
    expect(machines('states:DescribeExecution')).toEqual([...seen].sort());
  });

  it('lets nobody else start or look at an execution', () => {
    const holders = policies.filter((p) => p.statements.some((s) => actionsOf(s).some((a) => a.startsWith('states:'))));
    expect(holders.map(({ id }) => roleOf(id)).sort()).toEqual(['ArchiveKeeper', 'Reconcile', 'Rolling']);
  });

  it.each([
    ['Signals', ['ec2:DescribeInstances', 'sqs:SendMessage']],
    [
      'Operate',
      [
        'dynamodb:BatchGetItem',
        'dynamodb:GetItem',
        'dynamodb:UpdateItem',
        'ec2:DescribeInstances',
        'sqs:SendMessage',
        'ssm:DescribeInstanceInformation',
        'ssm:GetCommandInvocation',
        'ssm:GetParametersByPath',
        'ssm:SendCommand',
      ],
    ],
    [
      'Watch',
      [
        'dynamodb:BatchGetItem',
        'dynamodb:Query',
        'dynamodb:UpdateItem',
        'ec2:DescribeInstances',
        'secretsmanager:GetSecretValue',
        'sqs:SendMessage',
        'ssm:GetParametersByPath',
      ],
    ],
    [
      'Reconcile',
      [
        'dynamodb:BatchGetItem',
        'dynamodb:GetItem',
        'dynamodb:Query',
        'dynamodb:UpdateItem',
        'ec2:DescribeInstances',
        'ec2:DescribeVolumes',
        'elasticloadbalancing:DeregisterTargets',
        'elasticloadbalancing:DescribeTargetGroupAttributes',
        'elasticloadbalancing:DescribeTargetHealth',
        'elasticloadbalancing:ModifyTargetGroupAttributes',
        'elasticloadbalancing:RegisterTargets',
        'route53:ChangeResourceRecordSets',
        'route53:ListResourceRecordSets',
        'secretsmanager:GetSecretValue',
        'sns:Publish',
        'sqs:SendMessage',
        'ssm:GetParameter',
        'ssm:GetParametersByPath',
        'states:DescribeExecution',
        'states:StartExecution',
      ],
    ],
    [
      'Switchover',
      [
        ...['dynamodb:BatchGetItem', 'dynamodb:ConditionCheckItem', 'dynamodb:GetItem', 'dynamodb:UpdateItem'],
        ...['ec2:DescribeInstances', 'elasticloadbalancing:DescribeTargetHealth', 'secretsmanager:GetSecretValue'],
        ...['sns:Publish', 'sqs:SendMessage', 'ssm:DescribeInstanceInformation', 'ssm:GetCommandInvocation'],
        ...['ssm:GetParameter', 'ssm:SendCommand'],
      ],
    ],
    [
      'Rolling',
      [
        ...['dynamodb:BatchGetItem', 'dynamodb:ConditionCheckItem', 'dynamodb:GetItem', 'dynamodb:UpdateItem'],
        ...['ec2:DescribeInstances', 'ec2:DescribeLaunchTemplateVersions'],
        ...['elasticloadbalancing:DescribeTargetHealth', 'secretsmanager:GetSecretValue'],
        ...['sns:Publish', 'sqs:SendMessage', 'ssm:GetParameter', 'states:DescribeExecution', 'states:StartExecution'],
      ],
    ],
  ])('lets %s do what its capability calls, and nothing else', (capability, expected) => {
    // What the service itself needs to run the function: logs, the event source, network interfaces, the key.
    const ofTheService =
      /^(logs:|kms:|ec2:(Create|Delete|Describe)NetworkInterfaces?$|ec2:DescribeSubnets$|sqs:(ChangeMessageVisibility|DeleteMessage|GetQueueAttributes|GetQueueUrl|ReceiveMessage)$)/;
    const granted = new Set(
      of(capability)
        .flatMap(actionsOf)
        .filter((a) => !ofTheService.test(a)),
    );
    expect([...granted].sort()).toEqual(expected);
  });

  /** Changes to instances and volumes. */
  const mutating = (role: string): readonly string[] => [
    ...new Set(
      of(role)
        .flatMap(actionsOf)
        .filter((a) => /^ec2:(Run|Stop|Start|Terminate|Attach|Detach|Delete(?!NetworkInterface)|CreateTags)/.test(a)),
    ),
  ];

  it.each([
    ...['Bootstrap', 'Switchover', 'Rolling', 'Reconcile', 'Watch', 'Operate'],
    ...['ArchiveShipPostgres', 'ArchiveShipGalera', 'ArchiveKeeper', 'ArchiveBackup'],
  ])('gives %s no way to launch, stop or terminate', (role) => {
    expect(mutating(role)).toEqual([]);
  });

  it('lets a restore launch, and end what it launched itself: nothing of a living cluster (safety rule 11)', () => {
    const marked = { 'ec2:ResourceTag/rejoin:cluster': '*', 'ec2:ResourceTag/rejoin:incident': '*' };
    for (const action of ['ec2:StopInstances', 'ec2:TerminateInstances', 'ec2:DeleteVolume'])
      expect(allowing(action, of('ArchiveRestore')).map((s) => s.Condition)).toEqual([{ StringLike: marked }]);
    expect([...mutating('ArchiveRestore')].sort()).toEqual([
      ...['ec2:CreateTags', 'ec2:DeleteVolume', 'ec2:RunInstances', 'ec2:StopInstances', 'ec2:TerminateInstances'],
    ]);
  });

  it('lets a failover fence and revive, and destroy nothing but what it launched for that', () => {
    expect(allowing('ec2:TerminateInstances', of('Failover')).map((s) => s.Condition)).toEqual([
      { StringLike: { 'ec2:ResourceTag/rejoin:cluster': '*', 'ec2:ResourceTag/rejoin:incident': '*' } },
    ]);
    expect([...mutating('Failover')].sort()).toEqual([
      'ec2:AttachVolume',
      'ec2:CreateTags',
      'ec2:DetachVolume',
      'ec2:RunInstances',
      'ec2:StopInstances',
      'ec2:TerminateInstances',
    ]);
  });
});
