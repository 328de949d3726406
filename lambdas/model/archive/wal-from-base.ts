/** PostgreSQL's log after a base backup, along the timelines that lead to the newest one. */
import type { Lsn } from '../lsn.ts';
import { compareLsn, lsnBytes } from '../lsn.ts';
import type { Catalogue, WalEntry } from './catalogue.ts';
import type { Chain, Fault, HistoryFiles } from './linked.ts';
import { keyOf, lsnOfBytes } from './keys.ts';
import type { TimelinePath } from './timeline.ts';
import { pathTo } from './timeline.ts';
import type { Tile, WalChain, WalRanges } from './wal-chain.ts';
import { chainOf, walRanges } from './wal-chain.ts';

const SEGMENT_BYTES = 16n * 1024n * 1024n;

/** Where the segment begins: the server reads the header of a segment's first page, so that it is needed from its beginning. */
export const segmentBegin = (at: bigint): bigint => at - (at % SEGMENT_BYTES);

interface Place {
  readonly timeline: number;
  readonly lsn: Lsn;
}

interface BaseBackup {
  readonly id: string;
  readonly start: Place;
  readonly end: Place;
}

export function walFrom(
  of: Pick<Catalogue, 'wal' | 'histories' | 'place'>,
  base: BaseBackup,
  files: HistoryFiles,
): Chain {
  const ranges = walRanges(of.wal);
  const way = chooseWay(ranges, of, base, files);
  // A timeline that began within the base's first segment has the segment's beginning from the one before.
  const first = lsnOfBytes(segmentBegin(lsnBytes(base.start.lsn)));
  const chain = chainOf(ranges, way.path, first, way.limit);
  const links = unbroken(chain).map(linkOf);
  return {
    links,
    end: { engine: 'postgres', ...chain.end },
    coveredMs: chain.coveredMs,
    consistent:
      way.abandoned === null &&
      links.length > 0 && // the checkpoint that the base begins with is in the log
      compareLsn(chain.end.lsn, base.end.lsn) >= 0,
    live: way.live,
    fault: way.abandoned ?? missingBeyond(ranges, chain, way) ?? way.fault,
  };
}

/** Up to the first hole. */
function unbroken({ tiles, holes }: WalChain<WalEntry>): readonly Tile<WalEntry>[] {
  const [hole] = holes;
  const beyond = hole === undefined ? -1 : tiles.findIndex(({ from }) => compareLsn(from, hole.from) >= 0);
  return beyond < 0 ? tiles : tiles.slice(0, beyond);
}

/** What an object's end holds beyond a switch was left behind, and so was the moment that it covers. */
const linkOf = ({ object, to }: Tile<WalEntry>): WalEntry =>
  object.end === to ? object : { ...object, end: to, coveredMs: 0 };

interface Way {
  readonly path: TimelinePath;
  /** Where the log of a timeline begins whose history is not there; null: of all that matter it is. */
  readonly limit: Lsn | null;
  /** The base lies on what was left behind by a switch: nothing leads on from it. */
  readonly abandoned: Fault | null;
  /** The newest timeline whose history is there came from the base's, or is it. */
  readonly live: boolean;
  readonly fault: Fault | null;
}

/** To the newest timeline that came from the base's. One whose history is not there ends the way where its log begins. */
function chooseWay(
  ranges: WalRanges<WalEntry>,
  { histories, place }: Pick<Catalogue, 'histories' | 'place'>,
  base: BaseBackup,
  files: HistoryFiles,
): Way {
  const own = base.end.timeline;
  const later = [...new Set([...ranges.keys(), ...histories.keys()])].filter((t) => t > own).toSorted((a, b) => b - a);
  let limit: Lsn | null = null;
  let fault: Fault | null = null;
  let abandoned: Fault | null = null;
  let live = true;
  for (const timeline of later) {
    const known = files.get(histories.get(timeline) ?? '');
    if (known === undefined) {
      const begins = ranges.get(timeline)?.[0]?.object.start ?? null;
      if (begins !== null && (limit === null || compareLsn(begins, limit) < 0)) limit = begins;
      const key = keyOf(place, { kind: 'history', timeline });
      fault = {
        code: 'history-missing',
        sentence: `the history file of timeline ${timeline} is missing: expected it as ${key}`,
      };
      continue;
    }
    const left = known.find((s) => s.timeline === own);
    if (left === undefined) {
      live = false;
      continue;
    }
    if (compareLsn(left.lsn, base.end.lsn) >= 0)
      return { path: pathTo(timeline, known), limit, fault, abandoned: null, live };
    abandoned ??= leftBehind(base, timeline, left.lsn);
  }
  return { path: pathTo(own, files.get(histories.get(own) ?? '') ?? []), limit, fault, abandoned, live };
}

const leftBehind = (base: BaseBackup, timeline: number, lsn: Lsn): Fault => ({
  code: 'abandoned',
  sentence: `the base backup ${base.id} ends at ${base.end.timeline}/${base.end.lsn}, beyond ${lsn} where timeline ${timeline} left its timeline: what it holds was abandoned`,
});

/** Is there log beyond where it stopped: then something is missing between. */
function missingBeyond(ranges: WalRanges<WalEntry>, { holes }: WalChain<WalEntry>, { path, limit }: Way): Fault | null {
  const [hole] = holes;
  if (hole === undefined) return null;
  const from = `${hole.timeline}/${hole.from}`;
  const to = `${hole.timeline}/${hole.to}`;
  const here = path.findIndex((s) => s.timeline === hole.timeline);
  if (isAt(path[here]?.to ?? null, hole.to)) {
    const beyond = path.slice(here + 1).find((s) => ranges.has(s.timeline));
    return beyond === undefined ? null : missing(from, `${to}, where timeline ${beyond.timeline} goes on`);
  }
  return isAt(limit, hole.to) ? null : missing(from, to);
}

const isAt = (place: Lsn | null, lsn: Lsn): boolean => place !== null && compareLsn(place, lsn) === 0;

const missing = (from: string, to: string): Fault => ({
  code: 'log-missing',
  sentence: `log between ${from} and ${to} is missing`,
});
