/**
 * PostgreSQL's log as objects have it: which of them lead from one place to another along the timelines, and where a hole is.
 * Objects may overlap, and may lie on branches that no server followed in the end; each byte is taken once, from the
 * timeline that the path has it on. Whoever ships, restores, tells or removes asks here.
 */
import type { Lsn, Position } from '../lsn.ts';
import { lsnBytes } from '../lsn.ts';
import type { WalObject } from './keys.ts';
import { lsnOfBytes } from './keys.ts';
import type { TimelinePath } from './timeline.ts';
import { timelineAt } from './timeline.ts';

/** The bytes [from, to) of one object; the object may hold more on both sides. */
export interface Tile<T extends WalObject> {
  readonly object: T;
  readonly from: Lsn;
  readonly to: Lsn;
}

export interface Hole {
  readonly timeline: number;
  readonly from: Lsn;
  readonly to: Lsn;
}

export interface WalChain<T extends WalObject> {
  /** In order. Between two of them is nothing, or a hole. */
  readonly tiles: readonly Tile<T>[];
  /** An object without bytes tells of one too: its server was there. */
  readonly holes: readonly Hole[];
  /** Where the part without holes that begins at `from` ends; `from` itself when nothing is there. */
  readonly end: Position;
  /** The newest time that an object of that part covers; 0 when none says. */
  readonly coveredMs: number;
}

/** An object, its places as numbers. */
export interface WalRange<T extends WalObject> {
  readonly object: T;
  readonly start: bigint;
  readonly end: bigint;
}

/** By timeline, each in the order in which they begin. */
export type WalRanges<T extends WalObject> = ReadonlyMap<number, readonly WalRange<T>[]>;

export function walRanges<T extends WalObject>(objects: readonly T[]): WalRanges<T> {
  const ranges = new Map<number, WalRange<T>[]>();
  for (const object of objects) {
    const range = { object, start: lsnBytes(object.start), end: lsnBytes(object.end) };
    const list = ranges.get(object.timeline);
    if (list === undefined) ranges.set(object.timeline, [range]);
    else list.push(range);
  }
  for (const list of ranges.values()) list.sort((a, b) => (a.start < b.start ? -1 : a.start > b.start ? 1 : 0));
  return ranges;
}

/**
 * The objects that hold the log from `from` to `to` (null: as far as there are objects) along the path.
 * `objects` may be in any order, of any timelines; empty ones tile nothing, and say what they cover.
 */
export const walChain = <T extends WalObject>(
  objects: readonly T[],
  path: TimelinePath,
  from: Lsn,
  to: Lsn | null = null,
): WalChain<T> => chainOf(walRanges(objects), path, from, to);

/** The same of objects that are in order already. */
export function chainOf<T extends WalObject>(
  ranges: WalRanges<T>,
  path: TimelinePath,
  from: Lsn,
  to: Lsn | null,
): WalChain<T> {
  const tiles: Tile<T>[] = [];
  const holes: Hole[] = [];
  const last = to === null ? null : lsnBytes(to);
  let at = lsnBytes(from);
  for (const stretch of path) {
    const leaves = stretch.to === null ? null : lsnBytes(stretch.to);
    if (leaves !== null && leaves <= at) continue;
    if (last !== null && last <= at) break;
    const until = leaves === null ? last : smaller(leaves, last);
    at = tileStretch(ranges.get(stretch.timeline) ?? [], larger(at, lsnBytes(stretch.from)), until, {
      tile: (tile) => tiles.push(tile),
      hole: (begins, ends) =>
        holes.push({ timeline: stretch.timeline, from: lsnOfBytes(begins), to: lsnOfBytes(ends) }),
    });
  }
  const [hole] = holes;
  const reached =
    hole === undefined
      ? { timeline: timelineAt(path, lsnOfBytes(at)), lsn: lsnOfBytes(at) }
      : { timeline: hole.timeline, lsn: hole.from };
  return { tiles, holes, end: reached, coveredMs: coveredUpTo(ranges, path, from, reached.lsn) };
}

const smaller = (a: bigint, b: bigint | null): bigint => (b === null || a < b ? a : b);
const larger = (a: bigint, b: bigint): bigint => (a > b ? a : b);

interface Found<T extends WalObject> {
  tile(tile: Tile<T>): void;
  hole(begins: bigint, ends: bigint): void;
}

/** One stretch: tiles and holes from `from` on, up to `to`; with no `to` up to the last object. Answers how far it came. */
function tileStretch<T extends WalObject>(
  ranges: readonly WalRange<T>[],
  from: bigint,
  to: bigint | null,
  found: Found<T>,
): bigint {
  let at = from;
  let next = 0;
  let best: WalRange<T> | null = null;
  /** Where the hole began that is not over yet. */
  let missing: bigint | null = null;
  const whole = (): void => {
    if (missing !== null) found.hole(missing, at);
    missing = null;
  };
  while (to === null || at < to) {
    // Of those that have the byte at `at`, the one that leads farthest.
    for (let range = ranges[next]; range !== undefined && range.start <= at; range = ranges[++next]) {
      if (best === null || range.end > best.end) best = range;
    }
    if (best !== null && best.end > at) {
      whole();
      const { object, start, end }: WalRange<T> = best;
      const until = smaller(end, to);
      found.tile({
        object,
        from: at === start ? object.start : lsnOfBytes(at),
        to: until === end ? object.end : lsnOfBytes(until),
      });
      at = until;
      continue;
    }
    const after = ranges[next];
    if (after === undefined && to === null) break;
    missing ??= at;
    at = after === undefined ? (to ?? at) : smaller(after.start, to);
  }
  whole();
  return at;
}

/** What the objects between two places say; one that ends on a branch that was left says nothing of this path. */
function coveredUpTo(ranges: WalRanges<WalObject>, path: TimelinePath, from: Lsn, end: Lsn): number {
  const [first, last] = [lsnBytes(from), lsnBytes(end)];
  let covered = 0;
  for (const stretch of path) {
    const begins = lsnBytes(stretch.from);
    const until = stretch.to === null ? last : smaller(lsnBytes(stretch.to), last);
    for (const range of ranges.get(stretch.timeline) ?? []) {
      if (range.start < begins || range.end < first || range.end > until) continue;
      covered = Math.max(covered, range.object.coveredMs);
    }
  }
  return covered;
}
