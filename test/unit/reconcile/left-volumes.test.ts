/** An incident that is over, and the data volumes that nobody uses. */
import { describe, expect, it } from 'vitest';
import { CloudUnavailable } from '../../../lambdas/cloud/ports.ts';
import { CLUSTER_TAG } from '../../../lambdas/model/spec.ts';
import { UNUSABLE_TAG } from '../../../lambdas/model/volume.ts';
import { reconcile } from '../../../lambdas/reconcile/reconcile.ts';
import { fakeCloud, healthyCluster } from '../../fakes/index.ts';
import type { FakeCloud } from '../../fakes/index.ts';

const INCIDENT = 'orders-i-lost-e1';

/** All nodes serve, an incident is open, and `volumes` lie about. */
async function over(volumes: Readonly<Record<string, Readonly<Record<string, string>>>>): Promise<FakeCloud> {
  const cloud = fakeCloud();
  healthyCluster(cloud.aws);
  const opened = { id: INCIDENT, openedAtMs: cloud.clock.nowMs(), node: 'i-lost', diagnosis: 'NODE_DOWN' } as const;
  await cloud.ledger.openIncident('orders', opened);
  const free = { state: 'available', zone: 'eu-west-1a', attachedTo: null, device: null } as const;
  for (const [id, tags] of Object.entries(volumes)) cloud.aws.volumes.set(id, { id, tags, ...free });
  return cloud;
}

const isOpen = ({ aws }: FakeCloud): boolean => aws.ledgers.get('orders')?.incident !== null;
const record = async ({ ledger }: FakeCloud): Promise<readonly string[]> =>
  (await ledger.incident('orders', INCIDENT)).map((e) => e.what);

describe('before an incident is closed', () => {
  it('people are told in one message of the volumes that nobody uses, with why and what to do', async () => {
    const cloud = await over({
      'vol-left': { [CLUSTER_TAG]: 'orders' },
      'vol-bad': { [CLUSTER_TAG]: 'orders', [UNUSABLE_TAG]: 'x' },
    });
    await reconcile('orders', cloud);
    expect(isOpen(cloud)).toBe(false);
    expect(cloud.aws.published).toEqual([
      {
        subject: 'orders: data volumes are left over',
        body: [
          'vol-left: it is attached to nobody in eu-west-1a: delete it when nothing on it is needed any more',
          'vol-bad: it is attached to nobody in eu-west-1a, and is marked rejoin:unusable: delete it when nothing on it is needed any more',
          `Incident ${INCIDENT}.`,
          'Runbook: docs/runbook.md#volumes-left',
        ].join('\n'),
      },
    ]);
    expect(await record(cloud)).toEqual(
      expect.arrayContaining(['leaves the volume vol-left', 'leaves the volume vol-bad']),
    );
    expect(cloud.aws.volumes.has('vol-left')).toBe(true);
  });

  it('nobody is told again of what the record names, and nothing of other clusters', async () => {
    const cloud = await over({ 'vol-left': { [CLUSTER_TAG]: 'orders' }, 'vol-theirs': { [CLUSTER_TAG]: 'billing' } });
    const entry = { atMs: 1, who: 'replace', what: 'leaves the volume vol-left', why: 'kept' };
    await cloud.ledger.record('orders', INCIDENT, 'left-vol-left', entry);
    await reconcile('orders', cloud);
    expect(isOpen(cloud)).toBe(false);
    expect(cloud.aws.published).toEqual([]);
  });

  it('what an instance has that is just ending counts as left', async () => {
    const cloud = await over({});
    const volumes = [{ volumeId: 'vol-ending', device: '/dev/sdf', deleteOnTermination: false }];
    cloud.aws.addInstance({ cluster: 'orders', state: 'shutting-down', volumes });
    await reconcile('orders', cloud);
    expect(await record(cloud)).toContain('leaves the volume vol-ending');
  });

  it('it stays open when EC2 does not answer, and the next look tells', async () => {
    const cloud = await over({ 'vol-left': { [CLUSTER_TAG]: 'orders' } });
    cloud.aws.before = ({ operation }) => {
      if (operation === 'Volumes.ofCluster') throw new CloudUnavailable('RequestLimitExceeded');
    };
    expect(await reconcile('orders', cloud)).toMatchObject({ kind: 'requeueAfter' });
    expect(isOpen(cloud)).toBe(true);
    cloud.aws.before = null;
    await reconcile('orders', cloud);
    expect(isOpen(cloud)).toBe(false);
    expect(cloud.aws.published).toHaveLength(1);
  });
});
