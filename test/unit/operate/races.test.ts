/** A person's requests beside what the plane does at the same moment, and after a night of trying. */
import { describe, expect, it } from 'vitest';
import { operate } from '../../../lambdas/operate/operate.ts';
import { reconcile } from '../../../lambdas/reconcile/reconcile.ts';
import { fakeCloud, healthyCluster } from '../../fakes/index.ts';

const CLAIM = { incident: 'x', mode: 'replace', joiner: null, donor: null, launch: null, claimedAtMs: 0 } as const;

describe('maintenance that is asked for while a workflow takes its claim', () => {
  it('is refused: two nodes must not be taken from one cluster', async () => {
    const cloud = fakeCloud();
    const [a = '', b = ''] = healthyCluster(cloud.aws).map((i) => i.id);
    cloud.aws.before = async (call) => {
      if (call.operation !== 'Ledger.setMaintenance') return;
      cloud.aws.before = null;
      await cloud.ledger.claim('orders', { ...CLAIM, execution: 'arn:run', node: b });
    };
    const request = { action: 'maintenance-on', cluster: 'orders', node: a, by: 'ada' };
    const answer = await operate(request, { ...cloud, unique: () => '1' });
    expect(answer.accepted).toBe(false);
    expect(answer.message).toContain('is claimed');
    expect(cloud.aws.ledgers.get('orders')?.maintenance).toBeNull();
  });
});

describe('an acknowledgement', () => {
  it('starts the next attempt, however many have failed before', async () => {
    const cloud = fakeCloud();
    const [, , c = ''] = healthyCluster(cloud.aws).map((i) => i.id);
    cloud.aws.setState(c, 'terminated');
    // Each execution fails as a workflow does, at once.
    cloud.aws.after = async (call) => {
      if (call.operation !== 'Workflows.start') return;
      for (const [arn, e] of cloud.aws.executions) if (e.state === 'RUNNING') cloud.aws.endExecution(arn, 'FAILED');
    };
    await reconcile('orders', cloud);
    await reconcile('orders', cloud);
    expect(cloud.aws.executions.size).toBe(5);
    for (let more = 0; more < 3; more += 1) {
      const before = cloud.aws.executions.size;
      const request = { action: 'acknowledge', cluster: 'orders', by: 'ada' };
      expect(await operate(request, { ...cloud, unique: () => String(more) })).toMatchObject({ accepted: true });
      expect(await operate(request, { ...cloud, unique: () => String(more) })).toMatchObject({ accepted: false });
      await reconcile('orders', cloud);
      expect(cloud.aws.executions.size).toBeGreaterThan(before);
    }
  });
});
