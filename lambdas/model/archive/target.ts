/**
 * What a person wants back: read from a text, and looked up among what can be restored (safety rule 11). Refusals are
 * values: a code, and a sentence that says what would be accepted.
 */
import { isLsn, lsnBytes } from '../lsn.ts';
import type { EngineKind } from '../spec.ts';
import { clusterSpecSchema } from '../spec.ts';
import { formatGtidPosition, includesPosition, parseGtidPosition } from './gtid.ts';
import type { GtidPosition } from './gtid.ts';
import type { LogPosition } from './keys.ts';
import { NAME_FORM } from './keys.ts';
import type { HistoryRanges } from './ranges.ts';

export type RefusalCode =
  | 'NOT_A_TARGET'
  | 'TIME_WITHOUT_ZONE'
  | 'TIME_TOO_FINE'
  | 'IN_THE_FUTURE'
  | 'BEFORE_THE_FIRST'
  | 'IN_A_HOLE'
  | 'BEYOND_THE_END'
  | 'NOTHING_RESTORABLE'
  | 'OTHER_ENGINE'
  | 'UNKNOWN_CLUSTER'
  | 'UNKNOWN_HISTORY'
  | 'UNKNOWN_POINT'
  | 'AMBIGUOUS_POINT'
  | 'BAD_NAME'
  | 'NAME_TAKEN'
  | 'BASE_DAMAGED';

export interface Refusal {
  readonly refused: RefusalCode;
  readonly sentence: string;
}

export const refusal = (refused: RefusalCode, sentence: string): Refusal => ({ refused, sentence });
export const isRefused = (value: object): value is Refusal => 'refused' in value;

export type Target =
  | { readonly kind: 'latest' }
  /** `text`: ISO 8601 with Z, as fine as it was given. */
  | { readonly kind: 'time'; readonly atMs: number; readonly text: string }
  /** All before this place; `timeline` null: whichever leads to the newest. */
  | { readonly kind: 'lsn'; readonly timeline: number | null; readonly lsn: string }
  | { readonly kind: 'gtid'; readonly gtid: GtidPosition }
  | { readonly kind: 'name'; readonly name: string };

export const ACCEPTED =
  'give "latest", a time with its zone such as "2026-11-20T14:03:07Z" or "2026-11-20T15:03:07+01:00", an LSN such as ' +
  '"16/B374D848" (PostgreSQL), a GTID such as "0-1-270" (MariaDB), or the name of a restore point';

const DATE = /^(\d{4})-(\d{2})-(\d{2})/;
const TIME = /^(\d{4}-\d{2}-\d{2})[T ](\d{2}):(\d{2})(?::(\d{2})(?:[.,](\d{1,9}))?)?\s*(Z|[+-]\d{2}(?::?\d{2})?)?$/i;
const TIMELINE_LSN = /^(\d{1,10})\/([0-9A-Fa-f]{1,8}\/[0-9A-Fa-f]{1,8})$/;
const GTIDS = /^\d+-\d+-\d+(,\d+-\d+-\d+)*$/;
/** PostgreSQL's time stamps have so many digits. */
const FINEST_DIGITS = 6;

/** Reads a target's text. */
export function parseTarget(text: string, engine: EngineKind): Target | Refusal {
  const given = text.trim();
  if (given.toLowerCase() === 'latest') return { kind: 'latest' };
  const [, timeline, place] = TIMELINE_LSN.exec(given) ?? [];
  const lsn = place ?? (isLsn(given) ? given : null);
  if (lsn !== null) {
    if (engine !== 'postgres') return otherEngine(given, 'an LSN', 'MariaDB', 'a GTID such as "0-1-270"');
    return { kind: 'lsn', timeline: timeline === undefined ? null : Number(timeline), lsn: lsn.toUpperCase() };
  }
  if (DATE.test(given)) return parseTime(given, engine);
  if (GTIDS.test(given)) {
    if (engine !== 'galera') return otherEngine(given, 'a GTID', 'PostgreSQL', 'an LSN such as "16/B374D848"');
    return parseGtids(given);
  }
  if (NAME_FORM.test(given)) return { kind: 'name', name: given };
  return refusal('NOT_A_TARGET', `the target is ${JSON.stringify(text)}: ${ACCEPTED}`);
}

const otherEngine = (given: string, what: string, engine: string, instead: string): Refusal =>
  refusal('OTHER_ENGINE', `the target ${given} is ${what}, and the cluster runs ${engine}: give ${instead}, or a time`);

function parseGtids(given: string): Target | Refusal {
  try {
    return { kind: 'gtid', gtid: parseGtidPosition(given) };
  } catch (error) {
    if (error instanceof RangeError) return refusal('NOT_A_TARGET', `the target is no GTID: ${error.message}`);
    throw error;
  }
}

function parseTime(given: string, engine: EngineKind): Target | Refusal {
  const [, date = '', hour, minute, second = '00', fraction = '', zone] = TIME.exec(given) ?? [];
  const shown = JSON.stringify(given);
  if (hour === undefined || minute === undefined) {
    return refusal('NOT_A_TARGET', `the target ${shown} is no time: ${ACCEPTED}`);
  }
  if (zone === undefined) {
    return refusal(
      'TIME_WITHOUT_ZONE',
      `the target ${shown} has no zone, so that it could mean several moments: add Z for UTC, or the offset, such as "${date}T${hour}:${minute}:${second}Z"`,
    );
  }
  const digits = fraction.replace(/0+$/, '');
  if (engine === 'galera' && digits !== '') {
    return refusal(
      'TIME_TOO_FINE',
      `the target ${shown} has a fraction of a second, and MariaDB's log has whole seconds: give "${date}T${hour}:${minute}:${second}${zone}", or a GTID for a place between two transactions`,
    );
  }
  if (digits.length > FINEST_DIGITS) {
    return refusal(
      'TIME_TOO_FINE',
      `the target ${shown} is finer than a microsecond: give at most 6 digits after the second`,
    );
  }
  return moment(given, `${date}T${hour}:${minute}:${second}`, digits, zone.toUpperCase());
}

function moment(given: string, local: string, digits: string, zone: string): Target | Refusal {
  const wholeMs = Date.parse(`${local}Z`);
  const isReal = !Number.isNaN(wholeMs) && new Date(wholeMs).toISOString().startsWith(local);
  const offset = zone === 'Z' ? 0 : offsetMinutes(zone);
  if (!isReal || offset === null) {
    return refusal('NOT_A_TARGET', `the target ${JSON.stringify(given)} is no moment of the calendar: ${ACCEPTED}`);
  }
  const utcMs = wholeMs - offset * 60_000;
  const text = `${new Date(utcMs).toISOString().slice(0, 19)}${digits === '' ? '' : `.${digits}`}Z`;
  // What is finer than a millisecond is rounded up: the log must cover it.
  return { kind: 'time', atMs: utcMs + Math.ceil(Number(digits.padEnd(FINEST_DIGITS, '0')) / 1000), text };
}

/** The widest offsets on Earth are -12:00 and +14:00. */
function offsetMinutes(zone: string): number | null {
  const [, sign, hours = '0', minutes = '0'] = /^([+-])(\d{2}):?(\d{2})?$/.exec(zone) ?? [];
  const total = Number(hours) * 60 + Number(minutes);
  return total > 14 * 60 || Number(minutes) > 59 ? null : sign === '-' ? -total : total;
}

const iso = (ms: number): string => new Date(ms).toISOString();

/** `from … to …`, for people. */
export const rangesInWords = ({ ranges }: Pick<HistoryRanges, 'ranges'>): string =>
  ranges.length === 0 ? 'nothing' : ranges.map((r) => `${iso(r.fromMs)} to ${iso(r.untilMs)}`).join(', and ');

/** May this moment be restored: null when it may. */
export function refuseMoment(atMs: number, history: HistoryRanges, nowMs: number): Refusal | null {
  const [first] = history.ranges;
  const last = history.ranges.at(-1);
  const accepted = `what can be restored is ${rangesInWords(history)}`;
  if (atMs > nowMs) {
    return refusal(
      'IN_THE_FUTURE',
      `${iso(atMs)} is in the future (it is ${iso(nowMs)}): ${accepted}; or give "latest"`,
    );
  }
  if (first === undefined || last === undefined) return nothing(history);
  if (atMs < first.fromMs) {
    return refusal('BEFORE_THE_FIRST', `${iso(atMs)} lies before the first moment that can be restored: ${accepted}`);
  }
  if (atMs > last.untilMs) {
    const hole = history.holes.find((h) => h.untilMs === null);
    const why = hole === undefined ? 'the archive does not reach so far' : hole.sentence;
    return refusal(
      'BEYOND_THE_END',
      `${iso(atMs)} lies beyond the last moment that can be restored (${why}): ${accepted}; or give "latest"`,
    );
  }
  if (history.ranges.some((r) => r.fromMs <= atMs && atMs <= r.untilMs)) return null;
  const hole = history.holes.find((h) => h.fromMs < atMs && atMs < (h.untilMs ?? Infinity));
  return refusal('IN_A_HOLE', `${iso(atMs)} lies in a hole (${hole?.sentence ?? 'log is missing'}): ${accepted}`);
}

export function nothing({ place, unusable }: HistoryRanges): Refusal {
  const why = unusable.at(-1)?.sentence ?? 'there is no base backup';
  return refusal(
    'NOTHING_RESTORABLE',
    `nothing of ${place.cluster} (${place.history}) can be restored: ${why}; start the workflow "backup" with {"cluster":"${place.cluster}"}`,
  );
}

/** Is all that the target asks for at or before a position. PostgreSQL: all before the LSN, on that timeline when one is named. */
export function isReached(target: Extract<Target, { kind: 'lsn' | 'gtid' }>, position: LogPosition): boolean {
  if (target.kind === 'gtid') return position.engine === 'galera' && includesPosition(position.gtid, target.gtid);
  return position.engine === 'postgres' && lsnBytes(position.lsn) >= lsnBytes(target.lsn);
}

export function targetText(target: Target): string {
  switch (target.kind) {
    case 'latest':
      return 'latest';
    case 'time':
      return target.text;
    case 'lsn':
      return target.timeline === null ? target.lsn : `${target.timeline}/${target.lsn}`;
    case 'gtid':
      return formatGtidPosition(target.gtid);
    case 'name':
      return target.name;
  }
}

const LONGEST_NAME = 30;

/** `orders-r202611201403`: a cluster's name, cut so that it stays one (30 characters). */
export const defaultName = (cluster: string, nowMs: number): string => namedAfter(cluster, 'r', nowMs);

/** `orders-d202611201403`: a throw-away node's, of a rehearsed restore. */
export const drillName = (cluster: string, nowMs: number): string => namedAfter(cluster, 'd', nowMs);

function namedAfter(cluster: string, letter: string, nowMs: number): string {
  const suffix = `-${letter}${iso(nowMs).slice(0, 16).replace(/\D/g, '')}`;
  return `${cluster.slice(0, LONGEST_NAME - suffix.length).replace(/-+$/, '')}${suffix}`;
}

/** May a new cluster be called so. `taken`: names of clusters that exist, by specification, instances or archive. */
export function refuseName(name: string, taken: readonly string[]): Refusal | null {
  const form = clusterSpecSchema.shape.name.safeParse(name);
  if (!form.success) {
    return refusal(
      'BAD_NAME',
      `"as" is ${JSON.stringify(name)}: ${form.error.issues[0]?.message ?? 'no name of a cluster'}`,
    );
  }
  if (!taken.includes(name)) return null;
  return refusal(
    'NAME_TAKEN',
    `"as" is ${JSON.stringify(name)}, which exists: a restore makes a new cluster and never writes to one that is there; give another name, or leave "as" out`,
  );
}

/** The database that is meant: the newest, or the one named. */
export function chooseHistory(
  cluster: string,
  all: readonly HistoryRanges[],
  newest: HistoryRanges | null,
  asked: string | null,
): HistoryRanges | Refusal {
  if (newest === null) {
    return refusal('NOTHING_RESTORABLE', `the archive has nothing of ${cluster}: it begins with the first base backup`);
  }
  if (asked === null) return newest;
  const known = all.map((h) => `${h.place.history} (${rangesInWords(h)})`).join(', ');
  return (
    all.find((h) => h.place.history === asked) ??
    refusal(
      'UNKNOWN_HISTORY',
      `"history" is ${JSON.stringify(asked)}: give one of ${known}, or leave it out for the newest`,
    )
  );
}
