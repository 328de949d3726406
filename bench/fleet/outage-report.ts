/** What an outage is judged by, and how it is told. */
import { bucketsOf, LIMITS } from '../../simulator/aws/limits.ts';
import { limitsWith, type Quota } from './quotas.ts';
import type { OutageFigure } from './outage-figure.ts';
import type { Verdict } from './verdict.ts';

const TRAFFIC_OFF_SECONDS = 30;
/** AWS refuses at most so many of the calls for each that it answers: more is a storm of retries. */
const REFUSED_AT_MOST = 1;

const REGISTRATIONS_AT_ONCE = LIMITS['elasticloadbalancing:RegisterTargets'].burst;

const seconds = (value: number | null): string => (value === null ? 'not at all' : `${Math.round(value)} s`);

/**
 * Writes are back no sooner than AWS takes two registrations for each dead writer (one leaves, one comes), of which it has a burst and then so many a second. Seconds.
 */
export const writersAtBest = ({ deadWriters, quota }: Pick<OutageFigure, 'deadWriters' | 'quota'>): number =>
  Math.max(0, (2 * deadWriters - REGISTRATIONS_AT_ONCE) / quota.registrationsPerSecond);

const inWords = ({ describesPerSecond, registrationsPerSecond, instancesPerSecond }: Quota): string =>
  `${describesPerSecond} describes and ${registrationsPerSecond} registrations of ELB, ${instancesPerSecond} DescribeInstances a second`;

export function outageVerdicts(f: OutageFigure): readonly Verdict[] {
  const off = [f.readersOffSeconds, f.writersOffSeconds];
  const where = `outage, ${inWords(f.quota)}`;
  const asked = Object.entries(f.asked);
  const over = asked.filter(([, a]) => a.refused > 0);
  const storms = over.filter(([, a]) => a.refused > REFUSED_AT_MOST * a.passed);
  const list = (of: typeof asked): string =>
    of.map(([api, a]) => `${api} refused ${a.refused}, answered ${a.passed}`).join('; ') || 'none';
  return [
    {
      promise: `${where}: traffic has left the last of ${f.dead} dead nodes within ${TRAFFIC_OFF_SECONDS} s`,
      measured: `readers ${seconds(f.readersOffSeconds)}, ${f.deadWriters} writers ${seconds(f.writersOffSeconds)} (AWS allows no less than ${seconds(writersAtBest(f))})`,
      held: off.every((s) => s !== null && s <= TRAFFIC_OFF_SECONDS),
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
