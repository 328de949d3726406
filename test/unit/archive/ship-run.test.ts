import { randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import type { ShipEnd, ShipEngine, ShipRun } from '../../../lambdas/archive/ship/run.ts';
import { ship } from '../../../lambdas/archive/ship/run.ts';
import { systemClock } from '../../../lambdas/cloud/clock.ts';
import type { Clock } from '../../../lambdas/cloud/ports.ts';
import { aSpec, FakeAws, fakeCloud, FakeClock } from '../../fakes/index.ts';

const ARCHIVE = { bucket: 'archive', rpoSeconds: 10, retentionDays: 7, baseBackupSeconds: 86_400 };
const MINUTE = 60_000;

type Go = (run: ShipRun, time: number) => Promise<ShipEnd>;

/** Time that runs fast: compression takes real time, which a clock that jumps would take for hours. */
const FAST = 300;
function fastClock(): Clock {
  const [began, base] = [performance.now(), Date.UTC(2026, 0, 15, 2)];
  return {
    nowMs: () => base + (performance.now() - began) * FAST,
    sleep: (ms) => systemClock.sleep(Math.max(1, ms / FAST)),
  };
}

/** A shipper whose goes are as the test says; the last one is repeated. */
function world(goes: readonly [Go, ...Go[]], archive: typeof ARCHIVE | null = ARCHIVE) {
  const clock = fastClock();
  const aws = new FakeAws(new FakeClock(clock.nowMs(), { manual: true }));
  const spec = aSpec(archive === null ? {} : { archive });
  aws.addCluster(spec);
  const handedOver: string[] = [];
  const cloud = fakeCloud(aws);
  const ports = { ...cloud, clock, handOver: async (cluster: string) => void handedOver.push(cluster) };
  let times = 0;
  const engine: ShipEngine = {
    kind: 'galera',
    ship: (run) => {
      times += 1;
      return (goes[Math.min(times, goes.length) - 1] ?? goes[0])(run, times);
    },
  };
  const start = (holder = 'one') =>
    ship({ cluster: spec.name, holder, deadlineMs: clock.nowMs() + 5 * MINUTE }, ports, engine);
  return { aws, clock, cloud, start, handedOver, times: () => times };
}

/** Streams until it is told to stop. */
const streaming: Go = async (run) => {
  while (run.stop() === null) await run.clock.sleep(500);
  return { kind: 'again', why: 'told to stop', pauseMs: 0 };
};
const push = async (run: ShipRun, key: string): Promise<void> =>
  run.queue.push({ key, chunks: [randomBytes(10)] }, () => run.covered(run.clock.nowMs() - 2000));

describe('one invocation of a shipper', () => {
  it('streams until its time is nearly up, stores what it read, lets go of the lease and starts its successor', async () => {
    const { aws, clock, start, handedOver, cloud } = world([
      async (run, time) => {
        await push(run, 'a');
        return streaming(run, time);
      },
    ]);
    const began = clock.nowMs();
    expect(await start()).toBe('handed over');
    expect(clock.nowMs() - began).toBeLessThan(6 * MINUTE);
    expect(clock.nowMs() - began).toBeGreaterThan(4 * MINUTE);
    expect([...aws.objects.keys()]).toEqual(['a']);
    expect(aws.leases.size).toBe(0);
    expect(handedOver).toEqual(['orders']);
    const lag = cloud.metrics.gauges.find((g) => g.name === 'ArchiveLag');
    expect(lag).toMatchObject({ unit: 'Seconds', dimensions: { cluster: 'orders' } });
  });

  it('ends at once when another has the lease', async () => {
    const { aws, start, times, handedOver } = world([streaming]);
    aws.leases.set('orders#ship', { holder: 'other', untilMs: aws.clock.nowMs() + 10_000 });
    expect(await start()).toBe('another ships');
    expect([times(), handedOver]).toEqual([0, []]);
  });

  it('takes over when the other’s lease has run out', async () => {
    const { aws, start } = world([streaming]);
    aws.leases.set('orders#ship', { holder: 'killed', untilMs: aws.clock.nowMs() - 1 });
    expect(await start()).toBe('handed over');
  });

  it('stops when it has lost the lease, and starts no successor', async () => {
    const { aws, start, handedOver } = world([
      (run, time) => {
        aws.leases.set('orders#ship', { holder: 'other', untilMs: aws.clock.nowMs() + 60 * MINUTE });
        return streaming(run, time);
      },
    ]);
    expect(await start()).toBe('stopped');
    expect(handedOver).toEqual([]);
    expect(aws.leases.get('orders#ship')?.holder).toBe('other');
  });

  it('begins anew after a failure, gives up what was under way, and counts it', async () => {
    const { cloud, start, times } = world([() => Promise.reject(new Error('the source is gone')), streaming]);
    expect(await start()).toBe('handed over');
    expect(times()).toBe(2);
    expect(cloud.metrics.total('ShipFailed')).toBe(1);
  });

  it('a piece that S3 refuses ends the go, and the next one begins with a queue of its own', async () => {
    const { aws, start, times } = world([
      async (run) => {
        await push(run, 'a').catch(() => undefined);
        return { kind: 'again', why: 'for now', pauseMs: 0 };
      },
      async (run, time) => {
        await push(run, 'a');
        return streaming(run, time);
      },
    ]);
    aws.failNext('ArchiveBucket.put', new Error('AccessDenied'));
    expect(await start()).toBe('handed over');
    expect(times()).toBe(2);
    expect([...aws.objects.keys()]).toEqual(['a']);
  });

  const draining = (rpoSeconds: number) => {
    const began: number[] = [];
    const modes = new Set<string>();
    const go: Go = async (run, time) => {
      began.push(run.clock.nowMs());
      modes.add(run.mode);
      await push(run, `${time}`);
      return { kind: 'drained' };
    };
    return { began, modes, ...world([go], { ...ARCHIVE, rpoSeconds }) };
  };

  it('from an RPO of two minutes on it drains, ends, and starts nobody', async () => {
    const { aws, start, handedOver, modes, began } = draining(120);
    expect(await start()).toBe('drained');
    expect([[...modes], handedOver, aws.leases.size, aws.objects.size]).toEqual([['drain'], [], 0, 1]);
    expect(began).toHaveLength(1);
  });

  it('from a minute on it drains twice, so that less than a minute lies between two drains', async () => {
    const { aws, start, handedOver, modes, began } = draining(60);
    expect(await start()).toBe('drained');
    expect([[...modes], handedOver, aws.leases.size, aws.objects.size]).toEqual([['drain'], [], 0, 2]);
    expect((began[1] ?? 0) - (began[0] ?? 0)).toBeGreaterThan(14_000);
    expect((began[1] ?? 0) - (began[0] ?? 0)).toBeLessThan(30_000);
  });

  it('does not drain again without the lease', async () => {
    const { aws, start, times } = world(
      [
        async () => {
          aws.leases.set('orders#ship', { holder: 'other', untilMs: Infinity });
          return Promise.resolve({ kind: 'drained' });
        },
      ],
      { ...ARCHIVE, rpoSeconds: 60 },
    );
    expect(await start()).toBe('stopped');
    expect(times()).toBe(1);
  });

  it('ships nothing where no archive is declared', async () => {
    const { start, times } = world([streaming], null);
    expect(await start()).toBe('not declared');
    expect(times()).toBe(0);
  });
});
