/** From the bytes of a dump to binlog events: each whole, or, when it is large, part by part. Pure. */
import { ConnectionEnded, Refused } from '../../errors.ts';
import { type EventHeader, HEADER_BYTES, readHeader } from './events.ts';
import { LogUnavailable } from './errors.ts';
import { MessageReader } from './messages.ts';

/** Events up to this size come in one part. All that is looked into (beyond the header) is far smaller. */
const WHOLE_BYTES = 1 << 20;

/** An event, or a stretch of one. */
export interface EventPart {
  /** On the first part of an event; null on those that continue it. */
  readonly header: EventHeader | null;
  readonly bytes: Buffer;
  /** The event ends with it. */
  readonly last: boolean;
}

const OK = 0x00;
const ERROR = 0xff;
const END = 0xfe;
const END_MESSAGE_BYTES = 8;
/** Something on the server's disk, its configuration or our position keeps it from reading on. */
const CANNOT_READ_LOG = 1236;
/** What MariaDB answers who lacks the privilege. */
const ACCESS_DENIED = 1045;

/** What an error message of the server means. https://mariadb.com/kb/en/err_packet/ */
export function serverError(message: Buffer): Error {
  const number = message.length >= 3 ? message.readUInt16LE(1) : 0;
  const said = message.toString('utf8', 3).replace(/^#.{5}/, '');
  if (number === CANNOT_READ_LOG) return new LogUnavailable(said);
  const mend = number === ACCESS_DENIED ? '; expected an account with REPLICATION SLAVE (docs/hosts.md)' : '';
  return new Refused(`refuses the dump of its binlog: ${number} ${said}${mend}`);
}

/** Has what the answer to COM_BINLOG_DUMP consists of: each message one event behind a byte that says so. */
export class EventReader {
  readonly #messages = new MessageReader();
  #held: Buffer[] = [];
  #heldBytes = 0;
  /** A large event is being passed on. */
  #within = false;
  #ended = false;

  /** The server has said that there is nothing more (a dump that does not wait for more). */
  get ended(): boolean {
    return this.#ended;
  }

  /** Throws LogUnavailable or Refused when the server says an error, ConnectionEnded when it says something unheard of. */
  push(chunk: Buffer): readonly EventPart[] {
    const parts: EventPart[] = [];
    this.#messages.push(chunk, (bytes, last) => {
      if (this.#within) this.#continue(bytes, last, parts);
      else this.#collect(bytes, last, parts);
    });
    return parts;
  }

  #continue(bytes: Buffer, last: boolean, parts: EventPart[]): void {
    if (bytes.length > 0 || last) parts.push({ header: null, bytes, last });
    this.#within = !last;
  }

  #collect(bytes: Buffer, last: boolean, parts: EventPart[]): void {
    this.#held.push(bytes);
    this.#heldBytes += bytes.length;
    if (!last && this.#heldBytes < WHOLE_BYTES) return;
    const message = this.#held.length === 1 ? bytes : Buffer.concat(this.#held, this.#heldBytes);
    this.#held = [];
    this.#heldBytes = 0;
    const mark = message[0];
    if (mark === ERROR) throw serverError(message);
    if (mark === END && last && message.length <= END_MESSAGE_BYTES) {
      this.#ended = true;
      return;
    }
    if (mark !== OK || message.length <= HEADER_BYTES) {
      const received = message.subarray(0, 20).toString('hex');
      throw new ConnectionEnded(
        `it sends ${message.length} bytes that begin with ${received}; expected a binlog event`,
      );
    }
    const event = message.subarray(1);
    parts.push({ header: readHeader(event), bytes: event, last });
    this.#within = !last;
  }
}
