/** A fleet in memory: clusters of three nodes, in the fakes that keep the contract of the product's ports. */
import type { Log, Metrics, Prober, ReconcileRequests } from '../../lambdas/cloud/ports.ts';
import {
  aSpec,
  fakeCloud,
  FakeAws,
  type FakeCall,
  type FakeCloud,
  healthyCluster,
  type FakeClock,
} from '../../test/fakes/index.ts';
import { apiCalls, NODES } from '../../simulator/aws/calls.ts';

export interface Node {
  readonly id: string;
  readonly cluster: string;
}

/** What is said is put into words, as a log does it, and thrown away. */
class Counted implements Log, Metrics {
  bytes = 0;
  #say(...what: readonly unknown[]): void {
    this.bytes += JSON.stringify(what).length;
  }
  info = (message: string, extra?: Record<string, unknown>): void => this.#say(message, extra);
  warn = (message: string, extra?: Record<string, unknown>): void => this.#say(message, extra);
  error = (message: string, extra?: Record<string, unknown>): void =>
    this.#say(message, { ...extra, error: String(extra?.['error']) });
  count = (...what: readonly unknown[]): void => this.#say(...what);
  gauge = (...what: readonly unknown[]): void => this.#say(...what);
}

export interface Request {
  readonly messageId: string;
  readonly body: string;
  readonly cluster: string;
  readonly attributes: { readonly SentTimestamp: string };
}

/**
 * `reconcile.fifo`: what has the same cluster and cause is one message; a group's messages are given out together, and no more of
 * them before those are finished with.
 */
export class Requests implements ReconcileRequests {
  readonly #aws: FakeAws;
  readonly #seen = new Set<string>();
  readonly #groups = new Map<string, Request[]>();
  readonly #locked = new Set<string>();
  /** What a queue does beside keeping messages: whoever emulates that sets them. */
  onArrival: () => void = () => undefined;
  onDelayed: (cluster: string, delaySeconds: number, cause: string) => void = () => undefined;
  constructor(aws: FakeAws) {
    this.#aws = aws;
  }

  send(requests: readonly { readonly cluster: string; readonly cause: string }[]): Promise<void> {
    return this.#aws.call('ReconcileRequests.send', [requests], () => {
      for (const { cluster, cause } of requests) {
        const body = JSON.stringify({ cluster, cause });
        if (this.#seen.has(body)) continue;
        this.#seen.add(body);
        const group = this.#groups.get(cluster) ?? [];
        const attributes = { SentTimestamp: String(this.#aws.clock.nowMs()) };
        group.push({ messageId: String(this.#seen.size), body, cluster, attributes });
        this.#groups.set(cluster, group);
      }
      this.onArrival();
    });
  }

  sendLater(cluster: string, delaySeconds: number, cause: string): Promise<void> {
    return this.#aws.call('ReconcileRequests.sendLater', [cluster, delaySeconds, cause], () =>
      this.onDelayed(cluster, delaySeconds, cause),
    );
  }

  get isEmpty(): boolean {
    return this.#groups.size === 0;
  }

  /** At most `most` messages, group after group; empty when there are none that nobody has in hand. */
  take(most: number): readonly Request[] {
    const batch: Request[] = [];
    for (const [cluster, group] of this.#groups) {
      if (this.#locked.has(cluster)) continue;
      batch.push(...group.splice(0, most - batch.length));
      if (group.length === 0) this.#groups.delete(cluster);
      if (batch.length === most) break;
    }
    for (const { cluster } of batch) this.#locked.add(cluster);
    return batch;
  }

  /** Lets the groups of what was taken go on. A failed message is the first of its group again when `unlock` is called. */
  finish(
    batch: readonly Request[],
    failed: readonly string[] = [],
    unlock: (again: () => void) => void = (f) => f(),
  ): void {
    const back = batch.filter((r) => failed.includes(r.messageId));
    for (const { cluster } of batch) if (!back.some((r) => r.cluster === cluster)) this.#locked.delete(cluster);
    if (back.length === 0) return;
    unlock(() => {
      for (const [cluster, of] of Map.groupBy(back, (r) => r.cluster)) {
        this.#groups.set(cluster, [...of, ...(this.#groups.get(cluster) ?? [])]);
        this.#locked.delete(cluster);
      }
      this.onArrival();
    });
  }
}

/** A call to AWS, from the question to its answer; the next page of a listing is asked for then. An assumption. */
export const CALL_MS = 25;

export interface Fleet {
  readonly size: number;
  readonly aws: FakeAws;
  readonly nodes: readonly Node[];
  readonly requests: Requests;
  readonly ports: Omit<FakeCloud, 'aws' | 'requests' | 'log' | 'metrics' | 'prober'> & {
    readonly requests: ReconcileRequests;
    readonly prober: Prober;
    readonly log: Log;
    readonly metrics: Metrics;
  };
  /** API calls since the last time this was asked, each with its moment, in order. */
  calls(): readonly { readonly api: string; readonly atMs: number }[];
}

const numbered = (n: number): string => String(n).padStart(5, '0');

export interface Shape {
  readonly nodes: number;
  /** In which of the three zones the first node is, which is the writer. */
  readonly firstZone: number;
}

/** `size` clusters, all well. */
export function aFleet(
  size: number,
  clock?: FakeClock,
  shapeOf: (n: number) => Shape = () => ({ nodes: NODES, firstZone: 0 }),
): Fleet {
  const aws = new FakeAws(clock);
  aws.registeredState = 'healthy';
  const nodes = Array.from({ length: size }, (_, n) => {
    const name = `c${numbered(n)}`;
    const template = aSpec();
    const { nodes: count, firstZone } = shapeOf(n);
    const { subnets } = template;
    const instances = healthyCluster(aws, {
      ...template,
      name,
      nodes: count,
      subnets: [...subnets.slice(firstZone), ...subnets.slice(0, firstZone)],
      credentialsSecretArn: `${template.credentialsSecretArn}-${name}`,
      endpoints: template.endpoints.map((e) =>
        e.kind === 'targetGroup'
          ? { ...e, arn: e.arn.replace('orders', name) }
          : { ...e, name: e.name.replace('orders', name) },
      ),
    });
    return instances.map(({ id }) => ({ id, cluster: name }));
  }).flat();
  const cloud = fakeCloud(aws);
  const said = new Counted();
  const requests = new Requests(aws);
  return {
    size,
    aws,
    nodes,
    requests,
    ports: { ...cloud, requests, log: said, metrics: said },
    calls: () =>
      aws.calls
        .splice(0)
        .flatMap((call: FakeCall) =>
          apiCalls(call, { clusters: size }).map((api, page) => ({ api, atMs: call.atMs + page * CALL_MS })),
        )
        .sort((a, b) => a.atMs - b.atMs),
  };
}
