/**
 * What follows the archive is on no node that answers, and one that does not may have it: it hangs, or nobody can reach it. To go on
 * behind it makes the gap for good, for the slots are moved on with the archive. To wait for ever would let the archive stand still, and the
 * log that is to come pile up for its slot.
 */
import type { Clock } from '../../../cloud/ports.ts';

/** Long enough for a failover or a short partition, and shorter than an invocation, or the wait would begin anew with each (seed 361 of the simulator). */
const PATIENCE_MS = 90_000;

/** Remembered by a warm function: one that begins anew has patience again. */
export class Patience {
  readonly #clock: Clock;
  /** By cluster. */
  readonly #sinceMs = new Map<string, number>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Is it worth while to wait some more. The first call begins the wait. */
  lasts(cluster: string): boolean {
    const nowMs = this.#clock.nowMs();
    const sinceMs = this.#sinceMs.get(cluster) ?? nowMs;
    this.#sinceMs.set(cluster, sinceMs);
    return nowMs - sinceMs < PATIENCE_MS;
  }

  /** Log comes again. */
  end(cluster: string): void {
    this.#sinceMs.delete(cluster);
  }
}
