import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  formatGtidPosition,
  includesGtid,
  includesPosition,
  parseGtid,
  parseGtidPosition,
} from '../../../lambdas/model/archive/gtid.ts';
import type { ArchiveObject, LogPosition } from '../../../lambdas/model/archive/keys.ts';
import { keyOf, lsnOfBytes, parseKey } from '../../../lambdas/model/archive/keys.ts';
import { compareLsn } from '../../../lambdas/model/lsn.ts';

const place = { cluster: 'orders', history: '7301234567890123456' };

const lsn = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }).map(lsnOfBytes);
const timeline = fc.integer({ min: 1, max: 2 ** 32 - 1 });
const ms = fc.integer({ min: 0, max: 9_999_999_999_999 });
const gtid = fc.record({
  server: fc.integer({ min: 1, max: 2 ** 32 - 1 }),
  sequence: fc.bigInt({ min: 1n, max: 2n ** 64n - 1n }),
});
const gtids = fc
  .uniqueArray(fc.integer({ min: 0, max: 2 ** 32 - 1 }), { maxLength: 3 })
  .chain((domains) =>
    fc
      .tuple(...domains.map((domain) => gtid.map((g) => [domain, { domain, ...g }] as const)))
      .map((all) => new Map(all)),
  );
const position: fc.Arbitrary<LogPosition> = fc.oneof(
  fc.record({ engine: fc.constant('postgres' as const), timeline, lsn }),
  fc.record({ engine: fc.constant('galera' as const), gtid: gtids }),
);
const name = fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9.-]{0,62}$/);
const object: fc.Arbitrary<ArchiveObject> = fc.oneof(
  fc.record({ kind: fc.constant('wal' as const), timeline, start: lsn, end: lsn, coveredMs: ms }),
  fc.record({ kind: fc.constant('history' as const), timeline }),
  fc.record({
    kind: fc.constant('binlog' as const),
    after: gtids,
    upTo: gtids,
    coveredMs: ms,
    source: fc.constant('i-0123456789abcdef0~binlog.000004~1337'),
  }),
  fc.record({ kind: fc.constant('base' as const), id: name }),
  fc.record({
    kind: fc.constant('manifest' as const),
    beganMs: ms,
    endedMs: ms,
    start: position,
    end: position,
    id: name,
  }),
  fc.record({ kind: fc.constant('point' as const), atMs: ms, position, name }),
);

/** As a value that can be compared: maps in the order of domains. */
const plain = (value: unknown): unknown =>
  JSON.parse(
    JSON.stringify(value, (_, v: unknown) =>
      v instanceof Map ? formatGtidPosition(v as never) : typeof v === 'bigint' ? String(v) : v,
    ),
  );

describe('keys of the archive', () => {
  it('come back as what they were made of', () => {
    fc.assert(
      fc.property(object, (made) => {
        const key = keyOf(place, made);
        expect(key.length).toBeLessThanOrEqual(1024); // S3's limit
        expect(plain(parseKey(key))).toEqual(plain({ place, object: made }));
      }),
    );
  });

  it("are in the log's order when S3 lists them in the order of names", () => {
    fc.assert(
      fc.property(lsn, lsn, (a, b) => {
        const key = (start: string) => keyOf(place, { kind: 'wal', timeline: 1, start, end: start, coveredMs: 0 });
        const [x, y] = [key(a), key(b)];
        expect(Math.sign(compareLsn(a, b))).toBe(x < y ? -1 : x > y ? 1 : 0);
      }),
    );
  });

  it.each([
    'orders/7301/wal/00000001/0000000001000000-0000000002000000-0000000000000.zst.tmp',
    'orders/7301/wal/00000001/0000000001000000-0000000002000000.zst',
    'orders/7301/base/x/data.zst.part',
    'orders/7301/base/../data.zst',
    'orders/wal/00000001',
    'orders/7301/other/thing',
    'readme.txt',
    '',
  ])('takes %j for nothing of its own', (key) => {
    expect(parseKey(key)).toBeNull();
  });
});

describe('GTID positions', () => {
  it('hold what they hold', () => {
    const position = parseGtidPosition('1-5-12, 0-1-270');
    expect(formatGtidPosition(position)).toBe('0-1-270,1-5-12');
    expect(includesGtid(position, parseGtid('0-2-270'))).toBe(true);
    expect(includesGtid(position, parseGtid('0-1-271'))).toBe(false);
    expect(includesGtid(position, parseGtid('7-1-1'))).toBe(false);
    expect(includesPosition(position, parseGtidPosition('0-1-12'))).toBe(true);
    expect(includesPosition(parseGtidPosition('0-1-12'), position)).toBe(false);
    expect(includesPosition(position, parseGtidPosition(''))).toBe(true);
  });

  it.each(['0-1', '0-1-2-3', 'a-b-c', '0-1-270,0-1-271'])('refuses %j by name', (text) => {
    expect(() => parseGtidPosition(text)).toThrow(JSON.stringify(text));
  });
});
