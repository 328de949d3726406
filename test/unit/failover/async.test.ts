/** With `durability: 'async'` somebody may be promoted with a loss: what is done to make it as small as it can be. */
import { describe, expect, it } from 'vitest';
import { PostgresWorld } from '../../support/postgres-world.ts';
import { INCIDENT, run } from './run.ts';

const [BEHIND, AHEAD] = [1, 2] as const;

/** The primary is lost with its volume. One replica lacks a write that the other has. */
function oneIsAhead(): PostgresWorld {
  const world = new PostgresWorld({ postgres: { durability: 'async' } });
  world.losesVolume(world.id(0));
  world.pg.hold(world.id(BEHIND));
  world.pg.write();
  world.terminates(world.id(0));
  return world;
}

const said = (world: PostgresWorld): string => world.record(INCIDENT).join('\n');

/** How long the failover took, as the fake clock has it. */
async function runs(world: PostgresWorld): Promise<number> {
  const startMs = world.aws.clock.nowMs();
  const ended = await run(world);
  expect(ended.status, JSON.stringify(ended.errors)).toBe('SUCCEEDED');
  return world.aws.clock.nowMs() - startMs;
}

describe('rule 4, async: who answers is heard before anything is given up', () => {
  it('though the answer of the one that is ahead takes longer than the grace for those that do not matter', async () => {
    const world = oneIsAhead();
    world.onCall = async (call) => {
      if (call.operation !== 'PostgresAdmin.detach') return;
      if ((call.args[0] as { instanceId: string }).instanceId === world.id(AHEAD)) await world.aws.clock.sleep(1000);
    };
    await runs(world);
    expect(world.ledger().writer).toBe(world.id(AHEAD));
    expect(world.pg.problems(world.id(AHEAD))).toEqual([]);
  });

  it('and though it cannot be reached for a moment', async () => {
    const world = oneIsAhead();
    world.pg.cut(world.id(AHEAD), { plane: true });
    const untilMs = world.aws.clock.nowMs() + 3000;
    world.beforeCall = () => {
      if (world.aws.clock.nowMs() > untilMs) world.pg.cut(world.id(AHEAD), { plane: false });
    };
    await runs(world);
    expect(world.ledger().writer).toBe(world.id(AHEAD));
    expect(said(world)).toContain(`for ${world.id(AHEAD)}`);
  });

  it('and though one question took all of the time that there is', async () => {
    const world = oneIsAhead();
    world.pg.cut(world.id(AHEAD), { plane: true });
    let asked = 0;
    world.onCall = async (call) => {
      if (call.operation !== 'PostgresAdmin.detach' || (asked += 1) !== 2) return;
      await world.aws.clock.sleep(9000);
      world.pg.cut(world.id(AHEAD), { plane: false });
    };
    await runs(world);
    expect(world.ledger().writer).toBe(world.id(AHEAD));
  });

  it('and though it still recovers from the crash, on the lost primary’s own volume', async () => {
    const world = new PostgresWorld({ postgres: { durability: 'async' } });
    for (const n of [1, 2]) {
      world.pg.hold(world.id(n));
      world.pg.cut(world.id(n), { plane: true });
    }
    world.pg.write();
    world.terminates(world.id(0));
    world.pg.recoveryMs = 12_000;
    const known = world.nodes.map((n) => n.id);
    world.onCall = ({ operation, args }) => {
      if (operation !== 'HostCommands.start' || args[1] !== 'postgres-start' || known.includes(String(args[0]))) return;
      // Only now can one of the others be asked, which lacks the last write.
      world.pg.cut(world.id(1), { plane: false });
    };
    await runs(world);
    expect(known).not.toContain(world.ledger().writer);
    expect(world.pg.problems(world.ledger().writer)).toEqual([]);
  });

  it('and not for ever: a host that runs and says nothing holds the writes up for seconds', async () => {
    const world = oneIsAhead();
    world.pg.freeze(world.id(AHEAD));
    const tookMs = await runs(world);
    expect(world.ledger().writer).toBe(world.id(BEHIND));
    expect(tookMs).toBeGreaterThan(5000);
    expect(tookMs).toBeLessThan(15_000);
    expect(said(world)).toMatch(
      /0 bytes of the position last seen are missing .* and whatever i-\w+ acknowledged after/,
    );
  });

  it('and when all are heard nobody is waited for', async () => {
    const world = oneIsAhead();
    const tookMs = await runs(world);
    expect(world.ledger().writer).toBe(world.id(AHEAD));
    expect(tookMs).toBeLessThan(3000);
    expect(said(world)).not.toContain('waits 5 s');
  });
});

describe('rule 4, async: the lag is measured', () => {
  it('against the writer: what its predecessor had says nothing of a primary that nobody has seen as one', async () => {
    const world = oneIsAhead();
    const { position } = world.ledger();
    if (position === null) throw new Error('the world has seen its primary');
    world.setLedger({ position: { ...position, node: 'i-0000000000000000f' } });
    const ended = await run(world);
    expect(ended.status).toBe('FAILED');
    expect(world.ledger().escalation?.reason).toContain(`${world.id(0)} was never seen as the primary`);
  });
});

describe('rule 4: what a person accepted', () => {
  it.each([
    ['holds while the primary has not been seen since', 0, 'SUCCEEDED'],
    ['holds for clocks that are apart', 2000, 'SUCCEEDED'],
    ['is void when the primary has served since', 60_000, 'FAILED'],
  ] as const)('%s', async (_, laterMs, status) => {
    const world = new PostgresWorld();
    world.losesVolume(world.id(0));
    world.terminates(world.id(0));
    world.pg.cut(world.id(2), { plane: true });
    const { position } = world.ledger();
    if (position === null) throw new Error('the world has seen its primary');
    const accepted = { node: world.id(1), by: 'Ada', atMs: 1000 };
    world.setLedger({ accepted, position: { ...position, atMs: accepted.atMs + laterMs } });
    const ended = await run(world);
    expect(ended.status, JSON.stringify(ended.errors)).toBe(status);
  });
});
