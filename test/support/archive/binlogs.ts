/** Binlog objects out of a MariaDB server's own files, as the shipper makes them. */
import { readFile } from 'node:fs/promises';
import { crc32 } from 'node:zlib';
import type { GtidPosition } from '../../../lambdas/model/archive/gtid.ts';
import { formatGtidPosition, parseGtidPosition, withGtid } from '../../../lambdas/model/archive/gtid.ts';
import type { ArchivePlace, BinlogObject } from '../../../lambdas/model/archive/keys.ts';
import { keyOf } from '../../../lambdas/model/archive/keys.ts';
import { compress } from './plans.ts';
import type { S3 } from './s3.ts';

const MAGIC = Buffer.from([0xfe, 0x62, 0x69, 0x6e]);
/** https://mariadb.com/kb/en/2-binlog-event-header/ and https://mariadb.com/kb/en/gtid_event/ */
const HEADER = 19;
const FORMAT_DESCRIPTION = 15;
const GTID = 162;
const GTID_LIST = 163;

interface Transaction {
  readonly offset: number;
  readonly bytes: Buffer;
  readonly after: GtidPosition;
  readonly upTo: GtidPosition;
}

/** Whole transactions (and lone events between them) of one file, with the position after each. `position`: the one before. */
export async function transactionsOf(file: string, position: GtidPosition) {
  const data = await readFile(file);
  const head = data.subarray(0, MAGIC.length + data.readUInt32LE(MAGIC.length + 9));
  if (data[MAGIC.length + 4] !== FORMAT_DESCRIPTION) throw new Error(`${file} does not begin as a binlog does`);
  const transactions: Transaction[] = [];
  let begin = head.length;
  let after = position;
  for (let at = head.length; at < data.length;) {
    const end = at + data.readUInt32LE(at + 9);
    if (data[at + 4] === GTID) {
      if (at > begin && after !== position) {
        transactions.push({ offset: begin, bytes: data.subarray(begin, at), after: position, upTo: after });
        begin = at;
        position = after;
      }
      const sequence = data.readBigUInt64LE(at + HEADER);
      after = withGtid(after, {
        domain: data.readUInt32LE(at + HEADER + 8),
        server: data.readUInt32LE(at + 5),
        sequence,
      });
    }
    at = end;
  }
  if (begin < data.length)
    transactions.push({ offset: begin, bytes: data.subarray(begin), after: position, upTo: after });
  return { head, transactions, position: after };
}

/** One binlog of one server. */
export interface Log {
  readonly instance: string;
  readonly name: string;
  /** Magic number and FORMAT_DESCRIPTION_EVENT. */
  readonly head: Buffer;
  readonly transactions: readonly Transaction[];
}

/** Files of one server, in order. */
export async function logsOf(files: readonly string[], from: string): Promise<readonly Log[]> {
  let position = parseGtidPosition(from);
  const logs: Log[] = [];
  for (const file of files) {
    const { head, transactions, position: end } = await transactionsOf(file, position);
    logs.push({ instance: 'i-1', name: file.split('/').at(-1) ?? '', head, transactions });
    position = end;
  }
  return logs;
}

/** The same transactions as another node of the group has them: in files that begin elsewhere, after each `every` of them. */
export function asAnotherNode(logs: readonly Log[], every: number): readonly Log[] {
  const all = logs.flatMap((l) => l.transactions).map((t) => ({ ...t, bytes: withoutLone(t.bytes) }));
  const head = logs[0]?.head ?? Buffer.alloc(0);
  return Array.from({ length: Math.ceil(all.length / every) }, (_, n) => {
    const [first, ...rest] = all.slice(n * every, (n + 1) * every);
    if (first === undefined) throw new Error('a log of no transactions');
    const begun = { ...first, offset: head.length, bytes: Buffer.concat([gtidList(first), first.bytes]) };
    return { instance: 'i-2', name: `other.00000${n + 1}`, head, transactions: [begun, ...rest] };
  });
}

/** From its GTID_EVENT on. */
function withoutLone(bytes: Buffer): Buffer {
  for (let at = 0; at < bytes.length; at += bytes.readUInt32LE(at + 9))
    if (bytes[at + 4] === GTID) return bytes.subarray(at);
  return Buffer.alloc(0);
}

/** https://mariadb.com/kb/en/gtid_list_event/ */
function gtidList({ after: position, bytes }: Transaction): Buffer {
  const event = Buffer.alloc(HEADER + 4 + 16 * position.size + 4);
  bytes.copy(event, 0, 0, 4); // without a time stamp it would count as made up by the server
  event.writeUInt8(GTID_LIST, 4);
  event.writeUInt32LE(1, 5);
  event.writeUInt32LE(event.length, 9);
  event.writeUInt32LE(position.size, HEADER);
  [...position.values()].forEach(({ domain, server, sequence }, n) => {
    event.writeUInt32LE(domain, HEADER + 4 + 16 * n);
    event.writeUInt32LE(server, HEADER + 8 + 16 * n);
    event.writeBigUInt64LE(sequence, HEADER + 12 + 16 * n);
  });
  event.writeUInt32LE(crc32(event.subarray(0, -4)), event.length - 4);
  return event;
}

/** Log lines of a plan for some logs in order, stored as objects of `each` transactions; an object never spans files. */
export function storeLogs(s3: S3, place: ArchivePlace, logs: readonly Log[], each: number): readonly string[] {
  const lines: string[] = [];
  for (const { instance, name, head, transactions } of logs) {
    for (let n = 0; n < transactions.length; n += each) {
      const piece = transactions.slice(n, n + each);
      const [first, last] = [piece[0], piece.at(-1)];
      if (first === undefined || last === undefined) continue;
      const source = `${instance}~${name}~${first.offset}`;
      const object: BinlogObject = { kind: 'binlog', after: first.after, upTo: last.upTo, coveredMs: 0, source };
      s3.objects.set(keyOf(place, object), compress(Buffer.concat([head, ...piece.map((t) => t.bytes)])));
      const places = [first.after, last.upTo].map((p) => formatGtidPosition(p) || 'none');
      lines.push(['log', keyOf(place, object), ...places].join('\t'));
    }
  }
  return lines;
}

/** Where logs end. */
export const endOf = (logs: readonly Log[]): string =>
  formatGtidPosition(logs.at(-1)?.transactions.at(-1)?.upTo ?? new Map());
