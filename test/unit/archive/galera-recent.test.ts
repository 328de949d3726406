import { describe, expect, it } from 'vitest';
import { endsOf } from '../../../lambdas/archive/ship/galera/choose-source.ts';
import { recentObjects } from '../../../lambdas/archive/ship/galera/recent.ts';
import { formatGtidPosition, parseGtid, parseGtidPosition as at } from '../../../lambdas/model/archive/gtid.ts';
import { type BinlogObject, keyOf } from '../../../lambdas/model/archive/keys.ts';
import { FakeAws, FakeBucket } from '../../fakes/index.ts';

const place = { cluster: 'orders', history: 'uuid' };
const NOW = 1_800_000_000_000;
const object = (after: string, upTo: string, coveredMs = 0, offset = 4): BinlogObject => ({
  ...{ kind: 'binlog', after: at(after), upTo: at(upTo), coveredMs, source: `i-1~binlog.000001~${offset}` },
});
/** Looks for the newest objects among these. */
async function look(objects: readonly BinlogObject[], newest: string, writers: readonly string[] = newest.split(',')) {
  const aws = new FakeAws();
  for (const o of objects) aws.objects.set(keyOf(place, o), new Uint8Array());
  const log = { newest: at(newest), writers: writers.map(parseGtid) };
  const found = await recentObjects(new FakeBucket(aws), place, log, NOW);
  const lists = aws.calls.filter((c) => c.operation === 'ArchiveBucket.list').length;
  return { found, lists, ends: endsOf(found).map(formatGtidPosition) };
}
const chain = (pieces: number, each: number, server = 1): readonly BinlogObject[] =>
  Array.from({ length: pieces }, (_, n) =>
    object(n === 0 ? '' : `0-${server}-${n * each}`, `0-${server}-${(n + 1) * each}`),
  );

describe('the newest objects of an archive', () => {
  it('are none of an empty one', async () => {
    expect(await look([], '0-1-500')).toMatchObject({ found: [], ends: [] });
  });

  it.each([
    [10_000, 1],
    [10_000, 50],
    [30, 100_000],
  ])('are found among %i of %i transactions each, with few lists and few of them', async (pieces, each) => {
    const { found, lists, ends } = await look(chain(pieces, each), `0-1-${pieces * each + 3}`);
    expect(ends).toEqual([`0-1-${pieces * each}`]);
    expect(lists).toBeLessThanOrEqual(7);
    expect(found.length).toBeGreaterThanOrEqual(Math.min(pieces, 64));
    expect(found.length).toBeLessThanOrEqual(Math.max(4096 / each, 66) + 1);
  });

  it('are found when the shipper was away for long', async () => {
    expect((await look(chain(5000, 10), '0-1-9000000')).ends).toEqual(['0-1-50000']);
  });

  it('hold what a killed shipper left out before them', async () => {
    const objects = chain(1000, 10).filter((_, n) => n !== 985);
    expect((await look(objects, '0-1-10000')).ends).toEqual(['0-1-9850', '0-1-10000']);
  });

  it('are those of whoever wrote last, where several servers write one domain', async () => {
    const first = chain(100, 10);
    const second = Array.from({ length: 1000 }, (_, n) =>
      object(n === 0 ? '0-1-1000' : `0-2-${1000 + n * 10}`, `0-2-${1010 + n * 10}`),
    );
    expect((await look([...first, ...second], '0-2-11000', ['0-1-1000', '0-2-11000'])).ends).toEqual(['0-2-11000']);
  });

  it('are found by one list on a server that has long been idle, whose position was attested a minute ago', async () => {
    const attests = Array.from({ length: 3000 }, (_, n) => object('0-1-1000', '0-1-1000', NOW - n * 60_000));
    const { lists, ends, found } = await look([...chain(100, 10), ...attests], '0-1-1000');
    expect(ends).toEqual(['0-1-1000']);
    expect(lists).toBe(1);
    expect(found.length).toBeLessThan(12);
    // And what was written since.
    const since = object('0-1-1000', '0-1-1007', NOW - 1000, 99);
    expect((await look([...chain(100, 10), ...attests, since], '0-1-1007')).ends).toEqual(['0-1-1007']);
    expect((await look([...chain(100, 10), ...attests, since], '0-1-1000')).ends).toEqual(['0-1-1007']);
  });

  it('are found when the server has never heard of who wrote them', async () => {
    expect((await look([object('5-9-1', '5-9-7')], '0-1-3')).ends).toEqual(['5-9-7']);
  });
});
