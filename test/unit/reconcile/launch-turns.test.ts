/** EC2 launches two a second: a replacement that would have to wait for long is not started, and is asked for again. */
import { describe, expect, it } from 'vitest';
import { CloudUnavailable } from '../../../lambdas/cloud/ports.ts';
import type { Pace, Turn } from '../../../lambdas/cloud/ports.ts';
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

describe('rule 7: the brake comes before the turn', () => {
  /** The third node of three is lost; `whenAsked`: what happens while the launch waits for its turn. */
  function world(whenAsked: (cloud: ReturnType<typeof fakeCloud>) => Promise<void>) {
    const base = fakeCloud();
    const turns: Turn[] = [];
    const pace: Pace = {
      turn: async (kind) => {
        turns.push(kind);
        if (kind === 'launch') await whenAsked(base);
      },
      may: () => true,
      isShort: () => false,
    };
    const cloud = { ...base, pace };
    const [, , node] = healthyCluster(cloud.aws);
    cloud.aws.setState(node?.id ?? '', 'terminated');
    const launches = () => turns.filter((t) => t === 'launch').length;
    const refused = () => cloud.metrics.counts.filter((c) => c.name === 'Refusal').map((c) => c.dimensions['code']);
    return { cloud, launches, refused };
  }

  it('a launch that it refuses leaves its turn to others', async () => {
    const { cloud, launches, refused } = world(() => Promise.resolve());
    const atMs = cloud.clock.nowMs();
    for (const node of ['a', 'b', 'c']) await cloud.ledger.noteFailure({ cluster: 'billing', node, atMs });
    await reconcile('orders', cloud);
    expect(refused()).toContain('REFUSED_BRAKE');
    expect(cloud.aws.brake.engaged).toBe(true);
    expect(launches()).toBe(0);
  });

  it('a launch whose turn took seconds to come looks at it again', async () => {
    const { cloud, launches, refused } = world(async ({ clock, ledger }) => {
      await clock.sleep(3000);
      await ledger.engageBrake('a zone is gone', clock.nowMs());
    });
    await reconcile('orders', cloud);
    expect(launches()).toBe(1);
    expect(refused()).toContain('REFUSED_BRAKE');
    expect(cloud.aws.executions.size).toBe(0);
  });

  it('a launch whose turn is far counts among the failures', async () => {
    const { cloud, refused } = world(() => Promise.reject(new CloudUnavailable('launch: no turn')));
    await reconcile('orders', cloud);
    expect(refused()).toEqual(['REFUSED_PACED']);
    expect(cloud.aws.failures.size).toBe(1);
  });
});
