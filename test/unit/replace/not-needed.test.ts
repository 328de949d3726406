/** As many as are declared have come to serve before a replacement is launched (seed 68970): it would be one too many. */
import { describe, expect, it } from 'vitest';
import { CloudUnavailable } from '../../../lambdas/cloud/ports.ts';
import { World } from '../../support/recovery-world.ts';
import { INCIDENT, run } from './run.ts';

const aWorld = (): World => new World({ nodes: 5 });

/** From now on fewer are declared: without the lost one there are as many. */
const declaresThree = (world: World): void => {
  world.aws.specs.set(world.spec.name, { ...world.spec, nodes: 3 });
};

describe('a replacement that is not needed any more', () => {
  it('launches nothing when a rejoin has failed: the node is stopped, and reconcile retires it', async () => {
    const world = aWorld();
    const node = world.node(2);
    world.dies(node.id);
    declaresThree(world);
    world.fails = (document) =>
      document === 'galera-join' ? { kind: 'failed', exitCode: 1, output: '', error: 'no disk' } : null;
    const ended = await run(world, 'rejoin', node);
    expect(ended.status, JSON.stringify(ended.errors)).toBe('SUCCEEDED');
    expect(ended.visited).toEqual(expect.arrayContaining(['Fence', 'Launch', 'Withdraw']));
    expect(world.launched()).toEqual([]);
    expect(world.aws.instances.get(node.id)?.state).toBe('stopped');
    expect(world.ledger().fences[node.id]).toBeDefined();
    expect(world.ledger().claim).toBeNull();
    expect(ended.errors.map((e) => e.message).join()).toContain(
      `4 nodes serve (${[0, 1, 3, 4].map((n) => world.node(n).id).join(', ')}), 3 are declared: nothing is launched in place of ${node.id}`,
    );
  });

  it('is launched while one that runs does not serve', async () => {
    const world = aWorld();
    const node = world.node(2);
    world.terminates(node.id);
    for (const other of [1, 3]) world.dies(world.node(other).id);
    declaresThree(world);
    const ended = await run(world, 'replace', node);
    expect(ended.visited).toContain('Route');
    expect(world.launched()).toHaveLength(1);
  });

  it('is gone on with once EC2 has been asked: it may be there, and not be described yet', async () => {
    const world = aWorld();
    const node = world.node(2);
    world.terminates(node.id);
    const { instances } = world.cloud;
    const launch = instances.launch.bind(instances);
    let asked = 0;
    instances.launch = (request) => {
      asked += 1;
      if (asked > 1) return launch(request);
      declaresThree(world);
      return Promise.reject(new CloudUnavailable('ec2:RunInstances: the answer was lost'));
    };
    const ended = await run(world, 'replace', node);
    expect(ended.status, JSON.stringify(ended.errors)).toBe('SUCCEEDED');
    expect(world.launched()).toHaveLength(1);
  });

  it('is launched when it is replaced by plan: that a person has asked for', async () => {
    const world = aWorld();
    const node = world.node(2);
    declaresThree(world);
    const ended = await run(world, 'roll', node);
    expect(ended.status, JSON.stringify(ended.errors)).toBe('SUCCEEDED');
    expect(world.launched()).toHaveLength(1);
    expect(world.record(INCIDENT).some((l) => l.includes('nothing is launched'))).toBe(false);
  });
});
