/** A session of the plane on one PostgreSQL node, for one change: opened, bounded in time, and always ended. */
import type { Socket } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { type DbCredentials, type DbTarget, NodeRefused, NodeUnavailable } from '../../cloud/ports.ts';
import { ConnectionEnded, Refused } from '../errors.ts';
import { type Answer, Connection, StatementRefused } from './connection.ts';

/** Between two looks at something that is awaited, in milliseconds. */
const LOOK_AGAIN_MS = 5;

/**
 * A hand that is held up for so long is cut off by the server: what it believed in may have changed. Milliseconds.
 * https://www.postgresql.org/docs/15/runtime-config-client.html#GUC-IDLE-SESSION-TIMEOUT
 */
const HELD_UP_MS = 1000;

/** Of the advisory lock that whoever changes the configuration holds: the bytes of "rejoin". */
const CONFIGURATION_LOCK = 125779902949742n;

export class Session {
  readonly where: string;
  readonly #connection: Connection;

  constructor(where: string, connection: Connection) {
    this.where = where;
    this.#connection = connection;
  }

  query(sql: string): Promise<Answer> {
    return this.#connection.query(sql);
  }

  /** The one row of a statement that answers exactly one. */
  async row(sql: string): Promise<readonly (string | null)[]> {
    const { rows } = await this.query(sql);
    const [row] = rows;
    if (row === undefined || rows.length !== 1)
      throw new NodeRefused(`${this.where} answers ${rows.length} rows to ${JSON.stringify(sql)}; expected one`);
    return row;
  }

  /** Looks until `look` answers something else than undefined; the session's own deadline ends it. */
  async until<T>(look: () => Promise<T | undefined>): Promise<T> {
    for (;;) {
      const found = await look();
      if (found !== undefined) return found;
      await pause(LOOK_AGAIN_MS);
    }
  }

  /**
   * Keeps every other hand of the plane from changing this node's configuration until the session ends. A statement that a
   * server was too busy (or frozen) to carry out is still carried out under it, or never.
   */
  async lockConfiguration(): Promise<void> {
    await this.query(`SELECT pg_advisory_lock(${CONFIGURATION_LOCK})`);
  }

  /**
   * Has the server read its configuration files, and answers when this session has. The postmaster tells its processes one
   * by one, this session among the first; it takes the next request only when it is through with them. So after two calls
   * every process has been told of the first.
   */
  async reload(): Promise<void> {
    const [before] = await this.row('SELECT pg_conf_load_time()::text FROM (SELECT pg_reload_conf()) AS asked');
    await this.until(async () => {
      const [now] = await this.row('SELECT pg_conf_load_time()::text');
      return now === before ? undefined : true;
    });
  }

  async setting(name: string): Promise<string> {
    return (await this.row(`SELECT current_setting('${name}')`))[0] ?? '';
  }
}

/** Errors of a server that goes up or down, or that had no time: nothing is known, and it may be tried again. */
const passing = (sqlState: string): boolean =>
  sqlState.startsWith('57P') || sqlState.startsWith('08') || ['55P03', '57014', '25P03'].includes(sqlState);

function translated(error: unknown, where: string): Error {
  if (error instanceof StatementRefused && passing(error.sqlState))
    return new NodeUnavailable(`${where} ${error.message}`, { cause: error });
  if (error instanceof Refused) return new NodeRefused(`${where} ${error.message}`, { cause: error });
  if (error instanceof ConnectionEnded) {
    const code = (error.cause as NodeJS.ErrnoException | undefined)?.code;
    return new NodeUnavailable(`${where} ended the connection: ${code ?? error.message}`, { cause: error });
  }
  return error as Error;
}

export interface SessionRequest {
  readonly target: DbTarget;
  readonly credentials: DbCredentials;
  /** Milliseconds, the login included. */
  readonly deadlineMs: number;
  /** What is done, for the sentence that says that it took too long: "detaching". */
  readonly doing: string;
}

/** Opens sessions; `close` ends those that are under way. */
export class Sessions {
  readonly #connect: (host: string, port: number) => Socket;
  readonly #open = new Set<Connection>();

  constructor(connect: (host: string, port: number) => Socket) {
    this.#connect = connect;
  }

  /** Throws NodeUnavailable or NodeRefused, and what `act` throws of its own. */
  async run<T>(request: SessionRequest, act: (session: Session) => Promise<T>): Promise<T> {
    const { target, credentials, deadlineMs, doing } = request;
    const where = `${target.host}:${target.port}`;
    const connection = new Connection(this.#connect(target.host, target.port));
    this.#open.add(connection);
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      connection.destroy();
    }, deadlineMs);
    try {
      await connection.login(target, credentials, {
        statement_timeout: deadlineMs,
        lock_timeout: deadlineMs,
        idle_session_timeout: HELD_UP_MS,
      });
      return await act(new Session(where, connection));
    } catch (error) {
      if (late)
        throw new NodeUnavailable(`${where} was not through with ${doing} after ${deadlineMs} ms`, { cause: error });
      throw translated(error, where);
    } finally {
      clearTimeout(timer);
      this.#open.delete(connection);
      connection.destroy();
    }
  }

  close(): void {
    for (const connection of this.#open) connection.destroy();
  }
}
