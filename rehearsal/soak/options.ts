/** What `npm run soak` was asked for. */
import { InvalidArgumentError } from 'commander';
import type { EngineKind } from '../../lambdas/model/spec.ts';
import { ENGINES } from '../engines/index.ts';

export interface SoakFlags {
  readonly minutes: number;
  readonly engine?: EngineKind;
  readonly seed?: number;
  readonly report?: string;
  readonly story: boolean;
}

const LAST_SEED = 2 ** 31;

/** Throws InvalidArgumentError unless it is a number above 0. */
export function positiveMinutes(text: string): number {
  const minutes = text.trim() === '' ? NaN : Number(text);
  if (!Number.isFinite(minutes) || minutes <= 0)
    throw new InvalidArgumentError('Give a number of minutes above 0, such as 30 or 2.5.');
  return minutes;
}

/** Throws InvalidArgumentError unless it is a whole number from 0 to 2^31. */
export function seedNumber(text: string): number {
  const seed = text.trim() === '' ? NaN : Number(text);
  if (!Number.isInteger(seed) || seed < 0 || seed > LAST_SEED)
    throw new InvalidArgumentError(`Give a whole number from 0 to ${LAST_SEED}.`);
  return seed;
}

/** Which engines, and how long each. */
export function sharesOf({
  engine,
  minutes,
}: Pick<SoakFlags, 'engine' | 'minutes'>): readonly { readonly engine: EngineKind; readonly minutes: number }[] {
  const engines = engine === undefined ? ENGINES : [engine];
  return engines.map((one) => ({ engine: one, minutes: minutes / engines.length }));
}
