/** What an outage comes to. */
import type { Asked } from '../../simulator/aws/account.ts';
import type { Quota } from './quotas.ts';
import type { Fleet } from './world.ts';

const SECOND_MS = 1000;

export interface OutageFigure {
  readonly clusters: number;
  readonly quota: Quota;
  readonly nodes: number;
  readonly dead: number;
  /** Seconds after the outage; null: never, within a quarter of an hour. */
  readonly readersOffSeconds: number | null;
  readonly writersOffSeconds: number | null;
  readonly deadWriters: number;
  readonly brakeEngagedSeconds: number | null;
  readonly launchedBeforeBrake: number;
  readonly brakeReleasedSeconds: number | null;
  /** After the release. */
  readonly lastLaunchSeconds: number | null;
  /** Clusters with a replacement: a second one of the same cluster waits for the first to serve. */
  readonly launched: number;
  /** Of the clusters that lost two nodes: the place of the last one's first launch among all first launches after the release. */
  readonly urgentClusters: number;
  readonly lastUrgentPlace: number | null;
  readonly asked: Readonly<Record<string, Asked>>;
  readonly reconciles: number;
  readonly environments: { readonly signals: number; readonly reconcile: number };
  readonly cpuSeconds: number;
}

/** What was seen of an outage; times are the clock's, milliseconds. */
export interface Seen {
  readonly fleet: Fleet;
  readonly dead: ReadonlySet<string>;
  readonly deadWriters: number;
  readonly startedMs: number;
  readonly engagedMs: number | null;
  readonly releasedMs: number | null;
  /** By `<group> <node>`, when traffic left it. */
  readonly offMs: ReadonlyMap<string, number>;
  readonly launches: readonly { readonly cluster: string; readonly atMs: number }[];
  /** Clusters that have their first replacement. */
  readonly helped: number;
  readonly throttle: { readonly asked: ReadonlyMap<string, Asked> };
  readonly reconciles: number;
  readonly environments: OutageFigure['environments'];
}

export function figureOf(o: Seen): Omit<OutageFigure, 'cpuSeconds' | 'quota'> {
  const since = (ms: number | null): number | null => (ms === null ? null : (ms - o.startedMs) / SECOND_MS);
  const { nodes, size } = o.fleet;
  const off = (kind: string): number | null => {
    const keys = [...o.offMs].filter(([key]) => key.includes(kind));
    const expected = kind === 'writer' ? o.deadWriters : o.dead.size;
    return keys.length < expected ? null : since(Math.max(o.startedMs, ...keys.map(([, ms]) => ms)));
  };
  const lost = Map.groupBy(
    nodes.filter((n) => o.dead.has(n.id)),
    (n) => n.cluster,
  );
  const urgent = new Set([...lost].flatMap(([cluster, of]) => (of.length > 1 ? [cluster] : [])));
  const after = o.launches.filter((l) => o.releasedMs !== null && l.atMs > o.releasedMs);
  const order = [...new Set(after.map((l) => l.cluster))];
  const last = Math.max(-1, ...order.flatMap((cluster, place) => (urgent.has(cluster) ? [place] : [])));
  const whole = o.helped >= size;
  return {
    ...{ clusters: size, nodes: nodes.length, dead: o.dead.size, deadWriters: o.deadWriters },
    ...{ readersOffSeconds: off('readers'), writersOffSeconds: off('writer') },
    brakeEngagedSeconds: since(o.engagedMs),
    launchedBeforeBrake: o.launches.filter((l) => o.engagedMs === null || l.atMs <= o.engagedMs).length,
    brakeReleasedSeconds: since(o.releasedMs),
    lastLaunchSeconds:
      whole && o.releasedMs !== null ? ((o.launches.at(-1)?.atMs ?? 0) - o.releasedMs) / SECOND_MS : null,
    launched: o.helped,
    urgentClusters: urgent.size,
    lastUrgentPlace: last === -1 ? null : last + 1,
    asked: Object.fromEntries([...o.throttle.asked].sort()),
    ...{ reconciles: o.reconciles, environments: o.environments },
  };
}
