/** A planned replacement beside the real reconcile, which drains the node and puts its successor into service. */
import { describe, expect, it } from 'vitest';
import type { ClusterSpec } from '../../../lambdas/model/spec.ts';
import { reconcile } from '../../../lambdas/reconcile/reconcile.ts';
import { READER_GROUP, WRITER_GROUP } from '../../fakes/index.ts';
import { POSTGRES } from '../../support/postgres-side.ts';
import { EXECUTION, World } from '../../support/recovery-world.ts';
import { INCIDENT, run } from './run.ts';

const engines: readonly [string, Partial<ClusterSpec>, number][] = [
  ['a Galera node', {}, 2],
  ["Galera's writer", {}, 0],
  ['a PostgreSQL replica', { engine: POSTGRES }, 2],
];

/** Each request is answered by reconcile itself; it looks again when it said that it would, as the queue would have it. */
function withReconcile(world: World): void {
  world.reconciles = false;
  const input = { cluster: 'orders', incident: INCIDENT, mode: 'roll', node: null, reason: 'test' } as const;
  world.aws.executions.set(EXECUTION, { arn: EXECUTION, name: 'orders-1', input, state: 'RUNNING' });
  let busy = false;
  let dueMs = 0;
  world.aws.registeredState = 'healthy';
  world.onCall = async (call) => {
    const due = call.operation === 'ReconcileRequests.send' || (dueMs > 0 && world.aws.clock.nowMs() >= dueMs);
    if (busy || !due) return;
    busy = true;
    await reconcile('orders', world.cloud);
    dueMs = world.aws.clock.nowMs() + 5000;
    busy = false;
  };
}

describe('with the real reconcile', () => {
  it.each(engines)('%s is drained, replaced and put back, and it is no incident', async (_, overrides, index) => {
    const world = new World(overrides);
    withReconcile(world);
    const node = world.node(index);
    const { writer } = world.ledger();
    const ended = await run(world, 'roll', node);
    expect(ended.status, JSON.stringify(ended.errors)).toBe('SUCCEEDED');
    const [joiner] = world.launched();
    const readers = [...(world.aws.targetGroups.get(READER_GROUP)?.targets.values() ?? [])];
    expect(readers.find((t) => t.id === joiner?.id)?.state).toBe('healthy');
    expect(readers.find((t) => t.id === node.id)).toBeUndefined();
    const writers = [...(world.aws.targetGroups.get(WRITER_GROUP)?.targets.values() ?? [])].map((t) => t.id);
    expect(writers).toEqual([world.ledger().writer]);
    expect(world.ledger().writer === writer).toBe(index !== 0);
    expect(world.ledger()).toMatchObject({ claim: null, escalation: null, incident: null });
    expect(world.aws.failures.size).toBe(0);
    expect([...world.aws.executions.keys()]).toEqual([EXECUTION]);
    expect(world.serving()).toHaveLength(3);
  });
});
