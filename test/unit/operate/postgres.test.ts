/** What a person may ask for of a PostgreSQL cluster. */
import { describe, expect, it } from 'vitest';
import { operate } from '../../../lambdas/operate/operate.ts';
import type { OperateAnswer } from '../../../lambdas/operate/operate.ts';
import { lossInWords } from '../../../lambdas/operate/accept-loss.ts';
import type { ClusterSpec } from '../../../lambdas/model/spec.ts';
import { POSTGRES } from '../../support/postgres-side.ts';
import { World } from '../../support/recovery-world.ts';

function setUp(overrides: Partial<ClusterSpec> = { engine: POSTGRES }) {
  const world = new World(overrides);
  let number = 0;
  const ports = { ...world.cloud, unique: () => String((number += 1)) };
  const ids = world.nodes.map((n) => n.id);
  const fake = world.postgres?.fake;
  return {
    world,
    primary: ids[0] ?? '',
    replica: ids[1] ?? '',
    other: ids[2] ?? '',
    fake,
    ask: (input: unknown): Promise<OperateAnswer> => operate(input, ports),
    accept: (node: string): Promise<OperateAnswer> =>
      operate({ action: 'accept-loss', cluster: 'orders', node, by: 'ada' }, ports),
  };
}

/** The primary is gone; the last that was seen of it lies 0x120 bytes beyond what its replicas have. */
function lost() {
  const found = setUp();
  found.fake?.crash(found.primary);
  const position = { node: found.primary, timeline: 1, lsn: '0/3000180', atMs: Date.UTC(2026, 0, 1) };
  found.world.setLedger({ position });
  return found;
}

describe('accept-loss', () => {
  it('is written to the ledger with who and when, and the answer says what is lost', async () => {
    const { world, replica, primary, accept } = lost();
    const answer = await accept(replica);
    expect(answer.accepted).toBe(true);
    expect(world.ledger().accepted).toMatchObject({ node: replica, by: 'ada' });
    expect(answer.message).toContain('It is at timeline 1, 0/3000060');
    expect(answer.message).toContain(
      `${primary} was last seen at timeline 1, 0/3000180 (2026-01-01T00:00:00.000Z): lost are the last 288 bytes of log`,
    );
    expect(world.aws.requests.map((r) => r.cause)).toEqual(['operate-accept-loss-1']);
  });

  it('is on the open incident’s record', async () => {
    const { world, replica, accept } = lost();
    world.setLedger({ incident: { id: 'orders-1', openedAtMs: 1, node: null, diagnosis: 'NO_CANDIDATE' } });
    await accept(replica);
    expect(world.record('orders-1')[0]).toMatch(
      /^accepts the loss that i-\w+ brings as the primary: by ada: .*288 bytes/,
    );
  });

  it('says that another node has more', async () => {
    const { fake, replica, other, primary, accept } = setUp();
    fake?.hold(replica);
    fake?.write();
    fake?.crash(primary);
    const answer = await accept(replica);
    expect(answer.message).toContain(
      `More advanced: ${primary} at timeline 1, 0/30000C0, ${other} at timeline 1, 0/30000C0`,
    );
  });

  it('says that a stopped database may have more than it can tell', async () => {
    const { world, replica, accept } = lost();
    world.aws.scripts.set('postgres-position', () => ({
      kind: 'succeeded',
      output:
        '{"running":false,"seeding":false,"primary":false,"timeline":1,"lsn":"0/3000000","systemId":"7","exact":false}',
    }));
    expect((await accept(replica)).message).toContain('0/3000000 or beyond, since its database does not run');
  });

  const refusals: readonly [string, (s: ReturnType<typeof setUp>) => string, RegExp][] = [
    ['while the primary runs', (s) => s.replica, /is the primary of orders and runs/],
    ['of an instance that is not there', (s) => s.replica.replace(/.$/, 'f'), /is no running instance of orders/],
    [
      'of a node that does not tell its position',
      (s) => {
        s.fake?.crash(s.primary);
        s.world.aws.offline.add(s.replica);
        return s.replica;
      },
      /does not tell its position/,
    ],
    [
      'of a node without data',
      (s) => {
        s.fake?.crash(s.primary);
        Object.assign(s.fake?.server(s.replica) ?? {}, { disk: null, process: 'down' });
        return s.replica;
      },
      /does not tell its position/,
    ],
    [
      'while a node is in maintenance, which keeps failover from starting',
      (s) => {
        s.world.setLedger({ maintenance: { node: s.other, by: 'bob', sinceMs: 1 } });
        return s.replica;
      },
      /is in maintenance by bob/,
    ],
  ];
  it.each(refusals)('is refused %s', async (_, arrange, expected) => {
    const found = setUp();
    const answer = await found.accept(arrange(found));
    expect(answer).toMatchObject({ accepted: false });
    expect(answer.message).toMatch(expected);
    expect(found.world.ledger().accepted).toBeNull();
    expect(found.world.aws.requests).toEqual([]);
  });

  it('is refused for Galera, naming what does it there', async () => {
    const { replica, accept, world } = setUp({});
    const answer = await accept(replica);
    expect(answer).toMatchObject({ accepted: false });
    expect(answer.message).toContain('giveUp');
    expect(world.ledger().accepted).toBeNull();
  });

  it('answers within 25 s though a host never does', async () => {
    const { world, replica, accept } = lost();
    const before = world.aws.scripts.get('postgres-position');
    world.aws.scripts.set('postgres-position', (id, parameters) =>
      id === replica ? [{ kind: 'running' }] : (before?.(id, parameters) ?? { kind: 'running' }),
    );
    const startedMs = world.aws.clock.nowMs();
    expect(await accept(replica)).toMatchObject({ accepted: false });
    expect(world.aws.clock.nowMs() - startedMs).toBeLessThan(25_000);
  });
});

describe('what is lost, in words', () => {
  const own = { node: 'i-b', timeline: 3, lsn: '0/500', running: true, primary: false, exact: true };
  it.each([
    [null, /Where the primary was is not known/],
    [{ node: 'i-a', timeline: 3, lsn: '0/500', atMs: 0 }, /lost is nothing up to there/],
    [{ node: 'i-a', timeline: 3, lsn: '0/400', atMs: 0 }, /lost is nothing up to there/],
    [{ node: 'i-a', timeline: 3, lsn: '0/600', atMs: 0 }, /lost are the last 256 bytes/],
    [{ node: 'i-a', timeline: 2, lsn: '0/600', atMs: 0 }, /on another timeline/],
  ])('%o', (last, expected) => {
    expect(lossInWords(own, last)).toMatch(expected);
  });
});

describe('maintenance of PostgreSQL', () => {
  it('of the primary is accepted, and says that it is not drained and that no failover starts', async () => {
    const { world, primary, ask } = setUp();
    const answer = await ask({ action: 'maintenance-on', cluster: 'orders', node: primary, by: 'ada' });
    expect(answer.accepted).toBe(true);
    expect(answer.message).toMatch(/it is not drained, and no failover of orders starts until maintenance-off/);
    expect(answer.message).toContain('switchover with {"cluster":"orders"}');
    expect(world.ledger().maintenance?.node).toBe(primary);
  });

  it('of a replica says that it is drained, and that no failover starts', async () => {
    const { replica, ask } = setUp();
    const answer = await ask({ action: 'maintenance-on', cluster: 'orders', node: replica, by: 'ada' });
    expect(answer.message).toMatch(/is drained as soon as another node serves, and no failover of orders starts/);
    const off = await ask({ action: 'maintenance-off', cluster: 'orders', node: replica, by: 'ada' });
    expect(off.message).toContain('as soon as it is the primary or streams from it');
  });
});
