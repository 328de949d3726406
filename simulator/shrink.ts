/** A night with fewer faults is a prefix of the longer one: the shortest that still breaks the same rule. */
import type { Night } from './simulate.ts';
import { simulate } from './simulate.ts';

export async function shrink(seed: number, steps: number): Promise<Night> {
  const whole = await simulate(seed, { steps });
  const rule = whole.violations[0]?.rule;
  for (let fewer = 1; fewer < steps; fewer += 1) {
    const night = await simulate(seed, { steps: fewer });
    if (night.violations[0]?.rule === rule) return night;
  }
  return whole;
}
