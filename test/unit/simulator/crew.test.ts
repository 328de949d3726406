import { describe, expect, it } from 'vitest';
import { nightsOf } from '../../../simulator/crew.ts';
import { simulate } from '../../../simulator/simulate.ts';

const options = { steps: 1 };

describe('nights on several threads', { timeout: 60_000 }, () => {
  it('are those of one thread, in the order of their seeds', async () => {
    const seen: string[] = [];
    for await (const night of nightsOf({ first: 5, count: 4, workers: 2, options }))
      seen.push(`${night.seed} ${night.fingerprint}`);
    const alone: string[] = [];
    for (let seed = 5; seed < 9; seed += 1) alone.push(`${seed} ${(await simulate(seed, options)).fingerprint}`);
    expect(seen).toEqual(alone);
  });

  it('end when nobody wants more of them', async () => {
    for await (const night of nightsOf({ first: 1, count: 1_000_000, workers: 2, options })) {
      expect(night.seed).toBe(1);
      break;
    }
  });
});
