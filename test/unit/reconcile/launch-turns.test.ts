/** EC2 launches two a second: a replacement that would have to wait for long is not started, and is asked for again. */
import { describe, expect, it } from 'vitest';
import { reconcile } from '../../../lambdas/reconcile/reconcile.ts';
import { LAUNCHES } from '../../../lambdas/reconcile/start.ts';
import { aSpec, fakeCloud, healthyCluster } from '../../fakes/index.ts';

/** The third node of three is lost. `whenAsked`: what happens while the launch waits for its turn. */
function world(whenAsked: (cloud: ReturnType<typeof fakeCloud>) => Promise<void> = () => Promise.resolve()) {
  const cloud = fakeCloud();
  const [, , node] = healthyCluster(cloud.aws);
  cloud.aws.setState(node?.id ?? '', 'terminated');
  cloud.aws.after = async (call) => {
    if (call.operation === 'Ledger.takeLaunch') await whenAsked(cloud);
  };
  const launches = () => cloud.aws.callsOf('Ledger.takeLaunch').length;
  const refused = () => cloud.metrics.counts.filter((c) => c.name === 'Refusal').map((c) => c.dimensions['code']);
  /** Other clusters take so many turns. */
  const others = (count: number): void => {
    for (let n = 0; n < count; n += 1) cloud.aws.takeLaunch({ nowMs: cloud.clock.nowMs(), ...LAUNCHES });
  };
  return { cloud, launches, refused, others };
}

it('a replacement goes at once while few others are launched, and then waits for its turn', async () => {
  const { cloud, others } = world();
  others(LAUNCHES.burst);
  const beganMs = cloud.clock.nowMs();
  await reconcile('orders', cloud);
  expect(cloud.aws.executions.size).toBe(1);
  expect(cloud.clock.nowMs() - beganMs).toBe(1000 / LAUNCHES.perSecond);
});

it('a replacement whose turn is far is not started, and comes back for it', async () => {
  const { cloud, refused, others } = world();
  others(100);
  const outcome = await reconcile('orders', cloud);
  expect(cloud.aws.executions.size).toBe(0);
  expect(refused()).toEqual(['REFUSED_PACED']);
  expect(outcome).toMatchObject({ kind: 'requeueAfter', seconds: 5 });
  await cloud.clock.sleep(10_000);
  await reconcile('orders', cloud);
  expect(cloud.aws.executions.size).toBe(1);
});

it('a cluster that has lost more than one node is before all that have lost one', async () => {
  for (const [lost, executions] of [
    [1, 0],
    [2, 1],
  ] as const) {
    const cloud = fakeCloud();
    const instances = healthyCluster(cloud.aws, aSpec({ nodes: 5 }));
    for (const { id } of instances.slice(5 - lost)) cloud.aws.setState(id, 'terminated');
    // As many turns as those take who have lost one.
    while (cloud.aws.takeLaunch({ nowMs: cloud.clock.nowMs(), ...LAUNCHES }) !== null);
    await reconcile('orders', cloud);
    expect(cloud.aws.executions.size, `${lost} lost`).toBe(executions);
  }
});

describe('rule 7: the brake comes before the turn', () => {
  it('a launch that it refuses leaves its turn to others', async () => {
    const { cloud, launches, refused } = world();
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
    const { cloud, refused, others } = world();
    others(100);
    await reconcile('orders', cloud);
    expect(refused()).toEqual(['REFUSED_PACED']);
    expect(cloud.aws.failures.size).toBe(1);
  });
});
