/** Binlog events as MariaDB 10.11 writes them, as far as the archive looks into them; a row's bytes tell whose write it is. */
import { crc32 } from 'node:zlib';
import { EventType, HEADER_BYTES } from '../../../lambdas/engines/galera/binlog/events.ts';

/** GTIDs are of these (docs/hosts.md). */
export const DOMAIN = 0;
export const SERVER = 1;

const CHECKSUM_BYTES = 4;
const ARTIFICIAL = 0x20;
const ROWS = 23;
const CHECKPOINT = 161;
const COMMIT_IN_GROUP = 0x8;
/** Version (2), the server's name (50). */
const CREATED_AT = HEADER_BYTES + 2 + 50;
const FORMAT_BYTES = 252;

/** A write by the history that it was made in. */
export interface Written {
  readonly branch: number;
  readonly seqno: number;
  readonly atMs: number;
}

interface Place {
  /** Where it begins in its file; null: it stands in none. */
  readonly offset: number | null;
  readonly atMs: number;
  readonly flags?: number;
}

function event(type: number, body: Buffer, { offset, atMs, flags = 0 }: Place): Buffer {
  const bytes = HEADER_BYTES + body.length + CHECKSUM_BYTES;
  const out = Buffer.alloc(bytes);
  out.writeUInt32LE(Math.floor(atMs / 1000), 0);
  out.writeUInt8(type, 4);
  out.writeUInt32LE(SERVER, 5);
  out.writeUInt32LE(bytes, 9);
  out.writeUInt32LE(offset === null ? 0 : offset + bytes, 13);
  out.writeUInt16LE(flags, 17);
  body.copy(out, HEADER_BYTES);
  return sealed(out);
}

function sealed(out: Buffer): Buffer {
  out.writeUInt32LE(crc32(out.subarray(0, -CHECKSUM_BYTES)), out.length - CHECKSUM_BYTES);
  return out;
}

/** `createdMs`: when the server was started; null in a file that followed another. */
export function formatDescription(place: Place, createdMs: number | null): Buffer {
  const body = Buffer.alloc(FORMAT_BYTES - HEADER_BYTES - CHECKSUM_BYTES);
  body.writeUInt16LE(4, 0);
  body.write('10.11.19-MariaDB-log', 2);
  body.writeUInt32LE(Math.floor((createdMs ?? 0) / 1000), CREATED_AT - HEADER_BYTES);
  body.writeUInt8(HEADER_BYTES, CREATED_AT + 4 - HEADER_BYTES);
  body.writeUInt8(1, body.length - 1);
  return event(EventType.FORMAT_DESCRIPTION, body, place);
}

/** As the server sends the first one to a replica that has something already. */
export function withoutCreated(format: Buffer): Buffer {
  const out = Buffer.from(format);
  out.writeUInt32LE(0, CREATED_AT);
  return sealed(out);
}

export function gtidList(seqno: number, place: Place): Buffer {
  const body = Buffer.alloc(seqno === 0 ? 4 : 20);
  if (seqno > 0) {
    body.writeUInt32LE(1, 0);
    body.writeUInt32LE(DOMAIN, 4);
    body.writeUInt32LE(SERVER, 8);
    body.writeBigUInt64LE(BigInt(seqno), 12);
  }
  return event(EventType.GTID_LIST, body, place);
}

/** Made up on the way: from here on comes what was asked for. */
export const artificialGtidList = (seqno: number): Buffer =>
  gtidList(seqno, { offset: null, atMs: 0, flags: ARTIFICIAL });

export const checkpoint = (file: string, offset: number, atMs: number): Buffer =>
  event(CHECKPOINT, Buffer.concat([Buffer.from([file.length, 0, 0, 0]), Buffer.from(file)]), { offset, atMs });

export const rotate = (to: string, offset: number, atMs: number): Buffer =>
  event(EventType.ROTATE, Buffer.concat([Buffer.from([4, 0, 0, 0, 0, 0, 0, 0]), Buffer.from(to)]), { offset, atMs });

/** Made up on the way: which file comes now. */
export const artificialRotate = (to: string): Buffer =>
  event(EventType.ROTATE, Buffer.concat([Buffer.from([4, 0, 0, 0, 0, 0, 0, 0]), Buffer.from(to)]), {
    ...{ offset: null, atMs: 0, flags: ARTIFICIAL },
  });

export const stop = (offset: number, atMs: number): Buffer => event(EventType.STOP, Buffer.alloc(0), { offset, atMs });

/** A transaction: its GTID, its row, its COMMIT. */
export function transaction({ branch, seqno, atMs }: Written, offset: number): Buffer {
  const gtid = Buffer.alloc(19);
  gtid.writeBigUInt64LE(BigInt(seqno), 0);
  gtid.writeUInt32LE(DOMAIN, 8);
  const row = Buffer.alloc(16);
  row.writeUInt32LE(branch, 0);
  row.writeUInt32LE(seqno, 4);
  row.writeDoubleLE(atMs, 8);
  const begins = event(EventType.GTID, gtid, { offset, atMs, flags: COMMIT_IN_GROUP });
  const rows = event(ROWS, row, { offset: offset + begins.length, atMs });
  const xid = event(EventType.XID, Buffer.alloc(8), { offset: offset + begins.length + rows.length, atMs });
  return Buffer.concat([begins, rows, xid]);
}

/** The GTIDs in a binlog file's bytes after its magic, each with the write that its row is of (null: it has none). */
export function transactionsIn(bytes: Buffer): readonly { readonly gtid: number; readonly row: Written | null }[] {
  const found: { gtid: number; row: Written | null }[] = [];
  for (let at = 0; at + HEADER_BYTES <= bytes.length;) {
    const length = Math.max(HEADER_BYTES, bytes.readUInt32LE(at + 9));
    const type = bytes.readUInt8(at + 4);
    const body = at + HEADER_BYTES;
    const last = found.at(-1);
    if (type === EventType.GTID) found.push({ gtid: Number(bytes.readBigUInt64LE(body)), row: null });
    if (type === ROWS && last !== undefined) {
      const [branch, seqno] = [bytes.readUInt32LE(body), bytes.readUInt32LE(body + 4)];
      last.row = { branch, seqno, atMs: bytes.readDoubleLE(body + 8) };
    }
    at += length;
  }
  return found;
}
