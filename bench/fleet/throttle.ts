/** AWS's token buckets in front of the fake AWS, and the SDK's retries before them (lambdas/cloud/clients.ts). */
import { CloudUnavailable } from '../../lambdas/cloud/ports.ts';
import { Allowance } from '../../lambdas/watch/allowance.ts';
import type { SimClock } from '../../simulator/clock.ts';
import type { Random } from '../../simulator/random.ts';
import type { FakeCall } from '../../test/fakes/index.ts';
import { apiCalls, BUCKETS, type Limit } from './calls.ts';
import { CALL_MS, type Fleet } from './world.ts';

/** Requests to each API: those that its bucket let pass, and those that it refused. */
export interface Asked {
  passed: number;
  refused: number;
}

const ATTEMPTS = 4;
/** Of Route 53 and Step Functions. */
const BRIEF_ATTEMPTS = 2;
/** The SDK's standard retry mode: so long after a throttled call, doubled each time, at most 20 s; a random part of it. */
const THROTTLED_MS = 500;
const MOST_MS = 20_000;

export class Throttle {
  readonly asked = new Map<string, Asked>();
  readonly #buckets = new Map<string, Allowance>();
  readonly #clock: SimClock;
  readonly #random: Random;

  /** From now on every call of the fleet's ports goes through the buckets. */
  constructor(fleet: Fleet, clock: SimClock, random: Random, limits: Readonly<Record<string, Limit>>) {
    this.#clock = clock;
    this.#random = random;
    for (const [api, limit] of Object.entries(limits)) this.#buckets.set(api, new Allowance(limit));
    fleet.aws.before = (call) => this.#pass(call, fleet.size);
  }

  async #pass(call: FakeCall, size: number): Promise<void> {
    for (const api of apiCalls(call, size)) await this.#one(api);
  }

  async #one(api: string): Promise<void> {
    const brief = api.startsWith('route53:') || api.startsWith('states:');
    const attempts = brief ? BRIEF_ATTEMPTS : ATTEMPTS;
    for (let attempt = 1; ; attempt += 1) {
      await this.#clock.sleep(CALL_MS);
      const asked = this.asked.get(api) ?? { passed: 0, refused: 0 };
      this.asked.set(api, asked);
      if (this.#buckets.get(BUCKETS[api] ?? api)?.take(this.#clock.nowMs()) ?? true) {
        asked.passed += 1;
        return;
      }
      asked.refused += 1;
      if (attempt === attempts) throw new CloudUnavailable(`${api} failed after ${attempts} attempts: Throttling`);
      await this.#clock.sleep(this.#random.int(0, Math.min(MOST_MS, THROTTLED_MS * 2 ** (attempt - 1))));
    }
  }
}
