/**
 * What each function may do, one builder a capability. No action is a wildcard. A resource is `*` only where AWS has no
 * finer one, listed in `UNSCOPED` with the reason; elsewhere Rejoin's tag decides (safety rule 8).
 */
import { ArnFormat, Stack } from 'aws-cdk-lib';
import type { Table } from 'aws-cdk-lib/aws-dynamodb';
import { PolicyStatement } from 'aws-cdk-lib/aws-iam';
import type { IKey } from 'aws-cdk-lib/aws-kms';
import type { IQueue } from 'aws-cdk-lib/aws-sqs';
import type { ITopic } from 'aws-cdk-lib/aws-sns';
import type { IConstruct } from 'constructs';
import { CLUSTER_TAG, INCIDENT_TAG, SPEC_PREFIX } from '../lambdas/model/spec.ts';

/** Why a statement on `*` is as narrow as AWS allows. Source: Service Authorization Reference, one page a service. */
export const UNSCOPED: Readonly<Record<string, string>> = {
  'ec2:DescribeInstances': 'EC2 Describe actions have no resource type',
  'ec2:DescribeVolumes': 'EC2 Describe actions have no resource type',
  'ec2:DescribeLaunchTemplateVersions': 'EC2 Describe actions have no resource type',
  'elasticloadbalancing:DescribeTargetHealth': 'Elastic Load Balancing Describe actions have no resource type',
  'elasticloadbalancing:DescribeTargetGroupAttributes': 'Elastic Load Balancing Describe actions have no resource type',
  'ssm:DescribeInstanceInformation': 'the action has no resource type',
  'ssm:GetCommandInvocation': 'the action has no resource type',
  'ec2:CreateNetworkInterface': 'Lambda checks that a VPC function may do this on any interface',
  'ec2:DescribeNetworkInterfaces': 'EC2 Describe actions have no resource type',
  'ec2:DescribeSubnets': 'EC2 Describe actions have no resource type',
  'ec2:DeleteNetworkInterface': 'Lambda makes the interfaces, with ids that nobody knows before',
  'logs:CreateLogDelivery': 'log delivery of Step Functions has no resource type',
  'logs:GetLogDelivery': 'log delivery of Step Functions has no resource type',
  'logs:UpdateLogDelivery': 'log delivery of Step Functions has no resource type',
  'logs:DeleteLogDelivery': 'log delivery of Step Functions has no resource type',
  'logs:ListLogDeliveries': 'log delivery of Step Functions has no resource type',
  'logs:PutResourcePolicy': 'log delivery of Step Functions has no resource type',
  'logs:DescribeResourcePolicies': 'log delivery of Step Functions has no resource type',
  'logs:DescribeLogGroups': 'log delivery of Step Functions has no resource type',
  'xray:PutTraceSegments': 'the action has no resource type',
  'xray:PutTelemetryRecords': 'the action has no resource type',
  'xray:GetSamplingRules': 'the action has no resource type',
  'xray:GetSamplingTargets': 'the action has no resource type',
};

export const allow = (
  actions: readonly string[],
  resources: readonly string[],
  conditions?: Record<string, Record<string, unknown>>,
): PolicyStatement =>
  new PolicyStatement({ actions: [...actions], resources: [...resources], ...(conditions && { conditions }) });

/** For actions of `UNSCOPED`; throws for one that is not on the list, so that none is added in passing. */
function unscoped(...actions: readonly string[]): PolicyStatement {
  const unreasoned = actions.filter((action) => UNSCOPED[action] === undefined);
  if (unreasoned.length > 0) {
    throw new Error(
      `${unreasoned.join(', ')} on "*": expected a finer resource, or a reason in UNSCOPED (lib/permissions.ts)`,
    );
  }
  return allow(actions, ['*']);
}

const carries = (key: string): { readonly StringLike: Readonly<Record<string, string>> } => ({
  StringLike: { [`${key}/${CLUSTER_TAG}`]: '*' },
});

const arn = (scope: IConstruct, service: string, resource: string, resourceName: string): string =>
  Stack.of(scope).formatArn({ service, resource, resourceName });

/** Sending to the reconcile queue and, for delayed requests, to signals. SendMessageBatch is authorized as SendMessage. */
export const sendTo = (...queues: readonly IQueue[]): PolicyStatement =>
  allow(
    ['sqs:SendMessage'],
    queues.map((q) => q.queueArn),
  );

/** Publishing to a topic that is encrypted with a key of its own needs that key too: SNS uses it in the publisher's name. */
export const publishTo = (scope: IConstruct, topic: ITopic): readonly PolicyStatement[] => [
  allow(['sns:Publish'], [topic.topicArn]),
  ...(topic.masterKey ? [useKey(scope, topic.masterKey, ['sns'])] : []),
];

/** The plane's key, through the services that hold our data with it. */
export function useKey(
  scope: IConstruct,
  key: IKey,
  services: readonly ('sqs' | 'sns' | 'dynamodb' | 's3')[],
): PolicyStatement {
  const region = Stack.of(scope).region;
  const actions = ['kms:Decrypt', 'kms:GenerateDataKey'];
  // DynamoDB asks for more of the caller than the queues do (Developer Guide, "DynamoDB key usage").
  const table = [
    'kms:DescribeKey',
    'kms:Encrypt',
    'kms:GenerateDataKeyWithoutPlaintext',
    'kms:ReEncryptFrom',
    'kms:ReEncryptTo',
  ];
  return allow(services.includes('dynamodb') ? [...actions, ...table] : actions, [key.keyArn], {
    StringEquals: { 'kms:ViaService': services.map((s) => `${s}.${region}.amazonaws.com`) },
  });
}

export type LedgerAction =
  'GetItem' | 'BatchGetItem' | 'PutItem' | 'UpdateItem' | 'DeleteItem' | 'Query' | 'ConditionCheckItem';

/** Item actions on the ledger; a transaction is authorized as the item actions in it. */
export const onLedger = (table: Table, ...actions: readonly LedgerAction[]): PolicyStatement =>
  allow(
    actions.map((a) => `dynamodb:${a}`),
    [table.tableArn],
  );

const parameters = (scope: IConstruct): string => arn(scope, 'ssm', 'parameter', `${SPEC_PREFIX.slice(1)}*`);

export const readSpec = (scope: IConstruct): PolicyStatement => allow(['ssm:GetParameter'], [parameters(scope)]);

/** The path itself is the resource of GetParametersByPath. */
export const listSpecs = (scope: IConstruct): PolicyStatement =>
  allow(['ssm:GetParametersByPath'], [arn(scope, 'ssm', 'parameter', SPEC_PREFIX.slice(1, -1)), parameters(scope)]);

export const describeInstances = (): PolicyStatement => unscoped('ec2:DescribeInstances');

export const describeTargets = (): PolicyStatement => unscoped('elasticloadbalancing:DescribeTargetHealth');

/** Targets and attributes of groups that carry Rejoin's tag. */
export function route(scope: IConstruct): readonly PolicyStatement[] {
  return [
    unscoped('elasticloadbalancing:DescribeTargetHealth', 'elasticloadbalancing:DescribeTargetGroupAttributes'),
    allow(
      [
        'elasticloadbalancing:RegisterTargets',
        'elasticloadbalancing:DeregisterTargets',
        'elasticloadbalancing:ModifyTargetGroupAttributes',
      ],
      [arn(scope, 'elasticloadbalancing', 'targetgroup', '*/*')],
      carries('aws:ResourceTag'),
    ),
  ];
}

export const changeRecords = (zoneArns: readonly string[]): PolicyStatement =>
  allow(['route53:ListResourceRecordSets', 'route53:ChangeResourceRecordSets'], zoneArns);

export const startWorkflows = (scope: IConstruct, names: readonly string[]): PolicyStatement =>
  allow(
    ['states:StartExecution'],
    names.map((name) => states(scope, 'stateMachine', name)),
  );

/** Starts some machines and looks at some. By name, which is fixed: the machines' own role must not depend on this one. */
export const runWorkflows = (
  scope: IConstruct,
  names: { readonly start: readonly string[]; readonly look: readonly string[] },
): readonly PolicyStatement[] => [
  startWorkflows(scope, names.start),
  allow(
    ['states:DescribeExecution'],
    names.look.map((name) => states(scope, 'execution', `${name}:*`)),
  ),
];

const states = (scope: IConstruct, resource: string, resourceName: string): string =>
  Stack.of(scope).formatArn({ service: 'states', resource, resourceName, arnFormat: ArnFormat.COLON_RESOURCE_NAME });

/** Rejoin's documents on hosts that carry its tag, and what became of the command. */
export const runScripts = (scope: IConstruct, documentArns: readonly string[]): readonly PolicyStatement[] => [
  allow(['ssm:SendCommand'], documentArns),
  allow(['ssm:SendCommand'], [arn(scope, 'ec2', 'instance', '*')], carries('ssm:resourceTag')),
  unscoped('ssm:DescribeInstanceInformation', 'ssm:GetCommandInvocation'),
];

/** What a launch template's `$Latest`, `$Default` or number means now. */
export const describeTemplates = (): PolicyStatement => unscoped('ec2:DescribeLaunchTemplateVersions');

const own = carries('ec2:ResourceTag');
const ec2 = (scope: IConstruct, type: string): string => arn(scope, 'ec2', type, '*');

/**
 * Launching a node.
 * RunInstances is authorized once for each resource of the call, so the tags that the first statement demands of the
 * instance and its volumes bind every launch, whatever subnet or image the launch template names.
 */
export function launchInstances(scope: IConstruct): readonly PolicyStatement[] {
  const machine = [ec2(scope, 'instance'), ec2(scope, 'volume')];
  const around = ['launch-template', 'subnet', 'security-group', 'network-interface', 'key-pair', 'placement-group'];
  // Images and public snapshots belong to other accounts: their ARNs have none.
  const of = (account: string, resource: string): string =>
    Stack.of(scope).formatArn({ service: 'ec2', account, resource, resourceName: '*' });
  return [
    allow(['ec2:RunInstances'], machine, carries('aws:RequestTag')),
    allow(
      ['ec2:RunInstances'],
      [...around.map((type) => ec2(scope, type)), of('', 'image'), of('', 'snapshot'), of('*', 'snapshot')],
    ),
    allow(['ec2:CreateTags'], machine, { StringEquals: { 'ec2:CreateAction': 'RunInstances' } }),
  ];
}

/** The fence. */
export const stopInstances = (scope: IConstruct): PolicyStatement =>
  allow(['ec2:StopInstances'], [ec2(scope, 'instance')], own);

/** A lost node's volume, to the one in its place. */
export const moveVolumes = (scope: IConstruct): readonly PolicyStatement[] => [
  allow(['ec2:CreateTags'], [ec2(scope, 'volume')], own),
  allow(['ec2:AttachVolume', 'ec2:DetachVolume'], [ec2(scope, 'instance'), ec2(scope, 'volume')], own),
  describeVolumes(),
];

/** Launched by Rejoin itself: never by the platform team. */
const launched = { StringLike: { ...own.StringLike, [`ec2:ResourceTag/${INCIDENT_TAG}`]: '*' } };

/** An instance that Rejoin itself launched and found no use for. */
export const giveBackInstances = (scope: IConstruct): PolicyStatement =>
  allow(['ec2:TerminateInstances'], [ec2(scope, 'instance')], launched);

/** Volumes that came with such an instance. */
export const giveBackVolumes = (scope: IConstruct): PolicyStatement =>
  allow(['ec2:DeleteVolume'], [ec2(scope, 'volume')], launched);

export const describeVolumes = (): PolicyStatement => unscoped('ec2:DescribeVolumes');

/** Such an instance, kept for a look at it. */
export const stopOwn = (scope: IConstruct): PolicyStatement =>
  allow(['ec2:StopInstances'], [ec2(scope, 'instance')], launched);

/** For good: a node that has been replaced, and a volume that nobody needs any more. */
export const clearAway = (scope: IConstruct): readonly PolicyStatement[] => [
  allow(['ec2:TerminateInstances'], [ec2(scope, 'instance')], own),
  allow(['ec2:DeleteVolume'], [ec2(scope, 'volume')], own),
];

/** The instance profiles' roles, and only to EC2. */
export const passRoles = (roleArns: readonly string[]): PolicyStatement =>
  allow(['iam:PassRole'], roleArns, { StringEquals: { 'iam:PassedToService': 'ec2.amazonaws.com' } });

/** Volumes encrypted with a key of the platform team's: EC2 uses it in our name at a launch. */
export const encryptVolumes = (keyArns: readonly string[]): readonly PolicyStatement[] => [
  allow(
    ['kms:Decrypt', 'kms:DescribeKey', 'kms:GenerateDataKeyWithoutPlaintext', 'kms:ReEncryptFrom', 'kms:ReEncryptTo'],
    keyArns,
  ),
  allow(['kms:CreateGrant'], keyArns, { Bool: { 'kms:GrantIsForAWSResource': 'true' } }),
];

export const readSecret = (secretArn: string): PolicyStatement => allow(['secretsmanager:GetSecretValue'], [secretArn]);

export const decryptSecret = (scope: IConstruct, keyArn: string): PolicyStatement =>
  allow(['kms:Decrypt'], [keyArn], {
    StringEquals: { 'kms:ViaService': `secretsmanager.${Stack.of(scope).region}.amazonaws.com` },
  });
