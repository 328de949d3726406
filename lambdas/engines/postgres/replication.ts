/**
 * A client of physical streaming replication: asks a server for its log from a place on, and tells it up to where the log is
 * safe elsewhere. pg logs in (SCRAM, TLS as for every other session); what is streamed is read by `CopyReader`.
 * https://www.postgresql.org/docs/15/protocol-replication.html
 */
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { DbCredentials, DbTarget } from '../../cloud/ports.ts';
import { lsnOfBytes } from '../../model/archive/keys.ts';
import type { Lsn } from '../../model/lsn.ts';
import { isLsn, lsnBytes } from '../../model/lsn.ts';
import { ConnectionEnded } from '../errors.ts';
import { lendingConnect } from '../lending-socket.ts';
import { Connection, StatementRefused } from './connection.ts';
import { CopyReader, POSTGRES_EPOCH_MS } from './copy-reader.ts';
import { failureOf, firstRow } from './wire.ts';

export interface ServerIdentity {
  readonly systemId: string;
  readonly timeline: number;
  /** Of a primary: flushed. Of a standby: received or replayed. */
  readonly lsn: Lsn;
  readonly segmentBytes: number;
}

export interface StreamRequest {
  readonly slot: string;
  readonly timeline: number;
  readonly start: bigint;
}

export interface StreamEvents {
  /** WAL from `start` on. The bytes are the caller's only until it returns. */
  wal(start: bigint, bytes: Uint8Array): void;
  /**
   * The server's log ended at `serverEnd` at `serverMs` by its clock, and all before `end` has been passed on. `whole`: this is all
   * that it had then.
   */
  told(end: bigint, serverMs: number, whole: boolean): void;
  /** The server asks to hear where we are, as it does when it shuts down and waits for us. */
  asked(): void;
  /** What to tell it: received, and safe elsewhere. */
  position(): { readonly received: bigint; readonly safe: bigint };
}

/** `switched`: the timeline that was streamed ends here, and the next begins there. */
export type StreamEnd =
  | { readonly kind: 'switched'; readonly timeline: number; readonly lsn: Lsn }
  | { readonly kind: 'ended'; readonly why: string };

export interface ReplicationOptions {
  readonly connect?: (host: string, port: number) => Socket;
  /** For the login and each question. */
  readonly deadlineMs?: number;
  /** Between two words to the server; it gives us up after its `wal_sender_timeout`. */
  readonly statusMs?: number;
  /** A server that we are listening to and that says nothing for so long is lost. */
  readonly silentMs?: number;
}

const DEFAULTS = { connect: lendingConnect, deadlineMs: 3000, statusMs: 1000, silentMs: 5000 } as const;
/** Not more often than this, however often the server asks: while it shuts down it asks again after every answer. */
const ANSWER_AGAIN_MS = 50;
const UNDEFINED_FILE = '58P01';

/** What a session can be asked for. */
export type ReplicationSession = Pick<Replication, keyof Replication>;

/** One session of replication. Streams once, and is over with that. */
export class Replication {
  readonly #connection: Connection;
  readonly #options: Required<ReplicationOptions>;
  #stream: Duplex | null = null;
  #finish: (end: StreamEnd) => void = () => undefined;
  #paused = false;

  private constructor(connection: Connection, options: Required<ReplicationOptions>) {
    this.#connection = connection;
    this.#options = options;
  }

  /** Throws Refused or ConnectionEnded. `name`: under which the server lists it. */
  static async open(
    target: DbTarget,
    credentials: DbCredentials,
    name: string,
    given: ReplicationOptions = {},
  ): Promise<Replication> {
    const options = { ...DEFAULTS, ...given };
    const connection = new Connection(options.connect(target.host, target.port));
    const replication = new Replication(connection, options);
    await replication.#inTime('the login', connection.login(target, credentials, {}, { replication: name }));
    return replication;
  }

  async identify(): Promise<ServerIdentity> {
    const [row] = (await this.#inTime('IDENTIFY_SYSTEM', this.#connection.query('IDENTIFY_SYSTEM'))).rows;
    const [systemId, timeline, lsn] = row ?? [];
    const [size] = (await this.#inTime('SHOW', this.#connection.query('SHOW wal_segment_size'))).rows;
    if (systemId == null || timeline == null || lsn == null || !isLsn(lsn))
      throw new Error(
        `the server answers ${JSON.stringify(row)} to IDENTIFY_SYSTEM; expected system, timeline and LSN`,
      );
    return { systemId, timeline: Number(timeline), lsn, segmentBytes: sizeOf(size?.[0] ?? '') };
  }

  /** From where on the server keeps its log for the slot; null when it keeps none, or there is no such slot. */
  async slotKeepsFrom(slot: string): Promise<Lsn | null> {
    const asked = this.#connection.query(`READ_REPLICATION_SLOT "${slot}"`);
    return (await this.#inTime('READ_REPLICATION_SLOT', asked)).rows[0]?.[1] ?? null;
  }

  /** Null when the server has none: for the first timeline, or because it never saw that one begin. */
  async timelineHistory(timeline: number): Promise<string | null> {
    try {
      const asked = this.#connection.query(`TIMELINE_HISTORY ${timeline}`);
      return (await this.#inTime('TIMELINE_HISTORY', asked)).rows[0]?.[1] ?? null;
    } catch (error) {
      if (error instanceof StatementRefused && error.sqlState === UNDEFINED_FILE) return null;
      throw error;
    }
  }

  /**
   * Streams until the timeline ends, `end` is called, or the server goes.
   * @throws StatementRefused when the server refuses to begin (55006: the slot is in use; 58P01: that WAL is gone).
   */
  stream({ slot, timeline, start }: StreamRequest, events: StreamEvents): Promise<StreamEnd> {
    const stream = this.#connection.takeOver();
    this.#stream = stream;
    const course = new Course(stream, events);
    const { statusMs, silentMs } = this.#options;
    return new Promise((resolve, reject) => {
      let heardMs = performance.now();
      const timer = setInterval(() => {
        if (this.#paused) heardMs = performance.now();
        else if (performance.now() - heardMs > silentMs)
          this.#finish({ kind: 'ended', why: `the server has said nothing for ${silentMs} ms` });
        course.report(true);
      }, statusMs);
      const over = (): void => {
        clearInterval(timer);
        course.over = true;
        this.#connection.destroy();
      };
      this.#finish = (end) => {
        over();
        resolve(end);
      };
      const gone = (error?: Error): void =>
        this.#finish({ kind: 'ended', why: error?.message ?? 'the server closed the connection' });
      stream.on('error', gone).on('close', () => gone());
      stream.on('data', (chunk: Buffer) => {
        heardMs = performance.now();
        try {
          course.reader.feed(chunk);
          if (course.end !== null) this.#finish(course.end);
        } catch (error) {
          over();
          reject(error instanceof Error ? error : new Error(String(error)));
        }
      });
      course.query(`START_REPLICATION SLOT "${slot}" PHYSICAL ${lsnOfBytes(start)} TIMELINE ${timeline}`);
    });
  }

  /** No more events until `resume`; the server still hears from us. */
  pause(): void {
    this.#paused = true;
    this.#stream?.pause();
  }

  resume(): void {
    this.#paused = false;
    this.#stream?.resume();
  }

  /** Ends the stream, or the session. */
  end(why: string): void {
    this.#finish({ kind: 'ended', why });
    this.#connection.destroy();
  }

  async #inTime<T>(what: string, asked: Promise<T>): Promise<T> {
    const { deadlineMs } = this.#options;
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      this.#connection.destroy();
    }, deadlineMs);
    try {
      return await asked;
    } catch (error) {
      if (late)
        throw new ConnectionEnded(`the server was not through with ${what} after ${deadlineMs} ms`, { cause: error });
      throw error;
    } finally {
      clearTimeout(timer);
    }
  }
}

/** The messages of one stream, in both directions. */
class Course {
  readonly reader: CopyReader;
  end: StreamEnd | null = null;
  over = false;
  readonly #stream: Duplex;
  readonly #events: StreamEvents;
  #begun = false;
  #next: StreamEnd | null = null;
  /** All that was passed on, and when a keepalive said that there was nothing more: proven by the next one. */
  #passed = 0n;
  #quietSinceMs: number | null = null;
  #reportedMs = 0;

  constructor(stream: Duplex, events: StreamEvents) {
    this.#stream = stream;
    this.#events = events;
    this.reader = new CopyReader({
      wal: (start, bytes) => events.wal(start, bytes),
      walMessage: (end, serverEnd, serverMs) => {
        this.#passed = end;
        this.#quietSinceMs = null;
        events.told(end, serverMs, end === serverEnd);
      },
      keepalive: (serverEnd, serverMs, reply) => this.#keepalive(serverEnd, serverMs, reply),
      message: (type, body) => this.#message(type, body),
    });
  }

  query(text: string): void {
    const body = Buffer.from(`${text}\0`);
    this.#send('Q', body);
  }

  /** Standby status update. `ask`: the server is to answer, which shows that it lives. */
  report(ask: boolean): void {
    if (!this.#begun || this.over) return;
    const { received, safe } = this.#events.position();
    const body = Buffer.alloc(34);
    body.write('r');
    body.writeBigUInt64BE(received, 1);
    body.writeBigUInt64BE(safe, 9);
    body.writeBigUInt64BE(safe, 17);
    body.writeBigInt64BE(BigInt(Date.now() - POSTGRES_EPOCH_MS) * 1000n, 25);
    body[33] = ask ? 1 : 0;
    this.#send('d', body);
    this.#reportedMs = performance.now();
  }

  /**
   * A keepalive names the place up to which the server has sent. That it had no more is known only when the next one comes with no
   * WAL between: it looks for more after each answer. So the earlier one's time is what is proven.
   */
  #keepalive(serverEnd: bigint, serverMs: number, reply: boolean): void {
    if (this.#passed === 0n) this.#passed = serverEnd;
    if (serverEnd === this.#passed) {
      if (this.#quietSinceMs !== null) this.#events.told(serverEnd, this.#quietSinceMs, true);
      this.#quietSinceMs = serverMs;
    }
    if (!reply) return;
    this.#events.asked();
    if (performance.now() - this.#reportedMs >= ANSWER_AGAIN_MS) this.report(false);
  }

  #message(type: string, body: Buffer): void {
    switch (type) {
      case 'W': // CopyBothResponse
        this.#begun = true;
        this.report(true);
        return;
      case 'c': // CopyDone: the timeline ends, or the server does; it waits for ours
        this.#send('c', Buffer.alloc(0));
        return;
      case 'D':
        this.#next = nextTimeline(firstRow(body));
        return;
      case 'E':
        throw failureOf(body);
      case 'Z': // ReadyForQuery
        // One that still belonged to the question before: pg hears of an error ahead of it.
        if (!this.#begun) return;
        this.end = this.#next ?? { kind: 'ended', why: 'the server ended the stream' };
        return;
      default: // RowDescription, CommandComplete, notices, parameters
    }
  }

  #send(type: string, body: Buffer): void {
    if (this.over || this.#stream.destroyed) return;
    const head = Buffer.alloc(5);
    head.write(type);
    head.writeInt32BE(body.length + 4, 1);
    this.#stream.write(Buffer.concat([head, body]));
  }
}

function nextTimeline([timeline, lsn]: readonly (string | null)[]): StreamEnd {
  if (timeline == null || lsn == null || !isLsn(lsn) || !/^\d+$/.test(timeline))
    throw new Error(
      `the server ends a timeline with ${JSON.stringify([timeline, lsn])}; expected the next one and an LSN`,
    );
  return { kind: 'switched', timeline: Number(timeline), lsn: lsnOfBytes(lsnBytes(lsn)) };
}

const UNITS: Readonly<Record<string, number>> = { B: 1, kB: 2 ** 10, MB: 2 ** 20, GB: 2 ** 30 };

/** `16MB`, as SHOW prints it. */
function sizeOf(text: string): number {
  const [, number, unit = ''] = /^(\d+)(B|kB|MB|GB)$/.exec(text) ?? [];
  const factor = UNITS[unit];
  if (number === undefined || factor === undefined)
    throw new Error(`the server's wal_segment_size is ${JSON.stringify(text)}; expected a size such as "16MB"`);
  return Number(number) * factor;
}
