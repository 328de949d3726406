/** The simulator is tested by what it catches: each plausible bug, put into the plane from outside, breaks its rule. */
import { describe, expect, it } from 'vitest';
import { SABOTAGES } from '../../../simulator/sabotage.ts';
import { simulate } from '../../../simulator/simulate.ts';

const SEEDS = 300;

describe('a sabotaged plane is caught', () => {
  it.each(SABOTAGES)('$name', { timeout: 180_000 }, async ({ breaks, spoil }) => {
    for (let seed = 1; seed <= SEEDS; seed += 1) {
      const { violations } = await simulate(seed, { sabotage: spoil });
      if (violations.some((v) => breaks.includes(v.rule))) return;
    }
    expect.fail(`no night of ${SEEDS} broke one of the rules ${breaks.join(', ')}`);
  });
});
