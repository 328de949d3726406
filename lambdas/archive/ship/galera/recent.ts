/**
 * The newest objects of a log, found by a few LISTs whatever the archive's size: names begin with a position, and the server
 * says about where its log is. Read from the bucket alone: positions that were not found there are not in the archive.
 */
import type { ArchiveBucket } from '../../../cloud/ports.ts';
import { type Gtid, type GtidPosition, includesPosition } from '../../../model/archive/gtid.ts';
import { type ArchivePlace, type BinlogObject, folderOf, keyOf, parseKey } from '../../../model/archive/keys.ts';

/** Pieces of one shipper that are not confirmed yet, at most: of these, later ones may be stored and earlier ones not. */
export const UNCONFIRMED_PIECES = 16;
/** So many objects with transactions are looked at: a few shippers' unconfirmed ones. */
const ENOUGH = 4 * UNCONFIRMED_PIECES;
const WINDOWS = [64n, 4096n, 262_144n, 16_777_216n] as const;
/** An object without transactions says how far an idle server is covered, at least once in that time. */
const ATTESTED_WITHIN_MS = 600_000;

const binlogsOf = async (bucket: ArchiveBucket, prefix: string, after?: string): Promise<readonly BinlogObject[]> => {
  const found: BinlogObject[] = [];
  for await (const { key } of bucket.list(prefix, after === undefined ? {} : { after })) {
    const object = parseKey(key)?.object;
    if (object?.kind === 'binlog') found.push(object);
  }
  return found;
};

const advances = ({ after, upTo }: BinlogObject): boolean => !includesPosition(after, upTo);

interface Newest {
  readonly found: readonly BinlogObject[];
  /** All that begins beyond this sequence is there; 0: all there is. */
  readonly beyond: bigint;
}

/** Of the objects that begin with a transaction of this domain and server, the newest; all of them when there are few. */
async function newestOf(bucket: ArchiveBucket, folder: string, writer: Gtid): Promise<Newest> {
  const prefix = `${folder}${writer.domain}-${writer.server}-`;
  for (const window of WINDOWS) {
    const beyond = writer.sequence - window;
    if (beyond <= 0n) break;
    const found = await binlogsOf(bucket, prefix, prefix + beyond.toString().padStart(20, '0'));
    if (found.filter(advances).length >= ENOUGH) return { found, beyond };
  }
  return { found: await binlogsOf(bucket, prefix), beyond: 0n };
}

export interface NewestLog {
  /** What the server has: its newest position, and the last transaction of each writer. */
  readonly newest: GtidPosition;
  readonly writers: readonly Gtid[];
}

/**
 * The archive's newest objects: enough of them for whatever a killed shipper left unfinished to be among them or after them.
 * An object without transactions is stored only when all before it was confirmed: from a fresh one on there is no need to
 * look further back.
 */
export async function recentObjects(
  bucket: ArchiveBucket,
  place: ArchivePlace,
  log: NewestLog,
  nowMs: number,
): Promise<readonly BinlogObject[]> {
  const folder = folderOf(place, 'binlog');
  const here = { kind: 'binlog', after: log.newest, upTo: log.newest, source: '' } as const;
  const idle = keyOf(place, { ...here, coveredMs: nowMs - ATTESTED_WITHIN_MS }).replace(/_\.zst$/, '');
  // All that begins at the position: `<after>_`.
  const attested = await binlogsOf(bucket, idle.replace(/_[^_]*_\d*$/, '_'), idle);
  if (attested.some((o) => !advances(o) && o.coveredMs > nowMs - ATTESTED_WITHIN_MS)) return attested;
  const searched = await Promise.all(
    log.writers.map(async (writer) => ({ ...writer, ...(await newestOf(bucket, folder, writer)) })),
  );
  // Of each domain, from where on the objects of all its writers are there: what lies before is no hole, but not looked at.
  const beyond = new Map<number, bigint>();
  for (const one of searched) {
    if (one.beyond > (beyond.get(one.domain) ?? 0n)) beyond.set(one.domain, one.beyond);
  }
  const first = beyond.size > 0 ? [] : await binlogsOf(bucket, `${folder}none_`);
  const objects = [...first, ...searched.flatMap(({ found }) => found)].filter(({ after }) =>
    [...beyond].every(([domain, sequence]) => (after.get(domain)?.sequence ?? 0n) >= sequence),
  );
  // Of writers that this server has never heard of.
  return objects.length > 0 ? objects : binlogsOf(bucket, folder);
}
