/**
 * A server's binlog as it grows: a connection on which the server was asked for a dump, as a replica does it. mysql2 logs in
 * and sets the session's variables; then the stream is ours (mysql2's own binlog stream reads no MariaDB events and drops
 * their bytes). Source: https://mariadb.com/kb/en/com_binlog_dump/, https://mariadb.com/kb/en/com_register_slave/
 */
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { formatGtidPosition, type GtidPosition } from '../../../model/archive/gtid.ts';
import type { DbCredentials, DbTarget } from '../../../cloud/ports.ts';
import { ConnectionEnded, Refused } from '../../errors.ts';
import { plainConnect } from '../../probing.ts';
import { Connection } from '../connection.ts';
import { commandPacket, MessageReader } from './messages.ts';
import { type EventPart, EventReader, serverError } from './reader.ts';

export interface DumpOptions {
  /** Whatever comes after it is asked for. */
  readonly after: GtidPosition;
  /** See `shipperServerId`. */
  readonly serverId: number;
  /** False: the dump ends with the log. True: it goes on with what is written next, and heartbeats come when nothing is. */
  readonly follow: boolean;
  /** A server that says nothing for so long is given up. 10 s unless said. */
  readonly patienceMs?: number;
  readonly connect?: (host: string, port: number) => Socket;
}

const COM_BINLOG_DUMP = 0x12;
const COM_REGISTER_SLAVE = 0x15;
/** Where a file's first event is; with a GTID position the server ignores it. */
const AFTER_MAGIC = 4;
const DO_NOT_WAIT = 0x1;
const WITH_ANNOTATIONS = 0x2;
const HEARTBEATS_A_PATIENCE = 4;
const PATIENCE_MS = 10_000;
/** How long the server waits for us when S3 is slow; its default is a minute. */
const WRITE_TIMEOUT_SECONDS = 600;

const isOk = (message: Buffer): boolean => message[0] === 0x00;

/** One dump. Not started until `read` is called. */
export class BinlogDump {
  readonly #connection: Connection;
  readonly #stream: Duplex;
  readonly #reader = new EventReader();
  readonly #patienceMs: number;
  #failure: Error | null = null;
  #wake: (() => void) | null = null;
  /** How long it has been waited for the server's next word. */
  #muteMs = 0;

  private constructor(connection: Connection, stream: Duplex, patienceMs: number) {
    this.#connection = connection;
    this.#stream = stream;
    this.#patienceMs = patienceMs;
    const fail = (error: Error): void => {
      this.#failure ??= error;
      this.#wake?.();
    };
    stream.on('readable', () => this.#wake?.());
    stream.on('error', (error: Error) => fail(new ConnectionEnded(error.message, { cause: error })));
    stream.on('end', () => fail(new ConnectionEnded('the server closed the connection')));
    stream.on('close', () => fail(new ConnectionEnded('the connection was closed')));
  }

  /**
   * Logs in and asks for the dump. Throws ConnectionEnded, Refused (also when the account lacks REPLICATION SLAVE); that
   * the position is not to be had (LogUnavailable) the first `read` tells.
   */
  static async start(target: DbTarget, credentials: DbCredentials, options: DumpOptions): Promise<BinlogDump> {
    const { patienceMs = PATIENCE_MS, connect = plainConnect } = options;
    const connection = new Connection(connect(target.host, target.port), 'archive');
    const giveUp = setTimeout(() => connection.destroy(), patienceMs);
    try {
      await connection.login(target, credentials);
      await connection.execute(sessionSql(options.after, patienceMs));
      const dump = new BinlogDump(connection, connection.takeOver(), patienceMs);
      await dump.#register(options.serverId);
      dump.#send(COM_BINLOG_DUMP, dumpBody(options));
      return dump;
    } catch (error) {
      connection.destroy();
      throw error;
    } finally {
      clearTimeout(giveUp);
    }
  }

  /**
   * The next events, in order, as many as have come; none when nothing came within `waitMs`. Null: the end of the log (a dump
   * that does not follow). Reads no further by itself: who does not call it holds the server back. Throws LogUnavailable,
   * Refused; ConnectionEnded when it is closed, or mute beyond patience while it is read.
   */
  async read(waitMs: number): Promise<readonly EventPart[] | null> {
    const untilMs = Date.now() + waitMs;
    for (;;) {
      if (this.#reader.ended) return null;
      const chunk = await this.#bytes(untilMs);
      if (chunk === null) {
        this.#muteMs += waitMs;
        if (this.#muteMs < this.#patienceMs) return [];
        throw new ConnectionEnded(`the server said nothing for ${this.#patienceMs} ms, no heartbeat either`);
      }
      this.#muteMs = 0;
      const parts = this.#reader.push(chunk);
      if (parts.length > 0) return parts;
    }
  }

  close(): void {
    this.#stream.destroy();
    this.#connection.destroy();
  }

  /** Null when nothing has come until then. */
  async #bytes(untilMs: number): Promise<Buffer | null> {
    for (;;) {
      const chunk = this.#stream.read() as Buffer | null;
      if (chunk !== null) return chunk;
      if (this.#failure !== null) throw this.#failure;
      const left = untilMs - Date.now();
      if (left <= 0) return null;
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, left);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
      this.#wake = null;
    }
  }

  #send(command: number, body: Buffer): void {
    this.#stream.write(commandPacket(command, body));
  }

  async #register(serverId: number): Promise<void> {
    // Server id; host, user and password, each empty; port; rank; master's id.
    const body = Buffer.alloc(4 + 3 + 2 + 4 + 4);
    body.writeUInt32LE(serverId, 0);
    this.#send(COM_REGISTER_SLAVE, body);
    const answer: Buffer[] = [];
    const messages = new MessageReader();
    for (let whole = false; !whole;) {
      const chunk = await this.#bytes(Date.now() + this.#patienceMs);
      if (chunk === null) throw new ConnectionEnded('the server does not answer COM_REGISTER_SLAVE');
      messages.push(chunk, (bytes, last) => {
        answer.push(bytes);
        whole = last;
      });
    }
    const message = Buffer.concat(answer);
    if (!isOk(message))
      throw message[0] === 0xff ? serverError(message) : new Refused('does not answer COM_REGISTER_SLAVE');
  }
}

/**
 * The capability 4 is MariaDB's GTIDs; without the checksum's variable, checksums would be cut off. Strict mode: a position
 * that is not in this server's history is refused.
 */
const sessionSql = (after: GtidPosition, patienceMs: number): string =>
  [
    'SET @master_binlog_checksum = @@global.binlog_checksum',
    '@mariadb_slave_capability = 4',
    `@master_heartbeat_period = ${Math.round((patienceMs / HEARTBEATS_A_PATIENCE) * 1_000_000)}`,
    `@slave_connect_state = '${formatGtidPosition(after)}'`,
    '@slave_gtid_strict_mode = 1',
    `SESSION net_write_timeout = ${WRITE_TIMEOUT_SECONDS}`,
  ].join(', ');

function dumpBody({ serverId, follow }: DumpOptions): Buffer {
  const body = Buffer.alloc(4 + 2 + 4);
  body.writeUInt32LE(AFTER_MAGIC, 0);
  body.writeUInt16LE(WITH_ANNOTATIONS | (follow ? 0 : DO_NOT_WAIT), 4);
  body.writeUInt32LE(serverId, 6);
  return body;
}
