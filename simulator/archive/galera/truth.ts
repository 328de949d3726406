/**
 * The truth about a Galera cluster's archive: which writes are in S3, which are lost to it, and whether what names, shippers and marks
 * say of it is so. A log here is a history and how far it goes; who is right is the primary component.
 */
import type { BinlogObject } from '../../../lambdas/model/archive/keys.ts';
import { parseKey } from '../../../lambdas/model/archive/keys.ts';
import { parseSource } from '../../../lambdas/model/archive/binlog-source.ts';
import type { GtidPosition } from '../../../lambdas/model/archive/gtid.ts';
import type { Acknowledged } from '../../galera/cluster.ts';
import type { Data } from '../../galera/history.ts';
import { holds } from '../../galera/history.ts';
import type { LogFile } from './binlogs.ts';
import { keyOfWrite, ownerOf } from './binlogs.ts';
import { DOMAIN, transactionsIn } from './events.ts';

const MAGIC_BYTES = 4;
const LENGTH_AT = 9;

export type Log = Pick<Data, 'branch' | 'seqno'>;

/** What is told to the guard, and asked of the world. */
export interface Watch {
  violate(rule: string, what: string): void;
  tell(what: string): void;
  /** Of the primary component that there is, or was last. */
  current(): Log;
  /** Who could give what comes after a position of the current history, and could all the while it was looked for; null: nobody. */
  keeps(after: number): string | null;
  /** By time. */
  readonly journal: readonly Acknowledged[];
  /** No two files of a night have the same name. */
  file(name: string): LogFile | null;
}

export const sequenceOf = (position: GtidPosition): number => Number(position.get(DOMAIN)?.sequence ?? 0n);

export class GaleraTruth {
  readonly #watch: Watch;
  readonly #stored = new Set<string>();
  /** No node had it any more, and people were told of a gap. */
  readonly #lost = new Set<string>();
  readonly #seqnos = new Set<number>();
  /** Where the newest object ends, by its name. */
  #newest: number;
  /** By history: up to where all is in S3, or lost. */
  readonly #verified = new Map<number, number>();
  /** Who has told of a gap, and has not begun to read behind it yet. */
  readonly #told = new Set<string>();
  /** Said by objects: up to where all is that was acknowledged before a moment. */
  readonly said: { readonly log: Log; readonly coveredMs: number }[] = [];
  readonly #began: number;

  /** `began`: the archive has all up to there. */
  constructor(watch: Watch, began: number) {
    this.#watch = watch;
    this.#began = began;
    this.#newest = began;
  }

  /** The first write of a log that is neither in S3 nor known to be lost to it; null: there is none. */
  missing({ branch, seqno }: Log): number | null {
    const from = Math.max(this.#began, this.#verified.get(branch.id) ?? 0);
    for (let at = from + 1; at <= seqno; at += 1) {
      const key = this.#key(branch, at);
      if (!this.#stored.has(key) && !this.#lost.has(key)) return at;
      this.#verified.set(branch.id, at);
    }
    return null;
  }

  /** The first write after one place and up to another that a restore would lack; null: there is none. */
  hole({ branch, seqno }: Log, after: number): number | null {
    for (let at = Math.max(after, this.#began) + 1; at <= seqno; at += 1) {
      if (!this.#stored.has(this.#key(branch, at))) return at;
    }
    return null;
  }

  /** The newest write before the moment that a client was told of and that nobody has accepted to be lost. */
  acknowledgedBefore(ms: number): Acknowledged | null {
    const { branch, seqno } = this.#watch.current();
    return this.#watch.journal.findLast((a) => a.atMs < ms && holds(branch, seqno, a.branch, a.seqno)) ?? null;
  }

  /** A shipper has counted a gap. */
  tellsGap(who: string): void {
    this.#told.add(who);
  }

  /** A node's log is read from there on: what lies before is in S3, or nobody has it and people were told. */
  begins(who: string, node: string, after: number): void {
    const told = this.#told.delete(who);
    const { branch, seqno } = this.#watch.current();
    const read = { branch, seqno: Math.min(after, seqno) };
    const first = this.missing(read);
    if (first === null) {
      // One that was killed behind a gap leaves it to the next one to tell.
      if (told && this.hole(read, this.#began) === null)
        this.#watch.violate('archive', `${who} tells of a gap before ${after}, and all up to there is in S3`);
      return;
    }
    const where = `${node} is read from ${after} on, and write ${first} is not in S3`;
    if (this.isAnothers(first))
      return this.#watch.violate('history', `${where}: another of that GTID is, which is lost`);
    const has = this.#watch.keeps(first - 1);
    if (has !== null) this.#watch.violate('archive', `${where} while ${has} has it`);
    // A hole that names show is told each minute.
    if (!told && after > this.#newest) this.#watch.violate('archive', `${where}: nobody was told of a gap`);
    for (let at: number | null = first; at !== null; at = this.missing(read)) this.#lost.add(this.#key(branch, at));
    this.#watch.tell(`the log from ${first} up to ${after} is lost: no node has it any more`);
  }

  /**
   * Writes that a person accepted to be lost are in S3 under GTIDs that the cluster has given again since: is this one of them, and
   * the one that the cluster has under that GTID is not there.
   */
  isAnothers(seqno: number): boolean {
    return !this.#stored.has(this.#key(this.#watch.current().branch, seqno)) && this.#seqnos.has(seqno);
  }

  /** Rule 10: it is said (the metric `ArchiveLag`) that all before the moment, by the servers' clock, is in S3. */
  covered(who: string, ms: number): void {
    const last = this.acknowledgedBefore(ms);
    const first = last === null ? null : this.missing(last);
    if (first === null) return;
    const moment = new Date(ms).toISOString();
    this.#watch.violate(
      this.#rule('10', first),
      `${who} says that all before ${moment} is in S3, and write ${first} is not`,
    );
  }

  /** An object is in S3: its name must be true. */
  stored(key: string, body: Uint8Array): void {
    const object = parseKey(key)?.object;
    if (object?.kind !== 'binlog') return;
    this.#newest = Math.max(this.#newest, sequenceOf(object.upTo));
    const wrong = this.#take(object, Buffer.from(body)) ?? this.#covers(object);
    if (wrong !== null) this.#watch.violate('archive', `${key}: ${wrong}`);
    this.#vouches(key, object);
  }

  #take({ after, upTo, source }: BinlogObject, body: Buffer): string | null {
    const { file: name, offset } = parseSource(source);
    const file = this.#watch.file(name);
    if (file === null) return `no server has had a file ${name}`;
    const own = ownBytes(body, offset);
    let next = sequenceOf(after);
    for (const { gtid, row } of transactionsIn(own)) {
      if (gtid !== next + 1) return `transaction ${gtid} comes where ${next + 1} is next`;
      if (row?.seqno !== gtid) return `transaction ${gtid} has not its own row`;
      this.#stored.add(keyOfWrite(row));
      this.#seqnos.add(gtid);
      next = gtid;
    }
    if (next !== sequenceOf(upTo)) return `it ends with ${next}`;
    return isOf(file, own, Math.max(offset, MAGIC_BYTES)) ? null : `its bytes are not those of the server's file`;
  }

  /** Whatever was acknowledged before the moment that the name says lies before its end. */
  #covers({ upTo, coveredMs }: BinlogObject): string | null {
    if (coveredMs === 0) return null;
    const { branch } = this.#watch.current();
    const end = sequenceOf(upTo);
    this.said.push({ log: { branch, seqno: end }, coveredMs });
    const last = this.acknowledgedBefore(coveredMs);
    if (last === null || last.seqno <= end) return null;
    return `it says that all before ${new Date(coveredMs).toISOString()} is in, and write ${last.seqno} is not`;
  }

  /** Rule 10: an object without transactions says that all before it is in S3, and no shipper looks further back. */
  #vouches(key: string, { after, upTo }: BinlogObject): void {
    const end = sequenceOf(upTo);
    if (end > sequenceOf(after)) return;
    const { branch, seqno } = this.#watch.current();
    const first = this.missing({ branch, seqno: Math.min(seqno, end) });
    if (first !== null)
      this.#watch.violate(this.#rule('10', first), `${key} vouches for all before it, and write ${first} is not in S3`);
  }

  #rule(rule: string, write: number): string {
    return this.isAnothers(write) ? 'history' : rule;
  }

  #key(branch: Log['branch'], seqno: number): string {
    return keyOfWrite({ branch: ownerOf(branch, seqno).id, seqno });
  }
}

/** The server's own: what stands before them in a later piece was put there. */
const ownBytes = (body: Buffer, offset: number): Buffer =>
  body.subarray(offset === 0 ? MAGIC_BYTES : MAGIC_BYTES + body.readUInt32LE(MAGIC_BYTES + LENGTH_AT));

/**
 * Two objects of one name. It promises transactions, and from where the server's own bytes are: not which format description is put in
 * front of them (a server clears its field `created` for who begins in its file), nor whether the Rotate that ended the file is in.
 */
export function isAsGood(key: string, body: Uint8Array, there: Uint8Array): boolean {
  const object = parseKey(key)?.object;
  if (object?.kind !== 'binlog') return false;
  const { offset } = parseSource(object.source);
  const [a, b] = [body, there].map((bytes) => ownBytes(Buffer.from(bytes), offset));
  if (a === undefined || b === undefined) return false;
  const both = Math.min(a.length, b.length);
  return a.subarray(0, both).equals(b.subarray(0, both)) && transactionsIn(a).length === transactionsIn(b).length;
}

/** Are these the file's own bytes from that offset on. A file that a crash has shortened since tells of what it has. */
function isOf(file: LogFile, bytes: Buffer, offset: number): boolean {
  for (const item of file.items) {
    const at = item.offset - offset;
    if (at < 0 || at >= bytes.length) continue;
    if (!bytes.subarray(at, at + item.bytes.length).equals(item.bytes)) return false;
  }
  return true;
}
