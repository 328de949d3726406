/** The failover workflow, by running its definition against its steps, a cluster and an AWS in memory. */
import { describe, expect, it } from 'vitest';
import { WRITER_GROUP } from '../../fakes/index.ts';
import type { Run } from '../../support/asl.ts';
import type { PostgresWorld } from '../../support/postgres-world.ts';
import { run } from './run.ts';
import { scenarios } from './scenarios.ts';
import type { Scenario } from './scenarios.ts';

/** What must be true after any failover that went well. */
function expectWhole({ world, winners, followers, old, lossy }: Scenario, ended: Run, where: string): void {
  const { pg, aws } = world;
  expect(ended.status, where).toBe('SUCCEEDED');
  const { writer, claim, escalation } = world.ledger();
  expect({ claim, escalation }, where).toEqual({ claim: null, escalation: null });
  if (writer === null) throw new Error(`no writer: ${where}`);
  if (lossy !== true) expect(pg.problems(writer), where).toEqual([]);
  const launched = [...aws.instances.keys()].filter((id) => !world.nodes.some((n) => n.id === id));
  const live = world.nodes.map((n) => n.id).filter((id) => id !== world.id(0));
  expect([...(winners ?? live), ...launched], where).toContain(writer);
  expect(pg.primaries(), where).toContain(writer);
  const expected = (followers ?? live.filter((id) => aws.instances.get(id)?.state === 'running')).filter(
    (id) => id !== writer,
  );
  expect(
    expected.filter((id) => !pg.streams(id, writer)),
    where,
  ).toEqual([]);
  expect(aws.instances.get(world.id(0))?.state, where).toBe(old);
  const healthy = [...(aws.targetGroups.get(WRITER_GROUP)?.targets.values() ?? [])].filter(
    (t) => t.state === 'healthy',
  );
  expect(
    healthy.map((t) => t.id),
    where,
  ).toEqual([writer]);
  expectWritable(world, writer, where);
}

/** A client's write is acknowledged by the new primary, and by nobody else. */
function expectWritable({ pg }: PostgresWorld, writer: string, where: string): void {
  const before = pg.journal.length;
  pg.write();
  expect([...new Set(pg.journal.slice(before).map((a) => a.node))], where).toEqual([writer]);
}

describe('the failover workflow puts writes back', () => {
  it.each(Object.entries(scenarios))('%s', async (_, arrange) => {
    const scenario = arrange();
    const ended = await run(scenario.world, scenario.input);
    expectWhole(scenario, ended, JSON.stringify([ended.errors, scenario.world.record('orders-lost-e1')], null, 1));
    expect(scenario.world.aws.published).toHaveLength(1);
  });
});

describe('a Lambda killed before or after any call of any step', () => {
  it.each(Object.entries(scenarios))(
    '%s all the same',
    async (_, arrange) => {
      const whole = arrange();
      await run(whole.world, whole.input);
      const total = whole.world.calls;
      expect(total).toBeGreaterThan(20);
      for (let call = 1; call <= total; call += 1) {
        for (const moment of ['before', 'after'] as const) {
          const scenario = arrange();
          scenario.world.killAt({ call, moment });
          const ended = await run(scenario.world, scenario.input);
          const where = `${call} ${moment}: ${JSON.stringify([ended.visited, ended.errors, scenario.world.record('orders-lost-e1')], null, 1)}`;
          expectWhole(scenario, ended, where);
        }
      }
    },
    120_000,
  );
});
