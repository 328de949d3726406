/** Watch and reconcile together, in virtual time: how long a lost writer keeps its traffic when every event is lost. */
import { describe, expect, it } from 'vitest';
import type { ReconcileRequests } from '../../../lambdas/cloud/ports.ts';
import { reconcile } from '../../../lambdas/reconcile/reconcile.ts';
import { Watch } from '../../../lambdas/watch/watch.ts';
import { WRITER_GROUP, aStatus, answered, fakeCloud, healthyCluster } from '../../fakes/index.ts';

/** From a request's sending to its reconcile: SQS and a warm Lambda. */
const DELIVERY_MS = 150;
const CONFIG = { probeIntervalMs: 1000, sweepSeconds: 180, containerId: 'test' };

/** Milliseconds from the writer's failure until another node takes writes. */
async function outage(kind: 'refused' | 'silent', failsAfterMs: number): Promise<number> {
  const cloud = fakeCloud();
  const [writer = ''] = healthyCluster(cloud.aws).map((i) => i.id);
  const failsAtMs = cloud.clock.nowMs() + failsAfterMs;
  cloud.aws.probes.set(writer, (atMs) =>
    atMs < failsAtMs ? answered(aStatus(), atMs) : { kind, atMs, tookMs: kind === 'silent' ? 2000 : 1, detail: kind },
  );
  // A mute node costs each probe its whole deadline.
  cloud.aws.before = async (call) => {
    const mute = kind === 'silent' && call.operation === 'Prober.probe' && cloud.clock.nowMs() >= failsAtMs;
    if (mute && JSON.stringify(call.args).includes(writer)) await cloud.clock.sleep(2000);
  };
  const reconciles: Promise<unknown>[] = [];
  let tail: Promise<unknown> = Promise.resolve();
  const ports = { ...cloud };
  // One reconcile at a time, as in a message group.
  const requests: ReconcileRequests = {
    send: async () => {
      tail = tail.then(() => cloud.clock.sleep(DELIVERY_MS)).then(() => reconcile('orders', ports));
      reconciles.push(tail);
    },
    sendLater: () => Promise.resolve(),
  };
  await new Watch({ ...ports, requests }, CONFIG).run(failsAtMs + 9000);
  await Promise.all(reconciles);
  const moved = cloud.aws.callsOf('TargetGroups.register').find((c) => c.args[0] === WRITER_GROUP);
  return (moved?.atMs ?? Number.POSITIVE_INFINITY) - failsAtMs;
}

// Wherever between two probes the failure falls.
const OFFSETS = [5000, 5150, 5350, 5550, 5750, 5950];

describe('with every event lost', () => {
  it.each(OFFSETS)('writes leave a crashed writer within 3 s (failing %d ms after the start)', async (offset) => {
    expect(await outage('refused', offset)).toBeLessThanOrEqual(3000);
  });

  it.each(OFFSETS)('writes leave a frozen writer within 6 s (failing %d ms after the start)', async (offset) => {
    const took = await outage('silent', offset);
    expect(took).toBeGreaterThanOrEqual(2000);
    expect(took).toBeLessThanOrEqual(6000);
  });
});
