/** Both recovery workflows, and the event that says one has ended. */
import type { Table } from 'aws-cdk-lib/aws-dynamodb';
import type { EventPattern } from 'aws-cdk-lib/aws-events';
import type { PolicyStatement } from 'aws-cdk-lib/aws-iam';
import type { Construct } from 'constructs';
import { WORKFLOW_NAMES } from '../names.ts';
import * as allow from '../permissions.ts';
import { bootstrapDefinition } from '../workflows/bootstrap.ts';
import { replaceDefinition } from '../workflows/replace.ts';
import type { Foundation } from './foundation.ts';
import type { HostDocuments } from './host-documents.ts';
import type { FunctionNetwork } from './plane-function.ts';
import type { WorkQueue } from './queues.ts';
import { Workflow } from './workflow.ts';

/** What each workflow runs on hosts: only a bootstrap may start a new primary component. */
const REPLACE_SCRIPTS = ['prepare', 'join', 'position', 'stop'];
const BOOTSTRAP_SCRIPTS = ['position', 'bootstrap', 'join'];

export interface RecoveryProps {
  readonly foundation: Foundation;
  readonly network: FunctionNetwork;
  readonly ledger: Table;
  readonly reconcile: WorkQueue;
  readonly documents: HostDocuments;
}

export interface RecoveryWorkflows {
  readonly replace: Workflow;
  readonly bootstrap: Workflow;
  /** State machine names, for policies written by name. */
  readonly names: readonly string[];
  /** An execution of either has ended. */
  readonly statusChange: EventPattern;
}

/** What the steps of both workflows do: look, remember, run scripts on hosts, ask for a reconcile, tell people. */
function steps(
  scope: Construct,
  { foundation, ledger, reconcile, documents }: RecoveryProps,
  scripts: readonly string[],
): readonly PolicyStatement[] {
  return [
    allow.readSpec(scope),
    allow.describeInstances(),
    allow.describeTargets(),
    allow.onLedger(ledger, 'BatchGetItem', 'ConditionCheckItem', 'GetItem', 'UpdateItem'),
    ...allow.runScripts(scope, documents.arnsOf(scripts)),
    allow.sendTo(reconcile.queue),
    ...allow.publishTo(scope, foundation.topic),
    allow.useKey(scope, foundation.key, ['sqs', 'sns', 'dynamodb']),
  ];
}

export function recoveryWorkflows(scope: Construct, props: RecoveryProps): RecoveryWorkflows {
  const { foundation, network } = props;
  const environment = {
    LEDGER_TABLE: props.ledger.tableName,
    RECONCILE_QUEUE_URL: props.reconcile.queue.queueUrl,
    NOTIFY_TOPIC_ARN: foundation.topic.topicArn,
    DOCUMENT_PREFIX: props.documents.prefix,
  };
  const shared = { foundation, network, environment };
  const replace = new Workflow(scope, 'Replace', {
    ...shared,
    name: 'replace',
    statements: [...steps(scope, props, REPLACE_SCRIPTS), ...allow.replaceInstances(scope)],
    definition: replaceDefinition,
  });
  const bootstrap = new Workflow(scope, 'Bootstrap', {
    ...shared,
    name: 'bootstrap',
    statements: steps(scope, props, BOOTSTRAP_SCRIPTS),
    definition: bootstrapDefinition,
  });
  return {
    replace,
    bootstrap,
    names: WORKFLOW_NAMES.map((name) => `${foundation.prefix}-${name}`),
    statusChange: {
      source: ['aws.states'],
      detailType: ['Step Functions Execution Status Change'],
      detail: {
        stateMachineArn: [replace.machine.stateMachineArn, bootstrap.machine.stateMachineArn],
        status: ['SUCCEEDED', 'FAILED', 'TIMED_OUT', 'ABORTED'],
      },
    },
  };
}
