/**
 * (a) A burst of messages through the real code of signals and reconcile, over a fake AWS: what it costs in CPU, and in calls.
 *
 * How many reconciles a burst is depends on how it meets: while a cluster's reconcile runs, its further requests gather in its
 * message group and are one reconcile together, and what has waited for long may be answered already.
 * `together`: the burst lies in the queue when the first function starts, and its requests gather until all of it is read.
 * `flowing`: it lies in the queue, too, and is reconciled while it is read, as it would be at AWS.
 * `apart`: each request finds its group empty, as when the messages come one by one; time stands still, but for launches that wait for their turn.
 */
import { Memory } from '../../lambdas/signals/memory.ts';
import { receive, type SignalRecord } from '../../lambdas/signals/receive.ts';
import { reconcileBatch } from '../../lambdas/reconcile/batch.ts';
import { RECONCILE_ENVIRONMENTS } from '../../lib/capabilities/reconcile.ts';
import { SIGNALS_ENVIRONMENTS } from '../../lib/capabilities/signals.ts';
import { SimClock } from '../../simulator/clock.ts';
import { apiCalls } from '../../simulator/aws/calls.ts';
import { Random } from '../../simulator/random.ts';
import { aFleet, CALL_MS, type Fleet, type Request } from './world.ts';
import { messages } from './messages.ts';

/** As both functions' event source mappings have it (lib/capabilities). */
const BATCH = 10;
/** As many of each function as the mapping of its queue allows: two (decision 0018). Lambda alone would begin with five. */
const ENVIRONMENTS = { signals: SIGNALS_ENVIRONMENTS, reconcile: RECONCILE_ENVIRONMENTS };
/** So many of the nodes are really gone: the plane has something to do, and less than the fleet's brake stops. */
const GONE_SHARE = 0.01;
/** How often an idle environment looks into the queue. */
const POLL_MS = 20;

export type Meeting = 'together' | 'flowing' | 'apart';

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
  /** Of them what asks EC2 whose an instance is, by id or by listing all of ours. */
  readonly asks: number;
  readonly callsPerMessage: number;
  readonly callsPerTouched: number;
  readonly byApi: Readonly<Record<string, number>>;
}

class Course {
  readonly #clock: SimClock;
  readonly fleet: Fleet;
  readonly touched = new Set<string>();
  returned = 0;
  #left: SignalRecord[];
  #reading = 0;

  constructor(fleet: Fleet, clock: SimClock, records: readonly SignalRecord[]) {
    this.fleet = fleet;
    this.#clock = clock;
    this.#left = [...records];
  }

  /** One environment of `signals`, until nothing is left. */
  async read(memory: Memory, size: number): Promise<void> {
    this.#reading += 1;
    while (this.#left.length > 0) await this.readOne(memory, size);
    this.#reading -= 1;
  }

  async readOne(memory: Memory, size: number): Promise<void> {
    const batch = this.#left.slice(0, size);
    this.#left = this.#left.slice(size);
    const returned = await receive(batch, this.fleet.ports, memory);
    this.returned += returned.length;
  }

  /** One environment of `reconcile`, until nothing is left, and nothing can come. */
  async reconcile(looks: Map<string, number>): Promise<void> {
    for (;;) {
      const batch = this.fleet.requests.take(BATCH);
      if (batch.length > 0) await this.#reconcileOne(batch, looks);
      else if (this.fleet.requests.isEmpty && this.#reading === 0) return;
      else await this.#clock.sleep(POLL_MS);
    }
  }

  async #reconcileOne(batch: readonly Request[], looks: Map<string, number>): Promise<void> {
    for (const { cluster } of batch) this.touched.add(cluster);
    const failed = await reconcileBatch(batch, this.fleet.ports, looks);
    this.fleet.requests.finish(batch);
    if (failed.length > 0) throw new Error(`${failed.length} of ${batch.length} requests failed, expected none`);
  }

  get hasMore(): boolean {
    return this.#left.length > 0;
  }
}

const environments = <T>(of: keyof typeof ENVIRONMENTS, one: (n: number) => Promise<T>): Promise<readonly T[]> =>
  Promise.all(Array.from({ length: ENVIRONMENTS[of] }, (_, n) => one(n)));

async function meet(course: Course, meeting: Meeting): Promise<void> {
  const read = (): Promise<unknown> =>
    environments('signals', (n) => course.read(new Memory(`environment-${n}`), BATCH));
  const reconcile = (): Promise<unknown> => environments('reconcile', () => course.reconcile(new Map()));
  switch (meeting) {
    case 'together':
      await read();
      await reconcile();
      return;
    case 'flowing':
      await Promise.all([read(), reconcile()]);
      return;
    case 'apart': {
      const memory = new Memory('environment');
      const looks = new Map<string, number>();
      while (course.hasMore) {
        await course.readOne(memory, 1);
        await course.reconcile(looks);
      }
    }
  }
}

/** Runs the work in the clock's time. */
async function inTime(clock: SimClock, work: Promise<void>): Promise<void> {
  let over = false;
  const ended = work.finally(() => (over = true));
  await Promise.all([ended, clock.run(Number.POSITIVE_INFINITY, () => over)]);
}

/** One burst on a fresh fleet. Throws when a request fails, or more signals than the malformed ones. */
export async function storm({ messages: count, clusters, meeting }: Storm, seed: number): Promise<StormFigure> {
  const random = new Random(seed);
  const clock = new SimClock();
  const fleet = aFleet(clusters, clock);
  for (const { id } of fleet.nodes) if (random.chance(GONE_SHARE)) fleet.aws.setState(id, 'terminated');
  const attributes = { SentTimestamp: String(clock.nowMs()) };
  const records = messages(count, fleet.nodes, random).map((body, n) => ({ messageId: `m${n}`, body, attributes }));
  const course = new Course(fleet, clock, records);
  if (meeting !== 'apart')
    fleet.aws.before = (call) => clock.sleep(CALL_MS * apiCalls(call, { clusters: fleet.size }).length);
  const before = process.cpuUsage();
  await inTime(clock, meet(course, meeting));
  const { user, system } = process.cpuUsage(before);
  const malformed = records.filter(({ body }) => body.startsWith('{"not"')).length;
  if (course.returned !== malformed)
    throw new Error(`${course.returned} messages returned to the queue, expected ${malformed}`);
  const reconciles = fleet.aws.callsOf('Specs.get').length;
  const asks = ['Instances.byIds', 'Instances.ofEveryCluster']
    .flatMap((operation) => fleet.aws.callsOf(operation))
    .flatMap((call) => apiCalls(call, { clusters: fleet.size })).length;
  const calls = fleet.calls();
  const byApi = Object.fromEntries(
    [...Map.groupBy(calls, (c) => c.api)].map(([api, of]) => [api, of.length] as const).sort(),
  );
  const cpuMs = (user + system) / 1000;
  return {
    ...{ messages: count, clusters, meeting, touched: course.touched.size, reconciles, cpuMs },
    messagesPerCpuSecond: (count / cpuMs) * 1000,
    ...{ calls: calls.length, asks },
    callsPerMessage: calls.length / count,
    callsPerTouched: calls.length / Math.max(1, course.touched.size),
    byApi,
  };
}
