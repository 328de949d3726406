/**
 * PostgreSQL's timeline history files: which timelines led to one, and where each of them was left.
 * https://www.postgresql.org/docs/15/continuous-archiving.html#BACKUP-TIMELINES and `readTimeLineHistory` in the server's
 * timeline.c: a line is the parent's number, a tab, the place of the switch, and a reason; what begins with # is a comment.
 */
import type { Lsn } from '../lsn.ts';
import { compareLsn, isLsn, lsnBytes } from '../lsn.ts';

/** A timeline of the past, and the place from which on its log is not this history's any more. */
export interface TimelineSwitch {
  readonly timeline: number;
  readonly lsn: Lsn;
}

/** What led to a timeline, oldest first. Empty for the first one, which has no file. */
export type TimelineHistory = readonly TimelineSwitch[];

/** A part of a path: the timeline, and where it was left for the next one (null: the last). */
export interface Stretch {
  readonly timeline: number;
  readonly from: Lsn;
  readonly to: Lsn | null;
}

/** From the first timeline to the one of today, each stretch beginning where the one before ended. */
export type TimelinePath = readonly Stretch[];

const LINE = /^\s*(\d{1,10})\s+([0-9A-Fa-f]{1,8}\/[0-9A-Fa-f]{1,8})(\s|$)/;

/** Reads `00000003.history`. Throws RangeError naming the line that is none, or the order that cannot be. */
export function parseTimelineHistory(timeline: number, text: string): TimelineHistory {
  const history: TimelineSwitch[] = [];
  for (const line of text.split('\n')) {
    if (line.trim() === '' || line.trim().startsWith('#')) continue;
    const [, parent, lsn] = LINE.exec(line) ?? [];
    if (parent === undefined || lsn === undefined || !isLsn(lsn)) {
      throw new RangeError(
        `${JSON.stringify(line)} is no line of a history file: expected a timeline, a tab and an LSN, such as "1\\t0/3000148\\tno recovery target specified"`,
      );
    }
    const next: TimelineSwitch = { timeline: Number(parent), lsn };
    const last = history.at(-1);
    if (last !== undefined && (next.timeline <= last.timeline || compareLsn(next.lsn, last.lsn) < 0)) {
      throw new RangeError(
        `the history of timeline ${timeline} names ${next.timeline} at ${next.lsn} after ${last.timeline} at ${last.lsn}: expected rising timelines and places`,
      );
    }
    history.push(next);
  }
  const newest = history.at(-1);
  if (newest !== undefined && newest.timeline >= timeline) {
    throw new RangeError(
      `the history of timeline ${timeline} names ${newest.timeline}: expected earlier timelines only`,
    );
  }
  return history;
}

const START = '0/0';

/** The way to a timeline through those before it. */
export const pathTo = (timeline: number, history: TimelineHistory): TimelinePath => [
  ...history.map((left, i) => ({ timeline: left.timeline, from: history[i - 1]?.lsn ?? START, to: left.lsn })),
  { timeline, from: history.at(-1)?.lsn ?? START, to: null },
];

/** The same from the content of its history file (null for a timeline without one: the first). Throws as the parser does. */
export const timelinePath = (timeline: number, history: string | null): TimelinePath =>
  pathTo(timeline, parseTimelineHistory(timeline, history ?? ''));

/** The timeline that has the byte at `lsn`: at a switch the one that begins there. */
export function timelineAt(path: TimelinePath, lsn: Lsn): number {
  const at = lsnBytes(lsn);
  const stretch = path.find(({ to }) => to === null || at < lsnBytes(to));
  if (stretch === undefined) throw new RangeError(`no timeline of ${JSON.stringify(path)} has ${lsn}`);
  return stretch.timeline;
}
