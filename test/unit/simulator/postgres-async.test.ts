/** Nights of clusters whose primary waits for nobody: the model, and that each rule sees what breaks it. */
import { describe, expect, it } from 'vitest';
import { parseSpec } from '../../../lambdas/model/spec.ts';
import { isAsync, postgresSpec } from '../../../simulator/postgres/spec.ts';
import { simulate } from '../../../simulator/simulate.ts';
import type { World } from '../../../simulator/world.ts';
import { CREDENTIALS, pass, started, target } from '../../support/simulated-postgres.ts';
import type { Started } from '../../support/simulated-postgres.ts';

const FAILOVER = { name: 'test', execution: 'arn:aws:states:eu-west-1:1:execution:failover:x' };
const SWITCHOVER = { name: 'test', execution: 'arn:aws:states:eu-west-1:1:execution:switchover:x' };

/** As the plane would: the ledger names it, then it is promoted; the rules look right before. */
async function promote(world: World, id: string, actor = FAILOVER): Promise<void> {
  const { admin, rules } = world.side;
  if (admin === null) throw new Error('the world has nobody who promotes');
  const cutOff = [target(world, id), CREDENTIALS];
  rules.before({ actor: actor as never, operation: 'admin.detach', args: cutOff });
  await admin.detach(target(world, id), CREDENTIALS);
  world.aws.ledgers.set(world.spec.name, { ...world.ledger(), writer: id });
  rules.before({ actor: actor as never, operation: 'admin.promote', args: cutOff });
  await admin.promote(target(world, id), CREDENTIALS);
}

function seen({ world, pg, primary }: Started): void {
  const { timeline, lsn } = pg.status(primary);
  const position = { node: primary, timeline, lsn, atMs: world.clock.nowMs() };
  world.aws.ledgers.set(world.spec.name, { ...world.ledger(), position });
}

/** Of the rules that are looked at here: nothing of this is on an incident's record. */
const broken = (world: World, rule: string): string =>
  world.guard.violations
    .filter((v) => v.rule === rule)
    .map((v) => v.what)
    .join('; ');

const hold = ({ world, pg }: Started, ...ids: readonly string[]): void => {
  for (const id of ids) pg.heldUntilMs.set(id, world.clock.nowMs() + 60_000);
};

const ends = ({ world, pg, primary }: Started): void => {
  pg.crash(primary);
  world.setState(primary, 'stopped');
};

describe('one night of five of PostgreSQL', () => {
  it('declares async as a user may, with little or much that may be missing, and never with an archive', () => {
    const seeds = Array.from({ length: 50 }, (_, i) => (i + 1) * 2);
    expect(seeds.filter((s) => isAsync(s, false))).toEqual([10, 20, 30, 40, 50, 60, 70, 80, 90, 100]);
    expect(seeds.some((s) => isAsync(s, true))).toBe(false);
    for (const seed of [10, 20]) expect(parseSpec(postgresSpec(seed, false)).ok).toBe(true);
    expect(postgresSpec(10, false).engine).toMatchObject({ durability: 'async', maxLagBytes: 960 });
  });

  it.each([10, 20])('breaks no rule and heals, and says what it is: seed %i', { timeout: 60_000 }, async (seed) => {
    const night = await simulate(seed);
    expect(night.violations).toEqual([]);
    expect(night.durability).toBe('async');
    expect(night.story.some((line) => line.includes('"durability":"async"'))).toBe(true);
  });
});

describe('an asynchronous primary', () => {
  it('acknowledges alone', async () => {
    const { world, pg, replicas } = await started(10);
    for (const id of replicas) world.isolated.add(id);
    const before = pg.writes;
    await pass(world, 3000);
    expect(pg.writes).toBeGreaterThan(before);
  });
});

describe('the rules see', () => {
  it('rule 3: a promotion while EC2 says running of a primary whose process is gone', async () => {
    const night = await started(10);
    night.pg.crash(night.primary);
    await promote(night.world, night.replicas[0]);
    expect(broken(night.world, '3')).toContain(`of the primary ${night.primary} EC2 says running`);
  });

  it('and none of it when EC2 has ended the primary', async () => {
    const night = await started(10);
    seen(night);
    ends(night);
    await promote(night.world, night.replicas[0]);
    expect([broken(night.world, '3'), broken(night.world, 'writes')]).toEqual(['', '']);
  });

  it('writes: a candidate behind the other one, which could be asked', async () => {
    const night = await started(10);
    const [behind, ahead] = night.replicas;
    hold(night, behind);
    await pass(night.world, 3000);
    seen(night);
    ends(night);
    await promote(night.world, behind);
    expect(broken(night.world, 'writes')).toContain(`which ${ahead} has`);
    expect(broken(night.world, '12')).toContain('no record says so');
  });

  it.each([
    ['as much as is allowed', 8000, ''],
    ['more than is allowed', 16_000, 'before the place where the primary was seen'],
  ])('writes: a candidate that lacks %s', async (_, ms, what) => {
    const night = await started(10);
    hold(night, ...night.replicas);
    await pass(night.world, ms);
    seen(night);
    ends(night);
    await promote(night.world, night.replicas[0]);
    if (what === '') expect(broken(night.world, 'writes')).toBe('');
    else expect(broken(night.world, 'writes')).toContain(what);
    expect(night.world.side.rules.lost).toBeGreaterThan(5);
  });

  it('writes: that the plane had the time to see more than the ledger has', async () => {
    const night = await started(10);
    seen(night);
    night.world.planeOn = true;
    hold(night, ...night.replicas);
    for (const id of night.replicas) night.pg.heldUntilMs.set(id, night.world.clock.nowMs() + 300_000);
    night.world.functions.off();
    await pass(night.world, 120_000);
    night.world.aws.ledgers.set(night.world.spec.name, { ...night.world.ledger(), position: null });
    ends(night);
    await promote(night.world, night.replicas[0]);
    expect(broken(night.world, 'writes')).toContain('before the place where the primary was seen');
  });

  it('writes: any loss by a switchover', async () => {
    const night = await started(10);
    hold(night, ...night.replicas);
    await pass(night.world, 2000);
    seen(night);
    night.pg.stop(night.primary);
    await promote(night.world, night.replicas[0], SWITCHOVER);
    expect(broken(night.world, 'writes')).toContain('is promoted by plan and lacks');
    expect(broken(night.world, '3')).toBe('');
  });

  it('writes: that what was lost takes writes again', async () => {
    const night = await started(10);
    hold(night, ...night.replicas);
    await pass(night.world, 3000);
    seen(night);
    ends(night);
    await promote(night.world, night.replicas[0]);
    expect(broken(night.world, 'writes')).toBe('');
    night.world.setState(night.primary, 'running');
    night.pg.boot(night.primary);
    Object.assign(night.pg.server(night.primary), { recovering: false });
    await pass(night.world, 1000);
    expect(broken(night.world, 'writes')).toContain(`which was lost with ${night.primary}`);
  });
});
