/** Routing a new writer does not wait for the node that writes have just left. */
import { describe, expect, it } from 'vitest';
import type { Claim } from '../../../lambdas/model/ledger.ts';
import { observe } from '../../../lambdas/reconcile/observe.ts';
import { fakeCloud, healthyCluster } from '../../fakes/index.ts';

const SUSPECTED_MS = 5000;

async function deadlines(kind: 'silent' | 'partitioned', agoMs: number, isWriter: boolean, failover = false) {
  const cloud = fakeCloud();
  const [mute = '', other = ''] = healthyCluster(cloud.aws).map((i) => i.id);
  await cloud.ledger.setSuspicion('orders', mute, { kind, sinceMs: cloud.clock.nowMs() - agoMs });
  const { cluster } = await cloud.ledger.read('orders');
  await cloud.ledger.setWriter('orders', cluster.epoch, isWriter ? mute : other);
  if (failover) await cloud.ledger.claim('orders', claimOf(mute, cloud.clock.nowMs()));
  await observe('orders', cloud);
  const asked = cloud.aws
    .callsOf('Prober.probe')
    .map(({ args }) => args[0] as { instanceId: string; deadlineMs?: number });
  return new Map(asked.map((t) => [t.instanceId === mute ? 'the mute one' : 'others', t.deadlineMs]));
}

const claimOf = (node: string, claimedAtMs: number): Claim => ({
  ...{ execution: 'arn:aws:states:eu-west-1:123456789012:execution:failover:orders-1', incident: 'orders-1' },
  ...{ mode: 'failover' as const, node, joiner: null, donor: null, launch: null, claimedAtMs },
});

describe('a node that has been failing', () => {
  it('for long, and that writes do not go to, is asked briefly; the others with all patience', async () => {
    const asked = await deadlines('silent', SUSPECTED_MS, false);
    expect(asked.get('the mute one')).toBeLessThanOrEqual(300);
    expect(asked.get('others')).toBeUndefined();
  });

  it('as the writer is asked briefly once a failover is at work', async () => {
    expect((await deadlines('silent', SUSPECTED_MS, true, true)).get('the mute one')).toBeLessThanOrEqual(300);
  });

  it.each([
    ['as the writer', 'silent', SUSPECTED_MS, true],
    ['once', 'silent', 1400, false],
    ['by its own word only', 'partitioned', SUSPECTED_MS, false],
  ] as const)('%s is asked with all patience', async (_, kind, agoMs, isWriter) => {
    expect((await deadlines(kind, agoMs, isWriter)).get('the mute one')).toBeUndefined();
  });
});
