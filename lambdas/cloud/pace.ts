/**
 * What this function may ask of AWS in a second: its share of what the account has. In a night of hundreds of clusters whoever asks
 * faster is refused, tries again, and keeps others from being answered (docs/decisions/0021-writes-first.md).
 */
import * as z from 'zod/mini';
import { CloudUnavailable } from './ports.ts';
import type { Clock, Pace, Turn } from './ports.ts';

export interface Rate {
  readonly burst: number;
  readonly perSecond: number;
}

/** Those that have turns, and `balancing`: every call of Elastic Load Balancing, of which the turns of both its kinds take too. */
type Bucket = Turn | 'balancing';

export type Rates = Readonly<Record<Bucket, Rate>>;

/** Nobody waits longer for a turn: a reconcile ends well within its function's 20 s, and comes back. */
export const LONGEST_WAIT_MS = 5000;

/** What every look asks for. */
const SHARED: readonly Bucket[] = ['describe', 'register', 'balancing', 'instances'];

const bucketsOf = (kind: Turn): readonly Bucket[] =>
  kind === 'describe' || kind === 'register' ? [kind, 'balancing'] : [kind];

export class Turns implements Pace {
  readonly #clock: Clock;
  readonly #rates: Rates;
  /** When each bucket will be, or was, full again. */
  readonly #fullAtMs = new Map<Bucket, number>();
  /** When half of each shared burst will be, or was, there again. */
  #shortUntilMs = Number.NEGATIVE_INFINITY;

  constructor(clock: Clock, rates: Rates) {
    this.#clock = clock;
    this.#rates = rates;
  }

  async turn(kind: Turn, count = 1): Promise<void> {
    if (count === 0) return;
    const costs = bucketsOf(kind).map((bucket) => this.#cost(bucket, count));
    const waitMs = Math.max(...costs.map((c) => c.waitMs));
    if (waitMs > LONGEST_WAIT_MS) throw new CloudUnavailable(`${kind}: no turn within ${LONGEST_WAIT_MS / 1000} s`);
    for (const cost of costs) this.#take(cost);
    if (waitMs > 0) await this.#clock.sleep(waitMs);
  }

  may(kind: Turn): boolean {
    const costs = bucketsOf(kind).map((bucket) => this.#cost(bucket, 1));
    if (costs.some((c) => c.waitMs > 0)) return false;
    for (const cost of costs) this.#take(cost);
    return true;
  }

  isShort(withinMs: number): boolean {
    return this.#clock.nowMs() < this.#shortUntilMs + withinMs;
  }

  #take({ bucket, fullAtMs }: Cost): void {
    this.#fullAtMs.set(bucket, fullAtMs);
    const { burst, perSecond } = this.#rates[bucket];
    if (!SHARED.includes(bucket)) return;
    const halfAtMs = fullAtMs - (burst / 2 / perSecond) * 1000;
    // One of which more than half is left was not short: whoever asks how it was lately must not hear so.
    if (halfAtMs > this.#clock.nowMs()) this.#shortUntilMs = Math.max(this.#shortUntilMs, halfAtMs);
  }

  #cost(bucket: Bucket, count: number): Cost {
    const { burst, perSecond } = this.#rates[bucket];
    const nowMs = this.#clock.nowMs();
    const fullAtMs = Math.max(nowMs, this.#fullAtMs.get(bucket) ?? nowMs) + (count / perSecond) * 1000;
    return { bucket, fullAtMs, waitMs: Math.max(0, Math.ceil(fullAtMs - nowMs - (burst / perSecond) * 1000)) };
  }
}

interface Cost {
  readonly bucket: Bucket;
  readonly waitMs: number;
  readonly fullAtMs: number;
}

const positive = z.number().check(z.positive());
const schema = z.object({
  environments: z.int().check(z.positive()),
  describesPerSecond: positive,
  registrationsPerSecond: positive,
  loadBalancingPerSecond: positive,
  instancesPerSecond: positive,
});

/** How many environments of the function there may be, and the account's quotas that they share. */
export type PaceConfig = z.infer<typeof schema>;

/** As the function's environment has it, in JSON. @throws Error that says what is wrong with it. */
export function paceConfig(text: string): PaceConfig {
  const parsed = schema.safeParse(JSON.parse(text));
  if (parsed.success) return parsed.data;
  throw new Error(`PACE is ${text}: ${parsed.error.issues.map((i) => `${i.path.join('.')}: ${i.message}`).join('; ')}`);
}

/** Of what an account has, reconcile leaves a tenth to others; of what signals, watch and workflows ask for too, more. */
const SHARE = 0.9;
const SHARE_OF_SPECS = 0.75;
const SHARE_OF_INSTANCES = 0.6;
const SHARE_OF_SIGNALS = 0.25;

/** DescribeInstances at once, of reconcile and of signals: of an account's hundred, of which watch and workflows take, too. */
const INSTANCES_AT_ONCE = 30;

/**
 * One environment's share. Bursts are those of a new account (simulator/aws/limits.ts names AWS's pages); those of quotas that were raised may be larger.
 * Executions are asked for when they are started, too.
 */
export function ratesOf(config: PaceConfig): Rates {
  const each = (burst: number, perSecond: number): Rate => ({
    burst: Math.max(1, burst / config.environments),
    perSecond: perSecond / config.environments,
  });
  return {
    describe: each(40 * SHARE, config.describesPerSecond * SHARE),
    register: each(20 * SHARE, config.registrationsPerSecond * SHARE),
    balancing: each(40 * SHARE, config.loadBalancingPerSecond * SHARE),
    instances: each(INSTANCES_AT_ONCE, config.instancesPerSecond * SHARE_OF_INSTANCES),
    specs: each(40 * SHARE_OF_SPECS, 40 * SHARE_OF_SPECS),
    executions: each(200, 7),
    dns: each(50 * SHARE, 10 * SHARE),
  };
}

/** An environment's turns of reconcile by its configuration. @throws Error as `paceConfig`. */
export const paceOf = (clock: Clock, text: string): Pace => new Turns(clock, ratesOf(paceConfig(text)));

/** As `ratesOf`, of an environment of signals, which asks for instances only: one question at a time, so that it never waits for long. */
export function signalsRatesOf(config: PaceConfig): Rates {
  const instances: Rate = {
    burst: Math.max(1, INSTANCES_AT_ONCE / config.environments),
    perSecond: Math.max(1, (config.instancesPerSecond * SHARE_OF_SIGNALS) / config.environments),
  };
  return { ...ratesOf(config), instances };
}

/** An environment's turns of signals by its configuration. @throws Error as `paceConfig`. */
export const signalsPaceOf = (clock: Clock, text: string): Pace => new Turns(clock, signalsRatesOf(paceConfig(text)));
