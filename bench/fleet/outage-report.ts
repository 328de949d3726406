/** What an outage is judged by, and how it is told. */
import { bucketsOf, LIMITS } from '../../simulator/aws/limits.ts';
import { limitsWith, type Quota } from './quotas.ts';
import type { OutageFigure } from './outage-figure.ts';
import type { Verdict } from './verdict.ts';

const TRAFFIC_OFF_SECONDS = 30;
/** Of the time that AWS itself takes for the registrations. */
const OVER_AWS = 1.5;
/** AWS refuses at most so many of the calls for each that it answers: more is a storm of retries. */
const REFUSED_AT_MOST = 1;

const REGISTRATIONS_AT_ONCE = LIMITS['elasticloadbalancing:RegisterTargets'].burst;
const BALANCING_AT_ONCE = LIMITS['elasticloadbalancing:all'].burst;

const seconds = (value: number | null): string => (value === null ? 'not at all' : `${Math.round(value)} s`);

/**
 * Writes are back no sooner than AWS takes two registrations for each dead writer (one leaves, one comes), of which it has a burst and then so many a second; and
 * with a look at who is there they are three calls of Elastic Load Balancing, of which all together have a bucket, too. Seconds.
 */
export const writersAtBest = ({ deadWriters, quota }: Pick<OutageFigure, 'deadWriters' | 'quota'>): number =>
  Math.max(
    0,
    (2 * deadWriters - REGISTRATIONS_AT_ONCE) / quota.registrationsPerSecond,
    (3 * deadWriters - BALANCING_AT_ONCE) / quota.loadBalancingPerSecond,
  );

const inWords = ({ describesPerSecond, registrationsPerSecond, loadBalancingPerSecond, instancesPerSecond }: Quota) =>
  `ELB: ${describesPerSecond} describes, ${registrationsPerSecond} registrations, ${loadBalancingPerSecond} in all; ${instancesPerSecond} DescribeInstances a second`;

export function outageVerdicts(f: OutageFigure): readonly Verdict[] {
  const isWithin = (value: number | null, most: number): boolean => value !== null && value <= most;
  const best = writersAtBest(f);
  const cannotBe = `AWS takes ${seconds(best)} for that at best, with these quotas`;
  const where = `outage, ${inWords(f.quota)}`;
  const asked = Object.entries(f.asked);
  const over = asked.filter(([, a]) => a.refused > 0);
  const storms = over.filter(([, a]) => a.refused > REFUSED_AT_MOST * a.passed);
  const list = (of: typeof asked): string =>
    of.map(([api, a]) => `${api} refused ${a.refused}, answered ${a.passed}`).join('; ') || 'none';
  return [
    {
      promise: `${where}: reads have left the last of ${f.dead} dead nodes within ${TRAFFIC_OFF_SECONDS} s`,
      measured: seconds(f.readersOffSeconds),
      held: isWithin(f.readersOffSeconds, TRAFFIC_OFF_SECONDS),
    },
    {
      promise: `${where}: writes have left the last of ${f.deadWriters} dead writers within ${TRAFFIC_OFF_SECONDS} s`,
      measured: seconds(f.writersOffSeconds),
      held: isWithin(f.writersOffSeconds, TRAFFIC_OFF_SECONDS),
      ...(best > TRAFFIC_OFF_SECONDS && { cannotBe }),
    },
    {
      promise: `${where}: writes take at most half as long again as AWS does, or ${TRAFFIC_OFF_SECONDS} s`,
      measured: `${seconds(f.writersOffSeconds)}, AWS ${seconds(best)}`,
      held: isWithin(f.writersOffSeconds, Math.max(TRAFFIC_OFF_SECONDS, OVER_AWS * best)),
    },
    {
      promise: `${where}: each cluster has a replacement launched, after a person has released the brake`,
      measured: `${f.launched} of ${f.clusters}; brake engaged after ${seconds(f.brakeEngagedSeconds)} and ${f.launchedBeforeBrake} launches; the last launch ${seconds(f.lastLaunchSeconds)} after its release, those of ${f.urgentClusters} clusters that lost two among the first ${f.lastUrgentPlace ?? 0}`,
      held: f.launched === f.clusters && f.brakeEngagedSeconds !== null,
    },
    { promise: `${where}: no call over budget`, measured: list(over), held: over.length === 0 },
    { promise: `${where}: no retry storm`, measured: list(storms), held: storms.length === 0 },
  ];
}

export function printOutage(f: OutageFigure): void {
  const { signals, reconcile } = f.environments;
  console.log(
    `\na zone goes, with ${inWords(f.quota)}: ${f.dead} of ${f.nodes} nodes of ${f.clusters} clusters; ${f.reconciles} reconciles in ${reconcile} environments (signals: ${signals}), ${Math.round(f.cpuSeconds)} s of CPU`,
  );
  console.log(
    `${f.urgentClusters} clusters lost two; the first launch of the last of them after the release was number ${f.lastUrgentPlace ?? '– (all before)'}\n`,
  );
  console.table(
    Object.entries(f.asked).map(([api, { passed, refused }]) => ({
      ...{ api, answered: passed, refused },
      'lasting limit a second': limitsWith(f.quota)[bucketsOf(api)[0] ?? api]?.perSecond ?? '–',
    })),
  );
}
