/** One of AWS's token buckets, from which others of the account take too. Full at first. */
import type { Limit } from './limits.ts';

export class TokenBucket {
  readonly #limit: Limit;
  #tokens: number;
  #atMs: number | null = null;
  #othersPerSecond = 0;

  constructor(limit: Limit) {
    this.#limit = limit;
    this.#tokens = limit.burst;
  }

  /** From now on others ask so often. More than what comes back empties the bucket, and then whoever asks has the same chance. */
  shareWith(othersPerSecond: number, nowMs: number): void {
    this.#flow(nowMs);
    this.#othersPerSecond = othersPerSecond;
  }

  /** How likely a request is let through now: 1 while there is a token, else the share of all that ask for which one comes back. */
  chance(nowMs: number): number {
    this.#flow(nowMs);
    if (this.#tokens >= 1) return 1;
    const { perSecond } = this.#limit;
    return this.#othersPerSecond > perSecond ? perSecond / this.#othersPerSecond : 0;
  }

  /** Takes one, after `chance` has said that there is one. */
  take(): void {
    this.#tokens = Math.max(0, this.#tokens - 1);
  }

  #flow(nowMs: number): void {
    const { burst, perSecond } = this.#limit;
    const passedMs = Math.max(0, nowMs - (this.#atMs ?? nowMs));
    this.#atMs = Math.max(nowMs, this.#atMs ?? nowMs);
    const more = (passedMs / 1000) * (perSecond - this.#othersPerSecond);
    this.#tokens = Math.min(burst, Math.max(0, this.#tokens + more));
  }
}
