/** A queue's event source mapping in virtual time: batches of ten, to as many execution environments as Lambda gives. */
import type { SimClock } from '../../simulator/clock.ts';

export interface Source<M> {
  /** At most `most` messages that may be given out now. */
  take(most: number): readonly M[];
  /** What was taken has been dealt with, but for the `failed` ones. */
  finish(batch: readonly M[], failed: readonly string[]): void;
}

const BATCH = 10;
/** https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html: five at first, and 300 a minute more. */
const FIRST = 5;
const MORE_A_SECOND = 5;
/** Of an account's 1000 executions; an assumption. */
const MOST = 400;

export class Mapping<M> {
  readonly #clock: SimClock;
  readonly #source: Source<M>;
  readonly #handle: (batch: readonly M[], environment: number) => Promise<readonly string[]>;
  #busySinceMs: number | null = null;
  readonly #most: number;
  readonly #idle: number[] = [];
  #running = 0;
  /** The most environments that were at work at once. */
  peak = 0;

  /** `most`: the mapping's own limit to environments. */
  constructor(
    clock: SimClock,
    source: Source<M>,
    handle: (batch: readonly M[], environment: number) => Promise<readonly string[]>,
    most = MOST,
  ) {
    this.#most = most;
    this.#clock = clock;
    this.#source = source;
    this.#handle = handle;
  }

  /** Something may have come, or be free again. */
  kick(): void {
    this.#busySinceMs ??= this.#clock.nowMs();
    while (this.#running < this.#limit()) {
      const batch = this.#source.take(BATCH);
      if (batch.length === 0) break;
      const environment = this.#idle.pop() ?? this.#running;
      this.#running += 1;
      this.peak = Math.max(this.peak, this.#running);
      void this.#handle(batch, environment).then((failed) => {
        this.#running -= 1;
        this.#idle.push(environment);
        this.#source.finish(batch, failed);
        if (this.#running === 0) this.#busySinceMs = null;
        this.kick();
      });
    }
  }

  #limit(): number {
    const busyMs = this.#clock.nowMs() - (this.#busySinceMs ?? this.#clock.nowMs());
    return Math.min(this.#most, FIRST + Math.floor((busyMs / 1000) * MORE_A_SECOND));
  }
}
