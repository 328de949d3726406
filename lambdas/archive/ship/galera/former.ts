/**
 * Where the log of a cluster's earlier histories ends in the archive. A bootstrap that gives nodes up begins a history of its own
 * (docs/decisions/0027-who-is-given-up-is-of-another-history.md), whose folder is empty: what no node has any more may lie before its beginning.
 */
import type { ArchiveBucket } from '../../../cloud/ports.ts';
import { type ServerLog, sharedPart } from '../../../engines/galera/binlog/log-state.ts';
import { type GtidPosition, includesPosition } from '../../../model/archive/gtid.ts';
import type { ArchivePlace } from '../../../model/archive/keys.ts';
import { OWN_FOLDERS } from '../../../recovery/read-archive.ts';
import { endsOf } from './choose-source.ts';
import { recentObjects } from './recent.ts';

export interface Former {
  readonly history: string;
  /** The end of its log. */
  readonly end: GtidPosition;
}

/**
 * The history that goes farthest, if what comes after it up to `after` (from where `place` begins) is in none; null: there is none that ends
 * before that, or one has it.
 */
export async function formerBehind(
  bucket: ArchiveBucket,
  place: ArchivePlace,
  log: ServerLog,
  after: GtidPosition,
  nowMs: number,
): Promise<Former | null> {
  const prefix = `${place.cluster}/`;
  const histories = (await bucket.folders(prefix)).map((folder) => folder.slice(prefix.length, -1));
  const others = histories.filter((h) => h !== place.history && !OWN_FOLDERS.includes(h));
  const formers = await Promise.all(
    others.map(async (history): Promise<readonly Former[]> => {
      const end = endsOf(await recentObjects(bucket, { ...place, history }, log, nowMs)).at(-1);
      const shared = end === undefined ? null : sharedPart(log, end);
      // Of domains that are not the cluster's it tells nothing.
      return shared === null || shared.size === 0 ? [] : [{ history, end: shared }];
    }),
  );
  const begins = sharedPart(log, after);
  const ended = formers.flat();
  if (ended.some(({ end }) => includesPosition(end, begins))) return null;
  const behind = ended.filter(({ end }) => includesPosition(begins, end));
  return behind.toSorted((a, b) => (includesPosition(a.end, b.end) ? -1 : 1))[0] ?? null;
}
