/** EC2 launches two a second: a replacement that would have to wait for long is not started, and is asked for again. */
import { expect, it } from 'vitest';
import { ratesOf, Turns } from '../../../lambdas/cloud/pace.ts';
import { reconcile } from '../../../lambdas/reconcile/reconcile.ts';
import { DEFAULT_QUOTAS } from '../../../lib/capabilities/reconcile.ts';
import { fakeCloud, healthyCluster } from '../../fakes/index.ts';

it('a replacement waits for its turn', async () => {
  const base = fakeCloud();
  const cloud = { ...base, pace: new Turns(base.clock, ratesOf(DEFAULT_QUOTAS)) };
  const [, , node] = healthyCluster(cloud.aws);
  cloud.aws.setState(node?.id ?? '', 'terminated');
  const others = cloud.pace.turn('launch', 5);
  const outcome = await reconcile('orders', cloud);
  expect(cloud.aws.executions.size).toBe(0);
  expect(cloud.metrics.total('Refusal')).toBe(1);
  expect(outcome).toMatchObject({ kind: 'requeueAfter', seconds: 5 });
  await others;
  await cloud.clock.sleep(10_000);
  await reconcile('orders', cloud);
  expect(cloud.aws.executions.size).toBe(1);
});
