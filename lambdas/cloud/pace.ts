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

export type Rates = Readonly<Record<Turn, Rate>>;

/** Nobody waits longer for a turn: a reconcile ends well within its function's 20 s, and comes back. */
export const LONGEST_WAIT_MS = 5000;

/** What every look asks for. */
const SHARED: readonly Turn[] = ['describe', 'register', 'instances'];

export class Turns implements Pace {
  readonly #clock: Clock;
  readonly #rates: Rates;
  /** When each bucket will be, or was, full again. */
  readonly #fullAtMs = new Map<Turn, number>();
  /** When half of each shared burst will be, or was, there again. */
  #shortUntilMs = Number.NEGATIVE_INFINITY;

  constructor(clock: Clock, rates: Rates) {
    this.#clock = clock;
    this.#rates = rates;
  }

  async turn(kind: Turn, count = 1): Promise<void> {
    if (count === 0) return;
    const { waitMs, fullAtMs } = this.#cost(kind, count);
    if (waitMs > LONGEST_WAIT_MS) throw new CloudUnavailable(`${kind}: no turn within ${LONGEST_WAIT_MS / 1000} s`);
    this.#take(kind, fullAtMs);
    if (waitMs > 0) await this.#clock.sleep(waitMs);
  }

  may(kind: Turn): boolean {
    const { waitMs, fullAtMs } = this.#cost(kind, 1);
    if (waitMs > 0) return false;
    this.#take(kind, fullAtMs);
    return true;
  }

  isShort(withinMs: number): boolean {
    return this.#clock.nowMs() < this.#shortUntilMs + withinMs;
  }

  #take(kind: Turn, fullAtMs: number): void {
    this.#fullAtMs.set(kind, fullAtMs);
    const { burst, perSecond } = this.#rates[kind];
    if (!SHARED.includes(kind)) return;
    const halfAtMs = fullAtMs - (burst / 2 / perSecond) * 1000;
    // One of which more than half is left was not short: whoever asks how it was lately must not hear so.
    if (halfAtMs > this.#clock.nowMs()) this.#shortUntilMs = Math.max(this.#shortUntilMs, halfAtMs);
  }

  #cost(kind: Turn, count: number): { readonly waitMs: number; readonly fullAtMs: number } {
    const { burst, perSecond } = this.#rates[kind];
    const nowMs = this.#clock.nowMs();
    const fullAtMs = Math.max(nowMs, this.#fullAtMs.get(kind) ?? nowMs) + (count / perSecond) * 1000;
    return { fullAtMs, waitMs: Math.max(0, Math.ceil(fullAtMs - nowMs - (burst / perSecond) * 1000)) };
  }
}

const positive = z.number().check(z.positive());
const schema = z.object({
  environments: z.int().check(z.positive()),
  describesPerSecond: positive,
  registrationsPerSecond: positive,
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

/** Of what an account has, reconcile leaves a tenth to others, of DescribeInstances more: signals, watch and workflows ask too. */
const SHARE = 0.9;
const SHARE_OF_INSTANCES = 0.6;

/**
 * One environment's share. Bursts are those of a new account (simulator/aws/limits.ts names AWS's pages); those of quotas that were raised may be larger.
 * Executions are asked for when they are started, too; launches leave room for tries that are repeated: RunInstances takes five at once, and then two a second.
 */
export function ratesOf(config: PaceConfig): Rates {
  const each = (burst: number, perSecond: number): Rate => ({
    burst: Math.max(1, burst / config.environments),
    perSecond: perSecond / config.environments,
  });
  return {
    describe: each(40 * SHARE, config.describesPerSecond * SHARE),
    register: each(20 * SHARE, config.registrationsPerSecond * SHARE),
    instances: each(30, config.instancesPerSecond * SHARE_OF_INSTANCES),
    specs: each(40 * SHARE, 40 * SHARE),
    executions: each(200, 7),
    dns: each(50 * SHARE, 10 * SHARE),
    launch: each(3, 1.6),
  };
}

/** An environment's turns by its configuration. @throws Error as `paceConfig`. */
export const paceOf = (clock: Clock, text: string): Pace => new Turns(clock, ratesOf(paceConfig(text)));
