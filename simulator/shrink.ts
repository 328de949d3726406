/** A night with fewer faults is a prefix of the longer one: the shortest that still breaks the same rule. */
import type { Night, NightOptions } from './simulate.ts';
import { STEPS, simulate } from './simulate.ts';

export async function shrink(seed: number, options: NightOptions): Promise<Night> {
  const whole = await simulate(seed, options);
  const rule = whole.violations[0]?.rule;
  const most = options.steps ?? STEPS;
  for (let fewer = 1; fewer < most; fewer += 1) {
    const night = await simulate(seed, { ...options, steps: fewer });
    if (night.violations[0]?.rule === rule) return night;
  }
  return whole;
}
