/** One connection of the probe to one MariaDB server, over a socket that the caller owns. */
import type { Socket } from 'node:net';
import {
  afterLogin,
  frame,
  hasMore,
  isEof,
  loginPacket,
  MAX_PACKET_BYTES,
  ProtocolError,
  queryPacket,
  readGreeting,
  readRow,
  throwIfError,
} from './packets.ts';
import type { StatusRow } from './status.ts';

/** The socket ended before the server had said what it should; `cause` is the socket's own error, if any. */
export class ConnectionEnded extends Error {
  override readonly name = 'ConnectionEnded';
}

export class Connection {
  readonly #socket: Socket;
  #bytes: Buffer = Buffer.alloc(0);
  #end: Error | null = null;
  /** Whoever waits for the next packet. */
  #wake: (() => void) | null = null;
  #sequence = 0;

  /** The socket may be connecting still. */
  constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('data', (chunk: Buffer) => {
      this.#bytes = this.#bytes.length === 0 ? chunk : Buffer.concat([this.#bytes, chunk]);
      this.#wake?.();
    });
    socket.on('error', (error) => this.#finish(new ConnectionEnded(error.message, { cause: error })));
    socket.on('close', () => this.#finish(new ConnectionEnded('the server closed the connection')));
  }

  /** False once the socket has ended or bytes lie about that nobody asked for. */
  get usable(): boolean {
    return this.#end === null && this.#bytes.length === 0 && !this.#socket.destroyed;
  }

  /** Throws ServerError, ProtocolError or ConnectionEnded. Has no deadline of its own: destroy the connection. */
  async login(user: string, password: string): Promise<void> {
    const salt = readGreeting(await this.#next());
    this.#send(loginPacket(user, password, salt));
    const answer = afterLogin(await this.#next(), password);
    if (answer === null) return;
    this.#send(answer);
    if (afterLogin(await this.#next(), password) !== null)
      throw new ConnectionEnded('the server asked for the password twice');
  }

  /** First two columns of the rows of all results. Throws as `login` does. */
  async query(sql: string): Promise<readonly StatusRow[]> {
    this.#sequence = 0;
    this.#send(queryPacket(sql));
    const rows: StatusRow[] = [];
    for (;;) {
      throwIfError(await this.#next()); // the number of columns, which the EOF after them tells as well
      while (!isEof(await this.#next()));
      let packet = await this.#next();
      while (!isEof(packet)) {
        throwIfError(packet);
        rows.push(readRow(packet));
        packet = await this.#next();
      }
      if (!hasMore(packet)) return rows;
    }
  }

  /** An idle connection must not keep the process alive. */
  idle(): void {
    this.#socket.unref();
  }

  busy(): void {
    this.#socket.ref();
  }

  destroy(): void {
    this.#socket.destroy();
    this.#finish(new ConnectionEnded('we ended the connection'));
  }

  #finish(error: Error): void {
    this.#end ??= error;
    this.#wake?.();
  }

  #send(payload: Buffer): void {
    this.#socket.write(frame(this.#sequence++, payload));
  }

  async #next(): Promise<Buffer> {
    for (;;) {
      if (this.#bytes.length >= 4) {
        const length = this.#bytes.readUIntLE(0, 3);
        if (length > MAX_PACKET_BYTES)
          throw new ProtocolError(`a packet of ${length} bytes; expected ${MAX_PACKET_BYTES} at most`);
        if (this.#bytes.length >= 4 + length) {
          this.#sequence = this.#bytes.readUInt8(3) + 1;
          const packet = this.#bytes.subarray(4, 4 + length);
          this.#bytes = this.#bytes.subarray(4 + length);
          return packet;
        }
      }
      if (this.#end !== null) throw this.#end;
      await new Promise<void>((resolve) => (this.#wake = resolve));
      this.#wake = null;
    }
  }
}
