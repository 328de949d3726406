/** A sabotaged plane on trial: nights are played until one breaks a rule that the bug is expected to break. */
import { GALERA_ARCHIVE_SABOTAGES } from './archive/galera/sabotage.ts';
import { ARCHIVE_SABOTAGES } from './archive/sabotage.ts';
import { ASYNC_SABOTAGES } from './postgres/async-sabotage.ts';
import { POSTGRES_SABOTAGES } from './postgres/sabotage.ts';
import { isAsync } from './postgres/spec.ts';
import { BUDGET_SABOTAGES } from './sabotage-budget.ts';
import { SABOTAGES } from './sabotage.ts';
import type { Sabotage } from './sabotage.ts';
import type { EngineName } from './side.ts';
import { engineOf, simulate } from './simulate.ts';

/** The seeds from 1 on within which every bug must be caught, in the tests as by hand: the first of those that CI plays. */
export const TRIAL_SEEDS = 2000;

/** Of every engine. */
export const EVERY_SABOTAGE: readonly Sabotage[] = [
  ...SABOTAGES.map((s) => ({ ...s, engine: 'galera' }) as const),
  ...BUDGET_SABOTAGES.map((s) => ({ engine: 'galera', ...s }) as const),
  ...POSTGRES_SABOTAGES,
  ...ASYNC_SABOTAGES,
  ...ARCHIVE_SABOTAGES,
  ...GALERA_ARCHIVE_SABOTAGES,
];

export interface Verdict {
  readonly name: string;
  readonly engine: EngineName;
  /** Null: no night broke an expected rule. */
  readonly caught: { readonly seed: number; readonly rule: string; readonly what: string } | null;
  /** How many nights were played. */
  readonly nights: number;
}

/** One night of PostgreSQL in five is asynchronous: as many of those lie among all that CI plays. */
const ASYNC_TRIAL_SEEDS = 10_000;

/** Plays the seed that is known to catch it first, then those of its kind, until one does. `seeds`: how many instead, from 1 on. */
export async function onTrial(sabotage: Sabotage, seeds?: number): Promise<Verdict> {
  const { name, breaks, spoil, caughtBy, archive = false, engine = 'galera', durability } = sabotage;
  const most = seeds ?? (durability === 'async' ? ASYNC_TRIAL_SEEDS : TRIAL_SEEDS);
  const fits = (seed: number): boolean => durability !== 'async' || isAsync(seed, archive);
  const all = Array.from({ length: most }, (_, i) => i + 1).filter((seed) => engineOf(seed) === engine && fits(seed));
  const known = all.filter((seed) => seed === caughtBy);
  const order = [...known, ...all.filter((seed) => seed !== caughtBy)];
  let nights = 0;
  for (const seed of order) {
    const { violations } = await simulate(seed, { sabotage: spoil, engine, archive });
    nights += 1;
    const found = violations.find((v) => breaks.includes(v.rule));
    if (found !== undefined) return { name, engine, caught: { seed, rule: found.rule, what: found.what }, nights };
  }
  return { name, engine, caught: null, nights };
}

/** As rows for people. */
export function tableOf(verdicts: readonly Verdict[]): string {
  const rows = verdicts.map(({ name, engine, caught, nights }) =>
    caught === null
      ? [engine, name, 'NOT CAUGHT', '', `${nights} nights`]
      : [engine, name, `seed ${caught.seed}`, `rule ${caught.rule}`, caught.what],
  );
  const all = [['engine', 'sabotage', 'caught by', 'breaks', 'what was seen'], ...rows];
  const widths = [0, 1, 2, 3].map((i) => Math.max(...all.map((row) => row[i]?.length ?? 0)));
  return all.map((row) => row.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join('  ')).join('\n');
}
