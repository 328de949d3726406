/** The model of PostgreSQL that the nights are about. */
import { describe, expect, it } from 'vitest';
import { AcknowledgedWrites } from '../../../simulator/postgres/acknowledged.ts';
import type { World } from '../../../simulator/world.ts';
import type { LogEntry } from '../../fakes/postgres-cluster.ts';
import { CREDENTIALS, pass, started, target } from '../../support/simulated-postgres.ts';

const promote = async (world: World, id: string): Promise<void> => {
  const { admin } = world.side;
  if (admin === null) throw new Error('the world has nobody who promotes');
  await admin.detach(target(world, id), CREDENTIALS);
  await admin.promote(target(world, id), CREDENTIALS);
};

const violations = (world: World): readonly string[] => world.guard.violations.map((v) => v.rule);

describe('acknowledgements', () => {
  it('come while one of two replicas streams, and not from a primary that reaches none', async () => {
    const { world, pg, replicas } = await started(1);
    const [a, b] = replicas;
    world.isolated.add(a);
    const before = pg.writes;
    await pass(world, 3000);
    expect(pg.writes).toBeGreaterThan(before);
    world.isolated.add(b);
    const alone = pg.writes;
    await pass(world, 3000);
    expect(pg.writes).toBe(alone);
    expect(pg.takesWrites()).toBe(false);
  });

  it('wait while the only replica of the set hangs, and come when it is thawed', async () => {
    const { world, pg, replicas } = await started(1);
    world.isolated.add(replicas[0]);
    pg.hang(replicas[1]);
    const before = pg.writes;
    await pass(world, 3000);
    expect(pg.writes).toBe(before);
    pg.resume(replicas[1]);
    await pass(world, 1000);
    expect(pg.writes).toBeGreaterThan(before);
  });
});

describe('a standby that says nothing', () => {
  it('is shown by its primary until wal_sender_timeout', async () => {
    const { world, pg, primary, replicas } = await started(1);
    pg.hang(replicas[0]);
    await pass(world, 3000);
    expect(pg.status(primary).standbys.map((s) => s.node)).toContain(replicas[0]);
    await pass(world, 5000);
    expect(pg.status(primary).standbys.map((s) => s.node)).toEqual([replicas[1]]);
  });
});

describe('the rules see', () => {
  it('a promotion beside a primary that can acknowledge', async () => {
    const { world, pg, primary, replicas } = await started(1);
    const rules = world.side.rules;
    await world.side.admin?.detach(target(world, replicas[0]), CREDENTIALS);
    const actor = { name: 'test', execution: null } as never;
    rules.before({ actor, operation: 'admin.promote', args: [target(world, replicas[0]), CREDENTIALS] });
    expect(world.guard.violations.map((v) => v.what).join()).toContain(`${primary} is not fenced`);
    expect(pg.takesWrites()).toBe(true);
  });

  it('two timelines that are written, and a primary without what was acknowledged', async () => {
    const { world, pg, replicas } = await started(1);
    const [behind, other] = replicas;
    pg.heldUntilMs.set(behind, world.clock.nowMs() + 4000);
    await pass(world, 3000);
    await promote(world, behind);
    await pass(world, 3000);
    expect(violations(world)).toEqual(expect.arrayContaining(['3', 'writes']));
    expect(pg.server(other).recovering).toBe(true);
  });
});

describe('base backups', () => {
  it('break off with their donor, and leave nothing that could be started', async () => {
    const { world, pg, primary, replicas } = await started(1);
    const [donor, joiner] = replicas;
    pg.stop(joiner);
    const parameters = { Primary: world.addressOf(primary) ?? '', Donor: world.addressOf(donor) ?? '' };
    const said: string[] = [];
    world.side.runScript(joiner, 'postgres-prepare', { Source: 'peer' }, (s) => said.push(s.kind));
    world.side.runScript(joiner, 'postgres-join', parameters, (s) => said.push(s.kind));
    expect(said).toEqual(['succeeded', 'succeeded']);
    expect(pg.server(joiner).seedingUntilMs).not.toBeNull();
    pg.crash(donor);
    await pass(world, 1000);
    expect(pg.server(joiner)).toMatchObject({ disk: null, process: 'down', seedingUntilMs: null });
  });
});

describe('what was acknowledged', () => {
  const entry = (id: number, index: number, timeline: number): LogEntry => ({
    id,
    index,
    timeline,
    start: 0,
    end: 1,
    commit: id,
  });
  const root = entry(1, 0, 1);
  const [left, right] = [entry(2, 1, 1), entry(3, 1, 2)];
  const told = (e: LogEntry, node: string) => ({ commit: e.id, entry: e, node, timeline: e.timeline, atMs: 0 });

  it('is held by logs that have its last entry, and by no fork before that', () => {
    const writes = new AcknowledgedWrites();
    expect(writes.add(told(root, 'a'), [root])).toBeNull();
    expect(writes.add(told(left, 'a'), [root, left])).toBeNull();
    expect(writes.lacking([root, left])).toBeNull();
    expect(writes.lacking([root, right])).toContain('write 2');
    writes.forgive([root, right]);
    expect(writes.lacking([root, right])).toBeNull();
    expect(writes.add(told(right, 'b'), [root, right])).toBeNull();
  });

  it('must not go back to an older timeline, nor come from two nodes on one', () => {
    const writes = new AcknowledgedWrites();
    writes.add(told(right, 'b'), [root, right]);
    expect(writes.add(told(left, 'a'), [root, left])).toContain('after b on timeline 2');
    expect(writes.add(told(entry(4, 2, 2), 'c'), [root, right])).toContain('both acknowledge');
  });
});
