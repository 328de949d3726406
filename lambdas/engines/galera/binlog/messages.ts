/**
 * The packets of MariaDB's protocol, put together to messages: each packet has its length in 3 bytes and a number, and one of
 * 16,777,215 bytes says that the message goes on in the next one (https://mariadb.com/kb/en/0-packet/). Pure.
 */

const HEAD_BYTES = 4;
const FULL_PACKET = 0xff_ff_ff;

/** A stretch of one message's bytes; `last`: the message ends with it. May be empty. */
export type OnBytes = (bytes: Buffer, last: boolean) => void;

/** Cuts a connection's bytes, in whatever chunks they come, into messages. Copies nothing. */
export class MessageReader {
  readonly #head = Buffer.alloc(HEAD_BYTES);
  #headBytes = 0;
  /** Of the packet that is being read. */
  #left = 0;
  #goesOn = false;
  #sequence = 0;

  /** `sequence`: the number that the first packet has. */
  constructor(sequence = 1) {
    this.#sequence = sequence;
  }

  /** Throws Error when a packet has not the number that is its turn: bytes were lost, or were never MariaDB's. */
  push(chunk: Buffer, onBytes: OnBytes): void {
    let at = 0;
    while (at < chunk.length) {
      if (this.#headBytes < HEAD_BYTES) {
        at = this.#readHead(chunk, at);
        // An empty packet ends a message whose length is a multiple of the full packet's.
        if (this.#headBytes === HEAD_BYTES && this.#left === 0) this.#deliver(Buffer.alloc(0), onBytes);
        continue;
      }
      const end = Math.min(chunk.length, at + this.#left);
      const bytes = chunk.subarray(at, end);
      this.#left -= bytes.length;
      at = end;
      this.#deliver(bytes, onBytes);
    }
  }

  #readHead(chunk: Buffer, at: number): number {
    const taken = Math.min(HEAD_BYTES - this.#headBytes, chunk.length - at);
    chunk.copy(this.#head, this.#headBytes, at, at + taken);
    this.#headBytes += taken;
    if (this.#headBytes === HEAD_BYTES) {
      const sequence = this.#head.readUInt8(3);
      if (sequence !== this.#sequence) {
        throw new Error(
          `a packet has the number ${sequence} where ${this.#sequence} is next: bytes were lost on the way`,
        );
      }
      this.#sequence = (sequence + 1) % 256;
      this.#left = this.#head.readUIntLE(0, 3);
      this.#goesOn = this.#left === FULL_PACKET;
    }
    return at + taken;
  }

  #deliver(bytes: Buffer, onBytes: OnBytes): void {
    const packetEnds = this.#left === 0;
    if (packetEnds) this.#headBytes = 0;
    onBytes(bytes, packetEnds && !this.#goesOn);
  }
}

/** A command's packet: it starts a new exchange, so that its number is 0. */
export function commandPacket(command: number, body: Buffer): Buffer {
  const packet = Buffer.alloc(HEAD_BYTES + 1 + body.length);
  packet.writeUIntLE(1 + body.length, 0, 3);
  packet.writeUInt8(command, HEAD_BYTES);
  body.copy(packet, HEAD_BYTES + 1);
  return packet;
}
