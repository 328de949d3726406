/** Reads from the bucket what the pure functions of `model/archive` decide on. */
import type { ArchiveBucket, Clock } from '../cloud/ports.ts';
import { CloudUnavailable } from '../cloud/ports.ts';
import type { Base, Catalogue, Listed } from '../model/archive/catalogue.ts';
import { catalogue } from '../model/archive/catalogue.ts';
import type { HistoryFiles } from '../model/archive/chain.ts';
import type { ArchivePlace, FolderName } from '../model/archive/keys.ts';
import { folderOf, lsnInKey } from '../model/archive/keys.ts';
import type { TimelineHistory } from '../model/archive/timeline.ts';
import { parseTimelineHistory } from '../model/archive/timeline.ts';
import { segmentBegin } from '../model/archive/wal-from-base.ts';

/** All that is asked of the bucket. */
export type Reading = Pick<ArchiveBucket, 'list' | 'folders' | 'get'>;

/** The bucket for `forMs`: what is asked later fails, so that a listing of any length, or a slow one, ends within a function's time. */
export function briefly(bucket: Reading, clock: Pick<Clock, 'nowMs'>, forMs: number): Reading {
  const untilMs = clock.nowMs() + forMs;
  const inTime = (): void => {
    if (clock.nowMs() > untilMs) throw new CloudUnavailable(`the archive could not be read within ${forMs / 1000} s`);
  };
  return {
    async *list(prefix, options) {
      inTime();
      for await (const object of bucket.list(prefix, options)) {
        inTime();
        yield object;
      }
    },
    folders: (prefix) => {
      inTime();
      return bucket.folders(prefix);
    },
    get: (key, range) => {
      inTime();
      return bucket.get(key, range);
    },
  };
}

export interface Archive {
  /** One for each database that the cluster's name ever had. */
  readonly catalogues: readonly Catalogue[];
  readonly files: HistoryFiles;
  readonly listing: readonly Listed[];
}

/** Folders beside those of the databases. */
export const OWN_FOLDERS = ['restore', 'retention'];

/** Appends to `found`: there may be more objects than a call has room for arguments. */
async function all(bucket: Reading, prefix: string, after?: string, found: Listed[] = []): Promise<Listed[]> {
  for await (const object of bucket.list(prefix, after === undefined ? {} : { after })) found.push(object);
  return found;
}

/** Everything of a cluster. A thousand objects are one call. */
export async function readArchive(bucket: Reading, cluster: string): Promise<Archive> {
  return withFiles(bucket, await all(bucket, `${cluster}/`));
}

/**
 * The same, without the log before the last base backup but one of each database: what says up to when can be restored, and
 * whether the log since then is whole. MariaDB's names are not in the order of its log where servers change, so that there
 * each server's are asked for.
 */
export async function readRecent(bucket: Reading, cluster: string): Promise<Archive> {
  const listing: Listed[] = [];
  for (const folder of await bucket.folders(`${cluster}/`)) {
    const history = folder.slice(cluster.length + 1, -1);
    if (OWN_FOLDERS.includes(history)) continue;
    const place = { cluster, history };
    const few: readonly FolderName[] = ['manifest', 'base', 'history', 'point'];
    for (const name of few) await all(bucket, folderOf(place, name), undefined, listing);
    const own = catalogue(listing).find((c) => c.place.history === history);
    const from = own?.bases.filter((b) => b.storedBytes !== null).at(-2) ?? null;
    await walSince(bucket, place, from, listing);
    await binlogSince(bucket, place, from, listing);
  }
  return withFiles(bucket, listing);
}

/** An object never crosses the border of a segment, so that those that begin in the base's segment or later are all. */
async function walSince(bucket: Reading, place: ArchivePlace, from: Base | null, found: Listed[]): Promise<void> {
  for (const folder of await bucket.folders(folderOf(place, 'wal'))) {
    const after = from?.start.engine === 'postgres' ? `${folder}${segmentOf(lsnInKey(from.start.lsn))}` : undefined;
    await all(bucket, folder, after, found);
  }
}

const segmentOf = (key: string): string =>
  segmentBegin(BigInt(`0x${key}`))
    .toString(16)
    .toUpperCase()
    .padStart(16, '0');

/** One list for each server that wrote, which has its transactions in their order. */
async function binlogSince(bucket: Reading, place: ArchivePlace, from: Base | null, found: Listed[]): Promise<void> {
  const folder = folderOf(place, 'binlog');
  if (from?.start.engine !== 'galera') {
    await all(bucket, folder, undefined, found);
    return;
  }
  let after: string | undefined;
  for (;;) {
    const next = await first(bucket, folder, after);
    if (next === null) return;
    const [, writer, domain] = /^((\d+)-\d+-)\d{20}/.exec(next.key.slice(folder.length)) ?? [];
    const sequence = domain === undefined ? undefined : from.start.gtid.get(Number(domain))?.sequence;
    if (writer === undefined || sequence === undefined) {
      // Before everything, or a domain that the base does not know: all of it, one object after the other.
      found.push(next);
      after = next.key;
      continue;
    }
    await all(bucket, `${folder}${writer}`, `${folder}${writer}${String(sequence).padStart(20, '0')}`, found);
    after = `${folder}${writer}~`;
  }
}

async function first(bucket: Reading, prefix: string, after: string | undefined): Promise<Listed | null> {
  for await (const object of bucket.list(prefix, after === undefined ? {} : { after })) return object;
  return null;
}

async function withFiles(bucket: Reading, listing: readonly Listed[]): Promise<Archive> {
  const catalogues = catalogue(listing);
  const files = new Map<string, TimelineHistory>();
  for (const { histories } of catalogues) {
    for (const [timeline, key] of histories) {
      const text = await bucket.get(key);
      if (text !== null) files.set(key, parseTimelineHistory(timeline, Buffer.from(text).toString('utf8')));
    }
  }
  return { catalogues, files, listing };
}
