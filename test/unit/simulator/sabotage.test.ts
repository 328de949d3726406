/** The simulator is tested by what it catches: each plausible bug, put into the plane from outside, breaks its rule. */
import { describe, expect, it } from 'vitest';
import { POSTGRES_SABOTAGES } from '../../../simulator/postgres/sabotage.ts';
import { SABOTAGES } from '../../../simulator/sabotage.ts';
import { simulate } from '../../../simulator/simulate.ts';

const SEEDS = 300;

describe('a sabotaged plane is caught', () => {
  it.each([...SABOTAGES, ...POSTGRES_SABOTAGES])(
    '$name ($engine)',
    { timeout: 180_000 },
    async ({ breaks, spoil, engine, caughtBy }) => {
      const all = Array.from({ length: SEEDS }, (_, i) => i + 1);
      for (const seed of caughtBy === undefined ? all : [caughtBy, ...all]) {
        const { violations } = await simulate(seed, { sabotage: spoil, engine: engine ?? 'galera' });
        if (violations.some((v) => breaks.includes(v.rule))) return;
      }
      expect.fail(`no night of ${SEEDS} broke one of the rules ${breaks.join(', ')}`);
    },
  );
});
