/** Targets of instances that EC2 has forgotten, and those that only look like it. */
import { describe, expect, it } from 'vitest';
import { CloudUnavailable } from '../../../lambdas/cloud/ports.ts';
import { reconcile } from '../../../lambdas/reconcile/reconcile.ts';
import type { TargetState } from '../../../lambdas/model/view.ts';
import { READER_GROUP, fakeCloud, healthyCluster } from '../../fakes/index.ts';
import type { FakeCloud } from '../../fakes/index.ts';

const GONE = 'i-0000000000000dead';

/** Three nodes serve, and the readers' group has one more. */
function withTarget(id: string, state: TargetState): FakeCloud {
  const cloud = fakeCloud();
  healthyCluster(cloud.aws);
  cloud.aws.targetGroups.get(READER_GROUP)?.targets.set(`${id}:3306`, { id, port: 3306, state });
  return cloud;
}

function isIn({ aws }: FakeCloud, id: string): boolean {
  const target = aws.targetGroups.get(READER_GROUP)?.targets.get(`${id}:3306`);
  return target !== undefined && target.state !== 'draining';
}
const asked = ({ aws }: FakeCloud): unknown => aws.callsOf('Instances.byIds').map((c) => c.args[0]);

describe('a target that is no instance of the cluster', () => {
  it('leaves when EC2 knows nothing of it any more', async () => {
    const cloud = withTarget(GONE, 'unused');
    await reconcile('orders', cloud);
    expect(asked(cloud)).toEqual([[GONE]]);
    expect(cloud.aws.callsOf('TargetGroups.deregister').map((c) => c.args)).toEqual([
      [READER_GROUP, [{ id: GONE, port: 3306 }]],
    ]);
    expect(isIn(cloud, GONE)).toBe(false);
  });

  it('stays when it is a stopped instance of another team, or one that carries no tag (safety rule 8)', async () => {
    const cloud = fakeCloud();
    healthyCluster(cloud.aws);
    const theirs = cloud.aws.addInstance({ cluster: 'billing', state: 'stopped' });
    const untagged = cloud.aws.addInstance({ cluster: 'billing', state: 'stopped' });
    cloud.aws.instances.set(untagged.id, { ...untagged, tags: {} });
    const { targets } = cloud.aws.targetGroups.get(READER_GROUP) ?? {};
    for (const { id } of [theirs, untagged]) targets?.set(`${id}:3306`, { id, port: 3306, state: 'unused' });
    await reconcile('orders', cloud);
    expect(isIn(cloud, theirs.id)).toBe(true);
    expect(isIn(cloud, untagged.id)).toBe(true);
  });

  it('stays when the balancer reaches it, and EC2 is not even asked: it may be too new to be described', async () => {
    for (const state of ['initial', 'healthy', 'unhealthy'] as const) {
      const cloud = withTarget(GONE, state);
      await reconcile('orders', cloud);
      expect(asked(cloud)).toEqual([]);
      expect(isIn(cloud, GONE)).toBe(true);
    }
  });

  it('stays while EC2 does not answer', async () => {
    const cloud = withTarget(GONE, 'unused');
    cloud.aws.before = ({ operation }) => {
      if (operation === 'Instances.byIds') throw new CloudUnavailable('RequestLimitExceeded');
    };
    await reconcile('orders', cloud);
    expect(isIn(cloud, GONE)).toBe(true);
  });
});
