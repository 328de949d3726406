/** Observe, diagnose, plan, apply: one cluster at a time, by FIFO message group. */
import { Duration } from 'aws-cdk-lib';
import { Metric } from 'aws-cdk-lib/aws-cloudwatch';
import type { Table } from 'aws-cdk-lib/aws-dynamodb';
import { SqsEventSource } from 'aws-cdk-lib/aws-lambda-event-sources';
import { Construct } from 'constructs';
import * as allow from '../permissions.ts';
import { planeAlarm } from './alarm.ts';
import type { Foundation } from './foundation.ts';
import type { FunctionNetwork } from './plane-function.ts';
import { PlaneFunction } from './plane-function.ts';
import type { WorkQueue } from './queues.ts';

/**
 * Short, because a function that is killed keeps its cluster's message group shut until the visibility timeout, which is
 * half as long again. A reconcile takes two seconds of probing at most and some calls to AWS.
 */
export const RECONCILE_TIMEOUT = Duration.seconds(20);

export interface ReconcileProps {
  readonly foundation: Foundation;
  readonly network: FunctionNetwork;
  readonly ledger: Table;
  readonly signals: WorkQueue;
  readonly reconcile: WorkQueue;
  /** ARN by workflow. */
  readonly workflowArns: { readonly replace: string; readonly bootstrap: string };
  readonly workflowNames: readonly string[];
}

export class Reconcile extends Construct {
  readonly function: PlaneFunction;

  constructor(scope: Construct, id: string, props: ReconcileProps) {
    super(scope, id);
    const { foundation, ledger, signals, reconcile } = props;
    this.function = new PlaneFunction(this, 'Function', {
      foundation,
      name: 'reconcile',
      timeout: RECONCILE_TIMEOUT,
      network: props.network,
      environment: {
        LEDGER_TABLE: ledger.tableName,
        SIGNALS_QUEUE_URL: signals.queue.queueUrl,
        RECONCILE_QUEUE_URL: reconcile.queue.queueUrl,
        REPLACE_STATE_MACHINE_ARN: props.workflowArns.replace,
        BOOTSTRAP_STATE_MACHINE_ARN: props.workflowArns.bootstrap,
        NOTIFY_TOPIC_ARN: foundation.topic.topicArn,
      },
      statements: [
        allow.readSpec(this),
        allow.listSpecs(this),
        allow.describeInstances(),
        ...allow.route(this),
        ...allow.runWorkflows(this, props.workflowNames),
        allow.onLedger(ledger, 'BatchGetItem', 'GetItem', 'Query', 'UpdateItem'),
        allow.sendTo(signals.queue, reconcile.queue),
        ...allow.publishTo(this, foundation.topic),
        allow.useKey(this, foundation.key, ['sqs', 'sns', 'dynamodb']),
      ],
    });
    this.function.lambda.addEventSource(
      new SqsEventSource(reconcile.queue, { batchSize: 10, reportBatchItemFailures: true }),
    );
    planeAlarm(this, foundation, {
      name: 'reconcile-obstructed',
      says: 'Reconcile knows what to do and AWS does not answer or refuses, for minutes.',
      metric: new Metric({
        namespace: 'Rejoin',
        metricName: 'ReconcileObstructed',
        dimensionsMap: { service: 'reconcile' },
        statistic: 'Sum',
        period: Duration.minutes(1),
      }),
      threshold: 1,
      periods: 3,
    });
    planeAlarm(this, foundation, {
      name: 'reconcile-queue-age',
      says: 'Requests for reconcile wait for minutes: clusters are not being looked after.',
      metric: reconcile.queue.metricApproximateAgeOfOldestMessage({
        statistic: 'Maximum',
        period: Duration.minutes(1),
      }),
      threshold: 180,
      periods: 2,
    });
  }
}
