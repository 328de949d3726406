import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import {
  afterLogin,
  hasMore,
  isEof,
  nativePassword,
  ProtocolError,
  readGreeting,
  readRow,
  ServerError,
  throwIfError,
} from '../../../lambdas/engines/galera/packets.ts';

const SALT = Buffer.from('0123456789abcdefghij');

/** As MariaDB 10.11 greets. */
const greeting = Buffer.concat([
  Buffer.from([10]),
  Buffer.from('5.5.5-10.11.19-MariaDB-deb12\0'),
  Buffer.from([1, 0, 0, 0]),
  SALT.subarray(0, 8),
  Buffer.from([0, 0xfe, 0xf7, 45, 2, 0, 0xff, 0x81, 21]),
  Buffer.alloc(10),
  SALT.subarray(8),
  Buffer.from('\0mysql_native_password\0'),
]);

describe('packets of the MySQL protocol', () => {
  it('finds the whole salt in a greeting', () => {
    expect(readGreeting(greeting)).toEqual(SALT);
  });

  it.each([
    [
      'an error before the handshake',
      Buffer.from([0xff, 0x10, 0x04, ...Buffer.from('Too many connections')]),
      ServerError,
      /^Too many connections$/,
    ],
    ['another protocol', Buffer.alloc(60, 9), ProtocolError, /expected protocol 10/],
    ['a greeting cut short', greeting.subarray(0, 30), ProtocolError, /expected protocol 10/],
  ] as const)('refuses %s', (_, packet, type, words) => {
    expect(() => readGreeting(packet)).toThrow(type);
    expect(() => readGreeting(packet)).toThrow(words);
  });

  it('a password token lets the server, which knows SHA1(SHA1(password)), check it and nobody read it', () => {
    const sha = (b: Buffer): Buffer => createHash('sha1').update(b).digest();
    const stored = sha(sha(Buffer.from('secret')));
    const token = nativePassword('secret', SALT);
    const mask = sha(Buffer.concat([SALT, stored]));
    const once = Buffer.from(token.map((byte, i) => byte ^ (mask[i] ?? 0)));
    expect(sha(once)).toEqual(stored);
    expect(nativePassword('', SALT)).toHaveLength(0);
  });

  it('answers a switch to native passwords with the new salt, and refuses any other method', () => {
    const ask = (plugin: string): Buffer =>
      Buffer.concat([Buffer.from([0xfe]), Buffer.from(`${plugin}\0`), SALT, Buffer.from([0])]);
    expect(afterLogin(ask('mysql_native_password'), 'secret')).toEqual(nativePassword('secret', SALT));
    expect(() => afterLogin(ask('ed25519'), 'secret')).toThrow(
      /asks for "ed25519"; expected it to be IDENTIFIED VIA mysql_native_password/,
    );
    expect(afterLogin(Buffer.from([0, 0, 0, 2, 0, 0, 0]), 'secret')).toBeNull();
  });

  it('strips SQLSTATE from an error', () => {
    const packet = Buffer.concat([Buffer.from([0xff, 0x15, 0x04]), Buffer.from('#28000Access denied')]);
    expect(() => throwIfError(packet)).toThrow(
      expect.objectContaining({ errno: 1045, message: 'Access denied' }) as Error,
    );
  });

  it('reads rows: short, null, and with long cells', () => {
    const long = 'x'.repeat(300);
    const cell = (text: string): Buffer =>
      text.length < 251
        ? Buffer.concat([Buffer.from([text.length]), Buffer.from(text)])
        : Buffer.concat([Buffer.from([0xfc, text.length & 0xff, text.length >> 8]), Buffer.from(text)]);
    expect(readRow(Buffer.concat([cell('a'), cell('b')]))).toEqual(['a', 'b']);
    expect(readRow(Buffer.concat([cell('a'), Buffer.from([0xfb])]))).toEqual(['a', null]);
    expect(readRow(Buffer.concat([cell('a'), cell(long)]))).toEqual(['a', long]);
    expect(() => readRow(Buffer.from([0xfc, 1]))).toThrow(ProtocolError);
  });

  it('tells the end of a result from a row, and whether another follows', () => {
    expect(isEof(Buffer.from([0xfe, 0, 0, 0x0a, 0]))).toBe(true);
    expect(isEof(Buffer.concat([Buffer.from([0xfe]), Buffer.alloc(20)]))).toBe(false);
    expect(hasMore(Buffer.from([0xfe, 0, 0, 0x0a, 0]))).toBe(true);
    expect(hasMore(Buffer.from([0xfe, 0, 0, 0x02, 0]))).toBe(false);
  });
});
