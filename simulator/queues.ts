/** SQS: a standard queue that delivers late, twice and in any order, a FIFO queue with groups, and their dead letters. */
import type { ReconcileRequests } from '../lambdas/cloud/ports.ts';
import type { World } from './world.ts';

export interface Message {
  readonly id: string;
  readonly body: string;
  readonly group: string | null;
  /** When SQS took it. */
  readonly sentAtMs: number;
  receives: number;
}

const MAX_RECEIVES = 5;
const BATCH = 10;
const DEDUPLICATED_MS = 300_000;

/** Answers the messages that failed; a rejection fails them all. */
export type Consumer = (batch: readonly Message[]) => Promise<readonly string[]>;

export class Queue {
  readonly name: string;
  readonly dead: Message[] = [];
  readonly #world: World;
  readonly #consume: Consumer;
  readonly #visibilityMs: number;
  #waiting: Message[] = [];
  readonly #busy = new Set<string>();
  #planned = false;
  sent = 0;
  done = 0;
  inFlight = 0;
  delayed = 0;
  enabled = true;

  constructor(world: World, name: string, visibilityMs: number, consume: Consumer) {
    this.#world = world;
    this.name = name;
    this.#visibilityMs = visibilityMs;
    this.#consume = consume;
  }

  get depth(): number {
    return this.#waiting.length + this.inFlight + this.delayed;
  }

  send(body: string, group: string | null, delayMs = 0): void {
    this.sent += 1;
    this.delayed += 1;
    const sentAtMs = this.#world.clock.nowMs();
    this.#world.clock.in(delayMs + this.#world.random.int(10, 200), () => {
      this.delayed -= 1;
      const id = `m${this.sent}-${this.#world.random.int(0, 1e9)}`;
      this.#waiting.push({ id, body, group, sentAtMs, receives: 0 });
      this.poll();
    });
  }

  /** Looks for messages, soon. */
  poll(): void {
    if (this.#planned) return;
    this.#planned = true;
    this.#world.clock.in(20, () => {
      this.#planned = false;
      while (this.enabled && this.#receive());
    });
  }

  #receive(): boolean {
    const free = this.#waiting.filter((m) => m.group === null || !this.#busy.has(m.group));
    const first = free[0];
    if (first === undefined) return false;
    const batch = free.filter((m) => m.group === first.group).slice(0, BATCH);
    this.#waiting = this.#waiting.filter((m) => !batch.includes(m));
    if (first.group !== null) this.#busy.add(first.group);
    this.inFlight += batch.length;
    for (const m of batch) m.receives += 1;
    void this.#deliver(batch, first.group);
    return true;
  }

  async #deliver(batch: readonly Message[], group: string | null): Promise<void> {
    const startedMs = this.#world.clock.nowMs();
    const ended = await this.#consume(batch).then(
      (failed) => ({ failed, killed: false }),
      () => ({ failed: batch.map((m) => m.id), killed: true }),
    );
    const back = batch.filter((m) => ended.failed.includes(m.id));
    this.done += batch.length - back.length;
    this.inFlight -= batch.length - back.length;
    const wait = back.length === 0 ? 0 : Math.max(0, startedMs + this.#visibilityMs - this.#world.clock.nowMs());
    this.#world.clock.in(wait, () => {
      this.inFlight -= back.length;
      for (const m of back.toReversed()) {
        if (m.receives >= MAX_RECEIVES) this.dead.push(m);
        else this.#waiting.unshift(m);
      }
      if (group !== null) this.#busy.delete(group);
      this.poll();
    });
  }
}

/** The two queues as the product's port sends to them. */
export class SimRequests implements ReconcileRequests {
  readonly #world: World;
  readonly #seen = new Map<string, number>();
  constructor(world: World) {
    this.#world = world;
  }

  async send(requests: readonly { readonly cluster: string; readonly cause: string }[]): Promise<void> {
    const nowMs = this.#world.clock.nowMs();
    for (const { cluster, cause } of requests) {
      const key = `${cluster}\n${cause}`;
      const before = this.#seen.get(key);
      if (before !== undefined && nowMs - before < DEDUPLICATED_MS) continue;
      this.#seen.set(key, nowMs);
      this.#world.reconcileQueue.send(JSON.stringify({ cluster, cause }), cluster);
    }
  }

  async sendLater(cluster: string, delaySeconds: number, cause: string): Promise<void> {
    if (!Number.isInteger(delaySeconds) || delaySeconds < 0 || delaySeconds > 900) {
      throw new RangeError(`delaySeconds is ${delaySeconds}: give a whole number from 0 to 900`);
    }
    const detail = { cluster, cause };
    const event = { version: '0', id: cause, source: 'rejoin', 'detail-type': 'Reconcile Due', detail };
    this.#world.signalsQueue.send(JSON.stringify(event), null, delaySeconds * 1000);
  }
}
