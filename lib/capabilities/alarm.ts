/** Alarms that say what to do: each names its heading in the runbook, and a test compares the two lists. */
import { Duration } from 'aws-cdk-lib';
import type { IMetric } from 'aws-cdk-lib/aws-cloudwatch';
import { Alarm, ComparisonOperator, TreatMissingData } from 'aws-cdk-lib/aws-cloudwatch';
import { SnsAction } from 'aws-cdk-lib/aws-cloudwatch-actions';
import type { IQueue } from 'aws-cdk-lib/aws-sqs';
import type { Construct } from 'constructs';
import type { Foundation } from './foundation.ts';

export interface PlaneAlarmProps {
  /** Without prefix; the runbook's heading. */
  readonly name: string;
  /** What is wrong, for the person who reads it first. */
  readonly says: string;
  readonly metric: IMetric;
  /** Alarms at or above it, unless `below`. */
  readonly threshold: number;
  readonly periods?: number;
  /** Alarms below the threshold, and when there is no data at all. */
  readonly below?: boolean;
  /** Alarms when there is no data, also above a threshold: what measures has stopped. */
  readonly orSilence?: boolean;
  /** Whose, where there is one alarm a cluster; added to the alarm's name. */
  readonly cluster?: string;
}

/** Where an alarm is sent, and to which text. */
export type AlarmPlace = Pick<Foundation, 'prefix' | 'topic' | 'runbook'>;

/** An alarm that tells the topic, its description linking to the runbook. */
export function planeAlarm(scope: Construct, foundation: AlarmPlace, props: PlaneAlarmProps): Alarm {
  const below = props.below ?? false;
  const alarm = new Alarm(scope, `Alarm-${props.name}`, {
    alarmName: `${foundation.prefix}-${props.name}${props.cluster === undefined ? '' : `-of-${props.cluster}`}`,
    alarmDescription: `${props.says} What to do: ${foundation.runbook}#${props.name}`,
    metric: props.metric,
    threshold: props.threshold,
    evaluationPeriods: props.periods ?? 1,
    comparisonOperator: below
      ? ComparisonOperator.LESS_THAN_THRESHOLD
      : ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
    treatMissingData: below || props.orSilence === true ? TreatMissingData.BREACHING : TreatMissingData.NOT_BREACHING,
  });
  alarm.addAlarmAction(new SnsAction(foundation.topic));
  return alarm;
}

/** Anything in a dead-letter queue is work that was given up. */
export function deadLetterAlarm(scope: Construct, foundation: Foundation, name: string, queue: IQueue): void {
  planeAlarm(scope, foundation, {
    name: `${name}-dlq-not-empty`,
    says: `Messages for "${name}" were given up after repeated failures and lie in the dead-letter queue.`,
    metric: queue.metricApproximateNumberOfMessagesVisible({ statistic: 'Maximum', period: Duration.minutes(1) }),
    threshold: 1,
  });
}
