/**
 * Packets of the MySQL client protocol as a probe needs them, from bytes and to bytes. Pure.
 * Source: https://mariadb.com/kb/en/clientserver-protocol/
 *
 * Why not mysql2 here: with its character sets and certificates it adds 1 MB to a Lambda bundle whose limit is 1.2 MB, and
 * it does not tell a mute server from an unreachable one.
 */
import { createHash } from 'node:crypto';
import type { StatusRow } from './status.ts';

const PROTOCOL_VERSION = 10;
const ERR = 0xff;
const EOF = 0xfe;
const LENENC_NULL = 0xfb;

const CAPABILITIES = {
  LONG_PASSWORD: 0x1,
  PROTOCOL_41: 0x200,
  TRANSACTIONS: 0x2000,
  SECURE_CONNECTION: 0x8000,
  MULTI_STATEMENTS: 0x10000,
  MULTI_RESULTS: 0x20000,
  PLUGIN_AUTH: 0x80000,
};
const UTF8MB4 = 45;
/** Far above what a status is; more is no MariaDB that answers a probe. */
export const MAX_PACKET_BYTES = 1 << 20;
const NATIVE_PASSWORD = 'mysql_native_password';

/** The server said no: its error number and sentence. Numbers: https://mariadb.com/kb/en/mariadb-error-codes/ */
export class ServerError extends Error {
  override readonly name = 'ServerError';
  readonly errno: number;
  constructor(errno: number, message: string) {
    super(message);
    this.errno = errno;
  }
}

/** Bytes that no MariaDB sends at this point. */
export class ProtocolError extends Error {
  override readonly name = 'ProtocolError';
}

/** 3 bytes of length, 1 of sequence, payload. */
export function frame(sequence: number, payload: Buffer): Buffer {
  const head = Buffer.alloc(4);
  head.writeUIntLE(payload.length, 0, 3);
  head.writeUInt8(sequence & 0xff, 3);
  return Buffer.concat([head, payload]);
}

function cString(buffer: Buffer, from: number): { text: string; next: number } {
  const end = buffer.indexOf(0, from);
  const stop = end < 0 ? buffer.length : end;
  return { text: buffer.toString('utf8', from, stop), next: stop + 1 };
}

/** Throws when the packet is an ERR packet. */
export function throwIfError(packet: Buffer): void {
  if (packet[0] !== ERR || packet.length < 3) return;
  // A '#' and five characters of SQLSTATE follow, but not before the handshake.
  const from = packet[3] === 0x23 ? 9 : 3;
  throw new ServerError(packet.readUInt16LE(1), packet.toString('utf8', from));
}

/** The salt of the server's greeting. Throws ServerError or ProtocolError. */
export function readGreeting(packet: Buffer): Buffer {
  throwIfError(packet);
  if (packet[0] !== PROTOCOL_VERSION || packet.length < 44) {
    throw new ProtocolError(
      `the greeting begins with ${packet.subarray(0, 8).toString('hex')}; expected protocol 10 of MariaDB`,
    );
  }
  const afterVersion = cString(packet, 1).next;
  const first = packet.subarray(afterVersion + 4, afterVersion + 12);
  // filler 1, capabilities 2, character set 1, status 2, capabilities 2, salt length 1, reserved 10
  const second = packet.subarray(afterVersion + 31, afterVersion + 43);
  return Buffer.concat([first, second]);
}

const sha1 = (...parts: readonly Buffer[]): Buffer =>
  parts.reduce((hash, part) => hash.update(part), createHash('sha1')).digest();

/** SHA1(password) XOR SHA1(salt + SHA1(SHA1(password))): the password itself never crosses the wire. */
export function nativePassword(password: string, salt: Buffer): Buffer {
  if (password === '') return Buffer.alloc(0);
  const once = sha1(Buffer.from(password));
  const mask = sha1(salt, sha1(once));
  return Buffer.from(once.map((byte, i) => byte ^ (mask[i] ?? 0)));
}

export function loginPacket(user: string, password: string, salt: Buffer): Buffer {
  const head = Buffer.alloc(32);
  head.writeUInt32LE(
    Object.values(CAPABILITIES).reduce((all, one) => all | one, 0),
    0,
  );
  head.writeUInt32LE(MAX_PACKET_BYTES, 4);
  head.writeUInt8(UTF8MB4, 8);
  const token = nativePassword(password, salt);
  return Buffer.concat([
    head,
    Buffer.from(`${user}\0`),
    Buffer.from([token.length]),
    token,
    Buffer.from(`${NATIVE_PASSWORD}\0`),
  ]);
}

/**
 * The server's reply to a login: null when we are in, otherwise the packet to answer a switch of method with.
 * Throws ServerError when refused, ProtocolError when it wants a method other than mysql_native_password.
 */
export function afterLogin(packet: Buffer, password: string): Buffer | null {
  throwIfError(packet);
  if (packet[0] === 0) return null;
  if (packet[0] === EOF) {
    const plugin = cString(packet, 1);
    if (plugin.text === NATIVE_PASSWORD) {
      return nativePassword(password, packet.subarray(plugin.next, plugin.next + 20));
    }
    throw new ServerError(
      0,
      `the account asks for ${JSON.stringify(plugin.text)}; expected it to be IDENTIFIED VIA ${NATIVE_PASSWORD} (docs/hosts.md)`,
    );
  }
  throw new ProtocolError(
    `the reply to the login begins with ${packet.subarray(0, 8).toString('hex')}; expected OK or an error`,
  );
}

export const queryPacket = (sql: string): Buffer => Buffer.from(`\x03${sql}`);

function lengthEncoded(packet: Buffer, at: number): { length: number | null; next: number } {
  const first = packet[at] ?? LENENC_NULL;
  if (first < LENENC_NULL) return { length: first, next: at + 1 };
  if (first === LENENC_NULL) return { length: null, next: at + 1 };
  const bytes = first === 0xfc ? 2 : first === 0xfd ? 3 : 6;
  if (at + 1 + bytes > packet.length) throw new ProtocolError('a row ends in the middle of a length');
  return { length: packet.readUIntLE(at + 1, bytes), next: at + 1 + (first === 0xfe ? 8 : bytes) };
}

/** The first two columns of a text row. */
export function readRow(packet: Buffer): StatusRow {
  const cells: (string | null)[] = [];
  let at = 0;
  while (cells.length < 2 && at < packet.length) {
    const { length, next } = lengthEncoded(packet, at);
    cells.push(length === null ? null : packet.toString('utf8', next, next + length));
    at = next + (length ?? 0);
  }
  return [cells[0] ?? '', cells[1] ?? null];
}

/** An EOF packet is short; a row that begins with 0xfe is long. */
export const isEof = (packet: Buffer): boolean => packet[0] === EOF && packet.length < 9;

const MORE_RESULTS = 0x8;
/** Does another result follow this EOF. */
export const hasMore = (eof: Buffer): boolean => eof.length >= 5 && (eof.readUInt16LE(3) & MORE_RESULTS) !== 0;
