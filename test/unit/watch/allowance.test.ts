import { describe, expect, it } from 'vitest';
import { Allowance } from '../../../lambdas/watch/allowance.ts';

describe('an allowance', () => {
  it('gives a burst, then so many a second, and never saves more than the burst', () => {
    const allowance = new Allowance({ burst: 3, perSecond: 2 });
    const take = (nowMs: number, times: number): number =>
      Array.from({ length: times }, () => allowance.take(nowMs)).filter(Boolean).length;
    expect(take(1000, 5)).toBe(3);
    expect(take(1400, 1)).toBe(0);
    expect(take(1500, 2)).toBe(1);
    expect(take(2500, 5)).toBe(2);
    expect(take(100_000, 9)).toBe(3);
  });

  it('gains nothing by a clock that goes back', () => {
    const allowance = new Allowance({ burst: 1, perSecond: 1 });
    expect(allowance.take(10_000)).toBe(true);
    expect(allowance.take(0)).toBe(false);
    expect(allowance.take(10_900)).toBe(false);
    expect(allowance.take(11_000)).toBe(true);
  });
});
