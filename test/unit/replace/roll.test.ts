/** The planned replacement of a node that serves (mode `roll`), with both engines. */
import { describe, expect, it } from 'vitest';
import type { ClusterSpec } from '../../../lambdas/model/spec.ts';
import { TEMPLATE_VERSION_TAG } from '../../../lambdas/model/spec.ts';
import { READER_GROUP, WRITER_GROUP } from '../../fakes/index.ts';
import { POSTGRES } from '../../support/postgres-side.ts';
import { World, failed } from '../../support/recovery-world.ts';
import { INCIDENT, run } from './run.ts';

const engines: readonly [string, Partial<ClusterSpec>][] = [
  ['galera', {}],
  ['postgres', { engine: POSTGRES }],
];

const newVersion = (world: World): void =>
  void world.aws.templates.set(world.spec.launchTemplate.id, { default: 2, latest: 2 });

const stopped = (world: World) =>
  world.aws.callsOf('HostCommands.start').filter((c) => String(c.args[1]).endsWith('-stop'));

function expectUntouched(world: World): void {
  expect(stopped(world)).toEqual([]);
  expect(world.aws.callsOf('Instances.stop')).toEqual([]);
  expect(world.launched()).toEqual([]);
  expect(world.ledger().claim).toBeNull();
}

describe.each(engines)('a node is replaced by plan: %s', (kind, overrides) => {
  it('drained first, stopped cleanly, fenced; then its volume and a new instance take its place', async () => {
    const world = new World(overrides);
    newVersion(world);
    const node = world.node(2);
    const seen: string[] = [];
    const note = (what: string): void => {
      if (!seen.includes(what)) seen.push(what);
    };
    world.onCall = (call) => {
      const port = world.spec.engine.port;
      const target = world.aws.targetGroups.get(READER_GROUP)?.targets.get(`${node.id}:${port}`);
      if (call.operation === 'TargetGroups.health' && target?.state === 'draining') note('draining');
      if (call.operation === 'HostCommands.start' && call.args[1] === `${kind}-stop`) {
        note(target === undefined ? 'stopped when drained' : `stopped while ${target.state}`);
      }
      if (call.operation === 'Instances.stop')
        note(world.serving().includes(node.id) ? 'cut off' : 'fenced when stopped');
      if (call.operation === 'Instances.launch') note(`launched when ${world.aws.instances.get(node.id)?.state ?? ''}`);
    };
    const ended = await run(world, 'roll', node);
    expect(ended.status, JSON.stringify(ended.errors)).toBe('SUCCEEDED');
    expect(seen).toEqual(['draining', 'stopped when drained', 'fenced when stopped', 'launched when stopped']);
    const [joiner] = world.launched();
    expect(joiner?.tags[TEMPLATE_VERSION_TAG]).toBe('2');
    const data = joiner?.volumes.filter((v) => v.device === world.spec.dataDevice).map((v) => v.volumeId);
    expect(data).toEqual(node.volumes.map((v) => v.volumeId));
    expect(world.serving()).toHaveLength(3);
    expect(world.serving()).not.toContain(node.id);
    expect(world.ledger()).toMatchObject({ claim: null, escalation: null });
  });

  it('a Lambda killed before or after any call: all the same, and nothing twice', async () => {
    const whole = new World(overrides);
    await run(whole, 'roll', whole.node(2));
    for (let call = 1; call <= whole.calls; call += 1) {
      for (const moment of ['before', 'after'] as const) {
        const world = new World(overrides);
        world.killAt({ call, moment });
        const ended = await run(world, 'roll', world.node(2));
        const where = `${call} ${moment}: ${JSON.stringify(ended.errors)}`;
        expect(ended.errors[0]?.name, where).toBe('Runtime.ExitError');
        expect(ended.status, where).toBe('SUCCEEDED');
        expect(world.launched(), where).toHaveLength(1);
        expect(world.serving(), where).toHaveLength(3);
        expect(world.serving(), where).not.toContain(world.node(2).id);
        expect(world.ledger().claim, where).toBeNull();
      }
    }
  }, 120_000);

  it('rule 6: refused while another node does not serve', async () => {
    const world = new World(overrides);
    world.dies(world.node(1).id);
    const ended = await run(world, 'roll', world.node(2));
    expect(ended.status).toBe('FAILED');
    expect(world.ledger().escalation?.reason).toContain('QuorumAtRisk: will not drain');
    expectUntouched(world);
  });

  it('rule 6: refused while a person has another node in hand', async () => {
    const world = new World(overrides);
    world.setLedger({ maintenance: { node: world.node(1).id, by: 'ada', sinceMs: 1 } });
    await run(world, 'roll', world.node(2));
    expect(world.ledger().escalation?.reason).toContain('is in maintenance by ada');
    expectUntouched(world);
  });

  it('rule 6: not stopped when another node is lost while it drains', async () => {
    const world = new World(overrides);
    world.onCall = (call) => {
      if (call.operation === 'Ledger.record' && String(call.args[2]).endsWith(`/drained-${world.node(2).id}`)) {
        world.dies(world.node(1).id);
      }
    };
    const ended = await run(world, 'roll', world.node(2));
    expect(ended.status).toBe('FAILED');
    expect(world.ledger().escalation?.reason).toContain('QuorumAtRisk: will not stop the database');
    expectUntouched(world);
  });

  it('rule 7: not stopped when the brake was engaged while it drains', async () => {
    const world = new World(overrides);
    world.onCall = (call) => {
      if (call.operation === 'Ledger.claim') world.aws.brake = { engaged: true, reason: 'many', sinceMs: 1 };
    };
    await run(world, 'roll', world.node(2));
    expectUntouched(world);
    expect(world.ledger().escalation?.reason).toContain('BrakeEngaged');
  });

  it('rule 1: a node that reconcile does not drain stays as it is, and a person is told', async () => {
    const world = new World(overrides);
    world.reconciles = false;
    const ended = await run(world, 'roll', world.node(2));
    expect(ended.status).toBe('FAILED');
    expect(world.ledger().escalation?.reason).toMatch(/NotRouted: .* is still in service/);
    expectUntouched(world);
  });

  it('waits for connections that are draining', async () => {
    const world = new World(overrides);
    for (const group of world.aws.targetGroups.values()) group.drainSeconds = 300;
    const startedMs = world.aws.clock.nowMs();
    let stoppedMs = 0;
    world.onCall = (call) => {
      if (call.operation === 'HostCommands.start' && call.args[1] === `${kind}-stop`)
        stoppedMs = world.aws.clock.nowMs();
    };
    await run(world, 'roll', world.node(2));
    expect(stoppedMs - startedMs).toBeGreaterThanOrEqual(300_000);
  });

  it('a database that does not stop is not fenced: it goes back into service', async () => {
    const world = new World(overrides);
    world.fails = (document) => (document === `${kind}-stop` ? failed('a client holds on') : null);
    const ended = await run(world, 'roll', world.node(2));
    expect(ended.status).toBe('FAILED');
    expect(world.ledger().escalation?.reason).toContain('FenceFailed');
    expect(world.aws.callsOf('Instances.stop')).toEqual([]);
    expect(world.launched()).toEqual([]);
    expect(world.serving()).toContain(world.node(2).id);
    const target = `${world.node(2).id}:${world.spec.engine.port}`;
    expect(world.aws.targetGroups.get(READER_GROUP)?.targets.get(target)?.state).toBe('healthy');
  });

  it('under OBSERVE nothing is drained, so nothing is replaced', async () => {
    const world = new World({ ...overrides, policy: 'OBSERVE' });
    await run(world, 'roll', world.node(2));
    expect(world.ledger().escalation?.reason).toContain('OBSERVE');
    expectUntouched(world);
  });

  it('a node that does not serve is left to reconcile', async () => {
    const world = new World(overrides);
    world.dies(world.node(2).id);
    const ended = await run(world, 'roll', world.node(2));
    expect(ended.visited).toEqual(['Claim', 'WhichWay', 'Report', 'Done']);
    expectUntouched(world);
  });

  it('goes on with a node that an earlier try has stopped', async () => {
    const world = new World(overrides);
    world.dies(world.node(2).id);
    world.aws.setState(world.node(2).id, 'stopped');
    const ended = await run(world, 'roll', world.node(2));
    expect(ended.status, JSON.stringify(ended.errors)).toBe('SUCCEEDED');
    expect(ended.visited).not.toContain('Drain');
    expect(world.serving()).toHaveLength(3);
  });
});

describe('a planned replacement of the writer', () => {
  it('rule 2: with Galera is waited with until the writes have moved, and names have been forgotten', async () => {
    const world = new World();
    const writer = world.node(0);
    let movedMs = 0;
    let stoppedMs = 0;
    world.onCall = (call) => {
      if (movedMs === 0 && world.ledger().writer !== writer.id) movedMs = world.aws.clock.nowMs();
      if (call.operation === 'HostCommands.start' && call.args[1] === 'galera-stop')
        stoppedMs = world.aws.clock.nowMs();
    };
    const ended = await run(world, 'roll', writer);
    expect(ended.status, JSON.stringify(ended.errors)).toBe('SUCCEEDED');
    expect(movedMs).toBeGreaterThan(0);
    expect(stoppedMs - movedMs).toBeGreaterThanOrEqual(15_000);
    expect(world.aws.targetGroups.get(WRITER_GROUP)?.targets.get(`${writer.id}:3306`)).toBeUndefined();
  });

  it('rule 2: with PostgreSQL is refused: a switchover comes first', async () => {
    const world = new World({ engine: POSTGRES });
    await run(world, 'roll', world.node(0));
    expect(world.ledger().escalation?.reason).toContain('it is the primary of orders');
    expectUntouched(world);
  });

  it('fewer acknowledgements than declared are never waited for because of it', async () => {
    const world = new World({ engine: POSTGRES });
    const [kept, leaving] = [world.node(1).id, world.node(2).id];
    world.setLedger({ sync: { sets: [{ need: 1, standbys: [leaving] }], barrierLsn: null } });
    await run(world, 'roll', world.node(2));
    expect(world.ledger().escalation?.reason).toContain(
      `the primary waits for 1 of ${leaving}, and without ${leaving}`,
    );
    expectUntouched(world);
    expect(world.serving()).toContain(kept);
  });
});

it('the record of a planned replacement tells each step with its reason', async () => {
  const world = new World({ engine: POSTGRES });
  await run(world, 'roll', world.node(2));
  const told = world.record(INCIDENT).join('\n');
  for (const step of [
    'claims orders to roll',
    'drains',
    'is drained',
    'stops the database on',
    'is fenced',
    'launched',
  ]) {
    expect(told).toContain(step);
  }
});
