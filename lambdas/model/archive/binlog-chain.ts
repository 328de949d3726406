/**
 * Which objects of MariaDB's log lead from one position to another. Objects may overlap (a shipper that was killed after its
 * PUT had reached S3; two nodes' logs): whoever replays them takes each transaction once, by its GTID. A hole is where no
 * object begins at or before what is in. Pure.
 */
import { type GtidPosition, includesPosition } from './gtid.ts';
import type { BinlogObject } from './keys.ts';

export interface BinlogLink<O extends BinlogObject = BinlogObject> {
  readonly object: O;
  /** What is in with it and all before it. */
  readonly upTo: GtidPosition;
  /** By the server's clock, epoch ms: whatever was acknowledged before it is in by then. 0: not known. */
  readonly coveredMs: number;
}

/** Objects that follow each other without a hole. */
export interface BinlogRun<O extends BinlogObject = BinlogObject> {
  /** What has to be in before. */
  readonly after: GtidPosition;
  readonly links: readonly BinlogLink<O>[];
  readonly upTo: GtidPosition;
  readonly coveredMs: number;
}

/** Nothing in the archive leads from `after` to `next`. */
export interface BinlogHole {
  readonly after: GtidPosition;
  readonly next: GtidPosition;
}

/** What is in when both are: of each domain the later one. */
export function joined(a: GtidPosition, b: GtidPosition): GtidPosition {
  const position = new Map(a);
  for (const gtid of b.values()) {
    if ((position.get(gtid.domain)?.sequence ?? -1n) < gtid.sequence) position.set(gtid.domain, gtid);
  }
  return position;
}

/** Grows with the position: a position that includes another is not before it. */
function rank(position: GtidPosition): bigint {
  let sum = 0n;
  for (const { sequence } of position.values()) sum += sequence;
  return sum;
}

const compareRanks = (a: bigint, b: bigint): number => (a < b ? -1 : a > b ? 1 : 0);

interface Ranked<O> {
  readonly object: O;
  readonly from: bigint;
  readonly to: bigint;
}

class Sweep<O extends BinlogObject> {
  readonly #queue: readonly Ranked<O>[];
  #next = 0;
  /** May begin at the position, or in the middle of what is in. */
  #near: Ranked<O>[] = [];

  constructor(objects: readonly O[]) {
    this.#queue = objects
      .map((object) => ({ object, from: rank(object.after), to: rank(object.upTo) }))
      .sort((a, b) => compareRanks(a.from, b.from) || compareRanks(a.to, b.to));
  }

  /** The longest run from `after` on. */
  run(after: GtidPosition): BinlogRun<O> {
    const links: BinlogLink<O>[] = [];
    let upTo = after;
    let coveredMs = 0;
    for (;;) {
      this.#come(upTo);
      const known = this.#leave(upTo);
      if (known > coveredMs) {
        coveredMs = known;
        const last = links.pop();
        if (last !== undefined) links.push({ ...last, coveredMs });
      }
      const best = this.#farthest(upTo);
      if (best === null) return { after, links, upTo, coveredMs };
      upTo = joined(upTo, best.object.upTo);
      links.push({ object: best.object, upTo, coveredMs });
    }
  }

  /** Where the next run begins, when there is one. */
  nextAfter(): GtidPosition | null {
    const rest = [...this.#near, ...this.#queue.slice(this.#next, this.#next + 1)];
    return rest.sort((a, b) => compareRanks(a.from, b.from) || farthest(a, b))[0]?.object.after ?? null;
  }

  #come(position: GtidPosition): void {
    const most = rank(position);
    for (let o = this.#queue[this.#next]; o !== undefined && o.from <= most; o = this.#queue[++this.#next])
      this.#near.push(o);
  }

  /** Of those that follow, the one that leads farthest. What follows once follows later too: the end does not depend on it. */
  #farthest(position: GtidPosition): Ranked<O> | null {
    let best: Ranked<O> | null = null;
    for (const o of this.#near)
      if ((best === null || o.to > best.to) && includesPosition(position, o.object.after)) best = o;
    return best;
  }

  /** Lets go of what is in by now. Answers up to when these say that all is in. */
  #leave(position: GtidPosition): number {
    let coveredMs = 0;
    const left: Ranked<O>[] = [];
    for (const o of this.#near) {
      if (includesPosition(position, o.object.upTo)) coveredMs = Math.max(coveredMs, o.object.coveredMs);
      else left.push(o);
    }
    this.#near = left;
    return coveredMs;
  }
}

const farthest = (a: Ranked<BinlogObject>, b: Ranked<BinlogObject>): number => compareRanks(b.to, a.to);

/**
 * All runs in the archive: the first from `from` on (empty when nothing leads on from there), the others behind holes.
 * Objects whose transactions are all in before `from` say at most how far that is covered.
 */
export function binlogRuns<O extends BinlogObject>(objects: readonly O[], from: GtidPosition): readonly BinlogRun<O>[] {
  const sweep = new Sweep(objects);
  const runs = [sweep.run(from)];
  for (let next = sweep.nextAfter(); next !== null; next = sweep.nextAfter()) {
    runs.push(sweep.run(joined(runs.at(-1)?.upTo ?? from, next)));
  }
  return runs;
}

export const holesBetween = (runs: readonly BinlogRun[]): readonly BinlogHole[] =>
  runs.slice(1).map((run, i) => ({ after: runs[i]?.upTo ?? run.after, next: run.after }));

export interface BinlogChain<O extends BinlogObject = BinlogObject> extends BinlogRun<O> {
  /** Does it reach what was asked for; always when the newest was. */
  readonly reaches: boolean;
  /** The hole behind it, when there is more in the archive. */
  readonly hole: BinlogHole | null;
}

/** The objects that lead from a position to another one, or (null) as far as there is no hole. In the order of their replay. */
export function binlogChain<O extends BinlogObject>(
  objects: readonly O[],
  from: GtidPosition,
  to: GtidPosition | null,
): BinlogChain<O> {
  const runs = binlogRuns(objects, from);
  const run = runs[0] ?? { after: from, links: [], upTo: from, coveredMs: 0 };
  const hole = holesBetween(runs)[0] ?? null;
  if (to === null) return { ...run, reaches: true, hole };
  if (includesPosition(from, to)) return { ...run, links: [], upTo: from, coveredMs: 0, reaches: true, hole: null };
  const at = run.links.findIndex((link) => includesPosition(link.upTo, to));
  const last = run.links[at];
  if (last === undefined) return { ...run, reaches: false, hole };
  return {
    ...run,
    links: run.links.slice(0, at + 1),
    upTo: last.upTo,
    coveredMs: last.coveredMs,
    reaches: true,
    hole: null,
  };
}
