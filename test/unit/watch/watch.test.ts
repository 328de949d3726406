/** The watch over the fakes, in virtual time. */
import { describe, expect, it } from 'vitest';
import { CloudUnavailable } from '../../../lambdas/cloud/ports.ts';
import type { Probe } from '../../../lambdas/model/view.ts';
import { runUntilMs, watchConfig } from '../../../lambdas/watch/config.ts';
import { sweepSlot } from '../../../lambdas/watch/sweep.ts';
import { Watch } from '../../../lambdas/watch/watch.ts';
import { SimClock } from '../../../simulator/clock.ts';
import { FakeAws, FakeClock, aSpec, aStatus, answered, fakeCloud, healthyCluster } from '../../fakes/index.ts';
import type { FakeCloud } from '../../fakes/index.ts';

const CONFIG = { probeIntervalMs: 1000, sweepSeconds: 180, containerId: 'test' };

function started(): { cloud: FakeCloud; ids: readonly string[]; startMs: number } {
  const cloud = fakeCloud(new FakeAws(new FakeClock()));
  const ids = healthyCluster(cloud.aws).map((i) => i.id);
  return { cloud, ids, startMs: cloud.clock.nowMs() };
}

const failing =
  (kind: 'refused' | 'silent', fromMs: number, untilMs = Number.POSITIVE_INFINITY) =>
  (atMs: number): Probe =>
    atMs < fromMs || atMs >= untilMs ? answered(aStatus(), atMs) : { kind, atMs, tookMs: 1, detail: kind };

const watchFor = async (cloud: FakeCloud, seconds: number, watch = new Watch(cloud, CONFIG)): Promise<Watch> => {
  await watch.run(cloud.clock.nowMs() + seconds * 1000);
  return watch;
};

/** Requests other than the sweep's, in milliseconds since the start. */
const asks = (cloud: FakeCloud, sinceMs: number): number[] =>
  cloud.aws.requests.filter((r) => !r.cause.startsWith('sweep')).map((r) => r.atMs - sinceMs);

describe('a healthy fleet', () => {
  it('is probed each second and leaves nothing but the sweep', async () => {
    const { cloud, ids, startMs } = started();
    await watchFor(cloud, 10);
    const probes = cloud.aws.callsOf('Prober.probe').length;
    expect(probes).toBeGreaterThanOrEqual(9 * ids.length);
    expect(probes).toBeLessThanOrEqual(11 * ids.length);
    expect(asks(cloud, startMs)).toEqual([]);
    expect(cloud.aws.requests.length).toBeLessThanOrEqual(2);
    expect(cloud.aws.callsOf('Ledger.setSuspicion')).toEqual([]);
  });

  it('is swept once in each period, also across containers', async () => {
    const { cloud } = started();
    for (let minute = 0; minute < 9; minute += 1) await watchFor(cloud, 60, new Watch(cloud, CONFIG));
    const sweeps = cloud.aws.requests.filter((r) => r.cause.startsWith('sweep'));
    expect(sweeps.length).toBeGreaterThanOrEqual(3);
    expect(sweeps.length).toBeLessThanOrEqual(4);
    expect(new Set(sweeps.map((r) => r.cause)).size).toBe(sweeps.length);
  });
});

describe('a fleet of many clusters', () => {
  const fleet = (names: readonly string[]): FakeCloud => {
    const cloud = fakeCloud(new FakeAws(new FakeClock()));
    for (const name of names) healthyCluster(cloud.aws, { ...aSpec(), name });
    return cloud;
  };
  const NAMES = ['a1', 'b2', 'c3', 'd4', 'e5'];

  it('costs one listing of instances, however many clusters there are', async () => {
    const cloud = fleet(NAMES);
    await watchFor(cloud, 30);
    expect(cloud.aws.callsOf('Instances.ofCluster')).toEqual([]);
    expect(cloud.aws.callsOf('Instances.ofEveryCluster')).toHaveLength(2); // at the start, and after 20 s
    expect(cloud.aws.callsOf('Prober.probe').length).toBeGreaterThanOrEqual(29 * 3 * NAMES.length);
  });

  it('asks for the one cluster that has changed, and for all when many have', async () => {
    const cloud = fleet(NAMES);
    const failAtMs = cloud.clock.nowMs() + 5000;
    const [one = ''] = [...cloud.aws.instances.values()].map((i) => i.id);
    cloud.aws.probes.set(one, failing('refused', failAtMs));
    const watch = await watchFor(cloud, 15);
    expect(new Set(cloud.aws.callsOf('Instances.ofCluster').map((c) => c.args[0]))).toEqual(new Set(['a1']));
    expect(cloud.aws.callsOf('Instances.ofEveryCluster')).toHaveLength(1);
    cloud.aws.calls.length = 0;
    await watchFor(cloud, 3, watch);
    for (const { id } of cloud.aws.instances.values()) cloud.aws.probes.set(id, failing('refused', 0));
    await watchFor(cloud, 1.5, watch);
    expect(cloud.aws.callsOf('Instances.ofCluster')).toEqual([]);
    expect(cloud.aws.callsOf('Instances.ofEveryCluster').length).toBeGreaterThanOrEqual(1);
  });

  it('fails its invocation when the listing fails for long, and goes on probing meanwhile', async () => {
    const cloud = fleet(NAMES);
    const watch = await watchFor(cloud, 5);
    cloud.aws.failNext('Instances.ofEveryCluster', new CloudUnavailable('throttled'), { times: 100_000 });
    cloud.aws.calls.length = 0;
    await expect(watchFor(cloud, 60, watch)).rejects.toThrow(/instances of a1, for \d+ s: .*throttled/);
    expect(cloud.aws.callsOf('Prober.probe').length).toBeGreaterThanOrEqual(55 * 3 * NAMES.length);
  });
});

describe('a fleet that is too large to be swept as often as configured', () => {
  const SIZE = 1000;

  it('is swept at not quite half the rate that an account has, each cluster in its turn', async () => {
    const cloud = fakeCloud(new FakeAws(new SimClock()));
    for (let n = 0; n < SIZE; n += 1) healthyCluster(cloud.aws, { ...aSpec(), name: `c${n}` });
    // What matters here is only how often they are swept.
    cloud.aws.instances.clear();
    const clock = cloud.clock as SimClock;
    const watch = new Watch(cloud, CONFIG);
    const sweptBy = async (seconds: number): Promise<readonly string[]> => {
      const untilMs = clock.nowMs() + seconds * 1000;
      const watching = watch.run(untilMs);
      await clock.run(untilMs + 200);
      await watching;
      return cloud.aws.requests.filter((r) => r.cause.startsWith('sweep')).map((r) => r.cluster);
    };
    const first = await sweptBy(60);
    expect(first.length).toBeGreaterThanOrEqual(20 + 2.4 * 55);
    expect(first.length).toBeLessThanOrEqual(20 + 2.4 * 61);
    const all = await sweptBy(SIZE / 2.4 - 60);
    expect(new Set(all.slice(0, SIZE)).size, 'none a second time before all have had theirs').toBe(
      Math.min(all.length, SIZE),
    );
    expect(all.length).toBeGreaterThan(0.95 * SIZE);
  });
});

describe('a node that fails', () => {
  it('is suspected at once, asked about again when the failure can be believed, and each five seconds after', async () => {
    const { cloud, ids, startMs } = started();
    cloud.aws.probes.set(ids[1] ?? '', failing('refused', startMs + 3000));
    await watchFor(cloud, 16);
    const at = asks(cloud, startMs);
    expect(at[0]).toBeLessThanOrEqual(4100);
    expect((at[1] ?? 0) - (at[0] ?? 0)).toBeGreaterThanOrEqual(1500);
    expect((at[1] ?? 0) - (at[0] ?? 0)).toBeLessThanOrEqual(2100);
    expect((at[2] ?? 0) - (at[1] ?? 0)).toBeGreaterThanOrEqual(5000);
    const suspicion = cloud.aws.ledgers.get('orders')?.suspicions[ids[1] ?? ''];
    expect(suspicion?.kind).toBe('refused');
    expect((suspicion?.sinceMs ?? 0) - startMs).toBe(at[0]);
    expect(cloud.aws.callsOf('Ledger.setSuspicion')).toHaveLength(1);
  });

  it('has its suspicion in the ledger before anybody is asked', async () => {
    const { cloud, ids, startMs } = started();
    cloud.aws.probes.set(ids[1] ?? '', failing('refused', startMs + 3000));
    await watchFor(cloud, 5);
    const order = cloud.aws.calls.map((c) => c.operation);
    const asked = cloud.aws.calls.findIndex(
      (c) => c.operation.endsWith('send') && JSON.stringify(c.args).includes('watch-'),
    );
    expect(order.indexOf('Ledger.setSuspicion')).toBeGreaterThan(0);
    expect(order.indexOf('Ledger.setSuspicion')).toBeLessThan(asked);
  });

  it('is trusted again, and asked about, when it answers', async () => {
    const { cloud, ids, startMs } = started();
    cloud.aws.probes.set(ids[1] ?? '', failing('refused', startMs + 3000, startMs + 5000));
    await watchFor(cloud, 8);
    expect(cloud.aws.ledgers.get('orders')?.suspicions).toEqual({});
    expect(cloud.log.lines.some((l) => String(l.extra['why']).startsWith('answers again'))).toBe(true);
  });

  it('keeps its first clock over a change of container', async () => {
    const { cloud, ids, startMs } = started();
    cloud.aws.probes.set(ids[1] ?? '', failing('silent', startMs));
    await watchFor(cloud, 5);
    const first = cloud.aws.ledgers.get('orders')?.suspicions[ids[1] ?? ''];
    await watchFor(cloud, 5, new Watch(cloud, CONFIG));
    expect(cloud.aws.ledgers.get('orders')?.suspicions[ids[1] ?? '']).toEqual(first);
  });

  it('is trusted again by a fresh container, though the one that suspected it is gone', async () => {
    const { cloud, ids } = started();
    await cloud.ledger.setSuspicion('orders', ids[2] ?? '', { sinceMs: 1, kind: 'refused' });
    await watchFor(cloud, 3);
    expect(cloud.aws.ledgers.get('orders')?.suspicions).toEqual({});
  });

  it('that hangs is never probed twice at once', async () => {
    const { cloud, ids } = started();
    let under = 0;
    let most = 0;
    cloud.aws.before = async (call) => {
      if (call.operation !== 'Prober.probe' || !JSON.stringify(call.args).includes(ids[1] ?? '')) return;
      under += 1;
      most = Math.max(most, under);
      await cloud.clock.sleep(2000);
      under -= 1;
    };
    await watchFor(cloud, 20);
    expect(most).toBe(1);
    expect(cloud.aws.callsOf('Prober.probe').length).toBeGreaterThan(40);
  });

  it('is asked about again when the suspicion could not be written', async () => {
    const { cloud, ids, startMs } = started();
    cloud.aws.probes.set(ids[1] ?? '', failing('refused', startMs + 3000));
    cloud.aws.failNext('Ledger.setSuspicion', new CloudUnavailable('throttled'));
    await watchFor(cloud, 8);
    expect(cloud.metrics.total('WatchFailed')).toBe(1);
    expect(cloud.aws.ledgers.get('orders')?.suspicions[ids[1] ?? '']).toBeDefined();
    expect(asks(cloud, startMs).length).toBeGreaterThan(0);
  });
});

it('a node that fails for long is asked about seldomer and seldomer, and once a minute at least', async () => {
  const { cloud, ids, startMs } = started();
  cloud.aws.probes.set(ids[1] ?? '', failing('refused', startMs + 3000));
  await watchFor(cloud, 900);
  const at = asks(cloud, startMs);
  const between = at.slice(1).map((ms, n) => ms - (at[n] ?? 0));
  expect(Math.max(...between.slice(0, 4))).toBeLessThan(6000);
  expect(Math.max(...between)).toBeLessThan(62_000);
  expect(at.length).toBeLessThan(30);
});

describe('what EC2 says', () => {
  it('is noticed without any event: a terminated node is asked about, and not probed', async () => {
    const { cloud, ids, startMs } = started();
    const watch = await watchFor(cloud, 5);
    cloud.aws.setState(ids[2] ?? '', 'terminated');
    await watchFor(cloud, 21, watch);
    expect(asks(cloud, startMs).length).toBe(1);
    // On the ledger, as a node that does not answer is: whoever looks knows without asking whether writes wait.
    expect(cloud.aws.ledgers.get('orders')?.suspicions[ids[2] ?? '']).toMatchObject({ kind: 'stopped' });
  });
});

describe('one cluster’s trouble', () => {
  it('never stops the others', async () => {
    const { cloud, startMs } = started();
    cloud.aws.specs.set('broken', { version: 1 });
    const other = healthyCluster(
      cloud.aws,
      aSpec({
        name: 'billing',
        credentialsSecretArn: 'arn:aws:secretsmanager:eu-west-1:123456789012:secret:billing-AbCdEf',
      }),
    );
    cloud.aws.secrets.delete('arn:aws:secretsmanager:eu-west-1:123456789012:secret:orders-AbCdEf');
    cloud.aws.probes.set(other[0]?.id ?? '', failing('refused', startMs + 2000));
    await watchFor(cloud, 6);
    expect(new Set(cloud.aws.requests.filter((r) => r.cause.startsWith('watch')).map((r) => r.cluster))).toEqual(
      new Set(['billing']),
    );
    expect(cloud.metrics.total('SpecsInvalid')).toBe(1);
    expect(cloud.metrics.total('WatchFailed')).toBeGreaterThan(0);
  });

  it('a cluster that is declared while the watch runs is probed, one that is removed is not', async () => {
    const { cloud, ids } = started();
    const watch = await watchFor(cloud, 5);
    cloud.aws.specs.delete('orders');
    const [first] = healthyCluster(cloud.aws, aSpec({ name: 'billing' }));
    await watchFor(cloud, 25, watch);
    const later = cloud.aws
      .callsOf('Prober.probe')
      .slice(-3)
      .map((c) => JSON.stringify(c.args));
    expect(later.some((a) => a.includes(first?.id ?? ''))).toBe(true);
    expect(later.some((a) => a.includes(ids[0] ?? ''))).toBe(false);
  });
});

describe('settings', () => {
  it.each([
    ['PROBE_INTERVAL_MS', { PROBE_INTERVAL_MS: 'fast', SWEEP_SECONDS: '180' }],
    ['SWEEP_SECONDS', { PROBE_INTERVAL_MS: '1000', SWEEP_SECONDS: '5' }],
  ])('a wrong %s is named with what is accepted', (name, env) => {
    expect(() => watchConfig(env, 'x')).toThrow(new RegExp(`${name} is .*: give a whole number from`));
  });

  it('runs for a minute, or as long as the timeout allows', () => {
    expect(runUntilMs(0, 300_000)).toBe(60_000);
    expect(runUntilMs(0, 30_000)).toBe(25_000);
    expect(runUntilMs(0, 1000)).toBe(0);
  });

  it('spreads the sweeps of many clusters over the period', () => {
    const due = Array.from({ length: 180 }, (_, s) =>
      Array.from({ length: 90 }, (_, c) => `cluster-${c}`).filter(
        (name) => sweepSlot(name, 180, s * 1000) !== sweepSlot(name, 180, (s + 1) * 1000),
      ),
    );
    expect(due.flat()).toHaveLength(90);
    expect(Math.max(...due.map((d) => d.length))).toBeLessThan(8);
  });
});
