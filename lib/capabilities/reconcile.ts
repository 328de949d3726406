/** Observe, diagnose, plan, apply: one cluster at a time, by FIFO message group. */
import { Duration } from 'aws-cdk-lib';
import { Metric } from 'aws-cdk-lib/aws-cloudwatch';
import type { Table } from 'aws-cdk-lib/aws-dynamodb';
import { SqsEventSource } from 'aws-cdk-lib/aws-lambda-event-sources';
import { Construct } from 'constructs';
import { WORKFLOW_NAMES } from '../names.ts';
import type { WorkflowName } from '../names.ts';
import * as allow from '../permissions.ts';
import { planeAlarm } from './alarm.ts';
import type { Foundation } from './foundation.ts';
import type { FunctionNetwork } from './plane-function.ts';
import { PlaneFunction } from './plane-function.ts';
import type { WorkQueue } from './queues.ts';
import type { RecoveryWorkflows } from './recovery.ts';
import { machineNameOf } from './workflow.ts';

/**
 * Short, because a function that is killed keeps its cluster's message group shut until the visibility timeout, which is
 * half as long again. A reconcile takes two seconds of probing at most and some calls to AWS.
 */
export const RECONCILE_TIMEOUT = Duration.seconds(20);

/**
 * Twenty clusters at once, in batches of ten: the least that Lambda takes, and more than AWS's default quotas let through
 * (docs/decisions/0018-two-environments-reconcile.md).
 */
export const RECONCILE_ENVIRONMENTS = 2;

/**
 * What the account may ask of AWS in a second, and how many environments share it. Give what Service Quotas or AWS Support say of yours; each environment keeps to its share
 * (docs/decisions/0021-writes-first.md has what an outage of 1,000 clusters needs).
 */
export interface AwsQuotas {
  /** Every Describe of Elastic Load Balancing together; 10 unless given. */
  readonly describesPerSecond?: number;
  /** RegisterTargets and DeregisterTargets together; 4 unless given. */
  readonly registrationsPerSecond?: number;
  /** Every call of Elastic Load Balancing, those of both lines above among them; 10 unless given. */
  readonly loadBalancingPerSecond?: number;
  /** DescribeInstances, with filters; 20 unless given. */
  readonly instancesPerSecond?: number;
  /** Environments of reconcile; 2 unless given. */
  readonly environments?: number;
}

/** A new account's: https://docs.aws.amazon.com/elasticloadbalancing/latest/userguide/elb-api-throttling.html and its like of EC2. */
export const DEFAULT_QUOTAS: Required<AwsQuotas> = {
  describesPerSecond: 10,
  registrationsPerSecond: 4,
  loadBalancingPerSecond: 10,
  instancesPerSecond: 20,
  environments: RECONCILE_ENVIRONMENTS,
};

/** What is given, and else the defaults. @throws Error that names the property, what it was given and what it takes. */
export function quotasOf(given: AwsQuotas | undefined): Required<AwsQuotas> {
  const quotas = { ...DEFAULT_QUOTAS, ...given };
  for (const [name, value] of Object.entries(quotas)) {
    // With more of them the least burst, one of each, is more than the account has of registrations (docs/decisions/0029-launches-take-turns-in-the-ledger.md).
    const [least, most] = name === 'environments' ? [2, 18] : [1, 10_000];
    if (!Number.isFinite(value) || value < least || value > most)
      throw new Error(`quotas.${name} is ${String(value)}: give a number from ${least} to ${most}`);
  }
  return quotas;
}

export interface ReconcileProps {
  readonly foundation: Foundation;
  readonly network: FunctionNetwork;
  readonly ledger: Table;
  readonly signals: WorkQueue;
  readonly reconcile: WorkQueue;
  readonly workflows: RecoveryWorkflows;
  readonly quotas?: AwsQuotas | undefined;
}

/** Those that reconcile starts by itself; the others are a person's to start. It looks at the executions of all. */
const STARTS = ['replace', 'bootstrap', 'failover'] as const satisfies readonly WorkflowName[];

export class Reconcile extends Construct {
  readonly function: PlaneFunction;

  constructor(scope: Construct, id: string, props: ReconcileProps) {
    super(scope, id);
    const { foundation, ledger, signals, reconcile, workflows } = props;
    const quotas = quotasOf(props.quotas);
    const names = (of: readonly WorkflowName[]): readonly string[] => of.map((name) => machineNameOf(foundation, name));
    this.function = new PlaneFunction(this, 'Function', {
      foundation,
      name: 'reconcile',
      timeout: RECONCILE_TIMEOUT,
      network: props.network,
      environment: {
        LEDGER_TABLE: ledger.tableName,
        SIGNALS_QUEUE_URL: signals.queue.queueUrl,
        RECONCILE_QUEUE_URL: reconcile.queue.queueUrl,
        PACE: JSON.stringify(quotas),
        ...Object.fromEntries(
          STARTS.map((name) => [`${name.toUpperCase()}_STATE_MACHINE_ARN`, workflows[name].machine.stateMachineArn]),
        ),
        NOTIFY_TOPIC_ARN: foundation.topic.topicArn,
      },
      statements: [
        allow.readSpec(this),
        allow.listSpecs(this),
        allow.describeInstances(),
        allow.describeVolumes(),
        ...allow.route(this),
        ...allow.runWorkflows(this, { start: names(STARTS), look: names(WORKFLOW_NAMES) }),
        allow.onLedger(ledger, 'BatchGetItem', 'GetItem', 'Query', 'UpdateItem'),
        allow.sendTo(signals.queue, reconcile.queue),
        ...allow.publishTo(this, foundation.topic),
        allow.useKey(this, foundation.key, ['sqs', 'sns', 'dynamodb']),
      ],
    });
    this.function.lambda.addEventSource(
      new SqsEventSource(reconcile.queue, {
        batchSize: 10,
        maxConcurrency: quotas.environments,
        reportBatchItemFailures: true,
      }),
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
