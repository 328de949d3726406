/** What an archived cluster has of its own: the rule that starts its shipper each minute, and its alarms. In any stack. */
import { Duration } from 'aws-cdk-lib';
import { Metric } from 'aws-cdk-lib/aws-cloudwatch';
import { CfnRule } from 'aws-cdk-lib/aws-events';
import { Construct } from 'constructs';
import type { EngineKind } from '../../../lambdas/model/spec.ts';
import { SHIPPER_NAMES } from '../../names.ts';
import { functionArn } from '../../permissions-archive.ts';
import type { AlarmPlace } from '../alarm.ts';
import { planeAlarm } from '../alarm.ts';

/** A slot that holds back so much WAL tells of itself while there is still room on most disks. */
const SLOT_RETAINED_BYTES = 8 * 1024 ** 3;
/** An open transaction, a busy minute and a shipper's hand-over all fit into it; only what lasts is told. */
const LAG_MINUTES = 3;
const GAP_MINUTES = 70;

export interface ClusterArchiveProps {
  readonly cluster: string;
  readonly engine: EngineKind;
  readonly rpo: Duration;
  /** Of the plane that the cluster belongs to. */
  readonly prefix: string;
  /** Null: no alarms are made. */
  readonly alarms: AlarmPlace | null;
}

/** Of a cluster's rule; the plane lets rules of such names start its shippers. */
export const shipRuleName = (prefix: string, cluster: string): string => `${prefix}-ship-${cluster}`;

export class ClusterArchive extends Construct {
  constructor(scope: Construct, id: string, props: ClusterArchiveProps) {
    super(scope, id);
    const { cluster, prefix, engine } = props;
    // A start that is missed is not made up for: the next one, or the shipper that streams, goes on from what is in S3.
    new CfnRule(this, 'EveryMinute', {
      name: shipRuleName(prefix, cluster),
      description: `Rejoin: ships the log of ${cluster}`,
      scheduleExpression: 'rate(1 minute)',
      state: 'ENABLED',
      targets: [
        {
          id: 'shipper',
          arn: functionArn(this, `${prefix}-${SHIPPER_NAMES[engine]}`),
          input: JSON.stringify({ cluster }),
          retryPolicy: { maximumRetryAttempts: 0, maximumEventAgeInSeconds: 60 },
        },
      ],
    });
    if (props.alarms !== null) this.alarms(props, props.alarms);
  }

  private alarms({ cluster, engine, rpo }: ClusterArchiveProps, place: AlarmPlace): void {
    const metric = (metricName: string, { service = 'archive', minutes = 1 } = {}): Metric =>
      new Metric({
        namespace: 'Rejoin',
        metricName,
        dimensionsMap: { service, cluster },
        statistic: 'Maximum',
        period: Duration.minutes(minutes),
      });
    planeAlarm(this, place, {
      cluster,
      name: 'archive-lag',
      says: `Writes of ${cluster} have not reached S3 within twice the declared RPO for ${LAG_MINUTES} minutes, or nobody ships them.`,
      // By the shipper's word, which knows that there is nothing to ship; that of `archive` goes up while nobody writes.
      metric: metric('ArchiveLag', { service: SHIPPER_NAMES[engine] }),
      threshold: Math.max(30, 2 * rpo.toSeconds({ integral: false })),
      periods: LAG_MINUTES,
      orSilence: true,
    });
    planeAlarm(this, place, {
      cluster,
      name: 'archive-gap',
      says: `The archive of ${cluster} has a hole: moments in it cannot be restored.`,
      // All of the archive is looked at once an hour.
      metric: metric('ArchiveGap', { minutes: GAP_MINUTES }),
      threshold: 1,
    });
    if (engine !== 'postgres') return;
    planeAlarm(this, place, {
      cluster,
      name: 'slot-retained',
      says: `A replication slot of ${cluster} holds back ${SLOT_RETAINED_BYTES / 1024 ** 3} GiB of WAL: the disk fills.`,
      metric: metric('SlotRetainedBytes'),
      threshold: SLOT_RETAINED_BYTES,
      periods: 2,
    });
  }
}
