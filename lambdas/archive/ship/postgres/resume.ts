/** Where the archive of a database ends: read from the bucket, each time anew. */
import type { ArchiveBucket } from '../../../cloud/ports.ts';
import type { ArchivePlace, WalObject } from '../../../model/archive/keys.ts';
import { folderOf, keyOf, lsnOfBytes, parseKey } from '../../../model/archive/keys.ts';
import type { TimelinePath } from '../../../model/archive/timeline.ts';
import { timelineAt } from '../../../model/archive/timeline.ts';
import { walChain } from '../../../model/archive/wal-chain.ts';
import type { Lsn, Position } from '../../../model/lsn.ts';
import { lsnBytes } from '../../../model/lsn.ts';
import { borderBefore } from './cutter.ts';

export interface Resume extends Position {
  /** Log that is not in the archive and is not behind the place either; null: none is known of. */
  readonly coveredMs: number;
}

/**
 * From where to ship: the end of the unbroken chain that has `kept`, from which on the server keeps its log. Shippers confirm
 * only what is in the bucket, so what lies before `kept` is there, and little lies behind it.
 * - With a hole behind `kept` (a shipper was killed while several pieces were under way): the hole's beginning.
 * - With nothing at `kept`: the end of what the bucket has before it, or, when it has nothing at all, the border before
 *   `kept`: segments are kept whole.
 */
export async function resumeFrom(
  bucket: ArchiveBucket,
  place: ArchivePlace,
  path: TimelinePath,
  kept: Lsn,
  border: number,
): Promise<Resume> {
  const from = lsnOfBytes(borderBefore(lsnBytes(kept), border));
  const near = await walObjects(bucket, place, path, from);
  const chain = walChain(near, path, from);
  if (lsnBytes(chain.end.lsn) > lsnBytes(from)) return { ...chain.end, coveredMs: chain.coveredMs };
  const before = await lastBefore(bucket, place, path, from);
  return before ?? { timeline: timelineAt(path, from), lsn: from, coveredMs: 0 };
}

/** Objects of the path's timelines that may have bytes at or behind `from`, which lies on a border that no object crosses. */
async function walObjects(
  bucket: ArchiveBucket,
  place: ArchivePlace,
  path: TimelinePath,
  from: Lsn,
): Promise<readonly WalObject[]> {
  const found: WalObject[] = [];
  for (const { timeline, to } of path) {
    if (to !== null && lsnBytes(to) <= lsnBytes(from)) continue;
    const first = keyOf(place, { kind: 'wal', timeline, start: from, end: from, coveredMs: 0 });
    const folder = first.slice(0, first.lastIndexOf('/') + 1);
    const after = `${first.slice(0, first.indexOf('-', folder.length))}-`;
    for await (const { key } of bucket.list(folder, { after })) {
      const object = parseKey(key)?.object;
      if (object?.kind === 'wal') found.push(object);
    }
  }
  return found;
}

/** The end of the last unbroken chain before `from`: needs a listing of everything, and is needed only when slots were lost. */
async function lastBefore(
  bucket: ArchiveBucket,
  place: ArchivePlace,
  path: TimelinePath,
  from: Lsn,
): Promise<Resume | null> {
  const all = await walObjects(bucket, place, path, '0/0');
  const ends = all.filter((o) => lsnBytes(o.end) <= lsnBytes(from));
  const [first] = [...ends].sort((a, b) => (lsnBytes(a.start) < lsnBytes(b.start) ? -1 : 1));
  if (first === undefined) return null;
  const { tiles, coveredMs } = walChain(all, path, first.start, from);
  const last = tiles.at(-1);
  return last === undefined ? null : { timeline: timelineAt(path, last.to), lsn: last.to, coveredMs };
}

/** Puts the history files that the path has and the bucket has not. Before the first object of a timeline is its history there. */
export async function putHistories(
  bucket: ArchiveBucket,
  place: ArchivePlace,
  path: TimelinePath,
  read: (timeline: number) => Promise<string | null>,
): Promise<void> {
  const there = new Set<string>();
  for await (const { key } of bucket.list(folderOf(place, 'history'))) there.add(key);
  for (const { timeline } of path) {
    const key = keyOf(place, { kind: 'history', timeline });
    // The first timeline has none.
    if (timeline === 1 || there.has(key)) continue;
    const content = await read(timeline);
    if (content !== null) await bucket.put(key, Buffer.from(content));
  }
}
