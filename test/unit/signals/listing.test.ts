/** In a backlog one listing of all our instances tells whose an instance is, and never more than a question by id would (decision 0025). */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CloudUnavailable, INSTANCES_PER_PAGE } from '../../../lambdas/cloud/ports.ts';
import { CLOCKS_APART_MS } from '../../../lambdas/model/answered.ts';
import {
  LISTING_PAUSED_MS,
  LISTING_WAITED_FOR_MS,
  MOST_LISTED,
  OWNER_KEPT_MS,
} from '../../../lambdas/signals/listing.ts';
import { Memory } from '../../../lambdas/signals/memory.ts';
import { LAUNCHES_LISTED_MS, receive } from '../../../lambdas/signals/receive.ts';
import type { SignalRecord } from '../../../lambdas/signals/receive.ts';
import { FakeAws, FakeClock, fakeCloud } from '../../fakes/index.ts';
import { sample } from './samples.ts';

const START_MS = Date.UTC(2026, 0, 15, 2);
const WAITED_MS = 60_000;
const OURS = 'i-00000000000000001';
const foreign = (n: number): string => `i-f${n.toString(16).padStart(16, '0')}`;

let events = 0;
const event = (instance: string, sentMs: number, state = 'terminated'): SignalRecord => {
  events += 1;
  const detail = { 'instance-id': instance, state };
  return {
    messageId: `m${events}`,
    body: JSON.stringify({ ...sample('ec2-state-change'), id: `e${events}`, detail }),
    attributes: { SentTimestamp: String(sentMs) },
  };
};

/** A minute after `START_MS`: what was sent then is a backlog. */
async function world(instances = 1) {
  const aws = new FakeAws(new FakeClock(START_MS, { manual: true }));
  aws.addInstance({ id: OURS, cluster: 'orders' });
  for (let n = 1; n < instances; n += 1) aws.addInstance({ cluster: `c${n}` });
  const cloud = fakeCloud(aws);
  const memory = new Memory('one');
  await aws.clock.advance(WAITED_MS);
  const asked = () => aws.callsOf('Instances.byIds').map((c) => c.args[0] as readonly string[]);
  const listed = () => aws.callsOf('Instances.ofEveryCluster').length;
  const get = (...records: readonly SignalRecord[]) => receive(records, cloud, memory);
  /** Foreign instances, none named twice, by messages that have waited, in so many batches. */
  let strangers = 0;
  const getStrangers = async (batches: number): Promise<void> => {
    for (let n = 0; n < batches; n += 1) {
      strangers += 1;
      expect(await get(event(foreign(strangers), START_MS))).toEqual([]);
    }
  };
  return { aws, cloud, memory, asked, listed, get, getStrangers };
}

/** As `world`, and one listing was made, at `listedMs`. */
async function listedWorld() {
  const made = await world();
  await made.getStrangers(2);
  expect(made.listed()).toBe(1);
  return { ...made, listedMs: START_MS + WAITED_MS, before: made.asked().length };
}

describe('a backlog', () => {
  it('about instances that are not ours costs one question and one listing, however many they are', async () => {
    const { asked, listed, getStrangers, cloud } = await world();
    await getStrangers(30);
    expect(asked()).toHaveLength(1);
    expect(listed()).toBe(1);
    expect(cloud.metrics.total('SignalsForeign')).toBe(30);
  });

  it('about ours is requested as the listing has it, the terminated ones too', async () => {
    const { aws, asked, get, getStrangers } = await world();
    aws.addInstance({ id: 'i-00000000000000002', cluster: 'billing', state: 'terminated' });
    await getStrangers(2);
    await get(event('i-00000000000000002', START_MS));
    expect(aws.requests.map((r) => r.cluster)).toEqual(['billing']);
    expect(asked()).toHaveLength(1);
  });

  it('is listed for again when as many questions by id were asked as that costs calls', async () => {
    const { aws, asked, listed, get, getStrangers } = await world(2 * INSTANCES_PER_PAGE + 1);
    await getStrangers(2);
    expect([asked().length, listed()]).toEqual([1, 1]);
    const sentMs = aws.clock.nowMs();
    await aws.clock.advance(WAITED_MS);
    for (let n = 1; n <= 3; n += 1) await get(event(foreign(1000 + n), sentMs));
    expect([asked().length, listed()]).toEqual([4, 1]);
    await get(event(foreign(1004), sentMs));
    await get(event(foreign(1005), sentMs));
    expect([asked().length, listed()]).toEqual([4, 2]);
  });

  it('a function without a memory asks by id', async () => {
    const { cloud, listed, asked } = await world();
    for (let n = 0; n < 5; n += 1) await receive([event(foreign(n), START_MS)], cloud);
    expect([asked().length, listed()]).toEqual([5, 0]);
  });

  it('of which one message is newer is not listed for: the question by id is asked all the same', async () => {
    const { aws, listed, asked, get } = await world();
    for (let n = 0; n < 10; n += 2)
      await get(event(foreign(n), START_MS), event(foreign(n + 1), aws.clock.nowMs() - CLOCKS_APART_MS));
    expect([asked().length, listed()]).toEqual([5, 0]);
  });
});

it('without a backlog nothing is listed', async () => {
  const { aws, listed, asked, get } = await world();
  for (let n = 0; n < 10; n += 1) await get(event(foreign(n), aws.clock.nowMs()));
  expect([asked().length, listed()]).toEqual([10, 0]);
});

describe('a message that the listing does not answer asks by id', () => {
  it.each([
    ['it was sent after the listing began', 1],
    ['it was sent so shortly before that the clocks may be wrong', -CLOCKS_APART_MS],
  ])('%s', async (_, afterMs) => {
    const { aws, asked, get, before, listedMs } = await listedWorld();
    aws.addInstance({ id: 'i-00000000000000009', cluster: 'billing' });
    await aws.clock.advance(1);
    await get(event('i-00000000000000009', listedMs + afterMs));
    expect(asked().slice(before)).toEqual([['i-00000000000000009']]);
    expect(aws.requests.map((r) => r.cluster)).toEqual(['billing']);
  });

  it('nobody knows when it was sent', async () => {
    const { asked, get, before } = await listedWorld();
    await get({ ...event(foreign(77), START_MS), attributes: {} });
    expect(asked().slice(before)).toEqual([[foreign(77)]]);
  });

  it.each(['pending', 'running'])('it is about a launch (%s), and its tag may be shown late', async (state) => {
    const { aws, asked, get, before, listedMs } = await listedWorld();
    const latest = listedMs - CLOCKS_APART_MS - LAUNCHES_LISTED_MS;
    aws.addInstance({ id: 'i-00000000000000009', cluster: 'billing' });
    await get(event('i-00000000000000009', latest, state));
    expect(asked().slice(before)).toEqual([['i-00000000000000009']]);
    await get(event(foreign(78), latest - 1, state), event(foreign(79), latest, 'stopped'));
    expect(asked()).toHaveLength(before + 1);
  });

  it('but an instance that was listed is known to be ours for a minute', async () => {
    const { aws, asked, get, before } = await listedWorld();
    await get(event(OURS, aws.clock.nowMs()));
    expect(asked()).toHaveLength(before);
    await aws.clock.advance(OWNER_KEPT_MS + 1);
    await get(event(OURS, aws.clock.nowMs()));
    expect(asked().slice(before)).toEqual([[OURS]]);
  });
});

describe('a listing', () => {
  it('that fails leaves the questions by id, and is tried again after a while', async () => {
    const { aws, asked, listed, get, getStrangers } = await world();
    aws.failNext('Instances.ofEveryCluster', new CloudUnavailable('throttled'), { times: 10 });
    await getStrangers(1);
    expect(await get(event(OURS, START_MS))).toEqual([]);
    expect(aws.requests.map((r) => r.cluster)).toEqual(['orders']);
    await getStrangers(5);
    expect([asked().length, listed()]).toEqual([7, 1]);
    await aws.clock.advance(LISTING_PAUSED_MS);
    await getStrangers(1);
    expect(listed()).toBe(2);
  });

  it('that takes long is not waited for, and not begun twice, and tells those who come after it', async () => {
    const { aws, asked, listed, get, getStrangers } = await world();
    const slowMs = 3 * LISTING_WAITED_FOR_MS;
    aws.before = (call) => (call.operation === 'Instances.ofEveryCluster' ? aws.clock.sleep(slowMs) : undefined);
    await getStrangers(1);
    const getting = get(event(OURS, START_MS));
    await aws.clock.advance(LISTING_WAITED_FOR_MS);
    expect(await getting).toEqual([]);
    expect(aws.requests.map((r) => r.cluster)).toEqual(['orders']);
    await getStrangers(3);
    expect([asked().length, listed()]).toEqual([5, 1]);
    const meanwhileMs = aws.clock.nowMs();
    await aws.clock.advance(slowMs);
    await getStrangers(3);
    expect([asked().length, listed()]).toEqual([5, 1]);
    // Sent before it had ended, and after it began: it may not be in it.
    await get(event(foreign(99), meanwhileMs), event(foreign(98), aws.clock.nowMs()));
    expect(asked().at(-1)).toEqual([foreign(99), foreign(98)]);
  });

  it('of more instances than fit is not kept, nor made again', async () => {
    const { cloud, memory, asked } = await world();
    const one = { ...[...cloud.aws.instances.values()][0]!, tags: {} };
    const many = Array.from({ length: MOST_LISTED + 1 }, (_, n) => ({ ...one, id: `i-${n}` }));
    let listings = 0;
    const byIds = (ids: readonly string[]) => cloud.instances.byIds(ids);
    const ofEveryCluster = () => Promise.resolve(new Map([[`c${(listings += 1)}`, many]]));
    const instances = { byIds, ofEveryCluster } as unknown as typeof cloud.instances;
    for (let n = 0; n < 80; n += 1) await receive([event(foreign(n), START_MS)], { ...cloud, instances }, memory);
    expect(listings).toBe(1);
    expect(asked()).toHaveLength(80);
  });
});

it('no signal about an instance of ours is dropped, whenever that was launched, and wherever the clocks stand', async () => {
  const step = fc.record({
    afterMs: fc.integer({ min: 0, max: 2 * CLOCKS_APART_MS }),
    skewMs: fc.integer({ min: -CLOCKS_APART_MS, max: CLOCKS_APART_MS }),
    waitMs: fc.constantFrom(0, 1, CLOCKS_APART_MS, 2 * CLOCKS_APART_MS + 1, 3 * CLOCKS_APART_MS),
    isOurs: fc.boolean(),
    state: fc.constantFrom('pending', 'terminated'),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 4, maxLength: 16 }), async (steps) => {
      const { aws, get } = await world();
      const waiting: { readonly record: SignalRecord; readonly dueMs: number; readonly cluster: string | null }[] = [];
      for (const [n, { afterMs, skewMs, waitMs, isOurs, state }] of steps.entries()) {
        const id = isOurs ? `i-${n.toString(16).padStart(17, '0')}` : foreign(n);
        const cluster = isOurs ? `c${n}` : null;
        aws.addInstance({ id, ...(cluster === null ? {} : { cluster }) });
        const sentMs = aws.clock.nowMs();
        waiting.push({ record: event(id, sentMs + skewMs, state), dueMs: sentMs + waitMs, cluster });
        await aws.clock.advance(afterMs);
        for (const one of waiting.filter((w) => w.dueMs <= aws.clock.nowMs())) {
          waiting.splice(waiting.indexOf(one), 1);
          expect(await get(one.record)).toEqual([]);
          if (one.cluster !== null) expect(aws.requests.map((r) => r.cluster)).toContain(one.cluster);
        }
      }
    }),
    { numRuns: 200 },
  );
});
