/** cdk-nag's findings that are meant, each with its reason, on the one construct that it is about. */
import { Stack, Validations } from 'aws-cdk-lib';
import type { IConstruct } from 'constructs';
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
  const { signals, reconcile, watch, operate, workflows } = plane;
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
