/** Rule 7: once a person has released the brake, what it held back goes on; what is new engages it again. */
import { describe, expect, it } from 'vitest';
import { reconcile } from '../../../lambdas/reconcile/reconcile.ts';
import { aSpec, fakeCloud, healthyCluster } from '../../fakes/index.ts';

const NAMES = ['one', 'two', 'three', 'four', 'five', 'six'];

/** A zone is lost: in each of six clusters the third node is terminated. */
async function zoneLost() {
  const cloud = fakeCloud();
  const instances = NAMES.map((name) => healthyCluster(cloud.aws, aSpec({ name })));
  for (const of of instances) cloud.aws.setState(of[2]?.id ?? '', 'terminated');
  for (const name of NAMES) await reconcile(name, cloud);
  return { cloud, instances };
}

describe('the brake that a person releases', () => {
  it('held back what was one too many', async () => {
    const { cloud } = await zoneLost();
    expect(cloud.aws.brake.engaged).toBe(true);
    expect(cloud.aws.executions.size).toBe(5);
  });

  it('does not engage again for the nodes that it was released for', async () => {
    const { cloud } = await zoneLost();
    await cloud.clock.advance(60_000);
    await cloud.ledger.releaseBrake('ada', cloud.clock.nowMs());
    for (let round = 0; round < 3; round += 1) {
      await cloud.clock.advance(5000);
      for (const name of NAMES) await reconcile(name, cloud);
    }
    expect(cloud.aws.brake.engaged).toBe(false);
    expect(cloud.aws.executions.size).toBe(NAMES.length);
  });

  it('engages again when as many fail anew, in the same clusters and the same incidents', async () => {
    const { cloud, instances } = await zoneLost();
    await cloud.ledger.releaseBrake('ada', cloud.clock.nowMs());
    await cloud.clock.advance(1000);
    // The first replacements went nowhere, and now the second zone goes.
    cloud.aws.executions.clear();
    for (const of of instances) cloud.aws.setState(of[1]?.id ?? '', 'terminated');
    const second = NAMES.map((name, i) => ({
      ...{ cluster: name, node: instances[i]?.[1]?.id ?? '' },
      ...{ atMs: cloud.clock.nowMs(), knownSinceMs: cloud.clock.nowMs() },
    }));
    for (const failure of second.slice(1)) await cloud.ledger.noteFailure(failure);
    cloud.aws.instances.delete(instances[0]?.[2]?.id ?? '');
    await reconcile('one', cloud);
    expect(cloud.aws.brake.engaged).toBe(true);
    await cloud.ledger.releaseBrake('ada', cloud.clock.nowMs());
    await cloud.clock.advance(1000);
    await reconcile('one', cloud);
    expect(cloud.aws.brake.engaged).toBe(false);
  });
});
