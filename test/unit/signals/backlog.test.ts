/** A burst of signals about the same clusters (decision 0017): few requests, and each signal has one that was sent after it. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CLOCKS_APART_MS } from '../../../lambdas/model/answered.ts';
import { Memory } from '../../../lambdas/signals/memory.ts';
import { receive } from '../../../lambdas/signals/receive.ts';
import type { SignalRecord } from '../../../lambdas/signals/receive.ts';
import { FakeAws, FakeClock, fakeCloud } from '../../fakes/index.ts';
import { sample } from './samples.ts';

const START_MS = Date.UTC(2026, 0, 15, 2);
const ID = 'i-00000000000000001';
const FOREIGN = 'i-00000000000000002';

const event = (id: string, sentMs: number, instance = ID): SignalRecord => ({
  messageId: id,
  body: JSON.stringify({ ...sample('ec2-state-change'), id, detail: { 'instance-id': instance, state: 'terminated' } }),
  attributes: { SentTimestamp: String(sentMs) },
});

const due = (id: string, sentMs: number): SignalRecord => ({
  ...event(id, sentMs),
  body: JSON.stringify({ ...sample('reconcile-due'), id, detail: { cluster: 'orders', cause: id } }),
});

function world() {
  const aws = new FakeAws(new FakeClock(START_MS, { manual: true }));
  aws.addInstance({ id: ID, cluster: 'orders' });
  aws.addInstance({ id: FOREIGN });
  return { aws, cloud: fakeCloud(aws) };
}

describe('a signal that has waited', () => {
  it('is dropped when this function asked for its cluster well after it was sent', async () => {
    const { aws, cloud } = world();
    const memory = new Memory('one');
    await aws.clock.advance(10_000);
    await receive([event('e1', START_MS)], cloud, memory);
    expect(aws.requests).toHaveLength(1);
    expect(await receive([event('e2', START_MS), event('e3', START_MS + 7999)], cloud, memory)).toEqual([]);
    expect(aws.requests).toHaveLength(1);
    expect(cloud.metrics.total('SignalsAnswered')).toBe(2);
  });

  it.each([
    ['was sent so shortly before that the clocks may be wrong', 10_000 - CLOCKS_APART_MS],
    ['was sent after it', 10_001],
  ])('asks when it %s', async (_, sentAfterMs) => {
    const { aws, cloud } = world();
    const memory = new Memory('one');
    await aws.clock.advance(10_000);
    await receive([event('e1', START_MS)], cloud, memory);
    await aws.clock.advance(10_000);
    await receive([event('e2', START_MS + sentAfterMs)], cloud, memory);
    expect(aws.requests).toHaveLength(2);
  });

  it('asks in a cold function, and where the request before could not be sent', async () => {
    const { aws, cloud } = world();
    await aws.clock.advance(10_000);
    await receive([event('e1', START_MS)], cloud, new Memory('one'));
    await receive([event('e2', START_MS)], cloud, new Memory('two'));
    expect(aws.requests).toHaveLength(2);
    const memory = new Memory('three');
    aws.failNext('ReconcileRequests.send', new Error('throttled'));
    expect(await receive([event('e3', START_MS)], cloud, memory)).toEqual(['e3']);
    await receive([event('e3', START_MS)], cloud, memory);
    expect(aws.requests).toHaveLength(3);
  });

  it('asks under a name of its own, so that a request before it under the same event cannot swallow it', async () => {
    const { aws, cloud } = world();
    await receive([event('e1', START_MS)], cloud, new Memory('one'));
    await aws.clock.advance(10_000);
    const memory = new Memory('two');
    // The same event a second time, late; after it one that was sent in between.
    await receive([event('e1', START_MS)], cloud, memory);
    await receive([event('e2', START_MS + 5000)], cloud, memory);
    expect(aws.requests.some((r) => r.atMs >= START_MS + 5000)).toBe(true);
  });

  it('that was sent ahead of its time is never answered by what came before that', async () => {
    const { aws, cloud } = world();
    const memory = new Memory('one');
    await aws.clock.advance(10_000);
    await receive([event('e1', START_MS)], cloud, memory);
    await aws.clock.advance(10_000);
    await receive([due('due-orders-1', START_MS)], cloud, memory);
    expect(aws.requests.map((r) => r.cause)).toEqual(['backlog-one-1', 'due-orders-1']);
  });
});

it('whose an instance is, is asked for once a minute, and each time when it is not ours', async () => {
  const { aws, cloud } = world();
  const memory = new Memory('one');
  const asked = () => aws.callsOf('Instances.byIds').map((c) => c.args[0]);
  await receive([event('e1', START_MS), event('e2', START_MS, FOREIGN)], cloud, memory);
  await receive([event('e3', START_MS), event('e4', START_MS, FOREIGN)], cloud, memory);
  expect(asked()).toEqual([[ID, FOREIGN], [FOREIGN]]);
  await aws.clock.advance(60_001);
  await receive([event('e5', START_MS)], cloud, memory);
  expect(asked()).toEqual([[ID, FOREIGN], [FOREIGN], [ID]]);
});

it('every signal has a request that was sent after it, wherever the clocks stand', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(
        fc.record({
          afterMs: fc.integer({ min: 0, max: 3 * CLOCKS_APART_MS }),
          skewMs: fc.integer({ min: -CLOCKS_APART_MS, max: CLOCKS_APART_MS }),
          waitMs: fc.integer({ min: 0, max: 3 * CLOCKS_APART_MS }),
          environment: fc.nat(1),
        }),
        { minLength: 1, maxLength: 12 },
      ),
      async (sends) => {
        const { aws, cloud } = world();
        const memories = [new Memory('one'), new Memory('two')];
        for (const [n, { afterMs, skewMs, waitMs, environment }] of sends.entries()) {
          await aws.clock.advance(afterMs);
          const sentMs = aws.clock.nowMs();
          const record = event(`e${n}`, sentMs + skewMs);
          await aws.clock.advance(waitMs);
          expect(await receive([record], cloud, memories[environment])).toEqual([]);
          expect(Math.max(...aws.requests.map((r) => r.atMs))).toBeGreaterThanOrEqual(sentMs);
        }
      },
    ),
    { numRuns: 200 },
  );
});

it('a question to EC2 waits for its turn, and one that is answered by memory does not', async () => {
  const { aws, cloud } = world();
  const turns: [string, number | undefined][] = [];
  const pace = {
    turn: (kind: string, count?: number) => Promise.resolve(void turns.push([kind, count])),
    may: () => true,
    isShort: () => false,
  };
  const memory = new Memory('one');
  await receive([event('e1', START_MS)], { ...cloud, pace }, memory);
  expect(turns).toEqual([['instances', 1]]);
  await receive([event('e2', START_MS)], { ...cloud, pace }, memory);
  expect(turns).toHaveLength(1);
  expect(aws.callsOf('Instances.byIds')).toHaveLength(1);
});
