/** Nights of faults with the production code in them: `node simulator/main.ts` runs more of them. */
import { describe, expect, it } from 'vitest';
import { simulate } from '../../../simulator/simulate.ts';
import type { Night } from '../../../simulator/simulate.ts';

const said = (night: Night): string =>
  [`seed ${night.seed}`, ...night.violations.map((v) => `rule ${v.rule}: ${v.what}`), ...night.story.slice(-60)].join(
    '\n',
  );

describe('a night of faults', () => {
  it.each([1, 41, 81, 121, 161])('breaks no rule and heals: 20 seeds from %i', { timeout: 60_000 }, async (from) => {
    for (let seed = from; seed < from + 20; seed += 1) {
      const night = await simulate(seed);
      expect(night.violations, said(night)).toEqual([]);
    }
  });

  it('is the same night again with the same seed', async () => {
    const [first, second, other] = [await simulate(7), await simulate(7), await simulate(8)];
    expect(second.story).toEqual(first.story);
    expect(second.fingerprint).toBe(first.fingerprint);
    expect(other.fingerprint).not.toBe(first.fingerprint);
  });

  it('has acknowledged writes, faults and a healing in it', async () => {
    const night = await simulate(3);
    expect(night.writes).toBeGreaterThan(100);
    expect(night.story.some((line) => line.includes('FAULT'))).toBe(true);
  });
});
