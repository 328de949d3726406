/** Which base backup and which log lead to a target: pure, and refused where anything is missing (safety rule 11). */
import type { Base, Catalogue, LogEntry } from './catalogue.ts';
import type { HistoryFiles } from './chain.ts';
import { positionText } from './chain.ts';
import { includesPosition, withGtid } from './gtid.ts';
import type { GtidPosition } from './gtid.ts';
import type { LogPosition } from './keys.ts';
import type { GoodBase } from './ranges.ts';
import { goodBases, rangesOf, wholeBases } from './ranges.ts';
import type { Refusal, Target } from './target.ts';
import { isReached, isRefused, nothing, refusal, refuseMoment, targetText } from './target.ts';
import type { Lsn } from '../lsn.ts';
import { lsnBytes } from '../lsn.ts';

export interface Choice {
  readonly catalogue: Catalogue;
  /** A named restore point has become its place in the log. */
  readonly target: Exclude<Target, { readonly kind: 'name' }>;
  readonly base: GoodBase['base'];
  readonly links: readonly LogEntry[];
  /** Where `links` end. */
  readonly end: LogPosition;
  /** Up to which moment log that is not needed reaches (epoch ms), and how much of it there is. */
  readonly after: { readonly objects: number; readonly bytes: number; readonly untilMs: number };
}

type Place = Extract<Target, { readonly kind: 'lsn' | 'gtid' }>;

export function choose(catalogue: Catalogue, files: HistoryFiles, asked: Target, nowMs: number): Choice | Refusal {
  const target = asked.kind === 'name' ? pointOf(catalogue, asked.name) : asked;
  if (isRefused(target)) return target;
  const ranges = rangesOf(catalogue, files);
  const whole = wholeBases(catalogue, files);
  const newest = whole.at(-1);
  if (newest === undefined) return nothing(ranges);
  if (target.kind === 'latest') {
    const live = whole.findLast(({ chain }) => chain.live);
    return live === undefined ? leftAll(newest) : chosen(catalogue, target, live, live.chain.links.length);
  }
  if (target.kind === 'time') {
    const { atMs } = target;
    const refused = refuseMoment(atMs, ranges, nowMs);
    if (refused !== null) return refused;
    const found = goodBases(catalogue, files).findLast(
      ({ base, chain }) => base.endedMs <= atMs && chain.coveredMs >= atMs,
    );
    return found === undefined ? nothing(ranges) : chosen(catalogue, target, found, linksToMoment(found, atMs));
  }
  return toPlace(catalogue, target, whole);
}

function pointOf({ points }: Catalogue, name: string): Place | Refusal {
  const found = points.filter((p) => p.name === name);
  const [point, ...more] = found;
  if (point === undefined) {
    const known = points.length === 0 ? 'there is none' : `give one of ${points.map((p) => p.name).join(', ')}`;
    return refusal(
      'UNKNOWN_POINT',
      `no restore point is called ${JSON.stringify(name)}: ${known}, or a time with its zone`,
    );
  }
  if (more.length > 0) {
    const all = found.map((p) => `${new Date(p.atMs).toISOString()} (${positionText(p.position)})`).join(', ');
    return refusal(
      'AMBIGUOUS_POINT',
      `${found.length} restore points are called ${JSON.stringify(name)}: give the place of one of ${all}`,
    );
  }
  const { position } = point;
  return position.engine === 'galera'
    ? { kind: 'gtid', gtid: position.gtid }
    : { kind: 'lsn', timeline: position.timeline, lsn: position.lsn };
}

/** Is all of the base at or before the place. */
function isAtOrBefore({ end }: Base, place: Place): boolean {
  if (place.kind === 'gtid') {
    return (
      end.engine === 'galera' &&
      [...place.gtid.values()].every((g) => (end.gtid.get(g.domain)?.sequence ?? 0n) <= g.sequence)
    );
  }
  const onTheWay = end.engine === 'postgres' && end.timeline <= (place.timeline ?? Infinity);
  return onTheWay && lsnBytes(end.lsn) <= lsnBytes(place.lsn);
}

function toPlace(catalogue: Catalogue, target: Place, whole: readonly GoodBase[]): Choice | Refusal {
  const said = targetText(target);
  const before = whole.filter(({ base }) => isAtOrBefore(base, target));
  const [first] = whole;
  if (before.length === 0) {
    const oldest = first === undefined ? 'nothing' : positionText(first.base.end);
    return refusal(
      'BEFORE_THE_FIRST',
      `${said} lies before the first place that can be restored: give ${oldest} or a later one`,
    );
  }
  const reaching = before.filter(({ chain }) => isReached(target, chain.end));
  const found = reaching.findLast(({ chain }) => leadsTo(chain, target)) ?? reaching.at(-1);
  const last = before.at(-1);
  if (found === undefined) {
    const end = last === undefined ? '' : positionText(last.chain.end);
    const why = last?.chain.fault?.sentence ?? 'the archive does not reach so far';
    return whole.length > before.length || last?.chain.fault?.code === 'log-missing'
      ? refusal(
          'IN_A_HOLE',
          `${said} lies in a hole (${why}): give ${end} or an earlier place, or one after the next base backup`,
        )
      : refusal(
          'BEYOND_THE_END',
          `${said} lies beyond the end of the archive (${why}): give ${end} or an earlier place, or "latest"`,
        );
  }
  const count = linksToPlace(found, target);
  const choice = chosen(catalogue, target, found, count);
  if (target.kind !== 'lsn' || leadsTo(found.chain, target)) return choice;
  const [on] = timelinesAt(choice.links, target.lsn);
  if (target.timeline === null)
    return refusal(
      'BEYOND_THE_END',
      `${said} lies on what was left before what is there now: no base backup leads to that; give ${on}/${target.lsn} ` +
        `for timeline ${on}, or a place after the next base backup`,
    );
  return refusal(
    'BEYOND_THE_END',
    `${said} is not on the way to what is there now: that place is timeline ${on}'s, so ` +
      `timeline ${target.timeline} was left before it; give ${on}/${target.lsn}, or a time`,
  );
}

/** Is the place on the way that the chain leads; one without a timeline is meant of what is there now. */
function leadsTo({ links, live }: GoodBase['chain'], target: Place): boolean {
  if (target.kind === 'gtid') return true;
  if (target.timeline === null) return live;
  const on = timelinesAt(links, target.lsn);
  return on.length === 0 || on.includes(target.timeline);
}

const leftAll = ({ base }: GoodBase): Refusal =>
  refusal(
    'NOTHING_RESTORABLE',
    `no base backup leads to what is there now: ${base.id}, the newest, is of timeline ${positionText(base.end)}, which was ` +
      'left before the newest one began; take a base backup, or give a moment or a place of that timeline',
  );

/**
 * Whose the place is. Where a timeline was left it is the next one's, and its own too: all of its log lies before it, as it does
 * for whoever asked `pg_current_wal_lsn()` after the last commit there. The later one first.
 */
function timelinesAt(links: readonly LogEntry[], lsn: Lsn): readonly number[] {
  const at = lsnBytes(lsn);
  const there = links.flatMap((l) =>
    l.kind === 'wal' && lsnBytes(l.start) <= at && at <= lsnBytes(l.end) ? [l.timeline] : [],
  );
  return [...new Set(there)].toSorted((a, b) => b - a);
}

/** How many links are needed: up to the first that covers the moment. */
function linksToMoment({ chain: { links } }: GoodBase, atMs: number): number {
  const index = links.findIndex((l) => l.coveredMs >= atMs);
  return index < 0 ? links.length : index + 1;
}

function linksToPlace({ base, chain: { links } }: GoodBase, target: Place): number {
  if (target.kind === 'lsn') {
    const bytes = lsnBytes(target.lsn);
    // The record at the place is read as well, to know that the place is there.
    const index = links.findIndex((l) => l.kind === 'wal' && lsnBytes(l.end) > bytes);
    return index < 0 ? links.length : index + 1;
  }
  let at: GtidPosition = base.start.engine === 'galera' ? base.start.gtid : new Map();
  if (includesPosition(at, target.gtid)) return 0;
  const index = links.findIndex((l) => {
    if (l.kind === 'binlog') at = after(at, l.upTo);
    return includesPosition(at, target.gtid);
  });
  return index < 0 ? links.length : index + 1;
}

const after = (at: GtidPosition, upTo: GtidPosition): GtidPosition =>
  [...upTo.values()].reduce((p, g) => ((p.get(g.domain)?.sequence ?? -1n) < g.sequence ? withGtid(p, g) : p), at);

function chosen(catalogue: Catalogue, target: Choice['target'], { base, chain }: GoodBase, count: number): Choice {
  const links = chain.links.slice(0, count);
  const rest = chain.links.slice(count);
  return {
    ...{ catalogue, target, base, links },
    end: rest.length === 0 ? chain.end : endOf(base, links),
    after: {
      objects: rest.length,
      bytes: rest.reduce((sum, l) => sum + l.sizeBytes, 0),
      untilMs: chain.coveredMs,
    },
  };
}

function endOf(base: Base, links: readonly LogEntry[]): LogPosition {
  const last = links.at(-1);
  if (last === undefined) return base.end;
  if (last.kind === 'wal') return { engine: 'postgres', timeline: last.timeline, lsn: last.end };
  const start: GtidPosition = base.start.engine === 'galera' ? base.start.gtid : new Map();
  const gtid = links.reduce<GtidPosition>((at, l) => (l.kind === 'binlog' ? after(at, l.upTo) : at), start);
  return { engine: 'galera', gtid };
}
