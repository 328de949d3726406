/**
 * One connection to one PostgreSQL server: pg speaks, over a socket that we own. The socket is ours so that a mute server, an
 * absent one and one that is no PostgreSQL can be told apart; what the server says is looked at before pg hears it.
 */
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import pg from 'pg';
import type { DbCredentials, DbTarget } from '../../cloud/ports.ts';
import { ConnectionEnded, Refused } from '../errors.ts';
import { LendingSocket } from '../lending-socket.ts';
import { guarded } from './guard.ts';

/** Values of one row, as the server prints them. */
export type Row = readonly (string | null)[];

export interface Answer {
  readonly rows: readonly Row[];
  /** Messages of level WARNING that came with it. */
  readonly warnings: readonly string[];
}

/** The server answered a statement with an error; `sqlState`: https://www.postgresql.org/docs/15/errcodes-appendix.html */
export class StatementRefused extends Refused {
  readonly sqlState: string;
  constructor(message: string, sqlState: string) {
    super(message);
    this.sqlState = sqlState;
  }
}

/** Settings of the session, as `-c name=value`; values without spaces. */
export type SessionSettings = Readonly<Record<string, string | number>>;

export interface LoginOptions {
  /** A session that streams the log, under this name (`application_name`). */
  readonly replication?: string;
}

/** Where cluster-wide administration is done; it is there on every server. */
const DATABASE = 'postgres';

/** So that neither a role's own settings nor a client that vanished gets in the way. */
const SESSION: SessionSettings = {
  search_path: 'pg_catalog',
  default_transaction_read_only: 'off',
  synchronous_commit: 'on',
  client_min_messages: 'warning',
  tcp_keepalives_idle: 60,
  tcp_keepalives_interval: 10,
  tcp_keepalives_count: 3,
};

/** All columns as text. */
const TEXT_ONLY = { getTypeParser: () => (value: string | Buffer) => value.toString() } as pg.CustomTypesConfig;

const OFFERS_NO_TLS =
  'offers no TLS, which the specification requires: set ssl = on with ssl_cert_file and ssl_key_file (docs/hosts.md)';

/** What pg, OpenSSL and the server put on their errors. */
interface ProtocolFailure extends NodeJS.ErrnoException {
  readonly severity?: string;
  /** Of an OpenSSL error. */
  readonly library?: string;
}

function meaning(error: ProtocolFailure, stream: Partial<TLSSocket>): Error {
  if (error instanceof Refused) return error;
  if (error instanceof pg.DatabaseError) {
    const { code = '' } = error;
    return new StatementRefused(`refuses the plane: ${code} ${error.message}${mend(code)}`, code);
  }
  if (error.message === 'The server does not support SSL connections') return new Refused(OFFERS_NO_TLS);
  // Node's types promise an Error; it is the code of the failed verification, or null.
  const untrusted = stream.authorizationError as unknown as string | null | undefined;
  if (untrusted) {
    return new Refused(
      `shows a certificate that is not trusted: ${error.message} (${untrusted}); expected one that the specification's engine.tls vouches for (docs/hosts.md)`,
    );
  }
  if (error.library !== undefined)
    return new Refused(`fails at TLS: ${error.message}; expected TLS 1.2 or later and a CA in PEM`);
  if (error.syscall !== undefined || error.code === 'ECONNRESET' || error.message.startsWith('Connection terminated'))
    return new ConnectionEnded(error.message, { cause: error });
  return new Refused(`does not speak as PostgreSQL does: ${error.message}`);
}

/** What a person can do about an error of the server that comes from how the host was set up. */
function mend(sqlState: string): string {
  switch (sqlState) {
    case '42501': // insufficient_privilege
    case '3F000': // invalid_schema_name
    case '42883': // undefined_function
      return '; run nodes/postgres/setup.sql on the primary (docs/hosts.md)';
    case '28000': // invalid_authorization_specification
      return '; see pg_hba.conf (docs/hosts.md)';
    default:
      return '';
  }
}

export class Connection {
  readonly #socket: Socket;
  #client: pg.Client | null = null;
  #stream: Duplex | null = null;
  #ready = false;
  #end: Error | null = null;
  #warnings: string[] = [];
  /** Of whoever waits for the login or for rows. */
  #reject: ((error: Error) => void) | null = null;

  /** The socket may be connecting still. */
  constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('error', (error) => this.#finish(new ConnectionEnded(error.message, { cause: error })));
    socket.on('close', () => this.#finish(new ConnectionEnded('the server closed the connection')));
  }

  /** False once it has ended, by the server or by an error such as bytes that nobody asked for. */
  get usable(): boolean {
    return this.#end === null && this.#ready && !this.#socket.destroyed;
  }

  /**
   * Logs in by SCRAM, which never shows the password and proves the server's own knowledge of it. To be called in the turn
   * of the event loop in which the socket was made. Throws Refused or ConnectionEnded. Has no deadline of its own.
   */
  login(
    target: DbTarget,
    credentials: DbCredentials,
    settings: SessionSettings,
    { replication }: LoginOptions = {},
  ): Promise<void> {
    return this.#unlessEnded((resolve) => {
      const client = this.#clientFor(target, credentials, settings, replication);
      this.#client = client;
      client.on('error', (error: Error) => this.#fail(error));
      client.on('notice', ({ severity, message = '' }) => {
        if (severity === 'WARNING') this.#warnings.push(message);
      });
      client.connect((error: Error | null) => {
        if (error !== null) {
          this.#fail(error);
          return;
        }
        this.#ready = true;
        resolve();
      });
    });
  }

  /**
   * One statement, one round trip. Throws StatementRefused, after which the connection can be used on; Refused or
   * ConnectionEnded, after which it cannot.
   */
  query(text: string): Promise<Answer> {
    return this.#unlessEnded((resolve, reject) => {
      this.#warnings = [];
      this.#client?.query({ text, rowMode: 'array', types: TEXT_ONLY }, (error: Error | null, result) => {
        if (error !== null) {
          const meant = meaning(error, this.#tls());
          if (meant instanceof StatementRefused) reject(meant);
          else this.#finish(meant);
        } else resolve({ rows: result.rows as Row[], warnings: this.#warnings });
      });
    });
  }

  /**
   * What is spoken over (the socket, or TLS over it), for a protocol that pg does not speak: from now on pg hears nothing of
   * it. Only while nothing is asked. A chunk of its `data` is the listener's only until that returns.
   */
  takeOver(): Duplex {
    const stream = this.#stream;
    if (stream === null || !this.usable) throw this.#end ?? new Error('the connection is not logged in yet');
    stream.removeAllListeners('data');
    if (stream instanceof LendingSocket) stream.lend();
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
    this.#stream?.destroy();
    this.#socket.destroy();
  }

  #clientFor(
    { host, port, tls }: DbTarget,
    credentials: DbCredentials,
    settings: SessionSettings,
    replication?: string,
  ): pg.Client {
    const socket = this.#socket;
    // pg would connect a socket that it is given; ours is connecting already.
    socket.connect = () => socket;
    const ca = typeof tls === 'object' ? tls.ca : undefined;
    const ssl =
      tls === undefined || tls === 'off'
        ? false
        : // Nodes are addressed by IP addresses that change: whoever holds a certificate of a trusted CA passes.
          { rejectUnauthorized: true, checkServerIdentity: () => undefined, ...(ca !== undefined && { ca }) };
    let method = 'no password';
    const connection = guarded(socket, ssl, {
      stream: (stream) => (this.#stream = stream),
      asked: (how) => (method = how),
      broken: (error) => this.#fail(error),
    });
    const config = {
      connection,
      host,
      port,
      user: credentials.user,
      database: DATABASE,
      application_name: replication ?? 'rejoin',
      ...(replication !== undefined && { replication: 'true' }),
      ssl,
      enableChannelBinding: ssl !== false,
      password: () => {
        if (method === 'SCRAM') return credentials.password;
        throw new Refused(
          `asks for ${method}; expected scram-sha-256 in pg_hba.conf and a password stored that way (docs/hosts.md)`,
        );
      },
      options: Object.entries({ ...SESSION, ...settings })
        .map(([name, value]) => `-c ${name}=${value}`)
        .join(' '),
    };
    return new pg.Client(config);
  }

  #tls(): Partial<TLSSocket> {
    return (this.#stream ?? {}) as Partial<TLSSocket>;
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
    this.#finish(meaning(error, this.#tls()));
  }

  #finish(error: Error): void {
    this.#end ??= error;
    this.#reject?.(this.#end);
    this.#reject = null;
  }
}
