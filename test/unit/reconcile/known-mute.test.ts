/** Routing a new writer does not wait for the node that writes have just left. */
import { describe, expect, it } from 'vitest';
import { observe } from '../../../lambdas/reconcile/observe.ts';
import { fakeCloud, healthyCluster } from '../../fakes/index.ts';

const SUSPECTED_MS = 5000;

async function deadlines(kind: 'silent' | 'partitioned', agoMs: number, isWriter: boolean) {
  const cloud = fakeCloud();
  const [mute = '', other = ''] = healthyCluster(cloud.aws).map((i) => i.id);
  await cloud.ledger.setSuspicion('orders', mute, { kind, sinceMs: cloud.clock.nowMs() - agoMs });
  const { cluster } = await cloud.ledger.read('orders');
  await cloud.ledger.setWriter('orders', cluster.epoch, isWriter ? mute : other);
  await observe('orders', cloud);
  const asked = cloud.aws
    .callsOf('Prober.probe')
    .map(({ args }) => args[0] as { instanceId: string; deadlineMs?: number });
  return new Map(asked.map((t) => [t.instanceId === mute ? 'the mute one' : 'others', t.deadlineMs]));
}

describe('a node that has been failing', () => {
  it('for long, and that writes do not go to, is asked briefly; the others with all patience', async () => {
    const asked = await deadlines('silent', SUSPECTED_MS, false);
    expect(asked.get('the mute one')).toBeLessThanOrEqual(300);
    expect(asked.get('others')).toBeUndefined();
  });

  it.each([
    ['as the writer', 'silent', SUSPECTED_MS, true],
    ['once', 'silent', 1400, false],
    ['by its own word only', 'partitioned', SUSPECTED_MS, false],
  ] as const)('%s is asked with all patience', async (_, kind, agoMs, isWriter) => {
    expect((await deadlines(kind, agoMs, isWriter)).get('the mute one')).toBeUndefined();
  });
});
