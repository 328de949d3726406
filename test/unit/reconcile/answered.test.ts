/** Requests that a look has answered already (decision 0017): dropped, and never one that had no look after it. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CloudUnavailable } from '../../../lambdas/cloud/ports.ts';
import { CLOCKS_APART_MS } from '../../../lambdas/model/answered.ts';
import { reconcileBatch } from '../../../lambdas/reconcile/batch.ts';
import type { RequestRecord } from '../../../lambdas/reconcile/batch.ts';
import { FakeAws, FakeClock, READER_GROUP, fakeCloud, healthyCluster } from '../../fakes/index.ts';

const START_MS = Date.UTC(2026, 0, 15, 2);
const WAITED_MS = CLOCKS_APART_MS + 1;

const request = (sentMs: number, id = String(sentMs)): RequestRecord => ({
  messageId: id,
  body: JSON.stringify({ cluster: 'orders', cause: id }),
  attributes: { SentTimestamp: String(sentMs) },
});

function world() {
  const aws = new FakeAws(new FakeClock(START_MS, { manual: true }));
  const cloud = fakeCloud(aws);
  const [, , node] = healthyCluster(aws);
  return { cloud, aws, node: node?.id ?? '', looks: () => aws.callsOf('Specs.get').length };
}

describe('a request that has waited', () => {
  it('is dropped for one read when a look began well after it was sent, and for none when that is known', async () => {
    const { cloud, aws, looks } = world();
    await aws.clock.advance(10_000);
    const remembered = new Map<string, number>();
    await reconcileBatch([request(START_MS)], cloud, remembered);
    expect(looks()).toBe(1);
    const before = aws.calls.length;
    expect(await reconcileBatch([request(START_MS + 1), request(START_MS + 7999)], cloud, remembered)).toEqual([]);
    expect(aws.calls.slice(before).map((c) => c.operation)).toEqual(['Ledger.read']);
    expect(await reconcileBatch([request(START_MS + 2)], cloud, remembered)).toEqual([]);
    expect(aws.calls).toHaveLength(before + 1);
    expect(cloud.metrics.total('RequestsAnswered')).toBe(3);
  });

  it.each([
    ['was sent so shortly before the look that the clocks may be wrong', 10_000 - CLOCKS_APART_MS],
    ['was sent after the look began', 10_001],
  ])('is looked into when it %s', async (_, sentAfterMs) => {
    const { cloud, aws, looks } = world();
    await aws.clock.advance(10_000);
    await reconcileBatch([request(START_MS)], cloud);
    await aws.clock.advance(10_000);
    await reconcileBatch([request(START_MS + 1), request(START_MS + sentAfterMs)], cloud);
    expect(looks()).toBe(2);
  });

  it.each([[undefined], [''], ['yesterday'], [String(START_MS / 1000)]])(
    'is looked into when its time is %j',
    async (SentTimestamp) => {
      const { cloud, aws, looks } = world();
      await aws.clock.advance(10_000);
      await reconcileBatch([request(START_MS)], cloud);
      const attributes = SentTimestamp === undefined ? {} : { SentTimestamp };
      await reconcileBatch([{ ...request(START_MS), attributes }], cloud);
      expect(looks()).toBe(2);
    },
  );

  it('is looked into when the last look cannot be read', async () => {
    const { cloud, aws, looks } = world();
    await aws.clock.advance(10_000);
    await reconcileBatch([request(START_MS)], cloud);
    aws.failNext('Ledger.read', new CloudUnavailable('throttled'));
    expect(await reconcileBatch([request(START_MS)], cloud)).toEqual([]);
    expect(looks()).toBe(2);
  });
});

describe('a look answers nothing', () => {
  it.each([
    ['when AWS could not be asked', 'Instances.ofCluster', new CloudUnavailable('throttled')],
    ['when a record could not be read', 'DnsZones.read', new CloudUnavailable('throttled')],
    ['when the nodes could not be probed', 'Secrets.credentials', new Error('AccessDenied')],
    ['when what it decided was not done', 'TargetGroups.deregister', new CloudUnavailable('throttled')],
    ['when it could not be noted', 'Ledger.noteLook', new CloudUnavailable('throttled')],
  ])('%s', async (_, operation, error) => {
    const { cloud, aws, node, looks } = world();
    aws.setState(node, 'terminated');
    await aws.clock.advance(10_000);
    aws.failNext(operation, error, { times: operation === 'Secrets.credentials' ? 2 : 1 });
    await reconcileBatch([request(START_MS)], cloud);
    expect((await cloud.ledger.read('orders')).cluster.lookBeganMs).toBeNull();
    await reconcileBatch([request(START_MS)], cloud);
    expect(looks()).toBe(2);
    expect((await cloud.ledger.read('orders')).cluster.lookBeganMs).toBe(START_MS + 10_000);
  });

  it('when the request to come back was not sent', async () => {
    const { cloud, aws, node } = world();
    aws.setState(node, 'terminated');
    await aws.clock.advance(10_000);
    aws.failNext('ReconcileRequests.sendLater', new CloudUnavailable('throttled'));
    expect(await reconcileBatch([request(START_MS)], cloud)).toHaveLength(1);
    expect((await cloud.ledger.read('orders')).cluster.lookBeganMs).toBeNull();
  });

  it('when its deregistration was refused, since another look had taken out those that were to stay', async () => {
    const { cloud, aws, node } = world();
    aws.setState(node, 'terminated');
    await aws.clock.advance(10_000);
    const readers = aws.targetGroups.get(READER_GROUP)?.targets;
    aws.before = ({ operation }) => {
      if (operation !== 'TargetGroups.ensureTermination') return;
      for (const key of [...(readers?.keys() ?? [])]) if (!key.startsWith(node)) readers?.delete(key);
    };
    await reconcileBatch([request(START_MS)], cloud);
    expect([...(readers?.keys() ?? [])]).toEqual([`${node}:3306`]);
    expect((await cloud.ledger.read('orders')).cluster.lookBeganMs).toBeNull();
    aws.before = null;
    await reconcileBatch([request(START_MS)], cloud);
    expect(readers?.size).toBe(3);
    expect((await cloud.ledger.read('orders')).cluster.lookBeganMs).not.toBeNull();
  });

  it('and costs no write, while nothing waits', async () => {
    const { cloud, aws } = world();
    await reconcileBatch([request(START_MS)], cloud);
    expect(aws.callsOf('Ledger.noteLook')).toEqual([]);
  });
});

it('asks to come back under a name that was not used up before, though its clock is behind that of SQS', async () => {
  const { cloud, aws } = world();
  const away = (): void => aws.failNext('Specs.get', new CloudUnavailable('throttled'));
  away();
  await reconcileBatch([request(START_MS)], cloud);
  const [first] = aws.delayedRequests;
  // What was asked for under the first name has come, by SQS's clock, and this function's says that it is not yet due.
  away();
  await reconcileBatch([request(START_MS + CLOCKS_APART_MS - 100, first?.cause)], cloud);
  const [, second] = aws.delayedRequests;
  expect(first?.cause).toMatch(/^due-/);
  expect(second?.cause).not.toBe(first?.cause);
});

it('every request has a look that began after it was sent, wherever the clocks stand', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(
        fc.record({
          afterMs: fc.integer({ min: 0, max: 3 * CLOCKS_APART_MS }),
          skewMs: fc.integer({ min: -CLOCKS_APART_MS, max: CLOCKS_APART_MS }),
          waitMs: fc.integer({ min: 0, max: 3 * CLOCKS_APART_MS }),
        }),
        { minLength: 1, maxLength: 12 },
      ),
      async (sends) => {
        const { cloud, aws } = world();
        const looks = new Map<string, number>();
        await aws.clock.advance(WAITED_MS);
        const causes: number[] = [];
        let queue: RequestRecord[] = [];
        for (const [n, { afterMs, skewMs, waitMs }] of sends.entries()) {
          await aws.clock.advance(afterMs);
          causes.push(aws.clock.nowMs());
          queue.push(request(aws.clock.nowMs() + skewMs, `r${n}`));
          await aws.clock.advance(waitMs);
          expect(await reconcileBatch(queue.slice(0, 1), cloud, looks)).toEqual([]);
          queue = queue.slice(1);
        }
        const lookedAtMs = Math.max(...aws.callsOf('Specs.get').map((c) => c.atMs));
        expect(lookedAtMs).toBeGreaterThanOrEqual(Math.max(...causes));
      },
    ),
    { numRuns: 200 },
  );
});
