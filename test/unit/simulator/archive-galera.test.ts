/** The truth about Galera's archive that nights are judged by, and the dumps that its shipper reads in them. */
import { describe, expect, it } from 'vitest';
import type { BinlogObject } from '../../../lambdas/model/archive/keys.ts';
import { keyOf } from '../../../lambdas/model/archive/keys.ts';
import { MAGIC } from '../../../lambdas/engines/galera/binlog/events.ts';
import { BinlogCutter } from '../../../lambdas/archive/ship/galera/cutter.ts';
import { parseGtidPosition } from '../../../lambdas/model/archive/gtid.ts';
import { Actor } from '../../../simulator/actor.ts';
import type { Item, LogFile } from '../../../simulator/archive/galera/binlogs.ts';
import { SimDump } from '../../../simulator/archive/galera/dump.ts';
import * as events from '../../../simulator/archive/galera/events.ts';
import { gtid } from '../../../simulator/archive/galera/servers.ts';
import { GaleraTruth, isAsGood } from '../../../simulator/archive/galera/truth.ts';
import type { Acknowledged } from '../../../simulator/galera/cluster.ts';
import type { Branch } from '../../../simulator/galera/history.ts';
import { World } from '../../../simulator/world.ts';
import { carryOut } from '../../support/galera/binlog.ts';

const PLACE = { cluster: 'orders', history: 'uuid' };
const BEGAN = 1000;
const FIRST: Branch = { id: 0, uuid: 'uuid', parent: null, forkAt: 0 };
/** A bootstrap that lost what came after 1003. */
const SECOND: Branch = { id: 1, uuid: 'uuid', parent: FIRST, forkAt: 1003 };
const NAME = 'binlog.000001';

/** A server's file with the writes from one to another; those after 1003 of that history. */
function fileOf(from: number, to: number, history = 0): LogFile {
  const items: Item[] = [];
  let bytes = MAGIC.length;
  const add = (event: Buffer, write: Item['write'] = null): void => {
    items.push({ offset: bytes, bytes: event, write });
    bytes += event.length;
  };
  add(events.formatDescription({ offset: bytes, atMs: 5000 }, 5000));
  add(events.gtidList(from - 1, { offset: bytes, atMs: 5000 }));
  for (let seqno = from; seqno <= to; seqno += 1) {
    const write = { branch: seqno > 1003 ? history : 0, seqno, atMs: seqno * 1000 };
    add(events.transaction(write, bytes), write);
  }
  return { name: NAME, after: from - 1, items, bytes, writes: to - from + 1 };
}

/** The object with a whole file, whose name says so, or what is given. */
function objectOf(file: LogFile, said: Partial<BinlogObject> = {}): readonly [string, Buffer] {
  const last = file.items.findLast(({ write }) => write !== null)?.write?.seqno ?? file.after;
  const object: BinlogObject = {
    ...{ kind: 'binlog', after: parseGtidPosition(gtid(file.after)), upTo: parseGtidPosition(gtid(last)) },
    ...{ coveredMs: 0, source: `i-a~${NAME}~0` },
    ...said,
  };
  return [keyOf(PLACE, object), Buffer.concat([MAGIC, ...file.items.map((i) => i.bytes)])];
}

function truthOf({ file = fileOf(1001, 1005), keeps = null as string | null, branch = FIRST, seqno = 1010 } = {}) {
  const broken: string[] = [];
  const journal: Acknowledged[] = [];
  for (let s = 1001; s <= seqno; s += 1) {
    journal.push({ branch: s > 1003 ? branch : FIRST, seqno: s, atMs: s * 1000 });
  }
  const truth = new GaleraTruth(
    {
      violate: (rule) => broken.push(rule),
      tell: () => undefined,
      current: () => ({ branch, seqno }),
      keeps: () => keeps,
      journal,
      file: (name) => (name === NAME ? file : null),
    },
    BEGAN,
  );
  return { truth, broken };
}

describe("an object of Galera's archive", () => {
  it('is true when it holds the transactions of its name', () => {
    const file = fileOf(1001, 1005);
    const { truth, broken } = truthOf({ file });
    truth.stored(...objectOf(file, { coveredMs: 1006_000 }));
    expect(broken).toEqual([]);
    expect(truth.missing({ branch: FIRST, seqno: 1005 })).toBeNull();
    expect(truth.missing({ branch: FIRST, seqno: 1006 })).toBe(1006);
  });

  it.each<[string, Partial<BinlogObject>]>([
    ['says that it begins elsewhere', { after: parseGtidPosition('0-1-999') }],
    ['says that it ends elsewhere', { upTo: parseGtidPosition('0-1-1007') }],
    ['covers a moment whose writes are not in', { coveredMs: 1006_001 }],
    ['names a file that no server has had', { source: 'i-a~binlog.000009~0' }],
    ['names another place in the file', { source: 'i-a~binlog.000001~300' }],
  ])('is not when it %s', (_, said) => {
    const file = fileOf(1001, 1005);
    const { truth, broken } = truthOf({ file });
    truth.stored(...objectOf(file, said));
    expect(broken).toContain('archive');
  });

  it('without transactions vouches for all before it', () => {
    const file = fileOf(1006, 1005);
    const { truth, broken } = truthOf({ file });
    truth.stored(...objectOf(file));
    expect(broken).toEqual(['10']);
  });

  it('is as good as one of its name that has another format description in front, and not with another row', () => {
    const file = fileOf(1001, 1003);
    const head = Buffer.concat([MAGIC, file.items[0]?.bytes ?? Buffer.alloc(0)]);
    const cleared = Buffer.concat([MAGIC, events.withoutCreated(file.items[0]?.bytes ?? Buffer.alloc(0))]);
    const body = Buffer.concat(file.items.slice(2).map((i) => i.bytes));
    const [key] = objectOf(file, { source: `i-a~${NAME}~299` });
    expect(isAsGood(key, Buffer.concat([head, body]), Buffer.concat([cleared, body]))).toBe(true);
    const other = Buffer.from(body);
    other.writeUInt8(77, 70);
    expect(isAsGood(key, Buffer.concat([head, body]), Buffer.concat([head, other]))).toBe(false);
    expect(isAsGood(key, Buffer.concat([head, body]), Buffer.concat([head, body.subarray(0, 112)]))).toBe(false);
  });
});

describe('what a shipper says', () => {
  it('of a moment, before S3 has all that was acknowledged before it, breaks rule 10', () => {
    const { truth, broken } = truthOf();
    truth.covered('ship-1', 1001_000);
    expect(broken).toEqual([]);
    truth.covered('ship-1', 1001_001);
    expect(broken).toEqual(['10']);
  });

  it.each([
    ['where S3 ends', 1005, null, false, []],
    ['behind a gap that it has told of, when no node has it', 1007, null, true, []],
    ['behind a gap that nobody was told of', 1007, null, false, ['archive']],
    ['behind a gap that a node could fill', 1007, 'i-b', true, ['archive']],
    ['where S3 ends, and has told of a gap', 1005, 'i-b', true, ['archive']],
  ])('when it reads on %s', (_, after, keeps, told, expected) => {
    const file = fileOf(1001, 1005);
    const { truth, broken } = truthOf({ file, keeps });
    truth.stored(...objectOf(file));
    if (told) truth.tellsGap('ship-1');
    truth.begins('ship-1', 'i-a', after);
    expect(broken).toEqual(expected);
  });

  it('when one that was killed behind a gap has told of it before', () => {
    const file = fileOf(1001, 1005);
    const { truth, broken } = truthOf({ file });
    truth.stored(...objectOf(file));
    for (const who of ['ship-1', 'ship-2']) {
      truth.tellsGap(who);
      truth.begins(who, 'i-a', 1007);
    }
    expect(broken).toEqual([]);
  });

  it('over writes that were lost, and whose GTIDs were given again', () => {
    const file = fileOf(1001, 1005);
    const { truth, broken } = truthOf({ file, branch: SECOND });
    truth.stored(...objectOf(file));
    expect(truth.isAnothers(1003)).toBe(false);
    expect(truth.isAnothers(1004)).toBe(true);
    truth.begins('ship-1', 'i-a', 1005);
    expect(broken).toEqual(['history']);
  });
});

describe('a dump of a simulated binlog', () => {
  const read = async (from: number) => {
    const world = new World(1, 'galera');
    const files = [fileOf(1001, 1003), { ...fileOf(1004, 1006), name: 'binlog.000002' }];
    const end = { branch: FIRST, seqno: 1006, clean: false };
    const binlog = { files, end, server: 'i-a 1' };
    const of = { binlog, from, follow: false, says: () => 'answers' as const, breaks: () => false };
    return { files, parts: (await new SimDump(world, new Actor('ship-1'), of).read()) ?? [] };
  };

  it('is cut into the files that the server has', async () => {
    const { files, parts } = await read(1000);
    const cutter = new BinlogCutter({ instance: 'i-a', after: parseGtidPosition(gtid(1000)), pieceBytes: 1 << 20 });
    const pieces = carryOut([...parts.flatMap((p) => cutter.take(p)), ...cutter.cut()]);
    expect(pieces.map(({ bytes }) => events.transactionsIn(bytes.subarray(MAGIC.length)).map((t) => t.gtid))).toEqual([
      [1001, 1002, 1003],
      [1004, 1005, 1006],
    ]);
    expect(pieces[1]?.bytes.equals(Buffer.concat([MAGIC, ...(files[1]?.items.map((i) => i.bytes) ?? [])]))).toBe(true);
  });

  it.each([[999], [1007]])('from %i, which the server has not, is refused', async (from) => {
    await expect(read(from)).rejects.toMatchObject({ name: 'LogUnavailable' });
  });
});
