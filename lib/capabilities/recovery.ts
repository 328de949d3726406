/** The workflows, what each may do, and the event that says one has ended. */
import type { Table } from 'aws-cdk-lib/aws-dynamodb';
import type { EventPattern } from 'aws-cdk-lib/aws-events';
import type { PolicyStatement } from 'aws-cdk-lib/aws-iam';
import type { StateMachine } from 'aws-cdk-lib/aws-stepfunctions';
import type { Construct } from 'constructs';
import { WORKFLOW_NAMES } from '../names.ts';
import type { WorkflowName } from '../names.ts';
import * as allow from '../permissions.ts';
import { bootstrapDefinition } from '../workflows/bootstrap.ts';
import { failoverDefinition } from '../workflows/failover.ts';
import { replaceDefinition } from '../workflows/replace.ts';
import { rollingDefinition } from '../workflows/rolling.ts';
import { switchoverDefinition } from '../workflows/switchover.ts';
import type { Foundation } from './foundation.ts';
import type { HostDocuments } from './host-documents.ts';
import type { FunctionNetwork } from './plane-function.ts';
import type { WorkQueue } from './queues.ts';
import { Workflow, machineNameOf } from './workflow.ts';

/** What each workflow runs on hosts: only a bootstrap may start a new primary component. */
const SCRIPTS = {
  replace: [
    ...['galera-prepare', 'galera-join', 'galera-position', 'galera-stop'],
    ...['postgres-prepare', 'postgres-restore', 'postgres-join', 'postgres-position', 'postgres-stop'],
  ],
  bootstrap: ['galera-position', 'galera-bootstrap', 'galera-join'],
  failover: ['postgres-prepare', 'postgres-start'],
  switchover: ['postgres-stop', 'postgres-start', 'postgres-join'],
} as const satisfies Partial<Record<WorkflowName, readonly string[]>>;

export interface RecoveryProps {
  readonly foundation: Foundation;
  readonly network: FunctionNetwork;
  readonly ledger: Table;
  readonly reconcile: WorkQueue;
  readonly documents: HostDocuments;
}

export type RecoveryWorkflows = Readonly<Record<WorkflowName, Workflow>>;

/** An execution of any of them has ended. */
export const endOf = (workflows: RecoveryWorkflows): EventPattern => ({
  source: ['aws.states'],
  detailType: ['Step Functions Execution Status Change'],
  detail: {
    stateMachineArn: WORKFLOW_NAMES.map((name) => workflows[name].machine.stateMachineArn),
    status: ['SUCCEEDED', 'FAILED', 'TIMED_OUT', 'ABORTED'],
  },
});

/** What the steps of every workflow do: look, remember, ask for a reconcile, tell people. */
export const common = (
  scope: Construct,
  { foundation, ledger, reconcile }: RecoveryProps,
): readonly PolicyStatement[] => [
  allow.readSpec(scope),
  allow.describeInstances(),
  allow.describeTargets(),
  allow.onLedger(ledger, 'BatchGetItem', 'ConditionCheckItem', 'GetItem', 'UpdateItem'),
  allow.sendTo(reconcile.queue),
  ...allow.publishTo(scope, foundation.topic),
  allow.useKey(scope, foundation.key, ['sqs', 'sns', 'dynamodb']),
];

/** What the adapters of every workflow's steps are made from. */
export const stepEnvironment = (props: RecoveryProps): Readonly<Record<string, string>> => ({
  LEDGER_TABLE: props.ledger.tableName,
  RECONCILE_QUEUE_URL: props.reconcile.queue.queueUrl,
  NOTIFY_TOPIC_ARN: props.foundation.topic.topicArn,
  DOCUMENT_PREFIX: props.documents.prefix,
});

const scripts = (scope: Construct, props: RecoveryProps, name: keyof typeof SCRIPTS): readonly PolicyStatement[] =>
  allow.runScripts(scope, props.documents.arnsOf(SCRIPTS[name]));

/** A node in a lost one's place, with its volume. */
const nodes = (scope: Construct): readonly PolicyStatement[] => [
  ...allow.launchInstances(scope),
  allow.stopInstances(scope),
  ...allow.moveVolumes(scope),
];

export function recoveryWorkflows(scope: Construct, props: RecoveryProps): RecoveryWorkflows {
  const { foundation, network } = props;
  const environment = stepEnvironment(props);
  const shared = { foundation, network, environment };
  const replace = new Workflow(scope, 'Replace', {
    ...shared,
    name: 'replace',
    statements: [
      ...common(scope, props),
      ...scripts(scope, props, 'replace'),
      ...nodes(scope),
      ...allow.clearAway(scope),
    ],
    definition: replaceDefinition,
  });
  const bootstrap = new Workflow(scope, 'Bootstrap', {
    ...shared,
    name: 'bootstrap',
    statements: [...common(scope, props), ...scripts(scope, props, 'bootstrap')],
    definition: bootstrapDefinition,
  });
  // May revive a surviving volume, and destroys nothing but what it launched for that: the rest is left to a replacement.
  const failover = new Workflow(scope, 'Failover', {
    ...shared,
    name: 'failover',
    statements: [
      ...common(scope, props),
      ...scripts(scope, props, 'failover'),
      ...nodes(scope),
      allow.giveBackInstances(scope),
    ],
    definition: failoverDefinition,
  });
  const switchover = new Workflow(scope, 'Switchover', {
    ...shared,
    name: 'switchover',
    statements: [...common(scope, props), ...scripts(scope, props, 'switchover')],
    definition: switchoverDefinition,
  });
  const rolling = rollingWorkflow(scope, props, environment, { replace, switchover });
  return { replace, bootstrap, failover, switchover, rolling };
}

/** Touches nothing itself: it starts the workflows that do, one after the other. */
function rollingWorkflow(
  scope: Construct,
  props: RecoveryProps,
  environment: Readonly<Record<string, string>>,
  children: Readonly<Record<'replace' | 'switchover', { readonly machine: StateMachine }>>,
): Workflow {
  const { foundation, network } = props;
  const names = (['replace', 'switchover'] as const).map((name) => machineNameOf(foundation, name));
  return new Workflow(scope, 'Rolling', {
    foundation,
    network,
    environment: {
      ...environment,
      REPLACE_STATE_MACHINE_ARN: children.replace.machine.stateMachineArn,
      SWITCHOVER_STATE_MACHINE_ARN: children.switchover.machine.stateMachineArn,
    },
    name: 'rolling',
    statements: [
      ...common(scope, props),
      allow.describeTemplates(),
      ...allow.runWorkflows(scope, { start: names, look: names }),
    ],
    definition: rollingDefinition,
  });
}
