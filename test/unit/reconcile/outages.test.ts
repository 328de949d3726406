/** AWS services that are away while a node dies: what does not need them goes on. */
import { describe, expect, it } from 'vitest';
import { CloudUnavailable } from '../../../lambdas/cloud/ports.ts';
import type { Claim } from '../../../lambdas/model/ledger.ts';
import { reconcile } from '../../../lambdas/reconcile/reconcile.ts';
import { WRITER_GROUP, aStatus, answered, fakeCloud, healthyCluster } from '../../fakes/index.ts';
import type { FakeCloud } from '../../fakes/index.ts';

const CLAIM: Claim = {
  execution: 'arn:aws:states:eu-west-1:123456789012:execution:replace:orders-x',
  ...{ incident: 'orders-x-e1', mode: 'add', node: null, joiner: null, donor: null, launch: null, claimedAtMs: 0 },
};
const away = new CloudUnavailable('failed after 2 attempts: Throttling: Rate exceeded');

function writerTerminated(): { cloud: FakeCloud; a: string; b: string } {
  const cloud = fakeCloud();
  cloud.aws.registeredState = 'healthy';
  const [a = '', b = ''] = healthyCluster(cloud.aws).map((i) => i.id);
  cloud.aws.setState(a, 'terminated');
  return { cloud, a, b };
}

const routedWriter = (cloud: FakeCloud): string[] =>
  [...(cloud.aws.targetGroups.get(WRITER_GROUP)?.targets.values() ?? [])].flatMap((t) =>
    t.state === 'draining' ? [] : [t.id],
  );

describe('rule 9: Route 53 is away', () => {
  it('the writer is moved and the recovery started all the same; the record waits', async () => {
    const { cloud, b } = writerTerminated();
    cloud.aws.failNext('DnsZones.read', away, { times: 100 });
    expect((await reconcile('orders', cloud)).kind).toBe('requeueAfter');
    expect(routedWriter(cloud)).toEqual([b]);
    expect(cloud.aws.executions.size).toBe(1);
    expect(cloud.aws.callsOf('DnsZones.upsert')).toEqual([]);
    expect(cloud.metrics.total('RecordUnreadable')).toBe(1);
  });

  it('no incident closes on a record that nobody could read', async () => {
    const cloud = fakeCloud();
    healthyCluster(cloud.aws);
    await cloud.ledger.openIncident('orders', {
      id: 'orders-x-e1',
      openedAtMs: 0,
      node: null,
      diagnosis: 'QUORUM_LOST',
    });
    cloud.aws.failNext('DnsZones.read', away);
    await reconcile('orders', cloud);
    expect(cloud.aws.ledgers.get('orders')?.incident).not.toBeNull();
    await reconcile('orders', cloud);
    expect(cloud.aws.ledgers.get('orders')?.incident).toBeNull();
  });

  it('a zone that is gone for good fails the request when all is quiet, and never while something is done', async () => {
    const quiet = fakeCloud();
    healthyCluster(quiet.aws);
    quiet.aws.failNext('DnsZones.read', new Error('NoSuchHostedZone'), { times: 100 });
    await expect(reconcile('orders', quiet)).rejects.toThrow(/orders.*cannot be read.*NoSuchHostedZone/);
    const { cloud, b } = writerTerminated();
    cloud.aws.failNext('DnsZones.read', new Error('NoSuchHostedZone'), { times: 100 });
    await reconcile('orders', cloud);
    expect(routedWriter(cloud)).toEqual([b]);
  });
});

describe('Step Functions is away while a workflow holds the claim', () => {
  it('routing goes on, and the claim counts as alive', async () => {
    const { cloud, b } = writerTerminated();
    await cloud.ledger.claim('orders', CLAIM);
    cloud.aws.failNext('Workflows.state', away, { times: 100 });
    await reconcile('orders', cloud);
    expect(routedWriter(cloud)).toEqual([b]);
    expect(cloud.aws.ledgers.get('orders')?.claim).not.toBeNull();
    expect(cloud.aws.executions.size).toBe(0);
  });
});

describe('a reconcile that cannot do what it wants', () => {
  it.each([
    ['AWS does not answer', 'TargetGroups.health', away],
    ['a change is refused', 'TargetGroups.deregister', new Error('AccessDenied')],
    ['a record cannot be read', 'DnsZones.read', away],
  ])('counts itself without a cluster, which an alarm looks at: %s', async (_, operation, error) => {
    const { cloud } = writerTerminated();
    cloud.aws.failNext(operation, error, { times: 100 });
    await reconcile('orders', cloud);
    expect(cloud.metrics.total('ReconcileObstructed')).toBeGreaterThan(0);
    cloud.aws.before = null;
    const before = cloud.metrics.total('ReconcileObstructed');
    await cloud.clock.advance(2000);
    await reconcile('orders', cloud);
    expect(cloud.metrics.total('ReconcileObstructed')).toBe(before);
  });
});

describe('trouble that comes again after its incident was closed, with no recovery in between', () => {
  it('is another incident, and people are told again', async () => {
    const cloud = fakeCloud();
    const ids = healthyCluster(cloud.aws).map((i) => i.id);
    const wellAs = ids.map((id) => cloud.aws.probes.get(id));
    const loseQuorum = async (): Promise<void> => {
      for (const id of ids) {
        cloud.aws.probes.set(id, (atMs) => answered(aStatus({ component: 'Non-Primary', ready: false }), atMs));
      }
      for (let look = 0; look < 3; look += 1) {
        await reconcile('orders', cloud);
        await cloud.clock.advance(2000);
      }
      ids.forEach((id, i) => {
        const well = wellAs[i];
        if (well !== undefined) cloud.aws.probes.set(id, well);
      });
      await reconcile('orders', cloud);
      expect(cloud.aws.ledgers.get('orders')?.incident).toBeNull();
    };
    await loseQuorum();
    const first = cloud.aws.published.length;
    expect(first).toBeGreaterThan(0);
    await cloud.clock.advance(3 * 3600_000);
    await loseQuorum();
    expect(cloud.aws.published).toHaveLength(2 * first);
    expect(cloud.aws.incidents.size).toBe(2);
  });
});
