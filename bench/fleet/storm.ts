/**
 * (a) A burst of messages through the real code of signals and reconcile, over a fake AWS: what it costs in CPU, and in calls.
 *
 * How many reconciles a burst is depends on how it meets: while a cluster's reconcile runs, its further requests gather in its
 * message group and are one reconcile together. Both ends are measured. `together`: the burst lies in the queue when the first
 * function starts, and its requests gather. `apart`: each request finds its group empty, as when the messages come one by one.
 */
import { receive } from '../../lambdas/signals/receive.ts';
import { reconcileBatch } from '../../lambdas/reconcile/batch.ts';
import { Random } from '../../simulator/random.ts';
import { aFleet, type Fleet } from './world.ts';
import { messages } from './messages.ts';

/** As both functions' event source mappings have it (lib/capabilities). */
const BATCH = 10;
/** So many of the nodes are really gone: the plane has something to do, and less than the fleet's brake stops. */
const GONE_SHARE = 0.01;

export type Meeting = 'together' | 'apart';

export interface Storm {
  readonly messages: number;
  readonly clusters: number;
  readonly meeting: Meeting;
}

export interface StormFigure extends Storm {
  /** Clusters that the messages touched. */
  readonly touched: number;
  readonly reconciles: number;
  readonly cpuMs: number;
  readonly messagesPerCpuSecond: number;
  readonly calls: number;
  readonly callsPerMessage: number;
  readonly callsPerTouched: number;
  readonly byApi: Readonly<Record<string, number>>;
}

interface Course {
  readonly fleet: Fleet;
  readonly touched: Set<string>;
  reconciles: number;
}

async function reconcileAll(course: Course): Promise<void> {
  for (let batch = course.fleet.requests.take(BATCH); batch.length > 0; batch = course.fleet.requests.take(BATCH)) {
    const clusters = new Set(batch.map(({ body }) => (JSON.parse(body) as { readonly cluster: string }).cluster));
    for (const cluster of clusters) course.touched.add(cluster);
    course.reconciles += clusters.size;
    const failed = await reconcileBatch(batch, course.fleet.ports);
    if (failed.length > 0) throw new Error(`${failed.length} of ${batch.length} requests failed, expected none`);
  }
}

/** One burst on a fresh fleet. Throws when a request fails, or more signals than the malformed ones. */
export async function storm({ messages: count, clusters, meeting }: Storm, seed: number): Promise<StormFigure> {
  const random = new Random(seed);
  const fleet = aFleet(clusters);
  for (const { id } of fleet.nodes) if (random.chance(GONE_SHARE)) fleet.aws.setState(id, 'terminated');
  const records = messages(count, fleet.nodes, random).map((body, n) => ({ messageId: `m${n}`, body }));
  const course: Course = { fleet, touched: new Set(), reconciles: 0 };
  const size = meeting === 'apart' ? 1 : BATCH;
  let returned = 0;
  const before = process.cpuUsage();
  for (let from = 0; from < records.length; from += size) {
    returned += (await receive(records.slice(from, from + size), fleet.ports)).length;
    if (meeting === 'apart') await reconcileAll(course);
  }
  await reconcileAll(course);
  const { user, system } = process.cpuUsage(before);
  const malformed = records.filter(({ body }) => body.startsWith('{"not"')).length;
  if (returned !== malformed) throw new Error(`${returned} messages returned to the queue, expected ${malformed}`);
  const calls = fleet.calls();
  const byApi = Object.fromEntries(
    [...Map.groupBy(calls, (c) => c.api)].map(([api, of]) => [api, of.length] as const).sort(),
  );
  const cpuMs = (user + system) / 1000;
  return {
    ...{ messages: count, clusters, meeting, touched: course.touched.size, reconciles: course.reconciles, cpuMs },
    messagesPerCpuSecond: (count / cpuMs) * 1000,
    calls: calls.length,
    callsPerMessage: calls.length / count,
    callsPerTouched: calls.length / Math.max(1, course.touched.size),
    byApi,
  };
}
