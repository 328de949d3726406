/** What the fleet benchmark counts with. */
import { describe, expect, it } from 'vitest';
import { refusedBy, usesOf } from '../../../bench/fleet/budget.ts';
import { DEFAULT_QUOTA } from '../../../bench/fleet/quotas.ts';
import { fleetOptions } from '../../../bench/fleet/fleet.ts';
import { messages } from '../../../bench/fleet/messages.ts';
import { storm } from '../../../bench/fleet/storm.ts';
import { outage } from '../../../bench/fleet/outage.ts';
import { outageVerdicts, writersAtBest } from '../../../bench/fleet/outage-report.ts';
import { isKept } from '../../../bench/fleet/verdict.ts';
import { parseSignal } from '../../../lambdas/signals/parse.ts';
import { apiCalls } from '../../../simulator/aws/calls.ts';
import { Random } from '../../../simulator/random.ts';

const LIMIT = { burst: 4, perSecond: 2 };
const times = (count: number, everyMs: number): number[] => Array.from({ length: count }, (_, n) => n * everyMs);

describe("an API's bucket", () => {
  it.each([
    ['a burst that it holds', times(4, 0), 0],
    ['a burst beyond it', times(10, 0), 6],
    ['the lasting rate, for ever', times(100, 500), 0],
    ['twice the lasting rate: every second call, when the bucket is empty', times(104, 250), 49],
    ['nothing', [], 0],
  ])('takes %s', (_, atMs, refused) => {
    expect(refusedBy(LIMIT, atMs)).toBe(refused);
  });

  it('is told by its share, and what has no limit comes last', () => {
    const calls = [
      ...times(60, 1000).map((atMs) => ({ api: 'free', atMs })),
      ...times(30, 0).map((atMs) => ({ api: 'x', atMs })),
    ];
    const [x, free] = usesOf(calls, 60, { x: LIMIT });
    expect(x).toMatchObject({ api: 'x', calls: 30, perSecond: 0.5, peak: 30, refused: 26, share: 0.25 });
    expect(free).toMatchObject({ api: 'free', calls: 60, peak: 1, refused: 0, share: null });
  });

  it('that two APIs share is used by both', () => {
    const calls = times(60, 1000).flatMap((atMs) => [
      { api: 'read', atMs },
      { api: 'write', atMs },
    ]);
    const buckets = (api: string) => [api, 'all'];
    const uses = usesOf(calls, 60, { read: { burst: 9, perSecond: 9 }, all: { burst: 3, perSecond: 1.6 } }, buckets);
    for (const use of uses) expect(use).toMatchObject({ calls: 60, perSecond: 1, share: 1.25 });
    expect(uses.map((u) => u.api).sort()).toEqual(['read', 'write']);
    expect(uses[0]?.refused).toBeGreaterThan(0);
  });
});

it('pages count: ids by the hundred, requests by ten, parameters by ten', () => {
  const call = (operation: string, args: unknown[]) => apiCalls({ operation, args }, { clusters: 25 });
  expect(call('Instances.byIds', [times(101, 1)])).toEqual(['ec2:DescribeInstances', 'ec2:DescribeInstances']);
  expect(call('ReconcileRequests.send', [times(10, 1)])).toEqual(['sqs:SendMessageBatch']);
  expect(call('Specs.list', [])).toHaveLength(3);
  expect(call('Prober.probe', [{}])).toEqual([]);
  expect(() => call('Moon.land', [])).toThrow(/Moon\.land: which API call/);
});

it('messages are the same for the same seed, of every kind, each node named before any is named again', () => {
  const nodes = times(50, 1).map((n) => ({ id: `i-${n.toString(16).padStart(17, '0')}`, cluster: 'c' }));
  const made = messages(500, nodes, new Random(7));
  expect(messages(500, nodes, new Random(7))).toEqual(made);
  const kinds = made.map((body) => parseSignal(body).kind);
  expect(new Set(kinds)).toEqual(new Set(['signal', 'unknown', 'malformed']));
  expect(kinds.filter((kind) => kind === 'malformed').length).toBeLessThan(20);
  const named = messages(50, nodes, new Random(8)).flatMap((body) => /i-0[0-9a-f]{16}/.exec(body) ?? []);
  expect(new Set(named).size).toBe(named.length);
});

it('a burst touches the clusters that it is about, and costs less when it comes together', async () => {
  const together = await storm({ messages: 200, clusters: 10, meeting: 'together' }, 3);
  const apart = await storm({ messages: 200, clusters: 10, meeting: 'apart' }, 3);
  expect(together.touched).toBe(10);
  expect(apart.touched).toBe(10);
  expect(together.reconciles).toBeGreaterThanOrEqual(10);
  expect(apart.reconciles).toBeGreaterThan(3 * together.reconciles);
  expect(Object.values(together.byApi).reduce((a, b) => a + b, 0)).toBe(together.calls);
});

describe('a zone that goes', () => {
  const zone = (environments: number, seconds: number) =>
    outage({ clusters: 30, seed: 1, quota: { ...DEFAULT_QUOTA, environments }, seconds, told: () => undefined });

  it('is left by all traffic, held up by the brake until a person releases it, and replaced', async () => {
    const figure = await zone(2, 300);
    expect(figure).toMatchObject({ clusters: 30, nodes: 96, dead: 32, deadWriters: 10, launched: 30 });
    expect(figure.readersOffSeconds).toBeLessThan(30);
    expect(figure.writersOffSeconds).toBeLessThan(30);
    expect(figure.brakeEngagedSeconds).not.toBeNull();
    expect(figure.launchedBeforeBrake).toBeLessThan(figure.launched);
    expect(figure.lastLaunchSeconds).toBeGreaterThan(0);
    expect(figure.environments.reconcile).toBe(2);
    const verdicts = outageVerdicts(figure);
    expect(verdicts.map((v) => v.held)).toEqual(verdicts.map(() => true));
    const brokenWith = (writersOffSeconds: number | null, deadWriters: number) =>
      outageVerdicts({ ...figure, writersOffSeconds, deadWriters }).filter((v) => !isKept(v)).length;
    expect([brokenWith(30, 10), brokenWith(31, 10), brokenWith(null, 10)]).toEqual([0, 2, 2]);
    // AWS takes 162 s at best: that it is not 30 s is told, and is nobody's failure.
    expect([brokenWith(240, 334), brokenWith(250, 334), brokenWith(null, 334)]).toEqual([0, 1, 1]);
    const told = outageVerdicts({ ...figure, writersOffSeconds: 240, deadWriters: 334 })[1];
    expect(told).toMatchObject({ held: false, cannotBe: expect.stringContaining('162 s') as string });
  });

  it('asks AWS for nothing in vain, however many environments share what there is', async () => {
    for (const figure of [await zone(2, 140), await zone(8, 140)]) {
      expect(figure.asked['ec2:RunInstances']?.passed).toBeGreaterThan(20);
      expect(Object.entries(figure.asked).filter(([, a]) => a.refused > 0)).toEqual([]);
      const storm = { ...figure, asked: { ...figure.asked, 'x:Y': { passed: 1, refused: 2 } } };
      const isStorm = (f: typeof figure) => !outageVerdicts(f).find((v) => v.promise.includes('retry storm'))?.held;
      expect([isStorm(figure), isStorm(storm)]).toEqual([false, true]);
    }
  });

  it('cannot be over sooner than AWS takes registrations', () => {
    expect(writersAtBest({ deadWriters: 334, quota: DEFAULT_QUOTA })).toBe(162);
    expect(writersAtBest({ deadWriters: 5, quota: DEFAULT_QUOTA })).toBe(0);
  });
});

it.each([
  [{ messages: '100,x', clusters: '1', outage: '0', seed: '1' }, /--messages names "x"; give whole numbers from 1/],
  [{ messages: '100', clusters: '', outage: '0', seed: '1' }, /--clusters names ""/],
  [{ messages: '100', clusters: '1', outage: 'all', seed: '1' }, /--outage names "all"/],
  [{ messages: '100', clusters: '1', outage: '0', seed: '1,2' }, /--seed is "1,2"; give one whole number/],
])('refuses %j', (raw, message) => {
  expect(() => fleetOptions(raw)).toThrow(message);
});
