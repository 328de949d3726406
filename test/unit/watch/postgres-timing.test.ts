/** Watch and reconcile together, in virtual time: how long until the failover of a lost PostgreSQL primary is started. */
import { describe, expect, it } from 'vitest';
import type { ReconcileRequests } from '../../../lambdas/cloud/ports.ts';
import { reconcile } from '../../../lambdas/reconcile/reconcile.ts';
import { Watch } from '../../../lambdas/watch/watch.ts';
import { postgresCloud } from '../reconcile/postgres-cloud.ts';
import type { PostgresCloud } from '../reconcile/postgres-cloud.ts';

/** From a request's sending to its reconcile: SQS and a warm Lambda. */
const DELIVERY_MS = 150;
const CONFIG = { probeIntervalMs: 1000, sweepSeconds: 180, containerId: 'test' };

/** Runs the watch and, one at a time, the reconciles that it asks for; requests to come back are lost. */
async function watchAndReconcile(world: PostgresCloud, untilMs: number): Promise<void> {
  const { cloud, ports } = world;
  let tail: Promise<unknown> = Promise.resolve();
  let waiting = 0;
  const requests: ReconcileRequests = {
    send: () => {
      // Messages of one group that wait are one batch, and one reconcile.
      if (waiting > 0) return Promise.resolve();
      waiting += 1;
      tail = tail
        .then(() => cloud.clock.sleep(DELIVERY_MS))
        .then(() => {
          waiting -= 1;
          return reconcile('orders', { ...ports, requests });
        });
      return Promise.resolve();
    },
    sendLater: () => Promise.resolve(),
  };
  await new Watch({ ...ports, requests }, CONFIG).run(untilMs);
  await tail;
}

const failovers = ({ cloud }: PostgresCloud): readonly { readonly mode: string; readonly atMs: number }[] =>
  cloud.aws.callsOf('Workflows.start').map((c) => ({ mode: (c.args[1] as { mode: string }).mode, atMs: c.atMs }));

type Fault = (world: PostgresCloud) => void;
const FAULTS: Readonly<Record<string, Fault>> = {
  frozen: ({ pg, a }) => pg.freeze(a),
  'cut off from everybody': ({ pg, a }) => pg.cut(a, { plane: true, peers: true }),
  'killed (its host answers)': ({ pg, a }) => pg.crash(a),
};

/** Milliseconds from the fault until the failover's workflow is started. */
async function startedAfter(fault: Fault, failsAfterMs: number, durability: 'quorum' | 'async'): Promise<number> {
  const world = await postgresCloud({ durability });
  const failsAtMs = world.cloud.clock.nowMs() + failsAfterMs;
  const hit = world.cloud.clock.sleep(failsAfterMs).then(() => fault(world));
  await watchAndReconcile(world, failsAtMs + 9000);
  await hit;
  const [first] = failovers(world);
  expect(failovers(world).map((f) => f.mode)).toContain('failover');
  return (first?.atMs ?? Number.POSITIVE_INFINITY) - failsAtMs;
}

// Wherever between two probes the fault falls.
const OFFSETS = [5000, 5110, 5250, 5370, 5490, 5510, 5630, 5770, 5890, 5990];

describe.each(['quorum', 'async'] as const)('with every event lost, durability %s', (durability) => {
  describe.each(Object.keys(FAULTS))('a primary that is %s', (name) => {
    const fault = FAULTS[name] ?? (() => undefined);
    it.each(OFFSETS)('is being failed over within 3 s (%d ms after the start)', async (offset) => {
      const took = await startedAfter(fault, offset, durability);
      expect(took).toBeLessThanOrEqual(3000);
      // Two moments of ours, and with a host that does not answer 2.5 s of the replicas' silence.
      expect(took).toBeGreaterThanOrEqual(name.startsWith('killed') ? 1500 : 2500);
    });
  });
});

describe('when only the plane’s view is broken', () => {
  it('nothing is started, however long', async () => {
    const world = await postgresCloud();
    const startMs = world.cloud.clock.nowMs();
    const cut = world.cloud.clock.sleep(5000).then(() => world.pg.cut(world.a, { plane: true }));
    await watchAndReconcile(world, startMs + 60_000);
    await cut;
    expect(failovers(world)).toEqual([]);
    expect(world.cloud.aws.ledgers.get('orders')?.incident?.diagnosis).toBe('PRIMARY_PARTITIONED');
    expect(world.cloud.aws.published.map((p) => p.subject)).toEqual([`orders: PRIMARY_PARTITIONED ${world.a}`]);
  });

  it('and for a moment, nobody is told', async () => {
    const world = await postgresCloud();
    const startMs = world.cloud.clock.nowMs();
    const cut = world.cloud.clock
      .sleep(5000)
      .then(() => world.pg.cut(world.a, { plane: true }))
      .then(() => world.cloud.clock.sleep(7000))
      .then(() => world.pg.cut(world.a, { plane: false }));
    await watchAndReconcile(world, startMs + 20_000);
    await cut;
    expect(world.cloud.aws.published).toEqual([]);
  });

  it('and the primary is lost meanwhile, its failover starts within 5 s', async () => {
    const world = await postgresCloud();
    const startMs = world.cloud.clock.nowMs();
    let frozenAtMs = 0;
    const faults = world.cloud.clock
      .sleep(5000)
      .then(() => world.pg.cut(world.a, { plane: true }))
      .then(() => world.cloud.clock.sleep(3700))
      .then(() => {
        frozenAtMs = world.cloud.clock.nowMs();
        world.pg.freeze(world.a);
      });
    await watchAndReconcile(world, startMs + 20_000);
    await faults;
    expect((failovers(world)[0]?.atMs ?? Number.POSITIVE_INFINITY) - frozenAtMs).toBeLessThanOrEqual(5000);
  });

  it('nothing is started when nobody answers us', async () => {
    const world = await postgresCloud();
    const startMs = world.cloud.clock.nowMs();
    for (const id of [world.a, world.b, world.c]) world.pg.cut(id, { plane: true });
    await watchAndReconcile(world, startMs + 40_000);
    expect(failovers(world)).toEqual([]);
  });

  it('a short pause of the primary starts nothing', async () => {
    const world = await postgresCloud();
    const startMs = world.cloud.clock.nowMs();
    const pause = world.cloud.clock
      .sleep(5000)
      .then(() => world.pg.freeze(world.a))
      .then(() => world.cloud.clock.sleep(1900))
      .then(() => world.pg.thaw(world.a));
    await watchAndReconcile(world, startMs + 15_000);
    await pause;
    expect(failovers(world)).toEqual([]);
    expect(world.cloud.aws.ledgers.get('orders')).toMatchObject({ suspicions: {}, incident: null });
  });
});

describe('what the replicas say', () => {
  it('is asked again after the primary’s probe: an answer of before it proves no silence', async () => {
    const world = await postgresCloud();
    await world.cloud.clock.sleep(1000);
    world.pg.freeze(world.a);
    const frozenAtMs = world.cloud.clock.nowMs();
    await world.cloud.ledger.setSuspicion('orders', world.a, { sinceMs: frozenAtMs, kind: 'silent' });
    await world.cloud.clock.sleep(700);
    await reconcile('orders', world.ports);
    expect(failovers(world).map((f) => f.atMs - frozenAtMs)).toEqual([expect.closeTo(2510, -2)]);
    expect(
      world.cloud.aws.callsOf('Prober.probe').filter((c) => JSON.stringify(c.args).includes(world.b)),
    ).toHaveLength(2);
  });
});
