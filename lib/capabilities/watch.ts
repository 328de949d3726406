/** The sweep: a function that probes every node for a minute, started again each minute. With every event lost, it alone heals. */
import { Duration } from 'aws-cdk-lib';
import type { Table } from 'aws-cdk-lib/aws-dynamodb';
import { Rule, Schedule } from 'aws-cdk-lib/aws-events';
import { LambdaFunction } from 'aws-cdk-lib/aws-events-targets';
import type { Queue } from 'aws-cdk-lib/aws-sqs';
import { Construct } from 'constructs';
import * as allow from '../permissions.ts';
import { planeAlarm } from './alarm.ts';
import type { Foundation } from './foundation.ts';
import type { FunctionNetwork } from './plane-function.ts';
import { PlaneFunction } from './plane-function.ts';
import { deadLetterQueue } from './queues.ts';
import type { WorkQueue } from './queues.ts';

/** A minute of looping, and room for a cold start and the last probes' deadline. */
const WATCH_TIMEOUT = Duration.seconds(90);
/** One that runs and one that takes over. */
const WATCH_CONCURRENCY = 2;

export interface WatchProps {
  readonly foundation: Foundation;
  readonly network: FunctionNetwork;
  readonly ledger: Table;
  readonly reconcile: WorkQueue;
  readonly probeInterval: Duration;
  readonly sweep: Duration;
}

export class Watch extends Construct {
  readonly function: PlaneFunction;
  readonly deadLetters: Queue;

  constructor(scope: Construct, id: string, props: WatchProps) {
    super(scope, id);
    const { foundation, ledger, reconcile } = props;
    this.function = new PlaneFunction(this, 'Function', {
      foundation,
      name: 'watch',
      timeout: WATCH_TIMEOUT,
      network: props.network,
      reservedConcurrency: WATCH_CONCURRENCY,
      environment: {
        LEDGER_TABLE: ledger.tableName,
        RECONCILE_QUEUE_URL: reconcile.queue.queueUrl,
        PROBE_INTERVAL_MS: String(props.probeInterval.toMilliseconds()),
        SWEEP_SECONDS: String(props.sweep.toSeconds()),
      },
      statements: [
        allow.listSpecs(this),
        allow.describeInstances(),
        allow.onLedger(ledger, 'BatchGetItem', 'Query', 'UpdateItem'),
        allow.sendTo(reconcile.queue),
        allow.useKey(this, foundation.key, ['sqs', 'dynamodb']),
      ],
    });
    this.deadLetters = deadLetterQueue(this, 'DeadLetters', foundation, 'watch');
    this.schedule();
    planeAlarm(this, foundation, {
      name: 'watch-not-running',
      says: 'The sweep has not started for five minutes: a lost event stays unnoticed.',
      metric: this.function.lambda.metricInvocations({ statistic: 'Sum', period: Duration.minutes(1) }),
      threshold: 1,
      periods: 5,
      below: true,
    });
  }

  /** A rule with a rate. A missed minute is not made up for: the next one looks at everything again. */
  private schedule(): void {
    const { deadLetters } = this;
    this.function.role.addToPolicy(allow.sendTo(deadLetters));
    this.function.lambda.configureAsyncInvoke({
      retryAttempts: 0,
      maxEventAge: Duration.minutes(1),
      // Not `SqsDestination`, which grants key actions by wildcard.
      onFailure: { bind: () => ({ destination: deadLetters.queueArn }) },
    });
    new Rule(this, 'EveryMinute', {
      description: 'Rejoin: watch',
      schedule: Schedule.rate(Duration.minutes(1)),
      targets: [
        new LambdaFunction(this.function.lambda, {
          retryAttempts: 0,
          maxEventAge: Duration.minutes(1),
          deadLetterQueue: deadLetters,
        }),
      ],
    });
  }
}
