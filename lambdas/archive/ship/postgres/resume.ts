/** Where the archive of a database ends: read from the bucket, each time anew. */
import type { ArchiveBucket } from '../../../cloud/ports.ts';
import type { ArchivePlace, WalObject } from '../../../model/archive/keys.ts';
import { folderOf, keyOf, lsnOfBytes, parseKey } from '../../../model/archive/keys.ts';
import type { TimelinePath } from '../../../model/archive/timeline.ts';
import { timelineAt } from '../../../model/archive/timeline.ts';
import { walChain } from '../../../model/archive/wal-chain.ts';
import type { Lsn, Position } from '../../../model/lsn.ts';
import { compareLsn, lsnBytes } from '../../../model/lsn.ts';
import { borderBefore } from './cutter.ts';

export interface Resume extends Position {
  /** What the objects before the place say that they cover; 0 when nothing is known. */
  readonly coveredMs: number;
}

/** Places to ship from, in the order in which they are to be tried: holes that may still be filled, and last the archive's end. */
export type Ways = readonly [...holes: Resume[], end: Resume];

/**
 * Segments before the newest object in which a shipper that was killed may have left a hole: pieces of up to 48 MB were on their way,
 * counted as they are compressed (`conveyor.ts`).
 */
const LOOK_BACK = 32;
/** Of the last ones, should there be more: each that nobody can fill costs a try on each node. */
const MOST_HOLES = 8;

/**
 * From where to ship: the end of the unbroken chain that has `kept`, from which on the server keeps its log.
 * - With a hole behind `kept` (a shipper was killed while several pieces were under way): the hole's beginning.
 * - With nothing at `kept`: the end of what the bucket has before it, or, when it has nothing at all, the border before
 *   `kept`: segments are kept whole.
 *
 * A shipper confirms a place when all before it is in the bucket. But a slot that was made anew, because it was lost or missing, stands wherever its node was, which
 * may be the very end of an object (seed 110 of the simulator): there may be a hole before it too, which this node or another can still fill. Once the shipper had gone
 * on behind it, the slots of the others would be moved beyond it, and that log be lost. So each go looks back: one listing.
 */
export async function resumeFrom(
  bucket: ArchiveBucket,
  place: ArchivePlace,
  path: TimelinePath,
  kept: Lsn,
  border: number,
): Promise<Ways> {
  const at = lsnBytes(kept);
  const from = lsnOfBytes(borderBefore(at, border));
  const near = await walObjects(bucket, place, path, lsnOfBytes(borderBefore(at > 0n ? at - 1n : at, border)));
  const chain = walChain(near, path, from);
  if (compareLsn(chain.end.lsn, from) <= 0) {
    const before = await endBefore(bucket, place, path, from);
    if (before === null) return [{ timeline: timelineAt(path, from), lsn: from, coveredMs: 0 }];
    return [...(await holesBefore(bucket, place, path, before, border)), before];
  }
  const end = { ...chain.end, coveredMs: chain.coveredMs };
  return [...(await holesBefore(bucket, place, path, { ...end, lsn: from }, border)), end];
}

/** Beginnings of the holes that may have been left before a place which the bucket's objects reach. */
async function holesBefore(
  bucket: ArchiveBucket,
  place: ArchivePlace,
  path: TimelinePath,
  { lsn }: Position,
  border: number,
): Promise<readonly Resume[]> {
  const back = borderBefore(lsnBytes(lsn), border) - BigInt(LOOK_BACK * border);
  const objects = await walObjects(bucket, place, path, lsnOfBytes(back > 0n ? back : 0n));
  const first = firstOf(objects);
  if (first === undefined || compareLsn(first.start, lsn) >= 0) return [];
  const { holes } = walChain(objects, path, first.start, lsn);
  return holes.slice(-MOST_HOLES).map((hole) => ({ timeline: hole.timeline, lsn: hole.from, coveredMs: 0 }));
}

const firstOf = (objects: readonly WalObject[]): WalObject | undefined =>
  objects.toSorted((a, b) => compareLsn(a.start, b.start))[0];

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

/** The end of the last object before `from`: needs a listing of everything, and is needed only when slots were lost. */
async function endBefore(
  bucket: ArchiveBucket,
  place: ArchivePlace,
  path: TimelinePath,
  from: Lsn,
): Promise<Resume | null> {
  const all = await walObjects(bucket, place, path, '0/0');
  const first = firstOf(all.filter((o) => compareLsn(o.end, from) <= 0));
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
