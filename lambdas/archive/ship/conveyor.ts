/** What pieces and open pieces share on their way to the bucket: the order, the bytes on the way, the first failure. */
import type { ArchiveBucket, Clock } from '../../cloud/ports.ts';
import { CloudUnavailable } from '../../cloud/ports.ts';
import type { Frame } from './compress.ts';
import { zstdFrame } from './compress.ts';
import { Gate } from './gate.ts';
import { Room } from './room.ts';

export interface StoredPiece {
  readonly key: string;
  readonly rawBytes: number;
  readonly storedBytes: number;
}

export interface QueueOptions {
  readonly bucket: ArchiveBucket;
  readonly clock: Clock;
  /** Bytes on the way beyond which the next piece waits; enough for three segments, and little enough for 512 MB (`bench -- archive-large`). */
  readonly mostBytes?: number;
  /** Pieces compressed at once: each keeps a core busy. */
  readonly compressors?: number;
  /** How bytes become what is stored, in room that `take` gives. A zstd frame unless said. */
  readonly frame?: Frame;
  /** Requests to S3 at once. */
  readonly uploads?: number;
  /** Is told of each piece when it is confirmed. */
  readonly stored?: (piece: StoredPiece) => void;
}

const MOST_BYTES = 48 * 2 ** 20;
/** How often a call is made again that AWS could not answer after the adapter's own retries; pauses double. */
const AGAIN = { times: 4, firstMs: 250 } as const;

/** One that waits for its turn to be confirmed. */
interface Turn {
  readonly onStored: () => void;
  /** Null: not stored yet. */
  piece: StoredPiece | 'given up' | null;
}

/** What pieces and open pieces share. Once something has failed, nothing that comes after it is confirmed any more. */
export class Conveyor {
  readonly bucket: ArchiveBucket;
  readonly #clock: Clock;
  readonly #stored: (piece: StoredPiece) => void;
  readonly #frame: Frame;
  readonly #compressors: Gate;
  readonly #uploads: Gate;
  readonly #mostBytes: number;
  readonly #room: Room;
  #bytes = 0;
  #failure: { readonly error: unknown } | null = null;
  #aborted = false;
  #turns: Turn[] = [];
  #waiting: (() => void)[] = [];

  constructor(options: QueueOptions) {
    this.bucket = options.bucket;
    this.#clock = options.clock;
    this.#stored = options.stored ?? (() => undefined);
    this.#frame = options.frame ?? zstdFrame;
    this.#compressors = new Gate(options.compressors ?? 2);
    this.#uploads = new Gate(options.uploads ?? 8);
    this.#mostBytes = options.mostBytes ?? MOST_BYTES;
    this.#room = new Room(this.#mostBytes);
  }

  /** Throws what failed first. */
  check(): void {
    if (this.#failure !== null) throw this.#failure.error;
  }

  fail(error: unknown): void {
    this.#failure ??= { error };
    this.#wake();
  }

  get failed(): boolean {
    return this.#failure !== null;
  }

  /** A place in the order of confirmations; the answer is called when the piece is in S3, or (null) will never be. */
  turn(onStored: () => void): (piece: StoredPiece | null) => void {
    const turn: Turn = { onStored, piece: null };
    this.#turns.push(turn);
    return (piece) => {
      turn.piece = piece ?? 'given up';
      this.#confirm();
    };
  }

  /** Bytes that came onto the way (or, negative, left it). */
  carry(bytes: number): void {
    this.#bytes += bytes;
    if (bytes < 0) this.#wake();
  }

  /** One frame; to be handed to `joined` or `store`. */
  async compressed(chunks: readonly Uint8Array[]): Promise<Uint8Array> {
    const rawBytes = bytesOf(chunks);
    this.carry(rawBytes);
    try {
      const frame = await this.#compressors.run(() => this.#frame(chunks, (bytes) => this.#room.take(bytes)));
      this.carry(frame.length);
      return frame;
    } finally {
      this.carry(-rawBytes);
    }
  }

  /** Frames as one: they are its own again. */
  joined(frames: readonly Uint8Array[]): Uint8Array {
    const [only] = frames;
    if (only !== undefined && frames.length === 1) return only;
    const whole = this.#room.take(bytesOf(frames));
    let at = 0;
    for (const frame of frames) {
      whole.set(frame, at);
      at += frame.length;
      this.#room.give(frame);
    }
    return whole;
  }

  /**
   * Stores a frame, or some that were joined, and takes it off the way. Its room is used again if S3 answered the first call: of
   * one that failed nobody knows who still reads it.
   */
  async store<T>(body: Uint8Array, call: () => Promise<T>): Promise<T> {
    let calls = 0;
    try {
      const answer = await this.upload(() => {
        calls += 1;
        return call();
      });
      if (calls === 1) this.#room.give(body);
      return answer;
    } finally {
      this.carry(-body.length);
    }
  }

  /** One call of S3's, in its turn, again when AWS was away for a moment. */
  upload<T>(call: () => Promise<T>): Promise<T> {
    return this.#uploads.run(async () => {
      for (let attempt = 0; ; attempt += 1) {
        this.check();
        try {
          return await call();
        } catch (error) {
          if (!(error instanceof CloudUnavailable) || attempt >= AGAIN.times) throw error;
        }
        await this.#clock.sleep(AGAIN.firstMs * 2 ** attempt);
      }
    });
  }

  /** Resolves when there is room for more. Throws what failed. */
  async room(): Promise<void> {
    while (this.#bytes > this.#mostBytes && !this.failed) await this.#change();
    this.check();
  }

  /** Resolves when every turn has come. Throws what failed. */
  async empty(): Promise<void> {
    while (this.#turns.length > 0 && !this.failed) await this.#change();
    this.check();
  }

  #change(): Promise<void> {
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  #wake(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    waiting.forEach((resolve) => resolve());
  }

  /**
   * The first turns, as far as they are stored. What lies behind one that is not stays, however long ago it reached S3. That
   * something later has failed does not matter to those before it.
   */
  #confirm(): void {
    for (let first = this.#turns[0]; first !== undefined && first.piece !== null; first = this.#turns[0]) {
      if (this.#aborted) return;
      this.#turns.shift();
      if (first.piece === 'given up') continue;
      this.#stored(first.piece);
      first.onStored();
    }
    this.#wake();
  }

  /** Nothing is confirmed any more. */
  abort(): void {
    this.#aborted = true;
    this.#turns = [];
    this.fail(new Error('the queue was given up'));
  }
}

export const bytesOf = (chunks: readonly Uint8Array[]): number => chunks.reduce((sum, c) => sum + c.length, 0);
