/** What recoveries leave over, and the clocks that it must not serve as. */
import { describe, expect, it } from 'vitest';
import { REPLACES_TAG } from '../../../lambdas/model/spec.ts';
import { reconcile } from '../../../lambdas/reconcile/reconcile.ts';
import { aSpec, fakeCloud, healthyCluster } from '../../fakes/index.ts';
import type { FakeCloud } from '../../fakes/index.ts';

const DAY_MS = 24 * 3_600_000;

/** Three serve, and a stopped node lies beside the third, which took its place. */
function leftOver(cloud: FakeCloud, name = 'orders') {
  const { aws } = cloud;
  const [, , third] = healthyCluster(aws, aSpec({ name }));
  if (third === undefined) throw new Error('the cluster has no third node');
  const node = aws.addInstance({ cluster: name, state: 'stopped', launchedAtMs: cloud.clock.nowMs() - DAY_MS });
  aws.instances.set(third.id, { ...third, tags: { ...third.tags, [REPLACES_TAG]: node.id } });
  return { node, third };
}

const ledgerOf = ({ aws }: FakeCloud, name = 'orders') => {
  const found = aws.ledgers.get(name);
  if (found === undefined) throw new Error(`no ledger of ${name}`);
  return found;
};

function fence(cloud: FakeCloud, node: string, name = 'orders'): void {
  const fences = { [node]: { atMs: cloud.clock.nowMs() - 1000, execution: 'arn:earlier' } };
  cloud.aws.ledgers.set(name, { ...ledgerOf(cloud, name), fences });
}

const tellings = ({ aws }: FakeCloud): readonly string[] =>
  aws.published.filter((p) => p.subject.includes('REFUSED_LEFT_OVER')).map((p) => p.body);

describe('a left-over that is a person’s', () => {
  it('is told once, and no incident stays open for it over the days until somebody has time', async () => {
    const cloud = fakeCloud();
    const { node } = leftOver(cloud);
    for (let day = 0; day < 3; day += 1) {
      await reconcile('orders', cloud);
      await reconcile('orders', cloud);
      expect(ledgerOf(cloud).incident).toBeNull();
      await cloud.clock.advance(DAY_MS);
    }
    expect(tellings(cloud)).toEqual([expect.stringContaining(node.id)]);
    expect(cloud.aws.executions.size).toBe(0);
  });

  it('is told though another was before it', async () => {
    const cloud = fakeCloud();
    const first = leftOver(cloud);
    await reconcile('orders', cloud);
    const second = cloud.aws.addInstance({ cluster: 'orders', state: 'stopped' });
    await reconcile('orders', cloud);
    await reconcile('orders', cloud);
    expect(tellings(cloud)).toEqual([first.node, second].map((n) => expect.stringContaining(n.id) as string));
  });

  it('is not forgotten to be told when the look was killed right after the message', async () => {
    const cloud = fakeCloud();
    leftOver(cloud);
    cloud.aws.before = ({ operation }) => {
      if (operation === 'Ledger.setLeftOver') throw new Error('killed');
    };
    await expect(reconcile('orders', cloud)).rejects.toThrow('killed');
    expect(ledgerOf(cloud).incident).not.toBeNull();
    cloud.aws.before = () => undefined;
    await reconcile('orders', cloud);
    await reconcile('orders', cloud);
    expect(ledgerOf(cloud).incident).toBeNull();
    expect(tellings(cloud)).toHaveLength(1);
  });

  it('is forgotten when it is gone', async () => {
    const cloud = fakeCloud();
    const { node } = leftOver(cloud);
    await reconcile('orders', cloud);
    cloud.aws.setState(node.id, 'terminated');
    await reconcile('orders', cloud);
    expect(ledgerOf(cloud).leftOver).toEqual({});
  });
});

describe('a left-over that a workflow fenced', () => {
  it('is retired by a workflow, and nobody is told', async () => {
    const cloud = fakeCloud();
    const { node } = leftOver(cloud);
    fence(cloud, node.id);
    await reconcile('orders', cloud);
    const started = [...cloud.aws.executions.values()].map((e) => [e.input.mode, e.input.node]);
    expect(started).toEqual([['retire', node.id]]);
    expect(tellings(cloud)).toEqual([]);
  });

  it('rule 7: is no failure in the fleet’s count: tidying up in many clusters at once does not engage the brake', async () => {
    const cloud = fakeCloud();
    const names = ['one', 'two', 'three', 'four', 'five', 'six'];
    for (const name of names) fence(cloud, leftOver(cloud, name).node.id, name);
    for (const name of names) await reconcile(name, cloud);
    expect(cloud.aws.executions.size).toBe(names.length);
    expect(cloud.aws.brake.engaged).toBe(false);
  });

  it('is a person’s after five workflows have ended without it, and no recovery is held up by that', async () => {
    const cloud = fakeCloud();
    const { node } = leftOver(cloud);
    fence(cloud, node.id);
    for (let tries = 0; tries < 6; tries += 1) {
      await reconcile('orders', cloud);
      for (const arn of cloud.aws.executions.keys()) cloud.aws.endExecution(arn, 'FAILED');
    }
    expect(cloud.aws.executions.size).toBe(5);
    expect(tellings(cloud)).toEqual([expect.stringContaining(`${node.id} could not be retired`)]);
    expect(ledgerOf(cloud).escalation).toBeNull();
    await reconcile('orders', cloud);
    expect(ledgerOf(cloud).incident).toBeNull();
  });
});

describe('a place that no instance explains', () => {
  it('rule 7: is news to the brake, though an incident has been open for longer than the brake has been released', async () => {
    const cloud = fakeCloud();
    const names = ['one', 'two', 'three', 'four', 'five', 'six'];
    const nodes = names.map((name) => healthyCluster(cloud.aws, aSpec({ name })));
    const openedAtMs = cloud.clock.nowMs();
    for (const name of names) {
      const incident = { id: `${name}-old`, openedAtMs, node: null, diagnosis: 'DISK_NEARLY_FULL' };
      await reconcile(name, cloud);
      cloud.aws.ledgers.set(name, { ...ledgerOf(cloud, name), incident });
    }
    await cloud.clock.advance(DAY_MS);
    await cloud.ledger.releaseBrake('ada', cloud.clock.nowMs());
    await cloud.clock.advance(1000);
    for (const of of nodes) cloud.aws.instances.delete(of[2]?.id ?? '');
    for (const name of names) await reconcile(name, cloud);
    // Not at once, though the incident is a day old.
    expect(cloud.aws.executions.size).toBe(0);
    await cloud.clock.advance(60_000);
    for (const name of names) await reconcile(name, cloud);
    expect(cloud.aws.brake.engaged).toBe(true);
    expect([...cloud.aws.executions.values()].every((e) => e.input.mode === 'add')).toBe(true);
  });
});
