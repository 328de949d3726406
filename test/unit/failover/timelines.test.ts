/** No two servers begin a timeline of one number: the archive and pg_rewind go by numbers. */
import { describe, expect, it } from 'vitest';
import { positionOf } from '../../fakes/postgres-cluster.ts';
import { PostgresWorld } from '../../support/postgres-world.ts';
import { INCIDENT, run } from './run.ts';

const timelineOf = (world: PostgresWorld, id: string): number =>
  positionOf(world.pg.diskOf(world.pg.server(id))).timeline;

describe('the timeline that a promotion begins', () => {
  it('is the next one, and nothing is passed over for it', async () => {
    const world = new PostgresWorld();
    world.pg.freeze(world.id(0));
    await run(world);
    expect(timelineOf(world, world.ledger().writer ?? '')).toBe(2);
    expect(world.ledger().newestTimeline).toBe(2);
    expect(world.aws.callsOf('PostgresAdmin.passOver')).toHaveLength(0);
  });

  it('is in the ledger before the server has it', async () => {
    const world = new PostgresWorld();
    world.pg.freeze(world.id(0));
    const noted: number[] = [];
    world.onCall = (call) => {
      if (call.operation === 'PostgresAdmin.promote') noted.push(world.ledger().newestTimeline);
    };
    await run(world);
    expect(noted).toEqual([2]);
  });

  it('is another one than that of a candidate that died before anybody followed it', async () => {
    const world = new PostgresWorld();
    world.pg.freeze(world.id(0));
    // Nobody has heard of its timeline.
    world.pg.hold(world.id(2));
    let first: string | null = null;
    world.onCall = (call) => {
      if (call.operation !== 'PostgresAdmin.verifyWritable' || first !== null) return;
      first = world.ledger().writer;
      world.terminates(first ?? '');
      world.pg.hold(world.id(2), false);
    };
    await run(world);
    const { writer } = world.ledger();
    expect([first, writer]).toEqual([world.id(1), world.id(2)]);
    expect(timelineOf(world, world.id(2))).toBe(3);
  });

  it.each([
    ['that the writer was seen on', { position: { node: 'i-lost', timeline: 4, lsn: '0/9000000', atMs: 1 } }],
    ['that a workflow was about to begin', { newestTimeline: 4 }],
  ])('lies above the one %s, when a person accepted its loss', async (_, ledger) => {
    const world = new PostgresWorld();
    world.pg.freeze(world.id(0));
    world.setLedger({ ...ledger, accepted: { node: world.id(1), by: 'ada', atMs: 1 } });
    await run(world);
    expect(world.ledger().writer).toBe(world.id(1));
    expect(timelineOf(world, world.id(1))).toBe(5);
  });

  it('is given twice rather than never, and that is told, where the database cannot pass over any', async () => {
    const world = new PostgresWorld();
    world.pg.passesOver = false;
    world.pg.freeze(world.id(0));
    world.setLedger({ newestTimeline: 2 });
    await run(world);
    expect(timelineOf(world, world.ledger().writer ?? '')).toBe(2);
    const told = await world.cloud.ledger.incident('orders', INCIDENT);
    expect(told.map((line) => line.what)).toContain(`cannot keep ${world.id(1)} from beginning timeline 2 again`);
  });
});
