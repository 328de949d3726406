/** Rule 7: nodes that EC2 has ended count for the fleet's brake when the watch sees them, and not when they are replaced. */
import { describe, expect, it } from 'vitest';
import { CloudUnavailable } from '../../../lambdas/cloud/ports.ts';
import { REPLACES_TAG } from '../../../lambdas/model/spec.ts';
import { Watch } from '../../../lambdas/watch/watch.ts';
import { aSpec, fakeCloud, healthyCluster } from '../../fakes/index.ts';
import type { FakeCloud } from '../../fakes/index.ts';

const NAMES = ['one', 'two', 'three', 'four', 'five', 'six'];
const CONFIG = { probeIntervalMs: 1000, sweepSeconds: 180, containerId: 'test' };

/** Six clusters that have been watched for some seconds; the brake engages at six nodes of eighteen. */
async function watched() {
  const cloud = fakeCloud();
  const ids = NAMES.map((name) => healthyCluster(cloud.aws, aSpec({ name })).map((i) => i.id));
  const watch = new Watch(cloud, CONFIG);
  const run = (seconds: number): Promise<void> => watch.run(cloud.clock.nowMs() + seconds * 1000);
  await run(5);
  const end = (clusters: number, node = 2): void => {
    for (const of of ids.slice(0, clusters)) cloud.aws.setState(of[node] ?? '', 'terminated');
  };
  return { cloud, ids, run, end };
}

const failures = async (cloud: FakeCloud): Promise<number> => (await cloud.ledger.failuresSince(0)).length;

describe('a zone that goes', () => {
  it('engages the brake within seconds, though nothing was reconciled', async () => {
    const { cloud, run, end } = await watched();
    end(6);
    await run(25);
    expect(cloud.aws.brake.engaged).toBe(true);
    expect(cloud.aws.brake.reason).toContain('6 of 18 nodes in 6');
    expect(cloud.aws.executions.size).toBe(0);
  });

  it('does not engage it below the threshold', async () => {
    const { cloud, run, end } = await watched();
    end(5);
    await run(25);
    expect(await failures(cloud)).toBe(5);
    expect(cloud.aws.brake.engaged).toBe(false);
  });

  it('is counted again when the ledger did not answer', async () => {
    const { cloud, run, end } = await watched();
    end(6);
    cloud.aws.failNext('Ledger.failuresSince', new CloudUnavailable('throttled'));
    await run(25);
    expect(cloud.aws.brake.engaged).toBe(true);
  });

  it('does not engage it again for what a person has released it for', async () => {
    const { cloud, run, end } = await watched();
    end(6);
    await run(25);
    await cloud.ledger.releaseBrake('ada', cloud.clock.nowMs());
    end(1, 1);
    await run(25);
    expect(await failures(cloud)).toBe(7);
    expect(cloud.aws.brake.engaged).toBe(false);
  });
});

describe('another container', () => {
  it('that sees the same losses after the release does not engage the brake again', async () => {
    const { cloud, run, end } = await watched();
    const other = new Watch(cloud, CONFIG);
    await other.run(cloud.clock.nowMs() + 5000);
    end(6);
    await run(25);
    await cloud.ledger.releaseBrake('ada', cloud.clock.nowMs());
    await cloud.clock.sleep(1000);
    await other.run(cloud.clock.nowMs() + 25_000);
    expect(await failures(cloud)).toBe(6);
    expect(cloud.aws.brake.engaged).toBe(false);
  });

  it('that was asleep for long counts nothing of what it has slept over', async () => {
    const { cloud, run, end } = await watched();
    await cloud.clock.sleep(11 * 60_000);
    end(6);
    await run(25);
    expect(await failures(cloud)).toBe(0);
  });
});

describe('a node that somebody has in hand is no loss', () => {
  it('when a workflow holds the claim', async () => {
    const { cloud, run, end } = await watched();
    const claim = { incident: 'i', mode: 'rolling', node: null, joiner: null, donor: null, launch: null } as const;
    for (const name of NAMES.slice(0, 2))
      await cloud.ledger.claim(name, { ...claim, execution: `of ${name}`, claimedAtMs: cloud.clock.nowMs() });
    end(6);
    await run(25);
    expect(await failures(cloud)).toBe(4);
  });

  it('when it is in maintenance, and when its successor is there', async () => {
    const { cloud, ids, run, end } = await watched();
    const [[, other = '', first = ''] = [], [, successor = '', second = ''] = []] = ids;
    await cloud.ledger.setMaintenance('one', { node: first, by: 'ada', sinceMs: 1 });
    const there = cloud.aws.instances.get(successor);
    if (there === undefined) throw new Error(`no ${successor}`);
    cloud.aws.instances.set(successor, { ...there, tags: { ...there.tags, [REPLACES_TAG]: second } });
    end(6);
    await run(25);
    expect(other).not.toBe('');
    expect(await failures(cloud)).toBe(4);
  });
});
