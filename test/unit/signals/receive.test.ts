import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { SignalRecord } from '../../../lambdas/signals/receive.ts';
import { receive } from '../../../lambdas/signals/receive.ts';
import { FakeAws, fakeCloud } from '../../fakes/index.ts';
import { sample } from './samples.ts';

const ID = (n: number): string => `i-${n.toString(16).padStart(17, '0')}`;

const stateChange = (eventId: string, instance: string, state = 'terminated'): string =>
  JSON.stringify({ ...sample('ec2-state-change'), id: eventId, detail: { 'instance-id': instance, state } });

const due = (eventId: string, cluster: string): string =>
  JSON.stringify({ ...sample('reconcile-due'), id: eventId, detail: { cluster, cause: eventId } });

const records = (...bodies: readonly string[]): SignalRecord[] =>
  bodies.map((body, i) => ({ messageId: `m${i}`, body }));

/** Instances 1 and 2 belong to orders, 3 to billing, 4 to nobody; 5 and up do not exist. */
function world() {
  const aws = new FakeAws();
  for (const [n, cluster] of [
    [1, 'orders'],
    [2, 'orders'],
    [3, 'billing'],
    [4, undefined],
  ] as const) {
    aws.addInstance({ id: ID(n), ...(cluster === undefined ? {} : { cluster }) });
  }
  return fakeCloud(aws);
}

const requested = (cloud: ReturnType<typeof world>) => cloud.aws.requests.map((r) => `${r.cluster}: ${r.cause}`).sort();

describe('a batch of signals', () => {
  it('asks EC2 once and sends one request per touched cluster, whose cause carries the event ids', async () => {
    const cloud = world();
    const batch = records(
      stateChange('e2', ID(1)),
      stateChange('e1', ID(2)),
      stateChange('e3', ID(3)),
      due('e4', 'orders'),
    );
    expect(await receive(batch, cloud)).toEqual([]);
    expect(requested(cloud)).toEqual(['billing: e3', 'orders: e1+e2+e4']);
    expect(cloud.aws.callsOf('Instances.byIds')).toHaveLength(1);
    expect(cloud.aws.callsOf('ReconcileRequests.send')).toHaveLength(1);
  });

  it('asks EC2 nothing when no signal is about an instance', async () => {
    const cloud = world();
    expect(await receive(records(due('e1', 'orders')), cloud)).toEqual([]);
    expect(cloud.aws.callsOf('Instances.byIds')).toHaveLength(0);
    expect(requested(cloud)).toEqual(['orders: e1']);
  });

  it('does not depend on the order of arrival', async () => {
    const one = world();
    const other = world();
    const bodies = [stateChange('e1', ID(1)), stateChange('e2', ID(1), 'shutting-down'), stateChange('e3', ID(3))];
    await receive(records(...bodies), one);
    await receive(records(...bodies.toReversed()), other);
    expect(requested(one)).toEqual(requested(other));
  });

  it('asks once for an event delivered twice, in one batch or in two, and again for a later event', async () => {
    const cloud = world();
    await receive(records(stateChange('e1', ID(1)), stateChange('e1', ID(1))), cloud);
    await receive(records(stateChange('e1', ID(1))), cloud);
    expect(requested(cloud)).toEqual(['orders: e1']);
    await receive(records(stateChange('e2', ID(1))), cloud);
    expect(requested(cloud)).toEqual(['orders: e1', 'orders: e2']);
  });

  it('drops and counts instances that are not ours or that EC2 does not know', async () => {
    const cloud = world();
    expect(await receive(records(stateChange('e1', ID(4)), stateChange('e2', ID(9))), cloud)).toEqual([]);
    expect(requested(cloud)).toEqual([]);
    expect(cloud.metrics.total('SignalsForeign')).toBe(2);
  });

  it('drops and counts a kind that nobody knows', async () => {
    const cloud = world();
    const strange = JSON.stringify({ ...sample('ec2-state-change'), 'detail-type': 'EC2 Fleet State Change' });
    expect(await receive(records(strange), cloud)).toEqual([]);
    expect(cloud.metrics.total('SignalsUnknown')).toBe(1);
  });

  it('fails a malformed message alone', async () => {
    const cloud = world();
    expect(await receive(records('{', stateChange('e1', ID(1)), '{}'), cloud)).toEqual(['m0', 'm2']);
    expect(requested(cloud)).toEqual(['orders: e1']);
    expect(cloud.metrics.total('SignalsMalformed')).toBe(2);
    expect(cloud.log.lines.filter((l) => l.level === 'error')).toHaveLength(2);
  });

  it('returns the signals about instances when EC2 cannot be asked, and lets those about clusters through', async () => {
    const cloud = world();
    cloud.aws.failNext('Instances.byIds', new Error('ec2:DescribeInstances failed: RequestLimitExceeded'));
    expect(await receive(records(stateChange('e1', ID(1)), due('e2', 'billing')), cloud)).toEqual(['m0']);
    expect(requested(cloud)).toEqual(['billing: e2']);
    expect(cloud.metrics.total('SignalsReturned')).toBe(1);
  });

  it('returns every signal whose request could not be sent, but not those that were dropped', async () => {
    const cloud = world();
    cloud.aws.failNext('ReconcileRequests.send', new Error('sqs refused'));
    const batch = records(stateChange('e1', ID(1)), stateChange('e2', ID(9)), due('e3', 'billing'));
    expect(await receive(batch, cloud)).toEqual(['m0', 'm2']);
    expect(cloud.metrics.total('SignalsReturned')).toBe(2);
  });

  it('sent but not confirmed: the signals come again and SQS deduplicates the request', async () => {
    const cloud = world();
    const batch = records(stateChange('e1', ID(1)));
    cloud.aws.failNext('ReconcileRequests.send', new Error('no answer'), { when: 'after' });
    expect(await receive(batch, cloud)).toEqual(['m0']);
    expect(await receive(batch, cloud)).toEqual([]);
    expect(requested(cloud)).toEqual(['orders: e1']);
  });
});

describe('whatever arrives', () => {
  const body = fc.oneof(
    fc.tuple(fc.uuid(), fc.integer({ min: 1, max: 7 })).map(([id, n]) => stateChange(id, ID(n))),
    fc.tuple(fc.uuid(), fc.constantFrom('orders', 'billing', 'ledger')).map(([id, c]) => due(id, c)),
    fc.constantFrom('{', '', '[]', '{"id":""}', JSON.stringify({ ...sample('ec2-state-change'), detail: null })),
    fc.uuid().map((id) => JSON.stringify({ ...sample('ec2-state-change'), id, source: 'com.example' })),
    fc.json(),
  );

  it('no record is lost: each is sent for, dropped and counted, or returned', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(body, { maxLength: 10 }), fc.boolean(), fc.boolean(), async (bodies, noEc2, noSqs) => {
        const cloud = world();
        if (noEc2) cloud.aws.failNext('Instances.byIds', new Error('throttled'));
        if (noSqs) cloud.aws.failNext('ReconcileRequests.send', new Error('throttled'));
        const batch = records(...bodies);
        const failed = await receive(batch, cloud);

        expect(new Set(failed).size).toBe(failed.length);
        expect(batch.map((r) => r.messageId)).toEqual(expect.arrayContaining([...failed]));
        const sentFor = batch.filter((r) => !failed.includes(r.messageId) && isSentFor(r.body, cloud)).length;
        const dropped = cloud.metrics.total('SignalsForeign') + cloud.metrics.total('SignalsUnknown');
        expect(sentFor + dropped + failed.length).toBe(batch.length);
        const returned = cloud.metrics.total('SignalsReturned') + cloud.metrics.total('SignalsMalformed');
        expect(failed).toHaveLength(returned);
      }),
      { numRuns: 300 },
    );
  });
});

/** Did a request go out whose cause names this record's event. */
function isSentFor(body: string, cloud: ReturnType<typeof world>): boolean {
  const event = JSON.parse(body) as { readonly id?: string };
  return cloud.aws.requests.some((r) => event.id !== undefined && r.cause.split('+').includes(event.id));
}
