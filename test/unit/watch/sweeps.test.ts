import { describe, expect, it } from 'vitest';
import { Sweeps } from '../../../lambdas/watch/sweeps.ts';
import { FakeLog, FakeMetrics } from '../../fakes/index.ts';

const said = () => ({ log: new FakeLog(), metrics: new FakeMetrics() });
const due = (sweeps: Sweeps, count: number): void => {
  for (let n = 0; n < count; n += 1) sweeps.ask(`c${n}`, 0);
};

describe('sweeps', () => {
  it('go in the order in which they came to be due, 20 at once and then 2.4 a second', () => {
    const sweeps = new Sweeps();
    due(sweeps, 50);
    expect(sweeps.take(0)).toEqual(Array.from({ length: 20 }, (_, n) => `c${n}`));
    sweeps.ask('c30', 4000);
    expect(sweeps.take(5000)).toEqual(Array.from({ length: 12 }, (_, n) => `c${n + 20}`));
  });

  it('that wait are told of, with the longest wait, whether they have gone or not', () => {
    const sweeps = new Sweeps();
    due(sweeps, 60);
    sweeps.take(0);
    const early = said();
    sweeps.tell(9999, early);
    expect(early.log.lines).toEqual([]);
    expect(early.metrics.gauges).toEqual([{ name: 'SweepWait', value: 10, unit: 'Seconds', dimensions: {} }]);
    sweeps.take(12_000);
    const late = said();
    sweeps.tell(15_000, late);
    expect(late.log.lines).toMatchObject([
      { level: 'warn', extra: { clusters: 40, longestSeconds: 15, perSecond: 2.4 } },
    ]);
    sweeps.take(30_000);
    sweeps.tell(30_000, said());
    const quiet = said();
    sweeps.tell(60_000, quiet);
    expect(quiet.log.lines).toEqual([]);
    expect(quiet.metrics.gauges[0]?.value).toBe(0);
  });
});
