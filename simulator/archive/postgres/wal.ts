/**
 * PostgreSQL's log as bytes, and the truth about which of them are in S3. A byte tells whose it is: each word (four bytes) of an entry
 * is the entry's number.
 */
import type { WalObject } from '../../../lambdas/model/archive/keys.ts';
import { parseKey } from '../../../lambdas/model/archive/keys.ts';
import { lsnBytes } from '../../../lambdas/model/lsn.ts';
import type { LogEntry } from '../../../test/fakes/postgres-cluster.ts';
import { lsnText } from '../../../test/fakes/postgres-cluster.ts';

export type Log = readonly LogEntry[];

const WORD = 4;
const ENTRY_BYTES = 0x60;
const WHOLE = 2 ** (ENTRY_BYTES / WORD) - 1;

/** The bits of an entry's words that lie before a place. */
const wordsUpTo = ({ start, end }: LogEntry, place: number): number =>
  place >= end ? WHOLE : 2 ** ((place - start) / WORD) - 1;

/** Index of the entry that has the byte at a place. */
export const indexAt = (log: Log, at: number): number => Math.floor((at - (log[0]?.start ?? 0)) / ENTRY_BYTES);

/** The bytes [from, to) of a log. */
export function bytesOf(log: Log, from: number, to: number): Buffer {
  const bytes = Buffer.allocUnsafe(to - from);
  for (let at = from; at < to; at += WORD) bytes.writeUInt32LE(log[indexAt(log, at)]?.id ?? 0, at - from);
  return bytes;
}

/** Where a timeline ends in a log, and the one after it (null: it goes on); null when the log has nothing of it. */
export function stretchOf(log: Log, timeline: number): { readonly end: number; readonly next: number | null } | null {
  const index = log.findLastIndex((e) => e.timeline <= timeline);
  const entry = log[index];
  return entry?.timeline === timeline ? { end: entry.end, next: log[index + 1]?.timeline ?? null } : null;
}

/** A history file's content; null for the first timeline, and for one that the log never saw begin. */
export function historyOf(log: Log, timeline: number): string | null {
  if (timeline === 1 || stretchOf(log, timeline) === null) return null;
  const lines = log.flatMap((e, i) => {
    const before = log[i - 1];
    return before === undefined || before.timeline === e.timeline || e.timeline > timeline
      ? []
      : [`${before.timeline}\t${lsnText(e.start)}\tno recovery target specified\n`];
  });
  return lines.join('');
}

/** What is told to the guard. */
export interface WalWatch {
  violate(rule: string, what: string): void;
  tell(what: string): void;
  /** Who could still give the log from a place on; null: nobody. */
  keeps(entry: LogEntry): string | null;
  /** The newest write that a client was told of before that moment. */
  acknowledgedBefore(ms: number): LogEntry | null;
}

export class Wal {
  readonly #watch: WalWatch;
  readonly #entries = new Map<number, LogEntry>();
  /** By entry: a bit for each of its words that is in S3. */
  readonly #stored = new Map<number, number>();
  /** The same of words that no node had any more, of which people were told: a gap ends at a segment's border, in the middle of an entry. */
  readonly #lost = new Map<number, number>();
  /** With all before it in S3, or told to be lost. */
  readonly #verified = new Set<number>();
  /** Said by objects: up to which entry all is acknowledged that was before a moment. */
  readonly said: { readonly entry: LogEntry; readonly coveredMs: number }[] = [];
  #newestTimeline = 1;
  #log: Log = [];

  constructor(watch: WalWatch) {
    this.#watch = watch;
  }

  /** The newest timeline that anything in S3 is of. */
  get newestTimeline(): number {
    return this.#newestTimeline;
  }

  /** A stream of this log begins there: what lies before is in S3, or nobody has it. */
  begins(node: string, log: Log, start: number): void {
    this.sends(log);
    const first = this.missing(log, start);
    if (first === null) return;
    const at = `${first.timeline}/${lsnText(first.start)}`;
    const has = this.#watch.keeps(first);
    if (has !== null) {
      const from = lsnText(start);
      this.#watch.violate('archive', `${node} is read from ${from} on, and ${at} is not in S3 while ${has} has it`);
    }
    // There is a gap anyway: it may end somewhat later than it had to.
    for (let entry: LogEntry | null = first; entry !== null; entry = this.missing(log, start)) {
      this.#lost.set(entry.id, (this.#lost.get(entry.id) ?? 0) | wordsUpTo(entry, start));
    }
    this.#watch.tell(`the log from ${at} up to ${lsnText(start)} is lost: no node has it any more`);
  }

  /** Bytes of this log are on their way. */
  sends(log: Log): void {
    this.#log = log;
    for (let i = log.length - 1; i >= 0; i -= 1) {
      const entry = log[i];
      if (entry === undefined || this.#entries.has(entry.id)) return;
      this.#entries.set(entry.id, entry);
    }
  }

  /** Rule 10: the server was told that all before the place is safe. */
  confirmed(who: string, log: Log, safe: number): void {
    const entry = this.missing(log, safe);
    if (entry === null) return;
    const at = `${entry.timeline}/${lsnText(entry.start)}`;
    this.#watch.violate('10', `${who} confirms ${lsnText(safe)}, and ${at} is not in S3`);
  }

  /** The first entry before a place that is neither in S3 nor known to be lost; null when there is none. */
  missing(log: Log, upTo: number): LogEntry | null {
    const began = log[0]?.start ?? upTo;
    if (upTo <= began) return null;
    const lastIndex = indexAt(log, upTo - 1);
    let first = lastIndex;
    while (first > 0 && !this.#verified.has(log[first - 1]?.id ?? 0)) first -= 1;
    for (let i = first; i <= lastIndex; i += 1) {
      const entry = log[i];
      if (entry === undefined) return null;
      const wanted = wordsUpTo(entry, upTo);
      const known = (this.#stored.get(entry.id) ?? 0) | (this.#lost.get(entry.id) ?? 0);
      if ((known & wanted) !== wanted) return entry;
      if (wanted === WHOLE) this.#verified.add(entry.id);
    }
    return null;
  }

  /** The first entry between two places that a restore would lack. */
  hole(log: Log, from: number, to: number): LogEntry | null {
    for (let i = indexAt(log, from); i <= indexAt(log, to - 1); i += 1) {
      const entry = log[i];
      if (entry !== undefined && this.#stored.get(entry.id) !== WHOLE) return entry;
    }
    return null;
  }

  /** An object is in S3: its name must be true. */
  stored(key: string, body: Uint8Array): void {
    const object = parseKey(key)?.object;
    if (object?.kind === 'history') this.#newestTimeline = Math.max(this.#newestTimeline, object.timeline);
    if (object?.kind !== 'wal') return;
    const wrong = this.#take(object, Buffer.from(body));
    if (wrong !== null) this.#watch.violate('archive', `${key}: ${wrong}`);
  }

  #take({ timeline, start, end, coveredMs }: WalObject, body: Buffer): string | null {
    this.#newestTimeline = Math.max(this.#newestTimeline, timeline);
    const [from, to] = [Number(lsnBytes(start)), Number(lsnBytes(end))];
    if (body.length !== to - from) return `it has ${body.length} bytes, its name says ${to - from}`;
    for (let at = from; at < to; at += WORD) {
      const id = body.readUInt32LE(at - from);
      const entry = this.#entries.get(id);
      if (entry === undefined || entry.start > at || at >= entry.end)
        return `at ${lsnText(at)} it has a byte of entry ${id}, which is not there`;
      if (entry.timeline !== timeline)
        return `at ${lsnText(at)} it has a byte of entry ${id}, which is timeline ${entry.timeline}'s`;
      this.#stored.set(id, (this.#stored.get(id) ?? 0) | (1 << ((at - entry.start) / WORD)));
    }
    return coveredMs === 0 ? null : this.#covers(timeline, to, coveredMs);
  }

  /** Whatever was acknowledged before the moment that the name says lies before its end. */
  #covers(timeline: number, end: number, coveredMs: number): string | null {
    const last = this.#log[indexAt(this.#log, end - 1)];
    if (last?.timeline !== timeline) return null;
    if (last.end === end) this.said.push({ entry: last, coveredMs });
    const told = this.#watch.acknowledgedBefore(coveredMs);
    if (told === null || (this.#log[told.index] === told && told.end <= end)) return null;
    return `it says that all before ${new Date(coveredMs).toISOString()} is in, and write ${told.commit ?? ''} is not`;
  }
}
