import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BinlogCutter, type Cut } from '../../../lambdas/archive/ship/galera/cutter.ts';
import { EventType, MAGIC } from '../../../lambdas/engines/galera/binlog/events.ts';
import type { EventPart } from '../../../lambdas/engines/galera/binlog/reader.ts';
import { formatSource, parseSource } from '../../../lambdas/model/archive/binlog-source.ts';
import { formatGtidPosition, parseGtidPosition } from '../../../lambdas/model/archive/gtid.ts';
import { type BinlogObject, keyOf, parseKey } from '../../../lambdas/model/archive/keys.ts';
import { carryOut, eventsOf, gtidsIn, partsOf, reassemble, recorded } from '../../support/galera/binlog.ts';

const MB = 1 << 20;
const cutter = (after = '', pieceBytes = MB): BinlogCutter =>
  new BinlogCutter({ instance: 'i-1', after: parseGtidPosition(after), pieceBytes });
const takeAll = (c: BinlogCutter, parts: readonly EventPart[]): readonly Cut[] => parts.flatMap((p) => c.take(p));
const range = ({ after, upTo, source }: BinlogObject): string =>
  `${source.replace('i-1~binlog.00000', '')} (${formatGtidPosition(after)}..${formatGtidPosition(upTo)}]`;
const whole = (): readonly EventPart[] => partsOf(recorded('whole.dump'));
const indexOf = (parts: readonly EventPart[], type: number, nth: number): number =>
  parts.map((p, i) => (p.header?.type === type ? i : -1)).filter((i) => i >= 0)[nth] ?? -1;
/** An event as large as one likes, part by part, in place of a recorded one of its kind. */
const swollen = ({ header, bytes }: EventPart, size: number, partBytes: number): readonly EventPart[] => {
  if (header === null) throw new Error('not the first part of an event');
  const event = Buffer.concat([bytes, Buffer.alloc(size - bytes.length, 0x61)]);
  event.writeUInt32LE(size, 9);
  event.writeUInt32LE(0, 13); // says nothing of where it ends
  const parts: EventPart[] = [];
  for (let at = 0; at < size; at += partBytes) {
    const first = at === 0 ? { ...header, bytes: size, endsAt: 0 } : null;
    parts.push({ header: first, bytes: event.subarray(at, at + partBytes), last: at + partBytes >= size });
  }
  return parts;
};

describe("a server's binlog, cut into pieces", () => {
  it('is a piece a file when nothing else cuts it, each with what it holds in its name', () => {
    const c = cutter();
    const pieces = carryOut([...takeAll(c, whole()), ...c.cut()]);
    expect(pieces.map((p) => range(p.object))).toEqual([
      '1~0 (..0-1-18,7-1-1]',
      '2~0 (0-1-18,7-1-1..0-1-18,7-1-1]',
      '3~0 (0-1-18,7-1-1..0-1-21,7-1-1]',
      '4~0 (0-1-21,7-1-1..0-1-23,7-1-1]',
    ]);
    for (const n of [1, 2, 3]) expect(pieces[n - 1]?.bytes.equals(recorded(`binlog.00000${n}`))).toBe(true);
    expect(formatGtidPosition(c.position)).toBe('0-1-23,7-1-1');
  });

  it("gives the server's files back, byte for byte, wherever it is cut, in transactions that are whole and in order", () => {
    const parts = whole();
    const anywhere = fc.record({
      cuts: fc.array(fc.nat(parts.length - 1), { maxLength: 30 }),
      pieceBytes: fc.integer({ min: 1, max: 3000 }),
      sizes: fc.array(fc.integer({ min: 1, max: 5000 }), { minLength: 1, maxLength: 4 }),
    });
    fc.assert(
      fc.property(anywhere, ({ cuts, pieceBytes, sizes }) => {
        const c = cutter('', pieceBytes);
        const at = new Set(cuts);
        const out = partsOf(recorded('whole.dump'), sizes).flatMap((p, i) => [
          ...c.take(p),
          ...(at.has(i) ? c.cut() : []),
        ]);
        const pieces = carryOut([...out, ...c.cut()]);
        const files = reassemble(pieces);
        for (const n of [1, 2, 3])
          expect(files.get(`binlog.00000${n}`)?.equals(recorded(`binlog.00000${n}`))).toBe(true);
        expect(files.get('binlog.000004')?.length).toBe(733);
        let before = '';
        for (const { object, bytes } of pieces) {
          expect(formatGtidPosition(object.after)).toBe(before);
          before = formatGtidPosition(object.upTo);
          const position = new Map(object.after);
          for (const gtid of gtidsIn(bytes).flatMap((g) => [...parseGtidPosition(g).values()]))
            position.set(gtid.domain, gtid);
          expect(formatGtidPosition(position)).toBe(before);
          const place = { cluster: 'orders', history: 'domain-0' };
          expect(parseKey(keyOf(place, object))).toEqual({ place, object });
        }
      }),
      { numRuns: 200 },
    );
  });

  it('puts the format description in front of a piece from the middle of a file', () => {
    const c = cutter('0-1-12,7-1-1');
    const pieces = carryOut([...takeAll(c, partsOf(recorded('from-the-middle.dump'))), ...c.cut()]);
    const [first] = pieces;
    expect(pieces.map((p) => range(p.object))[0]).toBe('1~2843 (0-1-12,7-1-1..0-1-16,7-1-1]');
    // 7-1-1 is left out by the server: another jump.
    expect(pieces.map((p) => range(p.object))[1]).toBe('1~4060 (0-1-16,7-1-1..0-1-18,7-1-1]');
    const events = eventsOf(first?.bytes ?? Buffer.alloc(0));
    expect(events.slice(0, 2).map((e) => e.header.type)).toEqual([EventType.FORMAT_DESCRIPTION, EventType.GTID]);
    const original = recorded('binlog.000001').subarray(2843, 3823);
    expect(first?.bytes.subarray(4 + 252).equals(original)).toBe(true);
  });

  it('does not pass the first format description of a resumed dump off as the file’s: the server changes it', () => {
    const c = cutter('0-1-18,7-1-1');
    const parts = whole();
    const [piece] = carryOut([...takeAll(c, parts.slice(indexOf(parts, EventType.ROTATE, 2))), ...c.cut()]);
    expect(piece?.object.source).toBe('i-1~binlog.000002~256');
    expect(eventsOf(piece?.bytes ?? Buffer.alloc(0))[0]?.header.type).toBe(EventType.FORMAT_DESCRIPTION);
  });

  it('never holds back nor splits a transaction that is under way', () => {
    const c = cutter();
    const parts = whole();
    const middle = indexOf(parts, EventType.TABLE_MAP, 1);
    takeAll(c, parts.slice(0, middle + 1));
    const [piece] = carryOut(c.cut());
    expect(gtidsIn(piece?.bytes ?? Buffer.alloc(0)).at(-1)).toBe('0-1-5');
    expect(c.cut()).toEqual([]);
    const [next] = carryOut([...takeAll(c, parts.slice(middle + 1)), ...c.cut()]);
    expect(gtidsIn(next?.bytes ?? Buffer.alloc(0))[0]).toBe('0-1-6');
  });

  it('says how far the server is covered, in every piece from then on', () => {
    const c = cutter();
    const parts = whole();
    const half = indexOf(parts, EventType.GTID, 10);
    takeAll(c, parts.slice(0, half));
    const early = carryOut(c.cut());
    c.covers(1_795_875_680_000);
    c.covers(1_795_875_679_000);
    const late = carryOut([...takeAll(c, parts.slice(half)), ...c.cut()]);
    expect(early.map((p) => p.object.coveredMs)).toEqual([0]);
    expect(new Set(late.map((p) => p.object.coveredMs))).toEqual(new Set([1_795_875_680_000]));
  });

  it('attests an idle server by a piece without transactions, and only then', () => {
    const c = cutter();
    const parts = whole();
    expect(c.attest()).toEqual([]); // nothing known of its file
    const out = takeAll(c, parts.slice(0, -1));
    expect(c.attest()).toEqual([]); // something is held
    const rest = carryOut([...out, ...c.cut()]);
    expect(c.attest()).toEqual([]); // a transaction is under way
    takeAll(c, parts.slice(-1));
    c.cut();
    c.covers(5);
    const [idle] = carryOut(c.attest());
    expect(range(idle!.object)).toBe('4~733 (0-1-23,7-1-1..0-1-23,7-1-1]');
    expect(idle?.object.coveredMs).toBe(5);
    expect(eventsOf(idle!.bytes).map((e) => e.header.type)).toEqual([EventType.FORMAT_DESCRIPTION]);
    expect(reassemble([...rest, ...carryOut([])]).size).toBe(4);
  });
});

describe('a transaction larger than a piece', () => {
  const parts = whole();
  const rows = indexOf(parts, 23, 1);
  const large = (size: number, partBytes: number): readonly EventPart[] =>
    parts.flatMap((p, i) => (i === rows ? swollen(p, size, partBytes) : [p]));

  it('is a piece of its own, whose bytes go out as they come; what is held stays small', () => {
    const c = cutter('', 100_000);
    let most = 0;
    const out = large(5_000_000, 10_000).flatMap((p) => {
      const cuts = c.take(p);
      most = Math.max(most, c.heldBytes);
      return cuts;
    });
    expect(most).toBeLessThan(100_000 + 10_000);
    const pieces = carryOut([...out, ...c.cut()]);
    expect(pieces.slice(0, 3).map((p) => range(p.object))).toEqual([
      '1~0 (..0-1-5]',
      '1~1189 (0-1-5..0-1-6]',
      // What comes after it was recorded at other offsets: a jump.
      expect.stringMatching(/ \(0-1-6\.\.0-1-18,7-1-1\]$/) as string,
    ]);
    expect(gtidsIn(pieces[1]!.bytes)).toEqual(['0-1-6']);
    expect(eventsOf(pieces[1]!.bytes).at(-1)?.header.type).toBe(EventType.XID);
    expect(out.filter((cut) => cut.kind === 'open')).toHaveLength(1);
  });

  it("begins with the file's head when it is the file's first", () => {
    const c = cutter('', 1000);
    const first = indexOf(parts, EventType.QUERY, 0);
    const out = takeAll(c, [...parts.slice(0, first), ...swollen(parts[first]!, 50_000, 1000)]);
    const [piece] = carryOut(out);
    expect(range(piece!.object)).toBe('1~0 (..0-1-1]');
    expect(piece!.bytes.subarray(0, 4).equals(MAGIC)).toBe(true);
    expect(gtidsIn(piece!.bytes)).toEqual(['0-1-1']);
  });

  it('is discarded when the server crashed while it wrote it, and a smaller one with it', () => {
    const xid = indexOf(parts, EventType.XID, 1);
    const second = indexOf(parts, EventType.ROTATE, 2);
    for (const crashed of [[...large(500_000, 10_000)], [...parts]]) {
      const end = crashed.length - parts.length + xid;
      const after = crashed.length - parts.length + second;
      const c = cutter('', 100_000);
      const out = takeAll(c, [...crashed.slice(0, end), ...crashed.slice(after)]);
      const pieces = carryOut([...out, ...c.cut()]);
      expect(pieces.map((p) => gtidsIn(p.bytes)).flat()).toEqual([
        '0-1-1',
        '0-1-2',
        '0-1-3',
        '0-1-4',
        '0-1-5',
        '0-1-19',
        '0-1-20',
        '0-1-21',
        '0-1-22',
        '0-1-23',
      ]);
      expect(out.filter((cut) => cut.kind === 'discard')).toHaveLength(crashed.length === parts.length ? 0 : 1);
    }
  });
});

describe('where a piece comes from', () => {
  it.each(['binlog.000001', 'my_bin~log.000007', 'ä/b c.1'])(
    'is in its name, whatever the file is called: %s',
    (file) => {
      const source = { instance: 'i-0123', file, offset: 4_294_967_296 };
      const text = formatSource(source);
      expect(text).not.toMatch(/[_/]/);
      expect(parseSource(text)).toEqual(source);
    },
  );

  it('is refused when it is none', () => {
    expect(() => parseSource('i-1~binlog')).toThrow(/"i-1~binlog" is no source: expected instance~file~offset/);
  });
});
