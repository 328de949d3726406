import type { Clock } from '../../lambdas/cloud/ports.ts';

interface Sleeper {
  readonly wakeAtMs: number;
  readonly wake: () => void;
}

/**
 * Virtual time. By default it moves by itself: when everything that can run has run, time jumps to the next sleeper, so
 * that a loop of hours takes milliseconds and always the same course. With `manual` only `advance` moves it.
 */
export class FakeClock implements Clock {
  #nowMs: number;
  #sleepers: Sleeper[] = [];
  readonly #manual: boolean;
  #jumpPlanned = false;

  constructor(startMs = Date.UTC(2026, 0, 15, 2, 0, 0), options: { readonly manual?: boolean } = {}) {
    this.#nowMs = startMs;
    this.#manual = options.manual ?? false;
  }

  nowMs(): number {
    return this.#nowMs;
  }

  sleep(ms: number): Promise<void> {
    const wakeAtMs = this.#nowMs + Math.max(0, ms);
    return new Promise((wake) => {
      this.#sleepers.push({ wakeAtMs, wake });
      this.#planJump();
    });
  }

  /** Moves time forward, waking sleepers in order and letting each one's work run before the next wakes. */
  async advance(ms: number): Promise<void> {
    const untilMs = this.#nowMs + ms;
    for (;;) {
      await settled();
      const next = this.#earliest();
      if (next === undefined || next.wakeAtMs > untilMs) break;
      this.#wake(next);
    }
    this.#nowMs = untilMs;
    await settled();
  }

  /** How many are asleep: lets a test wait until the code under test has come to rest. */
  get sleepers(): number {
    return this.#sleepers.length;
  }

  #planJump(): void {
    if (this.#manual || this.#jumpPlanned) return;
    this.#jumpPlanned = true;
    void settled().then(() => {
      this.#jumpPlanned = false;
      const next = this.#earliest();
      if (next === undefined) return;
      this.#wake(next);
      if (this.#sleepers.length > 0) this.#planJump();
    });
  }

  #earliest(): Sleeper | undefined {
    return this.#sleepers.reduce<Sleeper | undefined>(
      (first, s) => (first === undefined || s.wakeAtMs < first.wakeAtMs ? s : first),
      undefined,
    );
  }

  #wake(sleeper: Sleeper): void {
    this.#sleepers = this.#sleepers.filter((s) => s !== sleeper);
    this.#nowMs = Math.max(this.#nowMs, sleeper.wakeAtMs);
    sleeper.wake();
  }
}

/** Resolves when the promises that can go on have gone on. */
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
