/**
 * One connection of the probe, or of the archive, to one MariaDB server: mysql2 speaks, over a socket that we own. The socket
 * is ours so that a mute server, an absent one and one that is no MariaDB can be told apart; mysql2 gets it when a greeting
 * has begun.
 */
import { createConnection, type Connection as Protocol, type ConnectionOptions } from 'mysql2';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import type { DbCredentials, DbTarget } from '../../cloud/ports.ts';
import { ConnectionEnded, Refused } from '../errors.ts';
import type { ProbeConnection } from '../probing.ts';
import { STATUS_SQL, type StatusRow } from './status.ts';

const PROTOCOL_VERSION = 10;
const ERROR_MARK = 0xff;
/** Length (3 bytes), sequence (1) and first byte of the greeting. Source: https://mariadb.com/kb/en/0-packet/ */
const HEAD_BYTES = 5;
const MAX_GREETING_BYTES = 1 << 20;

const NATIVE_PASSWORD = 'mysql_native_password';

const unsupported = (plugin: string): Refused =>
  new Refused(
    `asks for authentication by ${plugin}; expected an account IDENTIFIED VIA ${NATIVE_PASSWORD} (docs/hosts.md)`,
  );

/** mysql2 would send the password itself, enciphered for whoever holds the key that the other side shows. */
const refuse = (plugin: string) => (): never => {
  throw unsupported(plugin);
};

function optionsFor(
  socket: Socket,
  { host, port, tls }: DbTarget,
  { user, password }: DbCredentials,
): ConnectionOptions {
  const ca = typeof tls === 'object' ? tls.ca : undefined;
  return {
    stream: socket,
    host,
    port,
    user,
    password,
    // A fresh object each time: mysql2 remembers TLS sessions by it, and a session that is resumed verifies nothing.
    ...(tls !== undefined && tls !== 'off' && { ssl: { rejectUnauthorized: true, ...(ca !== undefined && { ca }) } }),
    multipleStatements: true,
    rowsAsArray: true,
    disableEval: true,
    connectTimeout: 0, // the probe has a deadline of its own
    flags: ['-LOCAL_FILES'],
    authPlugins: {
      sha256_password: refuse('sha256_password'),
      caching_sha2_password: refuse('caching_sha2_password'),
    },
  };
}

/** What mysql2 puts on its errors. Source: its `asError`, `startTLS` and `authSwitchRequest`. */
interface ProtocolFailure extends NodeJS.ErrnoException {
  readonly sqlMessage?: string;
  /** Of an OpenSSL error. */
  readonly library?: string;
}

/** What an error of mysql2's means. `stream` is what it spoke over in the end, `who` asked. */
function meaning(error: ProtocolFailure, stream: Partial<TLSSocket>, who: string): Error {
  if (error instanceof Refused) return error;
  if (error.sqlMessage !== undefined) return new Refused(`refuses the ${who}: ${error.errno} ${error.sqlMessage}`);
  const plugin = /unknown plugin (\S+?)\.? /.exec(error.message)?.[1];
  if (plugin !== undefined) return unsupported(plugin);
  if (error.code === 'MYSQL_CLEAR_PASSWORD_NOT_ENABLED') return unsupported('mysql_clear_password');
  if (error.code === 'HANDSHAKE_NO_SSL_SUPPORT') {
    return new Refused(
      'offers no TLS, which the specification requires: set ssl_cert and ssl_key in MariaDB (docs/hosts.md)',
    );
  }
  // Node's types promise an Error; it is the code of the failed verification, or null.
  const untrusted = stream.authorizationError as unknown as string | null | undefined;
  if (untrusted) {
    return new Refused(
      `shows a certificate that is not trusted: ${error.message} (${untrusted}); expected one that the specification's engine.tls vouches for (docs/hosts.md)`,
    );
  }
  if (error.library !== undefined)
    return new Refused(`fails at TLS: ${error.message}; expected TLS 1.2 or later and a CA in PEM`);
  if (
    error.code === 'PROTOCOL_CONNECTION_LOST' ||
    error.code === 'HANDSHAKE_SSL_ERROR' ||
    error.syscall !== undefined
  ) {
    return new ConnectionEnded(error.message, { cause: error });
  }
  return new Refused(`does not speak as MariaDB does: ${error.message}`);
}

/** First two columns of the rows of all results, numbers as text; null when these are no such rows. */
function rowsOf(results: unknown): readonly StatusRow[] | null {
  if (!Array.isArray(results)) return null;
  // One statement's rows, or a list of them for each of several.
  const several = results.every((r) => Array.isArray(r) && (r.length === 0 || Array.isArray(r[0])));
  const rows: readonly unknown[] = several ? results.flat() : results;
  const text = (value: unknown): value is string | number => typeof value === 'string' || typeof value === 'number';
  const found: StatusRow[] = [];
  for (const row of rows) {
    const [name, value] = Array.isArray(row) ? (row as unknown[]) : [];
    if (!text(name) || !(value === null || text(value))) return null;
    found.push([String(name), value === null ? null : String(value)]);
  }
  return found;
}

export class Connection implements ProbeConnection<readonly StatusRow[]> {
  readonly #socket: Socket;
  readonly #who: string;
  #protocol: Protocol | null = null;
  #end: Error | null = null;
  /** Of whoever waits for the greeting or for rows. */
  #reject: ((error: Error) => void) | null = null;

  /** The socket may be connecting still. `who` is named when the server refuses: "refuses the probe". */
  constructor(socket: Socket, who = 'probe') {
    this.#socket = socket;
    this.#who = who;
    socket.on('error', (error) => this.#finish(new ConnectionEnded(error.message, { cause: error })));
    socket.on('close', () => this.#finish(new ConnectionEnded('the server closed the connection')));
  }

  /** False once it has ended, by the server or by an error such as bytes that nobody asked for. */
  get usable(): boolean {
    return this.#end === null && this.#protocol !== null && !this.#socket.destroyed;
  }

  /**
   * Waits for the greeting and begins the login; whether that succeeds, the first query tells.
   * Throws Refused or ConnectionEnded. Has no deadline of its own: destroy the connection.
   */
  async login(target: DbTarget, credentials: DbCredentials): Promise<void> {
    await this.#greeting();
    const protocol = createConnection(optionsFor(this.#socket, target, credentials));
    protocol.on('error', (error: Error) => this.#fail(error));
    this.#protocol = protocol;
  }

  ask(): Promise<readonly StatusRow[]> {
    return this.query(STATUS_SQL);
  }

  /** First two columns of the rows of all results. Throws as `login` does; the connection has ended then. */
  query(sql: string): Promise<readonly StatusRow[]> {
    return this.#unlessEnded((resolve) => {
      this.#protocol?.query(sql, (error, results: unknown) => {
        const rows = error === null ? rowsOf(results) : null;
        if (rows !== null) resolve(rows);
        else this.#fail(error ?? new Error('it answers without rows'));
      });
    });
  }

  /** Statements that answer no rows, such as SET. */
  execute(sql: string): Promise<void> {
    return this.#unlessEnded((resolve) => {
      this.#protocol?.query(sql, (error: Error | null) => {
        if (error === null) resolve();
        else this.#fail(error);
      });
    });
  }

  /**
   * The stream beneath, decrypted, between two exchanges: mysql2 hears nothing more, and the caller speaks the protocol itself.
   * Throws why when the connection has ended.
   */
  takeOver(): Duplex {
    if (this.#end !== null) throw this.#end;
    const { stream } = this.#protocol as unknown as { readonly stream: Duplex };
    stream.removeAllListeners('data');
    return stream;
  }

  /** An idle connection must not keep the process alive. */
  idle(): void {
    this.#socket.unref();
  }

  busy(): void {
    this.#socket.ref();
  }

  destroy(): void {
    this.#finish(new ConnectionEnded('we ended the connection'));
    this.#protocol?.destroy();
    this.#socket.destroy();
  }

  #greeting(): Promise<void> {
    const socket = this.#socket;
    return this.#unlessEnded((resolve, reject) => {
      const look = (): void => {
        const head = socket.read(HEAD_BYTES) as Buffer | null;
        if (head === null || head.length < HEAD_BYTES) return;
        socket.off('readable', look);
        socket.unshift(head);
        const sane = head.readUIntLE(0, 3) <= MAX_GREETING_BYTES && head[3] === 0;
        if (sane && (head[4] === PROTOCOL_VERSION || head[4] === ERROR_MARK)) resolve();
        else {
          const received = head.toString('hex');
          reject(
            new Refused(`does not speak as MariaDB does: it begins with ${received}; expected protocol 10's greeting`),
          );
        }
      };
      socket.on('readable', look);
    });
  }

  #unlessEnded<T>(begin: (resolve: (value: T) => void, reject: (error: Error) => void) => void): Promise<T> {
    return new Promise((resolve, reject) => {
      if (this.#end !== null) {
        reject(this.#end);
        return;
      }
      this.#reject = reject;
      begin(resolve, reject);
    });
  }

  #fail(error: Error): void {
    this.#finish(
      meaning(error, (this.#protocol as { readonly stream?: Partial<TLSSocket> } | null)?.stream ?? {}, this.#who),
    );
  }

  #finish(error: Error): void {
    this.#end ??= error;
    this.#reject?.(this.#end);
    this.#reject = null;
  }
}
