/**
 * What stands in a binlog event, as far as the archive must know it. Pure.
 * Source: https://mariadb.com/kb/en/2-binlog-event-header/ and the pages of each event beside it.
 */
import { crc32 } from 'node:zlib';
import type { Gtid, GtidPosition } from '../../../model/archive/gtid.ts';

export const HEADER_BYTES = 19;
const CHECKSUM_BYTES = 4;

/** How a binlog file begins. */
export const MAGIC: Uint8Array = Uint8Array.of(0xfe, 0x62, 0x69, 0x6e);

export const EventType = {
  QUERY: 2,
  STOP: 3,
  ROTATE: 4,
  INTVAR: 5,
  RAND: 13,
  USER_VAR: 14,
  FORMAT_DESCRIPTION: 15,
  XID: 16,
  TABLE_MAP: 19,
  HEARTBEAT: 27,
  XA_PREPARE: 38,
  ANNOTATE_ROWS: 160,
  GTID: 162,
  GTID_LIST: 163,
} as const;

/** Made up for this connection: it stands in no file. */
const ARTIFICIAL = 0x20;

export interface EventHeader {
  /** Seconds since 1970: when the statement began (a transaction's GTID event: when its COMMIT did). */
  readonly timestamp: number;
  readonly type: number;
  readonly serverId: number;
  /** Of the whole event. */
  readonly bytes: number;
  /** Where it ends in its file, by 32 bits; 0 when the server does not say. */
  readonly endsAt: number;
  readonly flags: number;
}

/** Throws RangeError for less than a header. */
export function readHeader(event: Buffer): EventHeader {
  if (event.length < HEADER_BYTES)
    throw new RangeError(`a binlog event of ${event.length} bytes: expected ${HEADER_BYTES} or more`);
  return {
    timestamp: event.readUInt32LE(0),
    type: event.readUInt8(4),
    serverId: event.readUInt32LE(5),
    bytes: event.readUInt32LE(9),
    endsAt: event.readUInt32LE(13),
    flags: event.readUInt16LE(17),
  };
}

/** Is it in the server's file, and not made up on the way (heartbeats, the rotation that names the first file). */
export const standsInFile = ({ type, flags, timestamp }: EventHeader): boolean =>
  type !== EventType.HEARTBEAT && (flags & ARTIFICIAL) === 0 && !(type === EventType.ROTATE && timestamp === 0);

/** Does a file's Format_description event say that its events end with a CRC32. Its last bytes: the algorithm, the checksum. */
export const hasChecksums = (formatDescription: Buffer): boolean =>
  formatDescription.readUInt8(formatDescription.length - CHECKSUM_BYTES - 1) === 1;

/** Does the event's last four bytes' CRC32 fit it: for events outside of a file, whose checksum nothing announces. */
export const fitsChecksum = (event: Buffer): boolean =>
  event.length >= HEADER_BYTES + CHECKSUM_BYTES &&
  crc32(event.subarray(0, -CHECKSUM_BYTES)) === event.readUInt32LE(event.length - CHECKSUM_BYTES);

/** The file that a Rotate event names, real or made up. */
export function rotatesTo(event: Buffer): string {
  const end = fitsChecksum(event) ? event.length - CHECKSUM_BYTES : event.length;
  return event.toString('utf8', HEADER_BYTES + 8, end);
}

/** What a GTID event says of the group of events that it begins. */
export interface GroupStart {
  readonly gtid: Gtid;
  /** The group has no COMMIT: it ends with the one statement (DDL). */
  readonly standalone: boolean;
}

const STANDALONE = 0x1;

/** https://mariadb.com/kb/en/gtid_event/ */
export function readGtidEvent(event: Buffer): GroupStart {
  return {
    gtid: {
      server: event.readUInt32LE(5),
      sequence: event.readBigUInt64LE(HEADER_BYTES),
      domain: event.readUInt32LE(HEADER_BYTES + 8),
    },
    standalone: (event.readUInt8(HEADER_BYTES + 12) & STANDALONE) !== 0,
  };
}

/** The position before a file's first transaction. https://mariadb.com/kb/en/gtid_list_event/ */
export function readGtidList(event: Buffer): GtidPosition {
  const count = event.readUInt32LE(HEADER_BYTES) & 0x0f_ff_ff_ff;
  const position = new Map<number, Gtid>();
  for (let n = 0, at = HEADER_BYTES + 4; n < count; n++, at += 16) {
    const gtid = {
      domain: event.readUInt32LE(at),
      server: event.readUInt32LE(at + 4),
      sequence: event.readBigUInt64LE(at + 8),
    };
    // A domain with several servers has an entry for each.
    if ((position.get(gtid.domain)?.sequence ?? -1n) < gtid.sequence) position.set(gtid.domain, gtid);
  }
  return position;
}

/** Only say something about the event after them. */
const PREPARES: ReadonlySet<number> = new Set([
  EventType.INTVAR,
  EventType.RAND,
  EventType.USER_VAR,
  EventType.TABLE_MAP,
  EventType.ANNOTATE_ROWS,
]);

const ENDINGS = ['COMMIT', 'ROLLBACK'].map((word) => Buffer.from(`\0${word}`));
const XA_ENDINGS = ['XA COMMIT ', 'XA ROLLBACK '];

/** The statement of a Query event. Its head: thread (4), seconds (4), length of the schema's name (1), error (2), of the variables (2). */
function statementOf(event: Buffer, checksums: boolean): string {
  const at = HEADER_BYTES + 13 + event.readUInt16LE(HEADER_BYTES + 11) + event.readUInt8(HEADER_BYTES + 8) + 1;
  return event.toString('latin1', at, Math.min(at + 16, event.length - (checksums ? CHECKSUM_BYTES : 0)));
}

/**
 * Does the event end the group that began with `start`; `event` is null for one that is too large to say COMMIT. As the server's own dump thread and replicas decide it
 * (`Log_event::is_part_of_group`, `is_group_ending` of MariaDB's sources).
 */
export function endsGroup(start: GroupStart, type: number, event: Buffer | null, checksums: boolean): boolean {
  if (type === EventType.XID || type === EventType.XA_PREPARE) return true;
  if (start.standalone) return !PREPARES.has(type);
  if (type !== EventType.QUERY || event === null) return false;
  const body = checksums ? event.subarray(0, -CHECKSUM_BYTES) : event;
  if (ENDINGS.some((ending) => body.subarray(-ending.length).equals(ending))) return true;
  const statement = statementOf(event, checksums);
  return XA_ENDINGS.some((ending) => statement.startsWith(ending));
}
