/**
 * pg's protocol layer, held away from what it does not take well: it throws out of a socket's event on an authentication
 * that it does not know, and waits for ever on bytes that are no PostgreSQL.
 * https://www.postgresql.org/docs/15/protocol-message-formats.html
 */
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { ConnectionOptions } from 'node:tls';
import pg from 'pg';
import { Refused } from '../errors.ts';

export interface GuardEvents {
  /** What is spoken over in the end: the socket, or TLS over it. */
  stream(stream: Duplex): void;
  /** How the server asks for authentication. */
  asked(method: string): void;
  broken(error: Error): void;
}

/** The parts of pg's Connection that its types leave out. */
interface Protocol extends pg.Connection {
  attachListeners(stream: Duplex): void;
}

const AUTHENTICATION = 'R'.charCodeAt(0);
const ERROR = 'E'.charCodeAt(0);
/** Longer than any message of a server before the login; a server that cannot fork says its error without a length. */
const MAX_GREETING_BYTES = 30_000;

/** Why the server's first bytes are not those of PostgreSQL; null when they are (or too few to tell). */
function strange(first: Buffer): string | null {
  if (first[0] !== AUTHENTICATION && first[0] !== ERROR) {
    const received = first.subarray(0, 5).toString('hex');
    return `it begins with ${received}; expected a request for authentication, or an error`;
  }
  if (first.length < 5 || first.readUInt32BE(1) <= MAX_GREETING_BYTES) return null;
  return first[0] === ERROR
    ? first
        .subarray(1, 300)
        .toString('utf8')
        .split(/[\0\n]/)[0]!
    : 'its first message has no end';
}

/** A connection of pg's over `socket`. What is wrong is told by `broken`, once or more, and not to pg. */
export function guarded(socket: Socket, ssl: false | ConnectionOptions, events: GuardEvents): pg.Connection {
  const connection = new pg.Connection({ stream: socket, ssl } as unknown as pg.ConnectionConfig) as Protocol;
  const attach = connection.attachListeners.bind(connection);
  connection.attachListeners = (stream) => {
    events.stream(stream);
    let begun = false;
    let broken = false;
    const protect =
      (parse: (chunk: Buffer) => void) =>
      (chunk: Buffer): void => {
        if (broken) return;
        const wrong = begun ? null : strange(chunk);
        begun = true;
        try {
          if (wrong === null) {
            parse(chunk);
            return;
          }
        } catch (error) {
          broken = true;
          events.broken(error as Error);
          return;
        }
        broken = true;
        events.broken(new Refused(`does not speak as PostgreSQL does: ${wrong}`));
      };
    attach({
      on: (event: string, listener: (chunk: Buffer) => void) =>
        stream.on(event, event === 'data' ? protect(listener) : listener),
    } as unknown as Duplex);
  };
  connection.once('authenticationSASL', () => events.asked('SCRAM'));
  connection.once('authenticationMD5Password', () => events.asked('an MD5 password'));
  connection.once('authenticationCleartextPassword', () => events.asked('the password in clear'));
  return connection;
}
