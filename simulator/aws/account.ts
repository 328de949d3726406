/** An account's token buckets in front of AWS, and the SDK's retries before them (lambdas/cloud/clients.ts), in virtual time. */
import { CloudUnavailable } from '../../lambdas/cloud/ports.ts';
import type { SimClock } from '../clock.ts';
import type { Random } from '../random.ts';
import { TokenBucket } from './bucket.ts';
import { bucketsOf } from './limits.ts';
import type { Limits } from './limits.ts';

/** Requests to an API: those that its buckets let pass, and those that they refused. */
export interface Asked {
  passed: number;
  refused: number;
}

/** `CLIENT_SETTINGS`, and `BRIEF_SETTINGS` of Route 53 and Step Functions. */
const ATTEMPTS = 4;
const BRIEF_ATTEMPTS = 2;
/** The SDK's standard retry mode: so long after a throttled call, doubled each time, at most 20 s; a random part of it. */
const THROTTLED_MS = 500;
const MOST_MS = 20_000;

/** An API, as far as it has been asked. */
interface Known {
  readonly asked: Asked;
  readonly buckets: readonly TokenBucket[];
}

export class Account {
  readonly #clock: SimClock;
  readonly #random: Random;
  readonly #buckets = new Map<string, TokenBucket>();
  readonly #apis = new Map<string, Known>();
  /** What a refused request hears of it. */
  onRefused: (api: string) => void = () => undefined;
  /** How often a call is tried, and how long after its `attempt` the next one waits; a sabotage puts others here. */
  attemptsOf = (api: string): number => (/^(route53|states):/.test(api) ? BRIEF_ATTEMPTS : ATTEMPTS);
  backoffMs = (attempt: number): number => this.#random.int(0, Math.min(MOST_MS, THROTTLED_MS * 2 ** (attempt - 1)));

  constructor(clock: SimClock, random: Random, limits: Limits) {
    this.#clock = clock;
    this.#random = random;
    for (const [name, limit] of Object.entries(limits)) this.#buckets.set(name, new TokenBucket(limit));
  }

  /** By API, since it was last forgotten. */
  get asked(): ReadonlyMap<string, Asked> {
    return new Map([...this.#apis].map(([api, { asked }]) => [api, asked]));
  }

  forget(): void {
    this.#apis.clear();
  }

  /** Others of the account take from that bucket, so often a second. */
  share(bucket: string, othersPerSecond: number): void {
    this.#buckets.get(bucket)?.shareWith(othersPerSecond, this.#clock.nowMs());
  }

  /** One request: whether the buckets let it through. */
  take(api: string): boolean {
    const { asked, buckets } = this.#known(api);
    const nowMs = this.#clock.nowMs();
    for (const bucket of buckets) {
      const chance = bucket.chance(nowMs);
      if (chance === 1 || this.#random.chance(chance)) continue;
      asked.refused += 1;
      this.onRefused(api);
      return false;
    }
    for (const bucket of buckets) bucket.take();
    asked.passed += 1;
    return true;
  }

  /**
   * A call whose first request was refused, as the SDK goes on with it. `gone`: whoever calls is no more.
   * @throws CloudUnavailable after the last attempt, as the adapters do (lambdas/cloud/errors.ts).
   */
  async tryAgain(api: string, gone: () => boolean): Promise<void> {
    const attempts = this.attemptsOf(api);
    for (let attempt = 1; attempt < attempts; attempt += 1) {
      await this.#clock.sleep(this.backoffMs(attempt));
      if (gone() || this.take(api)) return;
    }
    throw new CloudUnavailable(`${api} failed after ${attempts} attempts: Throttling: Rate exceeded`);
  }

  #known(api: string): Known {
    const known = this.#apis.get(api);
    if (known !== undefined) return known;
    const buckets = bucketsOf(api).flatMap((name) => this.#buckets.get(name) ?? []);
    const first = { asked: { passed: 0, refused: 0 }, buckets };
    this.#apis.set(api, first);
    return first;
  }
}
