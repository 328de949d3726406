/** Binlog events and pieces in tests: recorded ones, and what pieces are put together again. */
import { readFileSync } from 'node:fs';
import type { Cut } from '../../../lambdas/archive/ship/galera/cutter.ts';
import {
  EventType,
  type EventHeader,
  HEADER_BYTES,
  MAGIC,
  readGtidEvent,
  readHeader,
} from '../../../lambdas/engines/galera/binlog/events.ts';
import { type EventPart, EventReader } from '../../../lambdas/engines/galera/binlog/reader.ts';
import { parseSource } from '../../../lambdas/model/archive/binlog-source.ts';
import { formatGtid } from '../../../lambdas/model/archive/gtid.ts';
import type { BinlogObject } from '../../../lambdas/model/archive/keys.ts';

/** Answers of a MariaDB 10.11.19, byte by byte as they came, and its files. */
export const recorded = (name: string): Buffer =>
  readFileSync(new URL(`../../unit/archive/recorded/${name}`, import.meta.url));

/** The events of an answer that comes in chunks of these sizes, one size after the other, again and again. */
export function partsOf(answer: Buffer, sizes: readonly number[] = [answer.length]): readonly EventPart[] {
  const reader = new EventReader();
  const parts: EventPart[] = [];
  for (let at = 0, n = 0; at < answer.length; n++) {
    const size = sizes[n % sizes.length] ?? answer.length;
    parts.push(...reader.push(answer.subarray(at, at + size)));
    at += size;
  }
  return parts;
}

export interface WholePiece {
  readonly object: BinlogObject;
  readonly bytes: Buffer;
}

/** What cuts come to when they are carried out. */
export function carryOut(cuts: readonly Cut[]): readonly WholePiece[] {
  const pieces: WholePiece[] = [];
  let open: { readonly object: BinlogObject; readonly chunks: Uint8Array[] } | null = null;
  for (const cut of cuts) {
    switch (cut.kind) {
      case 'piece':
        pieces.push({ object: cut.object, bytes: Buffer.concat(cut.chunks) });
        break;
      case 'open':
        open = { object: cut.object, chunks: [] };
        break;
      case 'append':
        open?.chunks.push(cut.bytes);
        break;
      case 'close':
        if (open !== null) pieces.push({ object: open.object, bytes: Buffer.concat(open.chunks) });
        open = null;
        break;
      case 'discard':
        open = null;
        break;
    }
  }
  return pieces;
}

/** The events of a binlog file, or of a piece. */
export function eventsOf(file: Buffer): readonly { readonly header: EventHeader; readonly bytes: Buffer }[] {
  if (!file.subarray(0, MAGIC.length).equals(MAGIC))
    throw new Error(`no binlog: it begins with ${file.toString('hex', 0, 4)}`);
  const events = [];
  for (let at = MAGIC.length; at < file.length;) {
    const header = readHeader(file.subarray(at, at + HEADER_BYTES));
    if (at + header.bytes > file.length) throw new Error(`an event at ${at} ends behind the file's end`);
    events.push({ header, bytes: file.subarray(at, at + header.bytes) });
    at += header.bytes;
  }
  return events;
}

/** GTIDs of the transactions in it, in order. */
export const gtidsIn = (file: Buffer): readonly string[] =>
  eventsOf(file)
    .filter(({ header }) => header.type === EventType.GTID)
    .map(({ bytes }) => formatGtid(readGtidEvent(bytes).gtid));

/** The server's own bytes in a piece: without what was put in front. */
const originals = ({ object, bytes }: WholePiece): Buffer => {
  if (parseSource(object.source).offset === 0) return bytes;
  return bytes.subarray(MAGIC.length + (eventsOf(bytes)[0]?.header.bytes ?? 0));
};

/** File's name → its bytes from the beginning, put together from pieces in any order. Throws when there is a hole or an overlap. */
export function reassemble(pieces: readonly WholePiece[]): ReadonlyMap<string, Buffer> {
  const files = new Map<string, Buffer>();
  const inOrder = pieces.map((piece) => ({ ...parseSource(piece.object.source), bytes: originals(piece) }));
  for (const { file, offset, bytes } of inOrder.sort(
    (a, b) => a.offset - b.offset || a.bytes.length - b.bytes.length,
  )) {
    const before = files.get(file) ?? Buffer.alloc(0);
    if (before.length !== offset)
      throw new Error(`${file} has ${before.length} bytes, and the next piece begins at ${offset}`);
    files.set(file, Buffer.concat([before, bytes]));
  }
  return files;
}
