/** Invocations of the watch alternate between two containers, and each of them sleeps a minute in between. */
import { describe, expect, it } from 'vitest';
import { CloudUnavailable } from '../../../lambdas/cloud/ports.ts';
import type { Probe } from '../../../lambdas/model/view.ts';
import { Watch } from '../../../lambdas/watch/watch.ts';
import { aStatus, answered, fakeCloud, healthyCluster } from '../../fakes/index.ts';
import type { FakeCloud } from '../../fakes/index.ts';

const SETTINGS = { probeIntervalMs: 1000, sweepSeconds: 180 };

const run = (cloud: FakeCloud, watch: Watch, seconds: number): Promise<void> =>
  watch.run(cloud.clock.nowMs() + seconds * 1000);

const answersUntil =
  (untilMs: number) =>
  (atMs: number): Probe =>
    atMs < untilMs ? answered(aStatus(), atMs) : { kind: 'silent', atMs, tookMs: 1, detail: 'silent' };

describe('a hand-over', () => {
  it('does not set the clock of a failing node back, though the other container saw it well a minute ago', async () => {
    const cloud = fakeCloud();
    const [id = ''] = healthyCluster(cloud.aws).map((i) => i.id);
    const [one, two] = ['one', 'two'].map((containerId) => new Watch(cloud, { ...SETTINGS, containerId }));
    if (one === undefined || two === undefined) throw new Error('there are two');
    await run(cloud, two, 60);
    cloud.aws.probes.set(id, answersUntil(cloud.clock.nowMs() + 30_000));
    await run(cloud, one, 60);
    const first = cloud.aws.ledgers.get('orders')?.suspicions[id];
    expect(first?.kind).toBe('silent');
    await run(cloud, two, 60);
    expect(cloud.aws.ledgers.get('orders')?.suspicions[id]).toEqual(first);
  });

  it('a suspicion that is older than the node’s last answer is replaced: it was of another trouble', async () => {
    const cloud = fakeCloud();
    const [id = ''] = healthyCluster(cloud.aws).map((i) => i.id);
    const watch = new Watch(cloud, { ...SETTINGS, containerId: 'one' });
    await run(cloud, watch, 5);
    await cloud.ledger.setSuspicion('orders', id, { sinceMs: cloud.clock.nowMs() - 4000, kind: 'refused' });
    const failsAtMs = cloud.clock.nowMs() + 3000;
    cloud.aws.probes.set(id, answersUntil(failsAtMs));
    await run(cloud, watch, 6);
    expect(cloud.aws.ledgers.get('orders')?.suspicions[id]?.sinceMs).toBeGreaterThanOrEqual(failsAtMs);
  });
});

describe('a watch that sees nothing', () => {
  it.each(['Specs.list', 'Instances.ofCluster', 'Secrets.credentials', 'ReconcileRequests.send'])(
    'fails its invocation when %s fails for long, and not for a hiccup',
    async (operation) => {
      const cloud = fakeCloud();
      healthyCluster(cloud.aws);
      const watch = new Watch(cloud, { ...SETTINGS, sweepSeconds: 10, containerId: 'one' });
      cloud.aws.failNext(operation, new CloudUnavailable(`${operation}: AccessDenied`));
      await run(cloud, watch, 60);
      cloud.aws.failNext(operation, new CloudUnavailable(`${operation}: AccessDenied`), { times: 100_000 });
      await expect(run(cloud, watch, 60)).rejects.toThrow(/the watch cannot do its work: .*AccessDenied/);
    },
  );

  it('fails its invocation for a specification that does not parse, until it is mended or gone', async () => {
    const cloud = fakeCloud();
    const [instance] = healthyCluster(cloud.aws);
    const watch = new Watch(cloud, { ...SETTINGS, containerId: 'one' });
    const before = cloud.aws.specs.get('orders');
    cloud.aws.specs.set('orders', { version: 1 });
    await expect(run(cloud, watch, 60)).rejects.toThrow(/specification of orders/);
    cloud.aws.specs.delete('orders');
    await run(cloud, watch, 60);
    cloud.aws.specs.set('orders', before);
    await run(cloud, watch, 60);
    expect(instance).toBeDefined();
  });
});

describe('a cluster that is declared again within five minutes', () => {
  it('is asked about under a new name, which the queue does not take for the old one', async () => {
    const cloud = fakeCloud();
    const [id = ''] = healthyCluster(cloud.aws).map((i) => i.id);
    const watch = new Watch(cloud, { ...SETTINGS, containerId: 'one' });
    const spec = cloud.aws.specs.get('orders');
    const asked = (): number => cloud.aws.requests.filter((r) => r.cause.startsWith('watch')).length;
    const failAndRecover = async (): Promise<number> => {
      await run(cloud, watch, 5);
      const before = asked();
      cloud.aws.probes.set(id, answersUntil(0));
      await run(cloud, watch, 1.2);
      const news = asked() - before;
      cloud.aws.probes.set(id, answersUntil(Number.POSITIVE_INFINITY));
      await run(cloud, watch, 5);
      return news;
    };
    expect(await failAndRecover()).toBe(1);
    cloud.aws.specs.delete('orders');
    await run(cloud, watch, 25);
    cloud.aws.specs.set('orders', spec);
    await run(cloud, watch, 25);
    expect(await failAndRecover()).toBe(1);
  });
});
