import { Socket } from 'node:net';

/** Twice the largest message of WAL (`MAX_SEND_SIZE` in walsender.c). */
const READ_BYTES = 256 * 2 ** 10;

/**
 * A socket that reads into the same memory again and again. Node allocates 64 KB for each read otherwise, of which a fast stream
 * makes so much garbage that V8 looks through its heap all the time: a sixth of all the work of shipping WAL (`perf` of
 * `npm run bench -- archive --only wal`). Only `data` is told of what comes; `read` and `pipe` give nothing.
 * https://nodejs.org/api/net.html#socketconnectoptions-connectlistener (`onread`)
 */
export class LendingSocket extends Socket {
  #lends = false;

  constructor() {
    super({
      noDelay: true,
      onread: {
        buffer: Buffer.allocUnsafeSlow(READ_BYTES),
        callback: (bytes, memory) => {
          const chunk = Buffer.from(memory.buffer, memory.byteOffset, bytes);
          this.emit('data', this.#lends ? chunk : Buffer.from(chunk));
          // `pause` alone is undone by a `resume` before it, which begins to read a turn later.
          return !this.isPaused();
        },
      },
    });
  }

  /** From now on a chunk is its listener's only until that returns. */
  lend(): void {
    this.#lends = true;
  }
}

export const lendingConnect = (host: string, port: number): LendingSocket => {
  const socket = new LendingSocket();
  socket.connect({ host, port });
  return socket;
};
