/** The whole loop over the fakes: what it costs, what it says, how it comes back. */
import { describe, expect, it } from 'vitest';
import { CloudUnavailable } from '../../../lambdas/cloud/ports.ts';
import { reconcileBatch } from '../../../lambdas/reconcile/batch.ts';
import { due } from '../../../lambdas/reconcile/due.ts';
import { reconcile } from '../../../lambdas/reconcile/reconcile.ts';
import {
  READER_GROUP,
  RECORD_NAME,
  WRITER_GROUP,
  ZONE_ID,
  aSpec,
  aStatus,
  answered,
  fakeCloud,
  healthyCluster,
} from '../../fakes/index.ts';
import type { FakeCloud } from '../../fakes/index.ts';

const MUTATING =
  /register|upsert|set|open|close|record|claim|note|engage|release|start|publish|ensure|send|launch|stop|terminate/i;
const AWS = /^(Specs|Instances|TargetGroups|DnsZones|Ledger|Workflows|Notifications|ReconcileRequests)\./;

function healthy(): { cloud: FakeCloud; a: string; b: string; c: string } {
  const cloud = fakeCloud();
  cloud.aws.registeredState = 'healthy';
  const [a = '', b = '', c = ''] = healthyCluster(cloud.aws).map((i) => i.id);
  return { cloud, a, b, c };
}

/** The node's process is gone, and the others have noticed. */
function crash({ aws }: FakeCloud, id: string): void {
  aws.probes.set(id, (atMs) => ({ kind: 'refused', atMs, tookMs: 1, detail: 'ECONNREFUSED' }));
  const others = [...aws.instances.values()].filter((i) => i.id !== id && i.state === 'running');
  const members = others.flatMap((i) => i.privateIp ?? []);
  for (const i of others) {
    aws.probes.set(i.id, (atMs) => answered(aStatus({ nodeName: i.id, members, clusterSize: members.length }), atMs));
  }
}

const targetsOf = (cloud: FakeCloud, group: string): string[] =>
  [...(cloud.aws.targetGroups.get(group)?.targets.values() ?? [])]
    .filter((t) => t.state !== 'draining')
    .map((t) => t.id)
    .sort();

describe('a healthy cluster', () => {
  it('costs six AWS calls, none of which changes anything', async () => {
    const { cloud } = healthy();
    expect(await reconcile('orders', cloud)).toEqual({ kind: 'done' });
    const calls = cloud.aws.calls.map((x) => x.operation).filter((o) => AWS.test(o));
    expect(calls.sort()).toEqual(
      [
        'DnsZones.read',
        'Instances.ofCluster',
        'Ledger.read',
        'Specs.get',
        'TargetGroups.health',
        'TargetGroups.health',
      ].sort(),
    );
    expect(calls.filter((o) => MUTATING.test(o.split('.')[1] ?? ''))).toEqual([]);
  });

  it('says in one line what it saw and what it cost', async () => {
    const { cloud } = healthy();
    await reconcile('orders', cloud);
    expect(cloud.log.lines).toHaveLength(1);
    expect(cloud.log.lines[0]).toMatchObject({
      message: 'reconciled',
      extra: {
        cluster: 'orders',
        diagnoses: ['HEALTHY'],
        changes: [],
        refusals: [],
        calls: { 'targetGroups.health': 2 },
      },
    });
  });
});

describe('a crashed writer', () => {
  it('is only suspected at first, and routed away and restarted at the second look', async () => {
    const { cloud, a, b, c } = healthy();
    crash(cloud, a);
    expect(await reconcile('orders', cloud)).toMatchObject({ kind: 'requeueAfter', seconds: 2 });
    expect(targetsOf(cloud, WRITER_GROUP)).toEqual([a]);
    expect(cloud.aws.delayedRequests).toHaveLength(1);

    await cloud.clock.advance(2000);
    await reconcile('orders', cloud);
    expect(targetsOf(cloud, WRITER_GROUP)).toEqual([b]);
    expect(targetsOf(cloud, READER_GROUP)).toEqual([b, c]);
    expect(cloud.aws.zones.get(ZONE_ID)?.get(RECORD_NAME)?.values).toEqual([cloud.aws.instances.get(b)?.privateIp]);
    expect([...cloud.aws.executions.values()].map((e) => e.input)).toMatchObject([{ mode: 'rejoin', node: a }]);
    expect(cloud.aws.targetGroups.get(WRITER_GROUP)?.drainSeconds).toBe(0);
  });

  it('leaves a record of every act with its reason', async () => {
    const { cloud, a } = healthy();
    crash(cloud, a);
    await reconcile('orders', cloud);
    await cloud.clock.advance(2000);
    await reconcile('orders', cloud);
    const id = cloud.aws.ledgers.get('orders')?.incident?.id ?? '';
    const entries = await cloud.ledger.incident('orders', id);
    const what = entries.map((e) => e.what.split(' ')[0]);
    expect(what.sort()).toEqual(['deregister', 'deregister', 'opened:', 'record', 'register', 'start', 'writer']);
    expect(entries.filter((e) => !/i-0{16}\d/.test(e.why))).toEqual([]);
  });

  it('is healed when its workflow has ended: the clock stops, the incident closes, nothing is left', async () => {
    const { cloud, a } = healthy();
    crash(cloud, a);
    await reconcile('orders', cloud);
    await cloud.clock.advance(2000);
    await reconcile('orders', cloud);
    const members = [...cloud.aws.instances.values()].flatMap((i) => i.privateIp ?? []);
    for (const i of cloud.aws.instances.keys()) cloud.aws.probes.set(i, (atMs) => answered(aStatus({ members }), atMs));
    await cloud.clock.advance(10_000);
    for (let i = 0; i < 3; i += 1) await reconcile('orders', cloud);
    expect(cloud.aws.ledgers.get('orders')).toMatchObject({ suspicions: {}, incident: null });
    expect(await reconcile('orders', cloud)).toEqual({ kind: 'done' });
    expect(targetsOf(cloud, READER_GROUP)).toHaveLength(3);
  });

  it('a doubled request starts one workflow', async () => {
    const { cloud, a } = healthy();
    crash(cloud, a);
    await cloud.ledger.setSuspicion('orders', a, { sinceMs: cloud.clock.nowMs() - 5000, kind: 'refused' });
    await reconcile('orders', cloud);
    await reconcile('orders', cloud);
    expect(cloud.aws.executions.size).toBe(1);
  });

  it('an execution of the planned name that has ended without a claim is followed by the next', async () => {
    const { cloud, a } = healthy();
    crash(cloud, a);
    await cloud.ledger.setSuspicion('orders', a, { sinceMs: cloud.clock.nowMs() - 5000, kind: 'refused' });
    await reconcile('orders', cloud);
    for (const arn of cloud.aws.executions.keys()) cloud.aws.endExecution(arn, 'FAILED');
    await reconcile('orders', cloud);
    expect([...cloud.aws.executions.values()].map((e) => e.name.slice(-9))).toEqual([`-rejoin-1`, `-rejoin-2`]);
  });
});

describe('a recovery that does not help', () => {
  it('is given up after a few executions: one message, and nothing more until the retry time', async () => {
    const { cloud, a } = healthy();
    crash(cloud, a);
    await cloud.ledger.setSuspicion('orders', a, { sinceMs: cloud.clock.nowMs() - 5000, kind: 'refused' });
    cloud.aws.after = (call) => {
      if (call.operation !== 'Workflows.start') return;
      for (const arn of cloud.aws.executions.keys()) cloud.aws.endExecution(arn, 'FAILED');
    };
    for (let i = 0; i < 5; i += 1) await reconcile('orders', cloud);
    expect(cloud.aws.executions.size).toBe(5);
    expect(cloud.aws.published.map((p) => p.subject)).toEqual(['orders: REFUSED_ESCALATED']);
    await cloud.clock.advance(900_000);
    await reconcile('orders', cloud);
    expect([...cloud.aws.executions.keys()].some((arn) => arn.endsWith('-rejoin-6'))).toBe(true);
  });
});

describe('when AWS fails', () => {
  it('every single failing call converges at the second look', async () => {
    const operations = [
      'TargetGroups.deregister',
      'TargetGroups.register',
      'TargetGroups.ensureTermination',
      'DnsZones.upsert',
    ];
    for (const operation of [
      ...operations,
      'Ledger.setWriter',
      'Ledger.openIncident',
      'Workflows.start',
      'Ledger.record',
    ]) {
      const { cloud, a, b } = healthy();
      cloud.aws.setState(a, 'terminated');
      cloud.aws.failNext(operation, new CloudUnavailable(`${operation}: throttled`));
      expect(await reconcile('orders', cloud), operation).toMatchObject({ kind: 'requeueAfter', seconds: 2 });
      await cloud.clock.advance(2000);
      await reconcile('orders', cloud);
      expect(targetsOf(cloud, WRITER_GROUP), operation).toEqual([b]);
      expect(cloud.aws.executions.size, operation).toBe(1);
      expect(cloud.aws.ledgers.get('orders')?.writer, operation).toBe(b);
    }
  });

  it('comes back by a delayed request when it cannot look, and fails the message when that fails too', async () => {
    const { cloud } = healthy();
    cloud.aws.failNext('Instances.ofCluster', new CloudUnavailable('throttled'), { times: 2 });
    expect(await reconcileBatch([request('orders')], cloud)).toEqual([]);
    expect(cloud.aws.delayedRequests).toHaveLength(1);
    cloud.aws.failNext('ReconcileRequests.sendLater', new CloudUnavailable('throttled'));
    expect(await reconcileBatch([request('orders')], cloud)).toEqual(['orders']);
  });

  it('acts on what EC2 says when the credentials cannot be read', async () => {
    const { cloud, c } = healthy();
    cloud.aws.failNext('Secrets.credentials', new Error('AccessDenied'), { times: 2 });
    cloud.aws.setState(c, 'terminated');
    await reconcile('orders', cloud);
    expect(cloud.metrics.total('CredentialsUnreadable')).toBe(2);
    expect(cloud.log.lines.find((l) => l.message === 'reconciled')?.extra['diagnoses']).toContain(
      `NODE_TERMINATED ${c}`,
    );
    expect(targetsOf(cloud, WRITER_GROUP)).toHaveLength(1);
  });

  it('reads the secret fresh, once, when a probe is rejected', async () => {
    const { cloud, a } = healthy();
    cloud.aws.probes.set(a, (atMs) => ({ kind: 'rejected', atMs, tookMs: 1, detail: '1045 Access denied' }));
    await reconcile('orders', cloud);
    expect(cloud.aws.callsOf('Secrets.credentials').map((x) => x.args[1])).toEqual([{ fresh: false }, { fresh: true }]);
    expect(cloud.aws.callsOf('Prober.probe')).toHaveLength(4);
  });
});

describe('maintenance of the writer', () => {
  it('switches over, drains, and puts the delay back when the drain is over', async () => {
    const { cloud, a, b } = healthy();
    await cloud.ledger.setMaintenance('orders', { node: a, by: 'ada', sinceMs: cloud.clock.nowMs() });
    await reconcile('orders', cloud);
    expect(targetsOf(cloud, WRITER_GROUP)).toEqual([b]);
    expect(cloud.aws.targetGroups.get(WRITER_GROUP)?.drainSeconds).toBe(10);
    expect(await reconcile('orders', cloud)).toMatchObject({ kind: 'requeueAfter', seconds: 12 });
    await cloud.clock.advance(12_000);
    await reconcile('orders', cloud);
    expect(cloud.aws.targetGroups.get(WRITER_GROUP)?.drainSeconds).toBe(0);
    expect(cloud.aws.targetGroups.get(READER_GROUP)?.drainSeconds).toBe(0);

    await cloud.ledger.setMaintenance('orders', null);
    await reconcile('orders', cloud);
    expect(targetsOf(cloud, READER_GROUP)).toContain(a);
    expect(targetsOf(cloud, WRITER_GROUP)).toEqual([b]);
    expect(await reconcile('orders', cloud)).toEqual({ kind: 'done' });
  });
});

describe('people', () => {
  it('are told once per incident when nobody can take the writes', async () => {
    const { cloud, a, b, c } = healthy();
    cloud.aws.setState(a, 'terminated');
    for (const id of [b, c]) cloud.aws.probes.set(id, (atMs) => answered(aStatus({ readOnly: true }), atMs));
    await reconcile('orders', cloud);
    await reconcile('orders', cloud);
    expect(cloud.aws.published.map((p) => p.subject)).toEqual(['orders: REFUSED_NO_CANDIDATE']);
    expect(cloud.aws.published[0]?.body).toContain('docs/runbook.md#no-candidate');
  });
});

const request = (cluster: string, id = cluster) => ({ messageId: id, body: JSON.stringify({ cluster, cause: id }) });

describe('a batch', () => {
  it('reconciles each cluster once, and fails a cluster alone', async () => {
    const { cloud } = healthy();
    healthyCluster(cloud.aws, aSpec({ name: 'billing' }));
    cloud.aws.specs.set('broken', { version: 1 });
    const records = [request('orders', '1'), request('orders', '2'), request('broken', '3'), request('billing', '4')];
    const failed = await reconcileBatch([...records, { messageId: '5', body: 'no json' }], cloud);
    expect([...failed].sort()).toEqual(['3', '5']);
    expect(
      cloud.aws
        .callsOf('Specs.get')
        .map((x) => x.args[0])
        .sort(),
    ).toEqual(['billing', 'broken', 'orders']);
  });

  it('drops a request for a cluster that is not declared any more', async () => {
    const cloud = fakeCloud();
    expect(await reconcileBatch([request('gone')], cloud)).toEqual([]);
    expect(cloud.log.lines.map((l) => l.level)).toEqual(['warn']);
  });
});

describe('coming back', () => {
  it('wishes of one second become one request', () => {
    const first = due('orders', 2, 1_000_100);
    expect(due('orders', 2, 1_000_900).cause).toBe(first.cause);
    expect(due('orders', 2, 1_001_100).cause).not.toBe(first.cause);
    expect(due('billing', 2, 1_000_100).cause).not.toBe(first.cause);
  });

  it.each([
    [0, 1_000_000],
    [2, 1_000_001],
    [9.5, 1_000_999],
    [30, 1_000_001],
    [3600, 1_000_001],
  ])('after %d s from %d: never early, never beyond what SQS delays', (seconds, nowMs) => {
    const { delaySeconds, cause } = due('orders', seconds, nowMs);
    const dueAtMs = Number(cause.split('-').at(-1));
    expect(dueAtMs - nowMs).toBeGreaterThanOrEqual(Math.min(seconds, 890) * 1000);
    expect(nowMs + delaySeconds * 1000).toBeGreaterThanOrEqual(dueAtMs);
    expect(Number.isInteger(delaySeconds) && delaySeconds <= 900).toBe(true);
  });
});
