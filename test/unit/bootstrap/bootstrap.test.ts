/** The bootstrap workflow, by running its definition against its steps and an AWS in memory. */
import { describe, expect, it } from 'vitest';
import { bootstrapping } from '../../../lambdas/bootstrap/steps.ts';
import { bootstrapDefinition } from '../../../lib/workflows/bootstrap.ts';
import { HostOffline } from '../../../lambdas/cloud/ports.ts';
import { INCIDENT_TAG, REPLACES_TAG } from '../../../lambdas/model/spec.ts';
import { READER_GROUP, STATE_UUID, aStatus, answered } from '../../fakes/index.ts';
import { NEW_STATE_UUID, World, failed } from '../../support/recovery-world.ts';
import type { Run } from '../../support/asl.ts';

const definition = bootstrapDefinition({ functionArn: 'arn:aws:lambda:eu-west-1:123456789012:function:bootstrap' });

const run = (world: World, giveUp: readonly string[] = []): Promise<Run> =>
  world.run(definition, bootstrapping, {
    cluster: 'orders',
    incident: 'manual-1',
    mode: 'bootstrap',
    node: null,
    reason: 'the zone lost power',
    giveUp,
  });

const position = (seqno: number, stateUuid = STATE_UUID) => ({
  running: false,
  component: 'none',
  stateUuid,
  seqno,
  safeToBootstrap: false,
  viewId: null,
});

/** All processes are gone; the second node has the newest transactions. */
function down(): World {
  const world = new World();
  for (const n of world.nodes) world.dies(n.id);
  [1000, 1007, 1002].forEach((seqno, i) => world.positions.set(world.node(i).id, position(seqno)));
  return world;
}

const started = (world: World, document: string) =>
  world.aws
    .callsOf('HostCommands.start')
    .filter((c) => c.args[1] === document)
    .map((c) => ({ node: c.args[0], parameters: c.args[2] }));

const reason = (world: World): string | undefined => world.ledger().escalation?.reason;

describe('the bootstrap workflow', () => {
  it('rule 4: starts from the most advanced node of all and joins the others one at a time', async () => {
    const world = down();
    let joining: string | null = null;
    world.onCall = (call) => {
      if (call.operation !== 'HostCommands.start' || call.args[1] !== 'galera-join') return;
      if (joining !== null) expect(world.serving()).toContain(joining);
      joining = String(call.args[0]);
    };
    const ended = await run(world);
    expect(ended.status, JSON.stringify(ended.errors)).toBe('SUCCEEDED');
    expect(started(world, 'galera-bootstrap')).toEqual([
      { node: world.node(1).id, parameters: { StateUuid: STATE_UUID, Seqno: '1007', NewHistory: 'no' } },
    ]);
    expect(started(world, 'galera-join').map((j) => j.node)).toEqual([world.node(0).id, world.node(2).id]);
    expect(world.serving()).toHaveLength(3);
    expect(world.ledger()).toMatchObject({ claim: null, escalation: null });
    expect(world.aws.targetGroups.get(READER_GROUP)?.targets.get(`${world.node(1).id}:3306`)?.state).toBe('healthy');
    expect(world.aws.published).toHaveLength(1);
  });

  it('takes a Synced node that is not the writer as donor for the second joiner', async () => {
    const world = down();
    world.setLedger({ writer: world.node(1).id });
    await run(world);
    const donors = started(world, 'galera-join').map((j) => (j.parameters as { Donor: string }).Donor);
    expect(donors).toEqual([world.node(1).id, world.node(0).id]);
  });

  it('a Lambda killed before or after any call: one bootstrap, everybody joined, one claim', async () => {
    const whole = down();
    await run(whole);
    for (let call = 1; call <= whole.calls; call += 1) {
      for (const moment of ['before', 'after'] as const) {
        const world = down();
        world.killAt({ call, moment });
        const ended = await run(world);
        const where = `${call} ${moment}: ${JSON.stringify(ended.errors)}`;
        expect(ended.errors[0]?.name, where).toBe('Runtime.ExitError');
        expect(ended.status, where).toBe('SUCCEEDED');
        expect(new Set(started(world, 'galera-bootstrap').map((b) => b.node)), where).toEqual(
          new Set([world.node(1).id]),
        );
        expect(world.serving(), where).toHaveLength(3);
        expect(world.ledger().claim, where).toBeNull();
      }
    }
  }, 120_000);

  it('asks a host again that SSM calls online and does not take commands for', async () => {
    const world = down();
    let refused = 0;
    const { hosts } = world.cloud;
    const start = hosts.start.bind(hosts);
    hosts.start = (instance, name, parameters) => {
      if (name !== 'galera-position' || instance !== world.node(2).id || refused === 5) {
        return start(instance, name, parameters);
      }
      refused += 1;
      return Promise.reject(new HostOffline('Instances not in a valid state for account'));
    };
    const ended = await run(world);
    expect(ended.status, JSON.stringify(ended.errors)).toBe('SUCCEEDED');
    expect(refused).toBe(5);
  });

  it('goes on without a node that fails to join, and says so', async () => {
    const world = down();
    world.fails = (document, id) =>
      document === 'galera-join' && id === world.node(0).id ? failed('broken disk') : null;
    const ended = await run(world);
    expect(ended.status).toBe('SUCCEEDED');
    expect(world.serving()).toEqual([world.node(1).id, world.node(2).id]);
    expect(world.aws.published[0]?.subject).toContain(`${world.node(0).id} did not`);
  });
});

describe('the bootstrap workflow refuses', () => {
  async function refused(world: World, error: string, giveUp: readonly string[] = []): Promise<void> {
    const ended = await run(world, giveUp);
    expect(ended.status).toBe('FAILED');
    expect(started(world, 'galera-bootstrap')).toEqual([]);
    expect(reason(world)).toContain(error);
    expect(world.ledger().claim).toBeNull();
    expect(world.aws.published[0]?.body).toContain(`docs/runbook.md#${error.toLowerCase()}`);
  }

  it('while a node is in a primary component', async () => {
    const world = down();
    world.says(world.node(0).id, (atMs) => answered(aStatus(), atMs));
    await refused(world, 'PrimaryComponentExists');
  });

  it('when a primary component appears after the choice', async () => {
    const world = down();
    world.onCall = (call) => {
      if (call.operation === 'Ledger.record' && String(call.args[2]).endsWith('/chosen')) {
        world.says(world.node(0).id, (atMs) => answered(aStatus(), atMs));
      }
    };
    await refused(world, 'PrimaryComponentExists');
  });

  it('rule 4: when a host does not answer', async () => {
    const world = down();
    world.aws.offline.add(world.node(2).id);
    await refused(world, 'NodeDidNotAnswer');
    expect(reason(world)).toContain(world.node(2).id);
  });

  it('rule 4: when an instance is stopped, or missing altogether', async () => {
    const stopped = down();
    stopped.aws.setState(stopped.node(2).id, 'stopped');
    await refused(stopped, 'NodeDidNotAnswer');
    const missing = down();
    missing.terminates(missing.node(2).id);
    await refused(missing, 'NodeDidNotAnswer');
  });

  it('rule 4: when "missing node 1" is given up and EC2 still knows who that is: asked for by its id, gone by then or not', async () => {
    for (const terminateMs of [500, 3_600_000]) {
      const world = down();
      const { id } = world.node(2);
      world.aws.setState(id, 'shutting-down');
      world.aws.passages.set(id, { to: 'terminated', atMs: world.aws.clock.nowMs() + terminateMs });
      await refused(world, 'NodeDidNotAnswer', ['missing node 1']);
      expect(reason(world)).toContain(`no position is known of ${id}`);
    }
  });

  it('rule 4: when the most advanced node told its position and EC2 ended it then', async () => {
    for (const terminateMs of [500, 3_600_000]) {
      const world = down();
      const { id } = world.node(1);
      // The last to answer, while the most advanced one leaves.
      world.aws.offline.add(world.node(2).id);
      let looks = 0;
      world.onCall = (call) => {
        if (call.operation !== 'HostCommands.state' || call.args[0] !== id) return;
        looks += 1;
        if (looks !== 2) return;
        world.aws.offline.delete(world.node(2).id);
        world.aws.setState(id, 'shutting-down');
        world.aws.passages.set(id, { to: 'terminated', atMs: world.aws.clock.nowMs() + terminateMs });
      };
      await refused(world, 'NodeDidNotAnswer');
      expect(looks).toBe(2);
    }
  });

  it('rule 4: when "missing node 1" is given up and the instance was launched in place of one that EC2 has forgotten', async () => {
    const world = down();
    const lost = world.node(2);
    world.aws.instances.delete(lost.id);
    const joiner = world.aws.addInstance({
      cluster: 'orders',
      tags: { [INCIDENT_TAG]: 'orders-1', [REPLACES_TAG]: lost.id },
      volumes: [],
    });
    world.aws.setState(joiner.id, 'shutting-down');
    await refused(world, 'NodeDidNotAnswer', ['missing node 1']);
    expect(reason(world)).toContain(joiner.id);
  });

  it('rule 4: when the writer is gone and a node that it had replaced fills its place (seed 28477), until a person gives it up', async () => {
    const lostWriter = (): { readonly world: World; readonly writer: string } => {
      const world = down();
      const writer = world.aws.addInstance({ cluster: 'orders', tags: { [REPLACES_TAG]: world.node(2).id } }).id;
      world.setLedger({ writer });
      world.aws.setState(writer, 'terminated');
      return { world, writer };
    };
    const { world, writer } = lostWriter();
    await refused(world, 'NodeDidNotAnswer');
    expect(reason(world)).toContain(`"giveUp": ["${writer}"]`);
    const others = lostWriter();
    await refused(others.world, 'NodeDidNotAnswer', [others.world.node(0).id]);
    const given = lostWriter();
    const ended = await run(given.world, [given.writer]);
    expect(ended.status, JSON.stringify(ended.errors)).toBe('SUCCEEDED');
    expect(started(given.world, 'galera-bootstrap')[0]?.parameters).toMatchObject({ NewHistory: 'yes' });
  });

  it('rule 4: when the position script keeps failing on a node', async () => {
    const world = down();
    world.fails = (document, id) =>
      document === 'galera-position' && id === world.node(2).id ? failed('no disk') : null;
    await refused(world, 'NodeDidNotAnswer');
  });

  it('rule 4: when the histories differ', async () => {
    const world = down();
    world.positions.set(world.node(2).id, position(5000, '6a7c1b1e-1f64-11f0-9c3a-00000000dead'));
    await refused(world, 'PositionsDisagree');
  });

  it('rule 7: with the brake engaged in the middle', async () => {
    const world = down();
    world.onCall = (call) => {
      if (call.operation === 'Ledger.claim') world.aws.brake = { engaged: true, reason: 'many', sinceMs: 1 };
    };
    await refused(world, 'BrakeEngaged');
  });

  it('rule 5: when another workflow has taken the claim meanwhile', async () => {
    const world = down();
    const theirs = {
      execution: 'arn:other',
      incident: 'x',
      mode: 'bootstrap',
      node: null,
      joiner: null,
      donor: null,
      launch: null,
      claimedAtMs: 1,
    } as const;
    world.onCall = (call) => {
      if (call.operation === 'Ledger.record' && String(call.args[2]).endsWith('/chosen'))
        world.setLedger({ claim: theirs });
    };
    const ended = await run(world);
    expect(ended.visited.at(-1)).toBe('Withdrawn');
    expect(started(world, 'galera-bootstrap')).toEqual([]);
    expect(world.ledger().claim).toEqual(theirs);
    expect(world.aws.published).toEqual([]);
  });

  it('but goes on without a node that a person gave up, on the record', async () => {
    const world = down();
    const lost = world.node(2).id;
    world.terminates(lost);
    const ended = await run(world, [lost]);
    expect(ended.status, JSON.stringify(ended.errors)).toBe('SUCCEEDED');
    expect(started(world, 'galera-join').map((j) => j.node)).toEqual([world.node(0).id]);
    expect(world.record('manual-1')).toContain(
      `goes on without ${lost}: accepted in the execution's input: the zone lost power`,
    );
  });

  it('and begins a new history then, which the others join', async () => {
    const world = down();
    const lost = world.node(2).id;
    world.terminates(lost);
    const ended = await run(world, [lost]);
    expect(ended.status, JSON.stringify(ended.errors)).toBe('SUCCEEDED');
    expect(started(world, 'galera-bootstrap')).toEqual([
      { node: world.node(1).id, parameters: { StateUuid: STATE_UUID, Seqno: '1007', NewHistory: 'yes' } },
    ]);
    expect(world.record('manual-1').join('\n')).toContain(`begins a new history, since ${lost} was given up`);
    expect(world.serving()).toEqual([world.node(0).id, world.node(1).id]);
    for (const id of world.serving()) expect(world.stateUuidOf(id)).toBe(NEW_STATE_UUID);
    expect(world.aws.published[0]?.subject ?? '').toContain(`${world.node(0).id} joined`);
  });
});
