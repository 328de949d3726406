/** Nights of faults with the production code in them: `node simulator/main.ts` runs more of them. */
import { describe, expect, it } from 'vitest';
import { ENGINES } from '../../../simulator/side.ts';
import { simulate } from '../../../simulator/simulate.ts';
import type { Night } from '../../../simulator/simulate.ts';

const said = (night: Night): string =>
  [`seed ${night.seed}`, ...night.violations.map((v) => `rule ${v.rule}: ${v.what}`), ...night.story.slice(-60)].join(
    '\n',
  );

describe('a night of faults', () => {
  it.each([1, 41, 81, 121, 161])('breaks no rule and heals: 20 seeds from %i', { timeout: 60_000 }, async (from) => {
    for (let seed = from; seed < from + 20; seed += 1) {
      const night = await simulate(seed, { engine: 'galera' });
      expect(night.violations, said(night)).toEqual([]);
    }
  });

  it('of PostgreSQL breaks no rule and heals: 8 seeds from 1', { timeout: 120_000 }, async () => {
    for (let seed = 1; seed <= 8; seed += 1) {
      const night = await simulate(seed, { engine: 'postgres' });
      expect(night.violations, said(night)).toEqual([]);
    }
  });

  it.each(ENGINES)('is the same night again with the same seed: %s', { timeout: 60_000 }, async (engine) => {
    const [first, second] = [await simulate(7, { engine }), await simulate(7, { engine })];
    const other = await simulate(8, { engine });
    expect(second.story).toEqual(first.story);
    expect(second.fingerprint).toBe(first.fingerprint);
    expect(other.fingerprint).not.toBe(first.fingerprint);
  });

  it.each(ENGINES)('has acknowledged writes, faults and a healing in it: %s', { timeout: 60_000 }, async (engine) => {
    const nights = [];
    for (const seed of [3, 5, 7]) nights.push(await simulate(seed, { engine }));
    expect(nights.reduce((sum, night) => sum + night.writes, 0)).toBeGreaterThan(300);
    for (const { story } of nights) expect(story.some((line) => line.includes('FAULT'))).toBe(true);
  });
});
