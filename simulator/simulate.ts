/** One night: a seed's weather and faults, then calm, in which the cluster must heal. */
import { callPerson } from './person.ts';
import { calm, strike } from './faults.ts';
import type { Violation } from './guard.ts';
import { leftovers, strayed, unfinished } from './liveness.ts';
import { durabilityOf } from './postgres/spec.ts';
import type { EngineName } from './side.ts';
import { CALM, weatherOf } from './weather.ts';
import { World } from './world.ts';

export interface Night {
  readonly seed: number;
  readonly steps: number;
  readonly engine: EngineName;
  /** PostgreSQL: what its cluster declares. */
  readonly durability: 'quorum' | 'async' | null;
  readonly violations: readonly Violation[];
  /** `healed`, or why a person is legitimately needed. */
  readonly end: string;
  readonly healedAfterMs: number | null;
  readonly writes: number;
  /** Acknowledged writes that were lost where the cluster's declaration or a person allowed it. */
  readonly lost: number;
  /** Data volumes that nobody uses, and that people were not told of: where the cluster has healed, a violation. */
  readonly leftovers: number;
  readonly fingerprint: string;
  readonly story: readonly string[];
}

export interface NightOptions {
  readonly steps?: number;
  /** `engineOf` the seed unless given. */
  readonly engine?: EngineName;
  /** The archive is played too, which doubles what a night costs. */
  readonly archive?: boolean;
  /** Spoils the plane before the night begins. */
  readonly sabotage?: (world: World) => void;
}

export const STEPS = 6;
/** Within this simulated time after the last fault everything must have healed. */
export const LIVENESS_MS = 90 * 60_000;
/** A cluster that waits for a person, and in which nothing has changed for so long, goes on waiting. */
const WAITS_MS = 20 * 60_000;

/** Whose night a seed is, when nobody asks for another. */
export const engineOf = (seed: number): EngineName => (seed % 2 === 1 ? 'galera' : 'postgres');

export async function simulate(seed: number, options: NightOptions = {}): Promise<Night> {
  const steps = options.steps ?? STEPS;
  const world = new World(seed, options.engine ?? engineOf(seed), options.archive);
  options.sabotage?.(world);
  const { random, clock, guard, story } = world;
  world.weather = weatherOf(
    (p) => random.chance(p),
    () => random.next(),
  );
  world.others.rest(world.weather.others);
  story.tell('seed', `${seed}, ${steps} faults, weather ${JSON.stringify(world.weather)}`);
  const durability = durabilityOf(world.spec);
  if (durability === 'async') story.tell('spec', JSON.stringify(world.spec.engine));
  const failed = (): boolean => guard.violations.length > 0;
  await clock.run(clock.nowMs() + 10_000, failed);
  for (let i = 0; i < steps && !failed(); i += 1) {
    strike(world);
    await clock.run(clock.nowMs() + (random.chance(0.3) ? random.int(0, 8000) : random.int(10_000, 240_000)), failed);
  }
  const end = failed() ? { end: 'a rule was broken', healedAfterMs: null } : await heal(world);
  return {
    seed,
    steps,
    engine: world.engine,
    durability,
    violations: guard.violations,
    ...end,
    writes: world.database.writes,
    lost: world.side.rules.lost ?? 0,
    leftovers: leftovers(world).length,
    fingerprint: story.fingerprint(),
    story: story.lines,
  };
}

async function heal(world: World): Promise<Pick<Night, 'end' | 'healedAfterMs'>> {
  const { clock, guard } = world;
  const startedMs = clock.nowMs();
  world.weather = { ...CALM, forgetsMs: world.weather.forgetsMs };
  calm(world);
  callPerson(world);
  let looked = 0;
  let goodSinceMs: number | null = null;
  const waiting = new Waiting(world);
  await clock.run(startedMs + LIVENESS_MS, () => {
    if (guard.violations.length > 0 || world.dataGone) return true;
    if (clock.nowMs() - looked < 2000) return false;
    looked = clock.nowMs();
    const left = unfinished(world);
    goodSinceMs = left.length > 0 ? null : (goodSinceMs ?? looked);
    return (goodSinceMs !== null && looked - goodSinceMs > 20_000) || waiting.forMs(left) > WAITS_MS;
  });
  if (guard.violations.length > 0) return { end: 'a rule was broken', healedAfterMs: null };
  const left = unfinished(world);
  const unused = leftovers(world);
  if (left.length === 0 && unused.length > 0) {
    guard.violate('liveness', `${unused.join(', ')}: data volumes that nobody uses, and nobody was told of`);
    return { end: 'healed, and a volume is left over', healedAfterMs: null };
  }
  if (left.length === 0) return { end: 'healed', healedAfterMs: (goodSinceMs ?? startedMs) - startedMs };
  const person = (world.archive?.unfinished() ?? []).length > 0 ? null : strayed(world);
  if (person !== null) return { end: person, healedAfterMs: null };
  for (const line of lastWords(world)) world.story.tell('reconcile', line);
  guard.violate('liveness', `not healed after ${LIVENESS_MS / 60_000} minutes: ${left.join('; ')}`);
  return { end: 'not healed', healedAfterMs: null };
}

/** How long the cluster has waited for the same person's help with the same things. */
class Waiting {
  readonly #world: World;
  #what: string | null = null;
  #sinceMs = 0;

  constructor(world: World) {
    this.#world = world;
  }

  forMs(left: readonly string[]): number {
    const nowMs = this.#world.clock.nowMs();
    const person = left.length === 0 ? null : strayed(this.#world);
    const what = person === null ? null : [person, ...left].join('\n');
    if (what === null || what !== this.#what) [this.#what, this.#sinceMs] = [what, nowMs];
    return nowMs - this.#sinceMs;
  }
}

/** What the last reconcile saw and refused, for the story of a night that did not heal. */
function lastWords(world: World): readonly string[] {
  const last = world.cloud.log.lines.findLast((l) => l.message === 'reconciled')?.extra ?? {};
  return ['diagnoses', 'refusals', 'changes'].map((key) => `${key}: ${JSON.stringify(last[key])}`);
}
