/** A Launch step that is repeated: the try before may have launched, and EC2 does not describe it yet. */
import { describe, expect, it } from 'vitest';
import { CloudUnavailable } from '../../../lambdas/cloud/ports.ts';
import { INCIDENT_TAG, REPLACES_TAG } from '../../../lambdas/model/spec.ts';
import { UNUSABLE_TAG } from '../../../lambdas/model/volume.ts';
import { World } from '../../support/recovery-world.ts';
import { INCIDENT, run } from './run.ts';

/** Kills the step right after its first launch; what was launched is described only ten seconds later. */
function killedAfterLaunch(world: World, meanwhile: () => void): { readonly mostAlive: () => number } {
  const { instances } = world.cloud;
  const ofCluster = instances.ofCluster.bind(instances);
  const alive: number[] = [];
  let blindUntilMs = 0;
  instances.ofCluster = async (cluster) =>
    (await ofCluster(cluster)).filter(
      (i) => i.tags[INCIDENT_TAG] === undefined || world.aws.clock.nowMs() > blindUntilMs,
    );
  world.onCall = (call) => {
    if (call.operation !== 'Instances.launch') return;
    alive.push(world.launched().filter((i) => i.state === 'pending' || i.state === 'running').length);
    if (blindUntilMs > 0) return;
    blindUntilMs = world.aws.clock.nowMs() + 10_000;
    world.killAt({ call: world.calls, moment: 'after' });
    meanwhile();
  };
  return { mostAlive: () => Math.max(...alive) };
}

function lostVolume(world: World) {
  const id = world.node(2).volumes[0]?.volumeId ?? '';
  const volume = world.aws.volumes.get(id);
  if (volume === undefined) throw new Error('the lost node has no volume');
  return volume;
}

describe('a Launch step that was killed after EC2 had launched', () => {
  it('launches with its own disk again, though the volume that was of no use is of use by now', async () => {
    const world = new World();
    world.terminates(world.node(2).id);
    const { volumes } = world.cloud;
    const byIds = volumes.byIds.bind(volumes);
    let launched = false;
    volumes.byIds = async (ids) =>
      (await byIds(ids)).map((v) => (launched ? v : { ...v, tags: { ...v.tags, [UNUSABLE_TAG]: 'before' } }));
    killedAfterLaunch(world, () => (launched = true));
    const ended = await run(world, 'replace', world.node(2));
    expect(ended.status, JSON.stringify(ended.errors)).toBe('SUCCEEDED');
    expect(world.record(INCIDENT).some((l) => l.includes(`it is marked ${UNUSABLE_TAG}`))).toBe(true);
    expect(world.launched().map((i) => i.state)).toEqual(['running']);
    expect(world.aws.callsOf('HostCommands.start')[0]?.args[2]).toEqual({ Source: 'peer', VolumeId: 'none' });
  });

  it('takes up the instance without a disk though the volume went, and gives it back before it launches another', async () => {
    const world = new World();
    world.terminates(world.node(2).id);
    const { id } = lostVolume(world);
    const seen = killedAfterLaunch(world, () => world.aws.volumes.delete(id));
    const ended = await run(world, 'replace', world.node(2));
    expect(ended.status, JSON.stringify(ended.errors)).toBe('SUCCEEDED');
    expect(world.launched().map((i) => i.state)).toEqual(['terminated', 'running']);
    expect(seen.mostAlive()).toBe(1);
    expect(world.record(INCIDENT).some((l) => l.includes('it does not exist any more'))).toBe(true);
  });

  it('chooses anew when EC2 has no room any more for what the claim says, and uses the volume where it can', async () => {
    const world = new World();
    world.terminates(world.node(2).id);
    const { instances } = world.cloud;
    const launch = instances.launch.bind(instances);
    const asked: string[] = [];
    instances.launch = (request) => {
      asked.push(request.subnetId);
      // The first zone is full for a moment; the step dies on its way into the second, which is full from then on.
      if (asked.length === 2) return Promise.reject(Object.assign(new Error('lost'), { name: 'CloudUnavailable' }));
      const full = asked.length === 1 || request.subnetId === asked[1];
      if (full) return Promise.reject(Object.assign(new Error('full'), { name: 'InsufficientInstanceCapacity' }));
      return launch(request);
    };
    const ended = await run(world, 'replace', world.node(2));
    expect(ended.status, JSON.stringify(ended.errors)).toBe('SUCCEEDED');
    expect(asked).toEqual([asked[0], asked[1], asked[1], asked[0]]);
    expect(world.launched().map((i) => i.zone)).toEqual([world.node(2).zone]);
    expect(world.aws.callsOf('HostCommands.start')[0]?.args[2]).toMatchObject({ Source: 'volume' });
  });

  it('goes on with what was launched for the same lost node in another incident', async () => {
    const world = new World();
    world.terminates(world.node(2).id);
    const { id: replaces, zone } = world.node(2);
    const tags = { [INCIDENT_TAG]: 'a failover by hand', [REPLACES_TAG]: replaces };
    const volumes = [{ volumeId: 'vol-early', device: '/dev/sdf', deleteOnTermination: false }];
    const early = world.aws.addInstance({ cluster: 'orders', zone, tags, volumes });
    const ended = await run(world, 'replace', world.node(2));
    expect(ended.status, JSON.stringify(ended.errors)).toBe('SUCCEEDED');
    expect(world.aws.callsOf('Instances.launch')).toEqual([]);
    expect(world.serving()).toContain(early.id);
  });

  it.each([
    ['is given back before another one is launched, when the volume that it was for has gone', true],
    ['is gone on with, when that is there', false],
  ])('an earlier launch without a data disk %s', async (_, gone) => {
    const world = new World();
    world.terminates(world.node(2).id);
    if (gone) world.aws.volumes.delete(lostVolume(world).id);
    const { id: replaces, zone } = world.node(2);
    const tags = { [INCIDENT_TAG]: 'stopped by a person', [REPLACES_TAG]: replaces };
    const early = world.aws.addInstance({ cluster: 'orders', zone, tags });
    const stateAtLaunch: unknown[] = [];
    world.aws.before = (call) => {
      if (call.operation === 'Instances.launch') stateAtLaunch.push(world.aws.instances.get(early.id)?.state);
    };
    const ended = await run(world, 'replace', world.node(2));
    expect(ended.status, JSON.stringify(ended.errors)).toBe('SUCCEEDED');
    expect(stateAtLaunch).toEqual(gone ? ['shutting-down'] : []);
    expect(world.serving().includes(early.id)).toBe(!gone);
  });

  it.each([
    ['lets go when a person has started the lost node again meanwhile', 60_000, 'Withdraw'],
    ['goes on when that is only an old answer of EC2', -60_000, 'Launch'],
  ])('%s', async (_, startedMs, visited) => {
    const world = new World();
    const lost = world.node(2);
    world.terminates(lost.id);
    const { instances } = world.cloud;
    const launch = instances.launch.bind(instances);
    let refused = false;
    instances.launch = (request) => {
      if (refused) return launch(request);
      refused = true;
      const launchedAtMs = (world.ledger().claim?.claimedAtMs ?? 0) + startedMs;
      world.aws.instances.set(lost.id, { ...lost, state: 'running', launchedAtMs });
      return Promise.reject(new CloudUnavailable('ec2:RunInstances failed after 4 attempts: Throttling'));
    };
    const ended = await run(world, 'replace', lost);
    expect(ended.visited).toContain(visited);
    expect(world.launched()).toHaveLength(startedMs > 0 ? 0 : 1);
    expect(world.ledger().claim).toBeNull();
  });

  it('has written on the claim what it launches before EC2 is asked', async () => {
    const world = new World();
    const lost = world.node(2);
    world.terminates(lost.id);
    const claims: unknown[] = [];
    world.aws.before = (call) => {
      if (call.operation === 'Instances.launch') claims.push(world.ledger().claim?.launch);
    };
    await run(world, 'replace', lost);
    const [{ subnetId } = { subnetId: null }] = world.launched();
    expect(claims).toEqual([{ replaces: lost.id, subnetId, withoutDevice: '/dev/sdf' }]);
  });
});

/** It was launched to get the lost node's volume, and a person stopped the workflow before that. */
describe('an instance without the data disk that it was launched for', () => {
  function withoutDisk(world: World, tags: Readonly<Record<string, string>>) {
    const node = world.node(2);
    world.dies(node.id);
    world.aws.instances.set(node.id, { ...node, volumes: [], tags: { ...node.tags, ...tags } });
    return node;
  }

  it('is not rejoined in place, where its data would end with it, but replaced', async () => {
    const world = new World();
    const node = withoutDisk(world, { [REPLACES_TAG]: 'i-lost-before' });
    const ended = await run(world, 'rejoin', node);
    expect(ended.errors.map((e) => `${e.name}: ${e.message}`).join()).toContain(
      `JoinFailed: ${node.id} was launched without a disk at /dev/sdf`,
    );
    expect(ended.status).toBe('SUCCEEDED');
    expect(world.serving()).not.toContain(node.id);
    expect(world.launched()).toHaveLength(1);
  });

  it('of a person who keeps data elsewhere is none', async () => {
    const world = new World();
    const node = withoutDisk(world, {});
    const ended = await run(world, 'rejoin', node);
    expect(ended.status, JSON.stringify(ended.errors)).toBe('SUCCEEDED');
    expect(world.serving()).toContain(node.id);
    expect(world.launched()).toEqual([]);
  });
});
