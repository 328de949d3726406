/** A second connection to the server whose log is read: what it says of its log, and what time it was when it had come how far. */
import type { Socket } from 'node:net';
import type { DbCredentials, DbTarget } from '../../../cloud/ports.ts';
import { type GtidPosition, parseGtidPosition } from '../../../model/archive/gtid.ts';
import { ConnectionEnded } from '../../errors.ts';
import { plainConnect } from '../../probing.ts';
import { Connection } from '../connection.ts';
import { FILES_SQL, LOG_SQL, oldestSql, parseLog, type ServerLog } from './log-state.ts';

/** At that time by the server's clock, whatever had been acknowledged lay before the position. */
export interface Mark {
  readonly atMs: number;
  readonly position: GtidPosition;
}

/**
 * NOW(6) is the time at which the statement began: before it waits for what the cluster's other nodes have committed by then
 * (`wsrep_sync_wait`), and before it reads the position.
 */
const MARK_SQL = `SELECT CONCAT(UNIX_TIMESTAMP(NOW(6))), @@global.gtid_binlog_pos`;
const SESSION_SQL = 'SET SESSION wsrep_sync_wait = 1, SESSION wait_timeout = 600';

export interface ObserverOptions {
  /** For each question. 5 s unless said. */
  readonly patienceMs?: number;
  readonly connect?: (host: string, port: number) => Socket;
}

export class LogObserver {
  readonly #connection: Connection;
  readonly #patienceMs: number;

  private constructor(connection: Connection, patienceMs: number) {
    this.#connection = connection;
    this.#patienceMs = patienceMs;
  }

  /** Throws ConnectionEnded, Refused; so do the questions, after which the observer is of no use any more. */
  static async open(target: DbTarget, credentials: DbCredentials, options: ObserverOptions = {}): Promise<LogObserver> {
    const { patienceMs = 5000, connect = plainConnect } = options;
    const observer = new LogObserver(new Connection(connect(target.host, target.port), 'archive'), patienceMs);
    await observer.#inTime(async (c) => c.login(target, credentials));
    return observer;
  }

  log(): Promise<ServerLog> {
    return this.#inTime(async (connection) => {
      const rows = await connection.query(LOG_SQL);
      const state = parseLog(rows, '');
      if (state.problem !== null || state.state === 'away') return state;
      const oldestFile = (await connection.query(FILES_SQL))[0]?.[0];
      if (oldestFile === undefined) return state;
      return parseLog(rows, (await connection.query(oldestSql(oldestFile)))[0]?.[1] ?? '');
    });
  }

  /** To be called before the first `mark`. */
  prepare(): Promise<void> {
    return this.#inTime((connection) => connection.execute(SESSION_SQL));
  }

  mark(): Promise<Mark> {
    return this.#inTime(async (connection) => {
      const [seconds = '', position = ''] = (await connection.query(MARK_SQL))[0] ?? [];
      return { atMs: Math.floor(Number(seconds) * 1000), position: parseGtidPosition(position ?? '') };
    });
  }

  close(): void {
    this.#connection.destroy();
  }

  async #inTime<T>(ask: (connection: Connection) => Promise<T>): Promise<T> {
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      this.#connection.destroy();
    }, this.#patienceMs);
    try {
      return await ask(this.#connection);
    } catch (error) {
      this.#connection.destroy();
      throw late ? new ConnectionEnded(`the server did not answer within ${this.#patienceMs} ms`) : error;
    } finally {
      clearTimeout(timer);
    }
  }
}
