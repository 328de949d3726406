/** Virtual time under one scheduler: what is due first runs first; what is due at once runs in the order it was asked for. */
import { FakeClock } from '../test/fakes/clock.ts';

interface Due {
  readonly atMs: number;
  readonly order: number;
  readonly run: () => void;
}

export class SimClock extends FakeClock {
  #now: number;
  #order = 0;
  readonly #heap: Due[] = [];
  /** A look at the world after everything that ran at one moment has come to rest. */
  afterStep: (() => void) | null = null;

  constructor(startMs = Date.UTC(2026, 0, 15, 2, 0, 0)) {
    super(startMs, { manual: true });
    this.#now = startMs;
  }

  override nowMs(): number {
    return this.#now;
  }

  override sleep(ms: number): Promise<void> {
    return new Promise((resolve) => this.in(ms, resolve));
  }

  /** Runs `work` after `ms`. */
  in(ms: number, work: () => void): void {
    this.#order += 1;
    this.#push({ atMs: this.#now + Math.max(0, ms), order: this.#order, run: work });
  }

  /** Lets time pass until `untilMs`, or until `done` says so. Answers whether it did. */
  run(untilMs: number, done: () => boolean = () => false): Promise<boolean> {
    return new Promise((resolve, reject) => {
      const step = (): void => {
        try {
          this.afterStep?.();
          const stops = done();
          const next = this.#heap[0];
          if (stops || next === undefined || next.atMs > untilMs) {
            if (!stops) this.#now = Math.max(this.#now, untilMs);
            return resolve(stops);
          }
          this.#pop();
          this.#now = Math.max(this.#now, next.atMs);
          next.run();
          settled(step);
        } catch (error) {
          reject(error instanceof Error ? error : new Error(String(error)));
        }
      };
      settled(step);
    });
  }

  #push(due: Due): void {
    const heap = this.#heap;
    let i = heap.push(due) - 1;
    while (i > 0) {
      const parent = (i - 1) >> 1;
      const above = heap[parent];
      if (above === undefined || !before(due, above)) break;
      heap[i] = above;
      i = parent;
    }
    heap[i] = due;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return;
    let i = 0;
    for (;;) {
      const left = heap[2 * i + 1];
      const right = heap[2 * i + 2];
      if (left === undefined) break;
      const [child, at] = right !== undefined && before(right, left) ? [right, 2 * i + 2] : [left, 2 * i + 1];
      if (!before(child, last)) break;
      heap[i] = child;
      i = at;
    }
    heap[i] = last;
  }
}

const before = (a: Due, b: Due): boolean => a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);

/**
 * Calls when the promises that can go on have gone on: what a microtask asks for the next tick, Node runs when no microtask is left,
 * without a turn of its event loop.
 */
const settled = (then: () => void): void => queueMicrotask(() => process.nextTick(then));
