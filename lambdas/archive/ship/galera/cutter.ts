/**
 * Cuts a server's binlog, as it comes, into the archive's objects: each a binlog file that can be read by itself (magic, the
 * server's Format_description event, its bytes as they are), of whole transactions of one of the server's files. Pure.
 */
import {
  endsGroup,
  type EventHeader,
  EventType,
  type GroupStart,
  hasChecksums,
  MAGIC,
  readGtidEvent,
  rotatesTo,
  standsInFile,
} from '../../../engines/galera/binlog/events.ts';
import type { EventPart } from '../../../engines/galera/binlog/reader.ts';
import { formatSource } from '../../../model/archive/binlog-source.ts';
import { type Gtid, type GtidPosition, withGtid } from '../../../model/archive/gtid.ts';
import type { BinlogObject } from '../../../model/archive/keys.ts';
import { ByteList } from './bytes.ts';

/** What is to be done next, in order. Between `open` and `close` or `discard` there are only bytes for what was opened. */
export type Cut =
  | { readonly kind: 'piece'; readonly object: BinlogObject; readonly chunks: readonly Uint8Array[] }
  /** One transaction too large to be held begins; its object's name is known already. */
  | { readonly kind: 'open'; readonly object: BinlogObject }
  | { readonly kind: 'append'; readonly bytes: Uint8Array }
  | { readonly kind: 'close' }
  /** The server crashed while it wrote the transaction: it never was one. */
  | { readonly kind: 'discard' };

export interface CutterOptions {
  readonly instance: string;
  /** What is in the archive already; the dump was asked for what comes after it. */
  readonly after: GtidPosition;
  /** Pieces end at this size, and larger transactions have one of their own: what is held is hardly more. */
  readonly pieceBytes: number;
}

/** Bytes that follow each other in the server's file. */
interface Stretch {
  readonly offset: number;
  readonly held: ByteList;
}

interface Pending extends Stretch {
  readonly after: GtidPosition;
  transactions: number;
}

interface Group extends Stretch {
  readonly start: GroupStart;
  readonly upTo: GtidPosition;
  /** Its bytes go out as they come. */
  open: boolean;
}

interface File {
  readonly name: string;
  readonly formatDescription: Buffer;
  readonly checksums: boolean;
}

const WRAPS_AT = 2 ** 32;
const MAGIC_BYTES = MAGIC.length;

/** The position with the transaction in it: domains only grow (a node's own domain begins anew on another node). */
export const grown = (position: GtidPosition, gtid: Gtid): GtidPosition =>
  (position.get(gtid.domain)?.sequence ?? -1n) < gtid.sequence ? withGtid(position, gtid) : position;

function hold({ held }: Stretch, ...chunks: readonly Uint8Array[]): void {
  for (const chunk of chunks) held.add(chunk);
}

export class BinlogCutter {
  readonly #options: CutterOptions;
  #position: GtidPosition;
  #coveredMs = 0;
  /** What the newest object's name says of it. */
  #saidMs = 0;
  #nextFile: string | null = null;
  #file: File | null = null;
  /** Where the next event begins in the file. */
  #at = 0;
  #pending: Pending | null = null;
  #group: Group | null = null;
  /** Of a large event whose first part has been seen: does the group end with its last part. */
  #endsWithEvent = false;
  #inFile = false;

  constructor(options: CutterOptions) {
    this.#options = options;
    this.#position = options.after;
  }

  /** What is in after the last transaction that has come whole. */
  get position(): GtidPosition {
    return this.#position;
  }

  /** Bytes that are held. */
  get heldBytes(): number {
    return (this.#pending?.held.bytes ?? 0) + (this.#group?.held.bytes ?? 0);
  }

  /** A transaction is under way of which bytes have gone out. */
  get isOpen(): boolean {
    return this.#group?.open ?? false;
  }

  /** By the server's clock: whatever was acknowledged before it has come whole. Objects cut from now on say so. */
  covers(untilMs: number): void {
    this.#coveredMs = Math.max(this.#coveredMs, untilMs);
  }

  take(part: EventPart): readonly Cut[] {
    if (part.header === null) return this.#inFile ? this.#append(part) : [];
    this.#inFile = standsInFile(part.header);
    if (!this.#inFile) {
      if (part.header.type === EventType.ROTATE) this.#nextFile = rotatesTo(part.bytes);
      return [];
    }
    if (part.header.type === EventType.FORMAT_DESCRIPTION) return this.#beginFile(part);
    return [...this.#place(part.header), ...this.#begin(part.header, part)];
  }

  /** The whole transactions that are held, if any, as a piece. */
  cut(): readonly Cut[] {
    const pending = this.#pending;
    if (pending === null || pending.held.bytes === 0) return [];
    this.#pending = this.#stretch(pending.offset + pending.held.bytes);
    return [this.#piece(pending)];
  }

  /**
   * A piece without anything in it, which says by its name that nothing was written: how far an idle server is covered. None
   * when something is held (then cut that), when nothing is known of the server's file yet, or no more than was said before.
   */
  attest(): readonly Cut[] {
    const pending = this.#pending;
    if (pending === null || pending.held.bytes > 0 || this.#group !== null || this.#coveredMs <= this.#saidMs)
      return [];
    return [this.#piece(pending)];
  }

  #beginFile({ bytes }: EventPart): readonly Cut[] {
    const cuts = [...this.#dropGroup(), ...this.cut()];
    const first = this.#file === null;
    if (this.#nextFile === null) throw new Error('a Format_description event came before the name of its file');
    this.#file = { name: this.#nextFile, formatDescription: bytes, checksums: hasChecksums(bytes) };
    this.#at = MAGIC_BYTES + bytes.length;
    // To a replica that has something already, the server sends the first one with its field `created` zeroed.
    const verbatim = !first || this.#options.after.size === 0;
    this.#pending = this.#stretch(verbatim ? 0 : this.#at);
    if (verbatim) hold(this.#pending, MAGIC, bytes);
    return cuts;
  }

  /** A jump in the file: the server left out what is in already. What is held ends before it. */
  #place({ endsAt, bytes }: EventHeader): readonly Cut[] {
    if (this.#file === null) throw new Error('an event of a file came before its Format_description event');
    const offset = (endsAt - bytes + WRAPS_AT) % WRAPS_AT;
    if (endsAt === 0 || offset === this.#at % WRAPS_AT) return [];
    const cuts = this.#pending !== null && this.#pending.transactions > 0 ? this.cut() : [];
    this.#at = offset;
    this.#pending = this.#stretch(offset);
    return cuts;
  }

  #begin(header: EventHeader, part: EventPart): readonly Cut[] {
    const ended: Cut[] = [];
    if (header.type === EventType.GTID) {
      // A group that was not seen to end has ended: the server writes one after the other.
      if (this.#group !== null) ended.push(...this.#endGroup());
      const start = readGtidEvent(part.bytes);
      this.#group = { ...this.#empty(), start, upTo: grown(this.#position, start.gtid), open: false };
      this.#endsWithEvent = false;
    } else {
      const checksums = this.#file?.checksums ?? false;
      this.#endsWithEvent =
        this.#group !== null && endsGroup(this.#group.start, header.type, part.last ? part.bytes : null, checksums);
    }
    return [...ended, ...this.#append(part)];
  }

  #append({ bytes, last }: EventPart): readonly Cut[] {
    this.#at += bytes.length;
    const cuts: Cut[] = [];
    if (this.#group?.open === true) cuts.push({ kind: 'append', bytes });
    else hold(this.#group ?? this.#open(), bytes);
    if (last && this.#endsWithEvent) cuts.push(...this.#endGroup());
    return [...cuts, ...this.#tooMuch(last)];
  }

  #endGroup(): readonly Cut[] {
    const group = this.#group;
    if (group === null) return [];
    this.#group = null;
    this.#endsWithEvent = false;
    this.#position = group.upTo;
    if (group.open) {
      this.#pending = this.#stretch(this.#at);
      return [{ kind: 'close' }];
    }
    const pending = this.#open();
    hold(pending, ...group.held.chunks());
    pending.transactions++;
    return [];
  }

  #dropGroup(): readonly Cut[] {
    const group = this.#group;
    this.#group = null;
    this.#endsWithEvent = false;
    return group?.open === true ? [{ kind: 'discard' }] : [];
  }

  #tooMuch(eventEnds: boolean): readonly Cut[] {
    const { pieceBytes } = this.#options;
    if (this.heldBytes < pieceBytes) return [];
    const group = this.#group;
    // An event of no group, such as a list of GTIDs, is never cut in two.
    if (group === null) return eventEnds ? this.cut() : [];
    const cuts = this.#pending !== null && this.#pending.transactions > 0 ? [...this.cut()] : [];
    if (this.heldBytes < pieceBytes) return cuts;
    const pending = this.#open();
    const object = this.#object(pending.held.bytes > 0 ? pending.offset : group.offset, this.#position, group.upTo);
    const chunks = [...this.#head(pending), ...pending.held.chunks(), ...group.held.chunks()];
    this.#pending = this.#stretch(this.#at);
    group.open = true;
    group.held.clear();
    return [...cuts, { kind: 'open', object }, ...chunks.map((bytes): Cut => ({ kind: 'append', bytes }))];
  }

  #open(): Pending {
    this.#pending ??= this.#stretch(this.#at);
    return this.#pending;
  }

  #stretch(offset: number): Pending {
    return { offset, held: new ByteList(), after: this.#position, transactions: 0 };
  }

  #empty(): Stretch {
    return { offset: this.#at, held: new ByteList() };
  }

  /** What is put in front of a piece that does not begin where its file begins. */
  #head({ offset, held }: Stretch): readonly Uint8Array[] {
    return offset === 0 && held.bytes > 0 ? [] : [MAGIC, this.#file?.formatDescription ?? EMPTY];
  }

  #piece(pending: Pending): Cut {
    const object = this.#object(pending.offset, pending.after, this.#position);
    return { kind: 'piece', object, chunks: [...this.#head(pending), ...pending.held.chunks()] };
  }

  #object(offset: number, after: GtidPosition, upTo: GtidPosition): BinlogObject {
    const source = formatSource({ instance: this.#options.instance, file: this.#file?.name ?? '', offset });
    this.#saidMs = this.#coveredMs;
    return { kind: 'binlog', after, upTo, coveredMs: this.#coveredMs, source };
  }
}

const EMPTY = Buffer.alloc(0);
