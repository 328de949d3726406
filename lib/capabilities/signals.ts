/** AWS events in, one reconcile request a touched cluster out. */
import { Duration } from 'aws-cdk-lib';
import type { EventPattern } from 'aws-cdk-lib/aws-events';
import { Rule } from 'aws-cdk-lib/aws-events';
import { SqsQueue } from 'aws-cdk-lib/aws-events-targets';
import { SqsEventSource } from 'aws-cdk-lib/aws-lambda-event-sources';
import { Construct } from 'constructs';
import { describeInstances, sendTo, useKey } from '../permissions.ts';
import { planeAlarm } from './alarm.ts';
import type { Foundation } from './foundation.ts';
import { PlaneFunction } from './plane-function.ts';
import { quotasOf } from './reconcile.ts';
import type { AwsQuotas } from './reconcile.ts';
import type { WorkQueue } from './queues.ts';

export const SIGNALS_TIMEOUT = Duration.seconds(30);

/**
 * The least that Lambda takes. Two read some hundreds of messages a second; with more of them a burst comes in batches of one or two, each
 * with its own question to EC2 whose the instances are.
 */
export const SIGNALS_ENVIRONMENTS = 2;

/** What is listened for. `lambdas/signals/kinds/` has a parser and a recorded sample for each. */
const PATTERNS: Readonly<Record<string, EventPattern>> = {
  InstanceState: { source: ['aws.ec2'], detailType: ['EC2 Instance State-change Notification'] },
  SpotInterruption: { source: ['aws.ec2'], detailType: ['EC2 Spot Instance Interruption Warning'] },
  Rebalance: { source: ['aws.ec2'], detailType: ['EC2 Instance Rebalance Recommendation'] },
  ScheduledChange: {
    source: ['aws.health'],
    detailType: ['AWS Health Event'],
    detail: { service: ['EC2'], eventTypeCategory: ['scheduledChange'] },
  },
  AutoScalingTerminate: {
    source: ['aws.autoscaling'],
    detailType: ['EC2 Instance-terminate Lifecycle Action', 'EC2 Instance Terminate Successful'],
  },
  AlarmState: { source: ['aws.cloudwatch'], detailType: ['CloudWatch Alarm State Change'] },
};

export interface SignalsProps {
  readonly foundation: Foundation;
  readonly signals: WorkQueue;
  readonly reconcile: WorkQueue;
  readonly quotas?: AwsQuotas | undefined;
}

export class Signals extends Construct {
  readonly function: PlaneFunction;
  private readonly queue: WorkQueue;

  constructor(scope: Construct, id: string, props: SignalsProps) {
    super(scope, id);
    this.queue = props.signals;
    for (const [name, pattern] of Object.entries(PATTERNS)) this.listen(name, pattern);
    this.function = new PlaneFunction(this, 'Function', {
      foundation: props.foundation,
      name: 'signals',
      timeout: SIGNALS_TIMEOUT,
      environment: {
        RECONCILE_QUEUE_URL: props.reconcile.queue.queueUrl,
        PACE: JSON.stringify({ ...quotasOf(props.quotas), environments: SIGNALS_ENVIRONMENTS }),
      },
      statements: [describeInstances(), sendTo(props.reconcile.queue), useKey(this, props.foundation.key, ['sqs'])],
    });
    this.function.lambda.addEventSource(
      new SqsEventSource(props.signals.queue, {
        batchSize: 10,
        maxConcurrency: SIGNALS_ENVIRONMENTS,
        reportBatchItemFailures: true,
      }),
    );
    planeAlarm(this, props.foundation, {
      name: 'signals-queue-age',
      says: 'Signals wait for minutes: failures are noticed by the sweep only.',
      metric: props.signals.queue.metricApproximateAgeOfOldestMessage({
        statistic: 'Maximum',
        period: Duration.minutes(1),
      }),
      threshold: 300,
      periods: 2,
    });
  }

  /** Sends what matches to the signals queue; what EventBridge cannot deliver lands in its dead-letter queue. */
  listen(name: string, pattern: EventPattern): void {
    new Rule(this, name, {
      description: `Rejoin: ${name}`,
      eventPattern: pattern,
      targets: [new SqsQueue(this.queue.queue, { deadLetterQueue: this.queue.deadLetters })],
    });
  }
}
