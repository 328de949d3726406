/**
 * Which objects may go: pure. Never what a restorable moment within the retention needs, never the last good base backup,
 * never a key that is not the archive's, nothing that is newer than the retention.
 */
import { lsnBytes } from '../lsn.ts';
import type { Base, Catalogue, Listed, WalEntry } from './catalogue.ts';
import { catalogue, newestMs } from './catalogue.ts';
import type { HistoryFiles } from './chain.ts';
import { positionText } from './chain.ts';
import { includesPosition } from './gtid.ts';
import { folderOf } from './keys.ts';
import { goodBases, newestHistory, rangesOf } from './ranges.ts';
import { segmentBegin } from './wal-from-base.ts';

/** Some objects that share their reason. */
export interface RetentionClass {
  readonly act: 'kept' | 'removed';
  readonly what: string;
  readonly objects: number;
  readonly bytes: number;
  readonly why: string;
}

export interface RetentionPlan {
  /** In the order of removal: manifests first, so that what is half gone is no backup any more. */
  readonly remove: readonly string[];
  readonly classes: readonly RetentionClass[];
}

/** More than this go another day: a plan stays small enough to be read. */
export const MOST_KEYS = 50_000;

interface Group {
  readonly what: string;
  readonly why: string;
  readonly objects: readonly Listed[];
}

export function retentionOf(
  listing: readonly Listed[],
  files: HistoryFiles,
  retentionMs: number,
  nowMs: number,
): RetentionPlan {
  const cutoffMs = nowMs - retentionMs;
  const byKey = new Map(listing.map((o) => [o.key, o]));
  const all = catalogue(listing);
  const newest = newestHistory(all.map((c) => rangesOf(c, files)));
  const hasOldBase = (c: Catalogue): boolean => goodBases(c, files).some(({ base }) => base.endedMs <= cutoffMs);
  const lives = all.some((c) => c.place.history === newest?.place.history && hasOldBase(c));
  const gone = all.flatMap((c): readonly Group[] =>
    c.place.history !== newest?.place.history && lives && newestMs(c) < cutoffMs
      ? superseded(c, byKey)
      : outlived(c, files, cutoffMs, byKey),
  );
  const remove = [...new Set(gone.flatMap((g) => g.objects.map((o) => o.key)))].slice(0, MOST_KEYS);
  const removed = new Set(remove);
  const kept = all.flatMap((c) => keptOf(c, removed, cutoffMs));
  return { remove, classes: [...gone.map((g) => classOf('removed', g)), ...kept].filter((c) => c.objects > 0) };
}

const sum = (objects: readonly Listed[]): number => objects.reduce((total, o) => total + o.sizeBytes, 0);
const classOf = (act: RetentionClass['act'], { what, why, objects }: Group): RetentionClass => ({
  ...{ act, what, why },
  objects: objects.length,
  bytes: sum(objects),
});
const iso = (ms: number): string => new Date(ms).toISOString();

/** All of a database whose name another one has had for longer than the retention. */
function superseded(c: Catalogue, byKey: ReadonlyMap<string, Listed>): readonly Group[] {
  const keys = [
    ...c.bases.map((b) => b.manifestKey),
    ...c.bases.flatMap((b) => dataOf(c, b.id)),
    ...[...c.unfinished.keys()].flatMap((id) => dataOf(c, id)),
    ...c.histories.values(),
  ];
  const objects = [...keys.flatMap((k) => byKey.get(k) ?? []), ...c.wal, ...c.binlog, ...c.points];
  const why = `${c.place.history} ended ${iso(newestMs(c))}, and another database has its name for longer than the retention`;
  return [{ what: `all of ${c.place.history}`, why, objects }];
}

/** Keys of a base's data, and of the list of its pieces. */
const dataOf = ({ place }: Catalogue, id: string): readonly string[] =>
  ['data.zst', 'parts'].map((name) => `${folderOf(place, 'base')}${id}/${name}`);

/** What lies before the base from which the oldest moment of the retention is restored. */
function outlived(
  c: Catalogue,
  files: HistoryFiles,
  cutoffMs: number,
  byKey: ReadonlyMap<string, Listed>,
): readonly Group[] {
  // Of a timeline that was left none is the first: what is there now is restored from one before it.
  const first = goodBases(c, files).findLast(({ base, chain }) => chain.live && base.endedMs <= cutoffMs)?.base;
  if (first === undefined) return [];
  const old = c.bases.filter((b) => b.endedMs < first.endedMs);
  const kept = c.bases.filter((b) => b.endedMs >= first.endedMs);
  const why = `${first.id} ended ${iso(first.endedMs)}, and every moment since ${iso(cutoffMs)} is restored from it or a later one`;
  const listed = (keys: readonly string[]): readonly Listed[] => keys.flatMap((k) => byKey.get(k) ?? []);
  const broken = [...c.unfinished.keys()].filter((id) => (beganMs(id) ?? Infinity) < cutoffMs);
  return [
    { what: 'manifests', why, objects: listed(old.map((b) => b.manifestKey)) },
    { what: 'base backups', why, objects: listed(old.flatMap((b) => dataOf(c, b.id))) },
    {
      what: 'data without a manifest',
      why: 'nobody can restore from it, and it is older than the retention',
      objects: listed(broken.flatMap((id) => dataOf(c, id))),
    },
    {
      what: 'log',
      why: `${why}; its log begins at ${positionText(first.start)}`,
      objects: logBefore(c, kept, Math.min(cutoffMs, first.endedMs)),
    },
    { what: 'restore points', why, objects: c.points.filter((p) => p.atMs < first.beganMs && p.atMs < cutoffMs) },
  ];
}

/** From the id that `backup` gives: when its execution began. */
function beganMs(id: string): number | null {
  const [, y, mo, d, h, mi, s] = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z-/.exec(id) ?? [];
  return s === undefined ? null : Date.UTC(Number(y), Number(mo) - 1, Number(d), Number(h), Number(mi), Number(s));
}

/** Log that no base which is kept needs, and that tells of no moment since. */
function logBefore({ wal, binlog }: Catalogue, kept: readonly Base[], beforeMs: number): readonly Listed[] {
  const before = (o: WalEntry, { start }: Base): boolean =>
    start.engine === 'postgres' && o.timeline <= start.timeline && lsnBytes(o.end) <= segmentBegin(lsnBytes(start.lsn));
  return [
    ...wal.filter((o) => o.coveredMs < beforeMs && kept.every((b) => before(o, b))),
    ...binlog.filter(
      (o) =>
        o.coveredMs < beforeMs &&
        kept.every(({ start }) => start.engine === 'galera' && includesPosition(start.gtid, o.upTo)),
    ),
  ];
}

function keptOf(c: Catalogue, removed: ReadonlySet<string>, cutoffMs: number): readonly RetentionClass[] {
  const bases = c.bases.filter((b) => !removed.has(b.manifestKey));
  const log: readonly Listed[] = [...c.wal, ...c.binlog].filter((o) => !removed.has(o.key));
  const oldest = bases[0];
  const why =
    oldest === undefined
      ? 'there is no base backup'
      : `moments since ${iso(Math.max(cutoffMs, oldest.endedMs))} need it, or it is newer than the retention`;
  return [
    classOf('kept', {
      what: `base backups of ${c.place.history}`,
      why,
      objects: bases.map((b) => ({ key: b.dataKey, sizeBytes: b.storedBytes ?? 0 })),
    }),
    classOf('kept', { what: `log of ${c.place.history}`, why, objects: log }),
  ];
}
