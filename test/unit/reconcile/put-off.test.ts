/** While AWS answers fewer questions than are asked, those clusters come first whose writes wait (decision 0021). */
import { describe, expect, it } from 'vitest';
import { ratesOf, Turns } from '../../../lambdas/cloud/pace.ts';
import { CloudUnavailable } from '../../../lambdas/cloud/ports.ts';
import { EMPTY_LEDGER } from '../../../lambdas/model/ledger.ts';
import type { ClusterLedger } from '../../../lambdas/model/ledger.ts';
import { reconcileBatch } from '../../../lambdas/reconcile/batch.ts';
import { isCalm, MOST_PUT_OFFS, PUT_OFF_SECONDS } from '../../../lambdas/reconcile/put-off.ts';
import { DEFAULT_QUOTAS } from '../../../lib/capabilities/reconcile.ts';
import { aSpec, FakeAws, FakeClock, fakeCloud, healthyCluster, READER_GROUP, WRITER_GROUP } from '../../fakes/index.ts';

/** Three nodes serve, the first is the writer, and other clusters have used up what there is. */
async function pressed() {
  const aws = new FakeAws(new FakeClock(undefined, { manual: true }));
  const cloud = { ...fakeCloud(aws), pace: new Turns(aws.clock, ratesOf(DEFAULT_QUOTAS)) };
  const ids = healthyCluster(aws).map((i) => i.id);
  await cloud.pace.turn('describe', 12);
  const ask = (cause: string, putOffs = new Map<string, number>()) => {
    const attributes = { SentTimestamp: String(aws.clock.nowMs()) };
    return reconcileBatch(
      [{ messageId: 'm', body: JSON.stringify({ cluster: 'orders', cause }), attributes }],
      cloud,
      null,
      putOffs,
    );
  };
  return { cloud, aws, ids, ask, looks: () => aws.callsOf('Specs.get').length };
}

describe('a look that can wait', () => {
  it('is put off, for a read and a message, and what is asked meanwhile for the read alone', async () => {
    const { cloud, aws, ask, looks } = await pressed();
    const putOffs = new Map<string, number>();
    expect(await ask('watch-1', putOffs)).toEqual([]);
    expect(await ask('watch-2', putOffs)).toEqual([]);
    expect(looks()).toBe(0);
    expect(aws.calls.map((c) => c.operation)).toEqual(['Ledger.read', 'ReconcileRequests.sendLater', 'Ledger.read']);
    expect(aws.callsOf('ReconcileRequests.sendLater')[0]?.args).toEqual([
      'orders',
      PUT_OFF_SECONDS,
      expect.stringMatching(/^put-off-1-orders-\d+$/),
    ]);
    expect(cloud.metrics.total('LooksPutOff')).toBe(2);
  });

  it('is put off again when it comes back, for five minutes at most', async () => {
    const { aws, ask, looks } = await pressed();
    await ask('put-off-3-orders-1');
    expect(aws.callsOf('ReconcileRequests.sendLater')[0]?.args[2]).toMatch(/^put-off-4-/);
    await ask(`event+put-off-${MOST_PUT_OFFS}-orders-1`);
    expect(looks()).toBe(1);
    expect(MOST_PUT_OFFS * PUT_OFF_SECONDS).toBe(300);
  });
});

describe('a look does not wait', () => {
  it('when there is enough for all', async () => {
    const { aws, ask, looks } = await pressed();
    await aws.clock.advance(5000);
    await ask('watch-1');
    expect(looks()).toBe(1);
  });

  it('when the writer is suspected', async () => {
    const { cloud, ids, ask, looks } = await pressed();
    await cloud.ledger.setSuspicion('orders', ids[0] ?? '', { sinceMs: 1, kind: 'unreachable' });
    await ask('watch-1');
    expect(looks()).toBe(1);
  });

  it.each(['operate-release-brake-7', 'event+operate-acknowledge-7'])('when a person has asked: %s', async (cause) => {
    const { ask, looks } = await pressed();
    await ask(cause);
    expect(looks()).toBe(1);
  });

  it.each(['Ledger.read', 'ReconcileRequests.sendLater'])('when it cannot be put off: %s fails', async (operation) => {
    const { aws, ask, looks } = await pressed();
    aws.failNext(operation, new CloudUnavailable('throttled'));
    await ask('watch-1');
    expect(looks()).toBe(1);
  });
});

it('what a person has asked for comes back as such when AWS does not answer', async () => {
  const { cloud, aws, ask } = await pressed();
  aws.failNext('Instances.ofCluster', new CloudUnavailable('throttled'));
  await ask('operate-release-brake-7');
  expect(aws.callsOf('ReconcileRequests.sendLater')[0]?.args[2]).toMatch(/^operate-due-/);
  expect(cloud.metrics.total('LooksPutOff')).toBe(0);
});

describe('a record in Route 53', () => {
  it('is left for a later look while others come first, when the writer has a target group besides', async () => {
    const { aws, ask } = await pressed();
    await ask('operate-now');
    expect(aws.callsOf('DnsZones.read')).toEqual([]);
    expect(aws.callsOf('ReconcileRequests.sendLater')).toHaveLength(1);
    await aws.clock.advance(20_000);
    await ask('operate-later');
    expect(aws.callsOf('DnsZones.read')).toHaveLength(1);
  });

  it('is not, when writes have no other way', async () => {
    const { aws, ask } = await pressed();
    const spec = aSpec();
    const endpoints = spec.endpoints.filter((e) => e.kind === 'dns' || e.route !== 'writer');
    aws.specs.set(spec.name, { ...spec, endpoints });
    await ask('operate-now');
    expect(aws.callsOf('DnsZones.read')).toHaveLength(1);
  });
});

describe('writes wait', () => {
  const calm: ClusterLedger = { ...EMPTY_LEDGER, writer: 'a' };
  const since = { sinceMs: 1, kind: 'silent' as const };
  const claim = {
    ...{ execution: 'e', incident: 'i', node: 'b', joiner: null, donor: null, launch: null, claimedAtMs: 1 },
  };
  const sync = { sets: [{ need: 1, standbys: ['b', 'c'] }], barrierLsn: null };
  const cases: [string, ClusterLedger, boolean][] = [
    ['not when the writer is well, and a reader is lost', { ...calm, suspicions: { b: since } }, true],
    ['not while a reader is replaced', { ...calm, claim: { ...claim, mode: 'replace' } }, true],
    ['when there is no writer yet', EMPTY_LEDGER, false],
    ['when the writer is suspected', { ...calm, suspicions: { a: since } }, false],
    ['while a failover is at work', { ...calm, claim: { ...claim, mode: 'failover' } }, false],
    ['when a person has accepted a loss', { ...calm, accepted: { node: 'b', by: 'ada', atMs: 1 } }, false],
    ['for a standby that acknowledges them', { ...calm, sync, suspicions: { b: since } }, false],
    ['not for standbys that are all well', { ...calm, sync }, true],
  ];
  it.each(cases)('%s', (_, ledger, expected) => {
    expect(isCalm(ledger)).toBe(expected);
  });
});

it('when the writer moves, the dead one leaves the readers’ group at a later look, which is asked for', async () => {
  const { cloud, aws, ids, ask } = await pressed();
  const [writer = ''] = ids;
  aws.setState(writer, 'terminated');
  await cloud.ledger.setSuspicion('orders', writer, { sinceMs: 1, kind: 'stopped' });
  const asked = ask('watch-1');
  await aws.clock.advance(5000);
  await asked;
  const left = (group: string): unknown[] => aws.callsOf('TargetGroups.deregister').filter((c) => c.args[0] === group);
  expect(left(WRITER_GROUP)).toHaveLength(1);
  expect(left(READER_GROUP)).toHaveLength(0);
  expect(aws.callsOf('ReconcileRequests.sendLater')[0]?.args[1]).toBeLessThanOrEqual(6);
  await aws.clock.advance(10_000);
  await ask('due-1');
  expect(left(READER_GROUP)).toHaveLength(1);
});
