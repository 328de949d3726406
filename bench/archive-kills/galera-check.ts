/** What must hold in the bucket of MariaDB's log after a kill, and at the end. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { zstdDecompressSync } from 'node:zlib';
import type { ArchiveBucket } from '../../lambdas/cloud/ports.ts';
import { EventType, readGtidEvent } from '../../lambdas/engines/galera/binlog/events.ts';
import type { BinlogChain } from '../../lambdas/model/archive/binlog-chain.ts';
import { binlogChain } from '../../lambdas/model/archive/binlog-chain.ts';
import {
  formatGtid,
  formatGtidPosition,
  includesGtid,
  includesPosition,
  parseGtid,
} from '../../lambdas/model/archive/gtid.ts';
import type { GtidPosition } from '../../lambdas/model/archive/gtid.ts';
import type { BinlogObject } from '../../lambdas/model/archive/keys.ts';
import { parseKey } from '../../lambdas/model/archive/keys.ts';
import { eventsOf } from '../../test/support/galera/binlog.ts';
import type { SingleServer } from '../../test/support/galera/single.ts';

export type Listed = BinlogObject & { readonly key: string };

/** A write that the server has acknowledged, by its own clock. */
export interface Acknowledged {
  readonly gtid: string;
  readonly atMs: number;
}

export async function listed(bucket: ArchiveBucket, cluster: string): Promise<readonly Listed[]> {
  const found: Listed[] = [];
  for await (const { key } of bucket.list(`${cluster}/`)) {
    const object = parseKey(key)?.object;
    if (object?.kind === 'binlog') found.push({ ...object, key });
  }
  return found;
}

export const chainOf = (objects: readonly Listed[]): BinlogChain<Listed> => binlogChain(objects, new Map(), null);

/**
 * What is wrong after a kill: something that was in the unbroken chain is gone; an object without transactions, which vouches for
 * all before it, lies beyond a hole; a write that is said to be covered is not in. Empty: nothing.
 */
export function faultsAfterKill(
  objects: readonly Listed[],
  before: GtidPosition,
  acknowledged: readonly Acknowledged[],
): readonly string[] {
  const { upTo, coveredMs } = chainOf(objects);
  const text = formatGtidPosition;
  const faults: string[] = [];
  if (!includesPosition(upTo, before))
    faults.push(`the archive ended at ${text(before)} and ends at ${text(upTo)} now`);
  const idle = objects.find((o) => includesPosition(o.after, o.upTo) && !includesPosition(upTo, o.upTo));
  if (idle !== undefined) faults.push(`${idle.key} vouches for what is not there: it ends at ${text(upTo)}`);
  const lost = acknowledged.find(({ gtid, atMs }) => atMs < coveredMs && !includesGtid(upTo, parseGtid(gtid)));
  if (lost !== undefined)
    faults.push(`${lost.gtid} was acknowledged at ${lost.atMs}, ${coveredMs} is covered, and it ends at ${text(upTo)}`);
  return faults;
}

/** GTID and a digest of all its events, as they lie in the file. */
type Transaction = readonly [gtid: string, digest: string];

/** Of the file itself; the last two are 161, Binlog_checkpoint, and 163. https://mariadb.com/kb/en/replication-protocol/ */
const FILES_OWN: readonly number[] = [
  ...[EventType.GTID, EventType.STOP, EventType.ROTATE, EventType.FORMAT_DESCRIPTION, 161, EventType.GTID_LIST],
];

export function transactionsIn(file: Buffer): readonly Transaction[] {
  const found: { readonly gtid: string; readonly hash: ReturnType<typeof createHash> }[] = [];
  let isOpen = false;
  for (const { header, bytes } of eventsOf(file)) {
    if (FILES_OWN.includes(header.type)) isOpen = header.type === EventType.GTID;
    if (header.type === EventType.GTID)
      found.push({ gtid: formatGtid(readGtidEvent(bytes).gtid), hash: createHash('sha256') });
    if (isOpen) found.at(-1)?.hash.update(bytes);
  }
  return found.map(({ gtid, hash }) => [gtid, hash.digest('hex')]);
}

export interface Replayed {
  /** What a replay along the chain takes, in its order. */
  readonly transactions: readonly Transaction[];
  /** How often a transaction is in one more object than in one. */
  readonly overlaps: number;
}

/** Reads everything. Throws when an object does not hold exactly what its name says. */
export async function replay(bucket: ArchiveBucket, objects: readonly Listed[]): Promise<Replayed> {
  const contents = new Map<Listed, readonly Transaction[]>();
  const seen = new Set<string>();
  let stored = 0;
  for (const object of objects) {
    const transactions = transactionsIn(zstdDecompressSync((await bucket.get(object.key)) ?? new Uint8Array()));
    const outside = transactions.find(([gtid]) => {
      const parsed = parseGtid(gtid);
      return includesGtid(object.after, parsed) || !includesGtid(object.upTo, parsed);
    });
    if (outside !== undefined) throw new Error(`${object.key} has ${outside[0]}, which its name does not say`);
    contents.set(object, transactions);
    stored += transactions.length;
    for (const [gtid] of transactions) seen.add(gtid);
  }
  let position: GtidPosition = new Map();
  const taken: Transaction[] = [];
  for (const { object, upTo } of chainOf(objects).links) {
    for (const transaction of contents.get(object) ?? [])
      if (!includesGtid(position, parseGtid(transaction[0]))) taken.push(transaction);
    position = upTo;
  }
  return { transactions: taken, overlaps: stored - seen.size };
}

/** All that the server has logged, in order, up to a position. */
export const loggedUpTo = async (server: SingleServer, end: GtidPosition): Promise<readonly Transaction[]> =>
  (await server.binlogs())
    .flatMap((name) => transactionsIn(readFileSync(join(server.dataDir, name))))
    .filter(([gtid]) => includesGtid(end, parseGtid(gtid)));

/** The first place at which they differ, in words; null: they are the same, each once and in the same order. */
export function firstDifference(ours: readonly Transaction[], theirs: readonly Transaction[]): string | null {
  for (let i = 0; i < Math.max(ours.length, theirs.length); i += 1) {
    const [a, b] = [ours[i]?.join(' ') ?? 'nothing', theirs[i]?.join(' ') ?? 'nothing'];
    if (a !== b) return `transaction ${i + 1} of ${theirs.length}: the archive has ${a}, the server ${b}`;
  }
  return null;
}
