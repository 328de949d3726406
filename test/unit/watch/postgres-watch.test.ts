/** The watch over a PostgreSQL cluster: what is news, and what is noted. */
import { describe, expect, it } from 'vitest';
import type { PostgresStatus } from '../../../lambdas/model/postgres.ts';
import type { Probe } from '../../../lambdas/model/view.ts';
import { isWell, verdictOf } from '../../../lambdas/watch/verdict.ts';
import { newMemory, react } from '../../../lambdas/watch/node-watch.ts';
import { Positions } from '../../../lambdas/watch/positions.ts';
import { Watch } from '../../../lambdas/watch/watch.ts';
import { aSpec, fakeCloud } from '../../fakes/index.ts';
import { CREDENTIALS, postgresCloud } from '../reconcile/postgres-cloud.ts';
import type { PostgresCloud } from '../reconcile/postgres-cloud.ts';

const status: PostgresStatus = {
  ...{ engine: 'postgres', inRecovery: true, systemId: '7', timeline: 1, lsn: '0/5000000', replayLsn: '0/5000000' },
  ...{
    replayLagSeconds: 0,
    followsHost: '10.0.0.4',
    standbys: [],
    slots: [],
    synchronousStandbyNames: '',
    disk: null,
  },
  receiver: { status: 'streaming', senderHost: '10.0.0.4', slot: null, lastMessageAgoMs: 3, timeline: 1 },
};

const CONFIG = { probeIntervalMs: 1000, sweepSeconds: 180, containerId: 'test' };

const run = (world: PostgresCloud, seconds: number, watch = new Watch(world.ports, CONFIG)): Promise<void> =>
  watch.run(world.cloud.clock.nowMs() + seconds * 1000);

const asks = ({ cloud }: PostgresCloud): number => cloud.aws.requests.filter((r) => r.cause.startsWith('watch')).length;
const notes = ({ cloud }: PostgresCloud) => cloud.aws.callsOf('Ledger.notePosition');

/** While it runs, a client writes every 300 ms. */
async function whileWriting(world: PostgresCloud, seconds: number, work: Promise<void>): Promise<void> {
  for (let ms = 0; ms < seconds * 1000; ms += 300) {
    world.pg.write();
    await world.cloud.clock.sleep(300);
  }
  await work;
}

describe('a healthy PostgreSQL cluster', () => {
  it('that is written to asks for nothing: positions are no news', async () => {
    const world = await postgresCloud();
    await whileWriting(world, 10, run(world, 10));
    expect(asks(world)).toBe(0);
    expect(world.cloud.aws.callsOf('Ledger.setSuspicion')).toEqual([]);
  });

  it('has its primary looked at twice a second, and its replicas once', async () => {
    const world = await postgresCloud();
    await run(world, 10);
    const probes = (id: string): number =>
      world.cloud.aws.callsOf('Prober.probe').filter((c) => JSON.stringify(c.args).includes(id)).length;
    expect(probes(world.a)).toBeGreaterThanOrEqual(16);
    expect(probes(world.b)).toBeLessThanOrEqual(11);
    expect(world.cloud.aws.callsOf('Prober.probe')[0]?.args[0]).toMatchObject({ engine: 'postgres' });
  });
});

describe('the primary’s position', () => {
  it('is noted each five seconds while it moves, and not when it stands', async () => {
    const world = await postgresCloud();
    await whileWriting(world, 21, run(world, 21));
    expect(notes(world).length).toBeGreaterThanOrEqual(4);
    expect(notes(world).length).toBeLessThanOrEqual(5);
    const { timeline, lsn } = world.pg.status(world.a);
    const position = world.cloud.aws.ledgers.get('orders')?.position;
    expect(position).toMatchObject({ node: world.a, timeline });
    expect(Number(`0x${position?.lsn.split('/')[1] ?? ''}`)).toBeLessThanOrEqual(
      Number(`0x${lsn.split('/')[1] ?? ''}`),
    );
    const before = notes(world).length;
    const watch = new Watch(world.ports, CONFIG);
    await run(world, 6, watch);
    world.cloud.aws.calls.length = 0;
    await run(world, 14, watch);
    // Nor is the ledger asked for who the writer is.
    expect(world.cloud.aws.callsOf('Ledger.read')).toEqual([]);
    expect(notes(world).length).toBeLessThanOrEqual(before);
  });

  it('is only that of the node that the ledger calls the writer', async () => {
    const world = await postgresCloud();
    await world.pg.detach(world.targetOf(world.b), CREDENTIALS);
    await world.pg.promote(world.targetOf(world.b), CREDENTIALS);
    await world.cloud.ledger.setWriter('orders', 1, world.b);
    await whileWriting(world, 12, run(world, 12));
    expect(new Set(notes(world).map((c) => (c.args[1] as { node: string }).node))).toEqual(new Set([world.b]));
  });

  it('that a slow ledger does not take stops no probe', async () => {
    const world = await postgresCloud();
    world.cloud.aws.before = async (call) => {
      if (call.operation === 'Ledger.notePosition') await world.cloud.clock.sleep(60_000);
    };
    await whileWriting(world, 20, run(world, 20));
    expect(world.cloud.aws.callsOf('Prober.probe').length).toBeGreaterThan(60);
    expect(notes(world).length).toBe(1);
  });
});

describe('news', () => {
  it.each<[string, (world: PostgresCloud) => void]>([
    ['a replica that has lost its stream', (w) => w.pg.cut(w.b, { peers: true })],
    ['a primary that is a standby again', (w) => w.pg.boot(w.a)],
    ['a replica that was detached', (w) => void w.pg.detach(w.targetOf(w.b), CREDENTIALS)],
    ['a setting of another hand', (w) => void w.pg.setSync(w.targetOf(w.a), CREDENTIALS, null, '')],
    ['a replica that no longer keeps up', (w) => w.pg.hold(w.b)],
  ])('is %s', async (_, happens) => {
    const world = await postgresCloud({ maxLagBytes: 0x200 });
    const watch = new Watch(world.ports, CONFIG);
    await whileWriting(world, 4, run(world, 4, watch));
    expect(asks(world)).toBe(0);
    happens(world);
    await whileWriting(world, 12, run(world, 12, watch));
    expect(asks(world)).toBeGreaterThanOrEqual(1);
    expect(asks(world)).toBeLessThanOrEqual(6);
  });
});

describe('a replica that lags', () => {
  const at = (lsn: string, inRecovery: boolean): Probe => ({
    kind: 'answered',
    atMs: 0,
    tookMs: 1,
    status: { ...status, lsn, replayLsn: lsn, inRecovery },
  });
  const spec = aSpec({
    engine: {
      kind: 'postgres',
      port: 5432,
      durability: 'async',
      maxLagBytes: 0x100,
      slots: 'none',
      replicationUser: 'r',
    },
  });

  it.each([
    ['does so beyond what is accepted', '0/4FFFE00', false, true],
    ['does not below it', '0/4FFFF40', false, false],
    ['that did goes on so until it has made up half of it', '0/4FFFF40', true, true],
    ['that did no longer does when it has', '0/4FFFF90', true, false],
  ])('%s', (_, lsn, lagged, lags) => {
    const positions = new Positions('orders', fakeCloud().ledger);
    positions.see('i-1', at('0/5000000', false));
    expect(positions.isLagging(at(lsn, true), spec, lagged)).toBe(lags);
  });
});

describe('while a primary fails', () => {
  const asksIn = (primary: boolean): number[] => {
    let memory = { ...newMemory(null), verdict: 'well', primary };
    const askedAt: number[] = [];
    for (let nowMs = 0; nowMs < 20_000; nowMs += 500) {
      const probe: Probe = { kind: 'refused', atMs: nowMs, tookMs: 1, detail: 'x' };
      const { memory: next, ask } = react(memory, probe, nowMs, { engine: 'postgres', isLagging: false });
      if (ask !== null) askedAt.push(nowMs);
      memory = { ...next, verdict: next.verdict ?? '' };
    }
    return askedAt;
  };

  it('a reconcile is asked for each half second, and after 8 s each five seconds as for any node', () => {
    const asked = asksIn(true);
    expect(asked.filter((ms) => ms < 8000)).toHaveLength(16);
    expect(asked.filter((ms) => ms >= 8000).length).toBeLessThanOrEqual(3);
    expect(asksIn(false).length).toBeLessThanOrEqual(6);
  });
});

describe('what a probe comes down to', () => {
  const said = (change: Partial<PostgresStatus>): Probe => {
    return { kind: 'answered', atMs: 0, tookMs: 1, status: { ...status, ...change } };
  };
  const full = { totalBytes: 2 ** 40, availableBytes: 2 ** 30 };

  it.each<[string, Partial<PostgresStatus>]>([
    ['its role', { inRecovery: false }],
    ['its timeline', { timeline: 2 }],
    ['its stream', { receiver: null }],
    ['whom it follows', { followsHost: '10.0.0.5' }],
    ['a disk that is nearly full', { disk: full }],
  ])('has %s in it', (_, change) => {
    expect(verdictOf(said(change))).not.toBe(verdictOf(said({})));
  });

  it('has no position in it', () => {
    expect(verdictOf(said({ lsn: '0/6000000', replayLsn: '0/6000000', replayLagSeconds: 7 }))).toBe(
      verdictOf(said({})),
    );
  });

  it('is well for a fresh container when it is a primary or streams, and its disk has room', () => {
    expect(isWell(said({}))).toBe(true);
    expect(isWell(said({ inRecovery: false, receiver: null }))).toBe(true);
    expect(isWell(said({ receiver: null }))).toBe(false);
    expect(isWell(said({ disk: full }))).toBe(false);
  });
});
