/**
 * Reads what a server sends while it streams its log. WAL is passed on as it comes, in pieces of the socket's own chunks: no
 * message is ever put together for it. https://www.postgresql.org/docs/15/protocol-replication.html
 */

export interface CopyEvents {
  /** WAL from `start` on. The bytes are the reader's again when this returns. */
  wal(start: bigint, bytes: Uint8Array): void;
  /** A message of WAL is whole: it ended at `end`, when the server's log ended at `serverEnd`, by its clock `serverMs`. */
  walMessage(end: bigint, serverEnd: bigint, serverMs: number): void;
  /** `reply`: the server wants to hear from us now. */
  keepalive(serverEnd: bigint, serverMs: number, reply: boolean): void;
  /** Any message that is not copied data; `type` is its letter. */
  message(type: string, body: Buffer): void;
}

const COPY_DATA = 'd'.charCodeAt(0);
const WAL = 'w'.charCodeAt(0);
const KEEPALIVE = 'k'.charCodeAt(0);
/** Message type and length. */
const HEAD_BYTES = 5;
/** XLogData: kind, start, the server's end, its clock. */
const WAL_HEAD_BYTES = 25;
const KEEPALIVE_BYTES = 18;
/** Errors and row descriptions are shorter by far. */
const MOST_MESSAGE_BYTES = 2 ** 20;
/** PostgreSQL counts from 2000-01-01 UTC, in microseconds. */
export const POSTGRES_EPOCH_MS = Date.UTC(2000, 0, 1);

const milliseconds = (micros: bigint): number => Number(micros / 1000n) + POSTGRES_EPOCH_MS;

export class CopyReader {
  readonly #events: CopyEvents;
  /** What is gathered of a head or of a short message, and how much it needs. */
  #scratch = Buffer.alloc(64);
  #have = 0;
  #need = HEAD_BYTES;
  /** The message whose body is gathered; 0: a head is. */
  #type = 0;
  #bodyBytes = 0;
  /** WAL of the message under way. */
  #at = 0n;
  #left = 0;
  #serverEnd = 0n;
  #serverMs = 0;

  constructor(events: CopyEvents) {
    this.#events = events;
  }

  /** Throws Error on what is no message of the protocol. */
  feed(chunk: Buffer): void {
    let at = 0;
    while (at < chunk.length) {
      if (this.#left > 0) {
        const bytes = chunk.subarray(at, at + this.#left);
        at += bytes.length;
        this.#wal(bytes);
        continue;
      }
      const taken = Math.min(this.#need - this.#have, chunk.length - at);
      chunk.copy(this.#scratch, this.#have, at, at + taken);
      at += taken;
      this.#have += taken;
      if (this.#have === this.#need) this.#gathered();
    }
  }

  #wal(bytes: Uint8Array): void {
    this.#events.wal(this.#at, bytes);
    this.#at += BigInt(bytes.length);
    this.#left -= bytes.length;
    if (this.#left === 0) this.#events.walMessage(this.#at, this.#serverEnd, this.#serverMs);
  }

  #gathered(): void {
    if (this.#type === 0) {
      this.#head(this.#scratch[0] ?? 0, this.#scratch.readInt32BE(1) - 4);
      if (this.#need > 0) return;
    }
    const type = this.#type;
    const body = this.#scratch.subarray(0, this.#need);
    this.#gather(0, HEAD_BYTES);
    if (type === COPY_DATA) this.#copyData(body);
    else this.#events.message(String.fromCharCode(type), Buffer.from(body));
  }

  #head(type: number, bodyBytes: number): void {
    if (bodyBytes < 0 || (type !== COPY_DATA && bodyBytes > MOST_MESSAGE_BYTES)) {
      throw new Error(`the server sends a message ${JSON.stringify(String.fromCharCode(type))} of ${bodyBytes} bytes`);
    }
    this.#bodyBytes = bodyBytes;
    this.#gather(type, type === COPY_DATA ? Math.min(bodyBytes, WAL_HEAD_BYTES) : bodyBytes);
  }

  #gather(type: number, need: number): void {
    this.#type = type;
    this.#have = 0;
    this.#need = need;
    if (need > this.#scratch.length) this.#scratch = Buffer.alloc(need);
  }

  #copyData(head: Buffer): void {
    const kind = head[0];
    if (kind === KEEPALIVE && this.#bodyBytes === KEEPALIVE_BYTES) {
      this.#events.keepalive(head.readBigUInt64BE(1), milliseconds(head.readBigInt64BE(9)), head[17] === 1);
      return;
    }
    if (kind !== WAL || head.length < WAL_HEAD_BYTES) {
      throw new Error(
        `the server streams a message of kind ${kind} and ${this.#bodyBytes} bytes, which is neither WAL nor a keepalive`,
      );
    }
    this.#at = head.readBigUInt64BE(1);
    this.#serverEnd = head.readBigUInt64BE(9);
    this.#serverMs = milliseconds(head.readBigInt64BE(17));
    this.#left = this.#bodyBytes - WAL_HEAD_BYTES;
    if (this.#left === 0) this.#events.walMessage(this.#at, this.#serverEnd, this.#serverMs);
  }
}
