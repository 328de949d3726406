/** Mode `retire` (docs/decisions/0019): an instance that an earlier workflow fenced and did not come to retire. */
import { describe, expect, it } from 'vitest';
import type { InstanceState, Instance } from '../../../lambdas/model/view.ts';
import { CLUSTER_TAG } from '../../../lambdas/model/spec.ts';
import { POSTGRES } from '../../support/postgres-side.ts';
import { World } from '../../support/recovery-world.ts';
import { INCIDENT, run } from './run.ts';

const HOUR_MS = 3_600_000;
const VOLUME = { device: '/dev/sdf', volumeId: 'vol-0left', deleteOnTermination: false };

interface Given {
  readonly world?: World;
  readonly state?: InstanceState;
  readonly launchedHoursAgo?: number;
  /** Whose hand stopped it. */
  readonly fenced?: boolean;
}

/** All three serve, and one that was fenced an hour ago lies beside them. */
function leftOver({ world = new World(), state = 'stopped', launchedHoursAgo = 9, fenced = true }: Given = {}) {
  const nowMs = world.aws.clock.nowMs();
  const node = world.aws.addInstance({
    ...{ cluster: 'orders', state, volumes: [{ ...VOLUME, device: world.spec.dataDevice }] },
    launchedAtMs: nowMs - launchedHoursAgo * HOUR_MS,
  });
  const fences = { [node.id]: { atMs: nowMs - HOUR_MS, execution: 'arn:earlier' } };
  if (fenced) world.setLedger({ fences });
  return { world, node };
}

const terminated = (world: World): readonly unknown[] => world.aws.callsOf('Instances.terminate').map((c) => c.args[0]);
const deleted = (world: World): readonly unknown[] => world.aws.callsOf('Volumes.delete').map((c) => c.args[0]);

async function isLeft(world: World, node: Instance): Promise<void> {
  const ended = await run(world, 'retire', node);
  expect(ended.status, JSON.stringify(ended.errors)).toBe('SUCCEEDED');
  expect(terminated(world)).toEqual([]);
  expect(deleted(world)).toEqual([]);
  expect(world.ledger().claim).toBeNull();
}

describe.each(['galera', 'postgres'] as const)('%s: a fenced node that is left over', (engine) => {
  const fresh = (): World => new World(engine === 'postgres' ? { engine: POSTGRES } : {});

  it('is terminated, and its data volume deleted, each on the record', async () => {
    const { world, node } = leftOver({ world: fresh() });
    const ended = await run(world, 'retire', node);
    expect(ended.status, JSON.stringify(ended.errors)).toBe('SUCCEEDED');
    expect(world.aws.instances.get(node.id)?.state).toBe('terminated');
    expect(deleted(world)).toEqual([VOLUME.volumeId]);
    const record = world.record(INCIDENT).join('\n');
    expect(record).toContain(`terminates ${node.id}: an earlier workflow fenced it; all 3 nodes of orders serve`);
    expect(record).toContain(`deletes the volume ${VOLUME.volumeId}`);
    expect(world.ledger().claim).toBeNull();
    expect(world.launched()).toEqual([]);
  });

  it('rule 6: stays while not all the nodes that are declared serve without it', async () => {
    const { world, node } = leftOver({ world: fresh() });
    world.dies(world.node(2).id);
    await isLeft(world, node);
    expect(world.record(INCIDENT).join('\n')).toContain('2 of 3 others serve');
  });
});

describe('safety of a retirement', () => {
  it('rule 8: a node of which no workflow noted that it stops it is a person’s', async () => {
    const { world, node } = leftOver({ fenced: false });
    await isLeft(world, node);
    expect(world.record(INCIDENT).join('\n')).toContain('it is not proven that Rejoin stopped it');
  });

  it('rule 8: a node that was started since it was fenced, and stopped again, is a person’s', async () => {
    const { world, node } = leftOver({ launchedHoursAgo: 0.5 });
    await isLeft(world, node);
    expect(world.ledger().fences).toEqual({});
  });

  it('rule 8: a node that runs is left alone', async () => {
    const { world, node } = leftOver({ state: 'running' });
    await isLeft(world, node);
  });

  it('rule 8: a node that carries another cluster’s tag is not touched', async () => {
    const { world, node } = leftOver();
    world.beforeCall = (call) => {
      if (call.operation !== 'Volumes.byIds' && call.operation !== 'Instances.byIds') return;
      const now = world.aws.instances.get(node.id);
      if (now !== undefined) world.aws.instances.set(node.id, { ...now, tags: { [CLUSTER_TAG]: 'another' } });
    };
    await run(world, 'retire', node);
    expect(terminated(world)).toEqual([]);
  });

  it('rule 7: nothing is terminated when the brake is engaged after the claim', async () => {
    const { world, node } = leftOver();
    world.onCall = (call) => {
      if (call.operation === 'Ledger.claim')
        world.aws.brake = { engaged: true, reason: 'too many failed', sinceMs: 1, releasedAtMs: null };
    };
    await isLeft(world, node);
  });

  it('rule 5: nothing is terminated once the claim is another’s', async () => {
    const { world, node } = leftOver();
    world.onCall = (call) => {
      const { claim } = world.ledger();
      if (call.operation === 'Ledger.record' && claim !== null)
        world.setLedger({ claim: { ...claim, execution: 'arn:other' } });
    };
    await run(world, 'retire', node);
    expect(terminated(world)).toEqual([]);
  });

  it('a volume stays when a node is lost while its instance ends: it may be the copy that is needed', async () => {
    const { world, node } = leftOver();
    world.onCall = (call) => {
      if (call.operation === 'Instances.terminate') world.dies(world.node(2).id);
    };
    await run(world, 'retire', node);
    expect(terminated(world)).toEqual([node.id]);
    expect(deleted(world)).toEqual([]);
    expect(world.record(INCIDENT).join('\n')).toContain(`leaves the volume ${VOLUME.volumeId}`);
  });

  it('gives way when the primary is lost: a failover does not wait for what is not urgent', async () => {
    const { world, node } = leftOver({ world: new World({ engine: POSTGRES }) });
    world.dies(world.node(0).id);
    const ended = await run(world, 'retire', node);
    expect(ended.errors.map((e) => e.name)).toContain('GivesWay');
    expect(terminated(world)).toEqual([]);
    expect(world.ledger().claim).toBeNull();
    // Still proven: it is retired when the failover is over.
    expect(Object.keys(world.ledger().fences)).toEqual([node.id]);
  });

  it('a refusal of EC2 (termination protection) makes it a person’s, and nothing is escalated', async () => {
    const { world, node } = leftOver();
    const no = Object.assign(new Error('protected'), { name: 'OperationNotPermitted', $fault: 'client' });
    world.cloud.instances.terminate = () => Promise.reject(no);
    await run(world, 'retire', node);
    expect(world.record(INCIDENT).join('\n')).toContain(`leaves ${node.id}: EC2 refuses to terminate it`);
    expect(world.ledger().fences).toEqual({});
    expect(world.ledger().escalation).toBeNull();
  });
});

describe('the note of a fence', () => {
  it('is in the ledger before the instance is stopped', async () => {
    const world = new World();
    const lost = world.node(2);
    world.dies(lost.id, 'silent');
    const noted: unknown[] = [];
    world.beforeCall = (call) => {
      if (call.operation === 'Instances.stop') noted.push(Object.keys(world.ledger().fences));
    };
    await run(world, 'replace', lost);
    expect(noted).toEqual([[lost.id]]);
  });

  it('is not made of a node that a person has stopped', async () => {
    const world = new World();
    world.aws.setState(world.node(2).id, 'stopped');
    world.dies(world.node(2).id);
    await run(world, 'replace', world.node(2));
    expect(world.ledger().fences).toEqual({});
  });
});
