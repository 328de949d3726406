/** cdk-nag's findings that are meant, each with its reason, on the one construct that it is about. */
import { Stack, Validations } from 'aws-cdk-lib';
import type { Bucket, CfnBucket } from 'aws-cdk-lib/aws-s3';
import type { IConstruct } from 'constructs';
import type { Archive } from './capabilities/archive/archive.ts';
import type { Operate } from './capabilities/operate.ts';
import type { Reconcile } from './capabilities/reconcile.ts';
import type { RecoveryWorkflows } from './capabilities/recovery.ts';
import type { Signals } from './capabilities/signals.ts';
import type { Watch } from './capabilities/watch.ts';
import type { Workflow } from './capabilities/workflow.ts';
import { SPEC_PREFIX } from '../lambdas/model/spec.ts';

/** The plane's parts that hold a role. */
export interface Capabilities {
  readonly signals: Signals;
  readonly reconcile: Reconcile;
  readonly watch: Watch;
  readonly operate: Operate;
  readonly workflows: RecoveryWorkflows;
  readonly archive: Archive;
}

interface Place {
  readonly service: string;
  readonly resource: string;
  readonly region?: string;
  readonly account?: string;
}

const parameters: Place = { service: 'ssm', resource: `parameter${SPEC_PREFIX}*` };
const targetGroups: Place = { service: 'elasticloadbalancing', resource: 'targetgroup/*/*' };
const ec2 = (type: string): Place => ({ service: 'ec2', resource: `${type}/*` });

const UNSCOPED_REASON =
  'Only actions for which AWS has no finer resource; each is listed with its reason in lib/permissions.ts, and a test holds the list.';
const SPECS_REASON =
  'A cluster may be added by another stack without a change here; the path holds nothing but cluster specifications.';
const TAGGED_REASON =
  'Instances and volumes come and go with replacements; the condition on the tag rejoin:cluster decides, at launch and after.';
const TEMPLATE_REASON =
  "A launch names what the cluster's launch template names, which a cluster in another stack chooses; the tags demanded of the instance bind every launch.";
const GROUPS_REASON =
  'A cluster may bring a target group from another stack; the condition on the tag rejoin:cluster decides.';
const OBJECTS_REASON =
  "Objects are named when they are made, below each cluster's name; the bucket's policy and lock keep what is there from being overwritten or removed.";
const EXECUTIONS_REASON = 'Executions are named when they start; the machine is named.';

/** A resource as cdk-nag writes it: pseudo parameters in angle brackets. */
function written(scope: IConstruct, { service, resource, region, account }: Place): string {
  const stack = Stack.of(scope);
  const plain = (token: string): string => {
    const value = stack.resolve(token) as string | { readonly Ref: string };
    return typeof value === 'string' ? value : `<${value.Ref}>`;
  };
  return `arn:${plain(stack.partition)}:${service}:${region ?? plain(stack.region)}:${account ?? plain(stack.account)}:${resource}`;
}

const finding = (role: IConstruct, resource: string, reason: string): void =>
  Validations.of(role).acknowledge({ id: `AwsSolutions-IAM5[Resource::${resource}]`, reason });

const acknowledge = (role: IConstruct, places: readonly Place[], reason: string): void => {
  for (const place of places) finding(role, written(role, place), reason);
};

/** On the roles' policies and on the sweep's dead-letter queue; nothing is acknowledged for the whole stack. */
export function acknowledgeFindings(plane: Capabilities): void {
  const { signals, reconcile, watch, operate, workflows, archive } = plane;
  const { replace, bootstrap, failover, switchover, rolling } = workflows;
  const machines = Object.values(workflows);
  for (const { function: f } of [signals, reconcile, watch, operate, ...machines])
    finding(f.role, '*', UNSCOPED_REASON);
  for (const { function: f } of [reconcile, watch, operate, ...machines])
    acknowledge(f.role, [parameters], SPECS_REASON);
  for (const { role } of machines) finding(role, '*', UNSCOPED_REASON);
  for (const { function: f } of [replace, bootstrap, failover, switchover, operate])
    acknowledge(f.role, [ec2('instance')], TAGGED_REASON);
  acknowledge(reconcile.function.role, [targetGroups], GROUPS_REASON);
  acknowledge(reconcile.function.role, executionsOf(machines), EXECUTIONS_REASON);
  acknowledge(rolling.function.role, executionsOf([replace, switchover]), EXECUTIONS_REASON);
  for (const { function: f } of [replace, failover]) acknowledgeLaunches(f.role);
  acknowledgeArchive(archive);
  objects(replace.function.role, archive.bucket, ['*', '*/restore/*']);
  Validations.of(watch.deadLetters).acknowledge({
    id: 'AwsSolutions-SQS3',
    reason:
      'This is a dead-letter queue: of the schedule and of failed asynchronous invocations, which cdk-nag does not look at.',
  });
}

const executionsOf = (workflows: readonly Workflow[]): readonly Place[] =>
  workflows.map(({ machineName }) => ({ service: 'states', resource: `execution:${machineName}:*` }));

/** Of a function that launches nodes and moves their volumes. */
function acknowledgeLaunches(role: IConstruct): void {
  const around = ['launch-template', 'subnet', 'security-group', 'network-interface', 'key-pair', 'placement-group'];
  const images = [
    { ...ec2('image'), account: '' },
    { ...ec2('snapshot'), account: '' },
    { ...ec2('snapshot'), account: '*' },
  ];
  acknowledge(role, [ec2('volume')], TAGGED_REASON);
  acknowledge(role, [...around.map(ec2), ...images], TEMPLATE_REASON);
}

function acknowledgeArchive({ bucket, shippers, keeper, workflows: { backup, restore, drill } }: Archive): void {
  const [postgres, galera] = shippers.map(({ function: f }) => f.role);
  for (const { function: f } of [...shippers, keeper, backup, restore]) {
    finding(f.role, '*', UNSCOPED_REASON);
    acknowledge(f.role, [parameters], SPECS_REASON);
    objects(f.role, bucket, ['*']);
  }
  if (postgres !== undefined) objects(postgres, bucket, ['*/*/wal/*', '*/*/history/*']);
  if (galera !== undefined) objects(galera, bucket, ['*/*/binlog/*']);
  objects(backup.function.role, bucket, ['*/*/base/*', '*/*/manifest/*']);
  objects(restore.function.role, bucket, ['*/restore/*']);
  objects(keeper.function.role, bucket, ['*/*', '*/retention/*']);
  for (const { role } of [backup, restore, drill]) finding(role, '*', UNSCOPED_REASON);
  for (const { function: f } of [backup, restore]) acknowledge(f.role, [ec2('instance')], TAGGED_REASON);
  acknowledgeLaunches(restore.function.role);
  Validations.of(bucket).acknowledge({
    id: 'AwsSolutions-S1',
    reason:
      "Who read or wrote what is told by CloudTrail's data events, where a team wants them; access logs would need a second bucket that is open to a service.",
  });
}

/** The bucket's ARN as cdk-nag writes it. */
function objects(role: IConstruct, bucket: Bucket, paths: readonly string[]): void {
  const { logicalId } = bucket.node.defaultChild as CfnBucket;
  const id = Stack.of(bucket).resolve(logicalId) as string;
  for (const path of paths) finding(role, `<${id}.Arn>/${path}`, OBJECTS_REASON);
}
