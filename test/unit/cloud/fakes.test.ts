/** What the fakes do beyond the contract that they share with the AWS adapters: time, failures, idempotent launches. */
import { describe, expect, it } from 'vitest';
import { CLUSTER_TAG } from '../../../lambdas/model/spec.ts';
import { FakeAws, FakeClock, READER_GROUP, WRITER_GROUP, aSpec, fakeCloud, healthyCluster } from '../../fakes/index.ts';
import { parseSpec } from '../../../lambdas/model/spec.ts';

const T0 = Date.UTC(2026, 0, 15, 2);

describe('FakeClock', () => {
  it('hours of sleep take no time, and sleepers wake in their order', async () => {
    const clock = new FakeClock(T0);
    const woken: string[] = [];
    const sleeper = async (name: string, ms: number) => {
      await clock.sleep(ms);
      woken.push(`${name} at ${clock.nowMs() - T0}`);
    };
    await Promise.all([sleeper('late', 3_600_000), sleeper('early', 5), sleeper('middle', 1000)]);
    expect(woken).toEqual(['early at 5', 'middle at 1000', 'late at 3600000']);
  });

  it('two loops side by side share one time', async () => {
    const clock = new FakeClock(T0);
    const ticks: number[] = [];
    const loop = async (ms: number) => {
      while (clock.nowMs() < T0 + 60) {
        await clock.sleep(ms);
        ticks.push(clock.nowMs() - T0);
      }
    };
    await Promise.all([loop(20), loop(30)]);
    expect(ticks).toEqual([20, 30, 40, 60, 60]);
  });

  it('with manual time only advance moves it', async () => {
    const clock = new FakeClock(T0, { manual: true });
    let woken = false;
    const sleeping = clock.sleep(1000).then(() => {
      woken = true;
    });
    await clock.advance(999);
    expect({ woken, sleepers: clock.sleepers }).toEqual({ woken: false, sleepers: 1 });
    await clock.advance(1);
    await sleeping;
    expect({ woken, now: clock.nowMs() }).toEqual({ woken: true, now: T0 + 1000 });
  });
});

describe('FakeAws', () => {
  const launch = {
    cluster: 'orders',
    incident: 'inc-1',
    replaces: null,
    launchTemplate: { id: aSpec().launchTemplate.id, version: '1' },
    subnetId: 'subnet-00000000000000000',
    clientToken: 'token',
    withoutDevice: null,
  };

  it('the same client token launches once, even when the first answer was lost', async () => {
    const { aws, instances } = fakeCloud();
    aws.addCluster(aSpec());
    aws.failNext('Instances.launch', new Error('no answer'), { when: 'after' });
    await expect(instances.launch(launch)).rejects.toThrow('no answer');
    const again = await instances.launch(launch);
    expect((await instances.ofCluster('orders')).map((i) => i.id)).toEqual([again.id]);
    expect(aws.callsOf('Instances.launch')).toHaveLength(2);
  });

  it('boots, stops and terminates in its own time; volumes survive or not as their device says', async () => {
    const aws = new FakeAws(new FakeClock(T0, { manual: true }));
    const { instances, volumes } = fakeCloud(aws);
    aws.addCluster(aSpec());
    Object.assign(aws, { bootMs: 20_000, stopMs: 5_000, terminateMs: 30_000 });
    const { id } = await instances.launch(launch);
    const state = async () => (await instances.byIds([id]))[0]?.state;
    await aws.clock.advance(19_999);
    expect(await state()).toBe('pending');
    await aws.clock.advance(1);
    expect(await state()).toBe('running');
    await instances.terminate(id);
    expect(await state()).toBe('shutting-down');
    await aws.clock.advance(30_000);
    expect(await state()).toBe('terminated');
    const left = await volumes.ofCluster('orders');
    expect(left.map((v) => v.state)).toEqual(['available']);
  });

  it('refuses to stop or terminate what carries no tag of a cluster', async () => {
    const { aws, instances } = fakeCloud();
    const { id } = aws.addInstance({});
    await expect(instances.stop(id)).rejects.toMatchObject({ name: 'UnauthorizedOperation' });
    await expect(instances.terminate(id)).rejects.toThrow(CLUSTER_TAG);
  });

  it('a target drains for as long as its group says, and is gone', async () => {
    const aws = new FakeAws(new FakeClock(T0, { manual: true }));
    const { targetGroups } = fakeCloud(aws);
    aws.setTarget('arn', 'i-1', 3306, 'healthy');
    await targetGroups.ensureTermination('arn', 10);
    await targetGroups.deregister('arn', [{ id: 'i-1', port: 3306 }]);
    expect(await targetGroups.health('arn')).toMatchObject([{ state: 'draining' }]);
    await aws.clock.advance(10_000);
    expect(await targetGroups.health('arn')).toEqual([]);
  });

  it('a failure is injected as often as asked, and then the hook that was there is back', async () => {
    const { aws, ledger } = fakeCloud();
    const seen: string[] = [];
    aws.before = (call) => void seen.push(call.operation);
    aws.failNext('Ledger.read', new Error('throttled'), { times: 2 });
    await expect(ledger.read('orders')).rejects.toThrow('throttled');
    await expect(ledger.read('orders')).rejects.toThrow('throttled');
    expect((await ledger.read('orders')).cluster.epoch).toBe(0);
    expect(seen).toEqual(['Ledger.read']);
  });

  it('the healthy cluster is what it says: valid, running, Synced and routed', async () => {
    const cloud = fakeCloud();
    const spec = aSpec();
    expect(parseSpec(spec)).toEqual({ ok: true, spec });
    const nodes = healthyCluster(cloud.aws, spec);
    expect(await cloud.instances.ofCluster('orders')).toEqual(nodes);
    expect(await cloud.targetGroups.health(WRITER_GROUP)).toMatchObject([{ id: nodes[0]?.id, state: 'healthy' }]);
    expect(await cloud.targetGroups.health(READER_GROUP)).toHaveLength(3);
    expect((await cloud.ledger.read('orders')).cluster.writer).toBe(nodes[0]?.id);
    const target = { instanceId: nodes[1]?.id ?? '', host: nodes[1]?.privateIp ?? '', port: 3306 };
    const probe = await cloud.prober.probe(target, { user: 'u', password: 'p' });
    expect(probe).toMatchObject({
      kind: 'answered',
      status: { state: 'Synced', members: nodes.map((n) => n.privateIp) },
    });
  });
});
