/**
 * Cuts a stream of WAL into pieces. None crosses a segment's border (16 MB, or the segment's size if that is less); one ends
 * when its segment does, or earlier when it is told to. Bytes are copied once, into the memory of their segment, from where they
 * are compressed. Pure but for that memory.
 */
import type { SegmentMemory } from './segment-memory.ts';
import type { Segment } from './segment-memory.ts';

export interface CutPiece {
  readonly start: bigint;
  readonly end: bigint;
  readonly bytes: Uint8Array;
  /** The server's clock, epoch ms: whatever was acknowledged before it lies before `end`. 0: not known. */
  readonly coveredMs: number;
  /** To be called when the bytes are needed no more. */
  readonly release: () => void;
}

/**
 * A transaction takes its time stamp, and is acknowledged, at other moments than the server reads its clock and the end of its log
 * for us. The margin of docs/archive.md.
 */
const MARGIN_MS = 1000;
const MOST_BORDER_BYTES = 16 * 2 ** 20;

/** Between two places where a piece must end. */
export const borderBytes = (segmentBytes: number): number => Math.min(segmentBytes, MOST_BORDER_BYTES);

/** The last border at or before a place. */
export const borderBefore = (lsn: bigint, border: number): bigint => lsn - (lsn % BigInt(border));

export class WalCutter {
  readonly #border: number;
  readonly #memory: SegmentMemory;
  #segment: Segment | null = null;
  #start: bigint;
  #at: bigint;
  /** The newest moment at which all of the server's log of then had come. */
  #mark = 0;
  /** The newest moment that a piece's name says. */
  #said = 0;

  constructor(start: bigint, border: number, memory: SegmentMemory) {
    this.#start = start;
    this.#at = start;
    this.#border = border;
    this.#memory = memory;
  }

  /** Up to where bytes have come. */
  get position(): bigint {
    return this.#at;
  }

  /** Bytes of the piece that has not been cut. */
  get openBytes(): number {
    return Number(this.#at - this.#start);
  }

  /**
   * Bytes of the log from `start` on; answers the pieces that are whole now. Throws RangeError when they do not go on where the
   * ones before ended: nothing may be left out.
   */
  take(start: bigint, bytes: Uint8Array): readonly CutPiece[] {
    if (start !== this.#at)
      throw new RangeError(`the stream goes on at ${start}; expected ${this.#at}, where it had come to`);
    const pieces: CutPiece[] = [];
    for (let from = 0; from < bytes.length;) {
      const offset = Number(this.#at % BigInt(this.#border));
      const part = bytes.subarray(from, from + this.#border - offset);
      this.#segment ??= this.#memory.take();
      this.#segment.bytes.set(part, offset);
      this.#at += BigInt(part.length);
      from += part.length;
      if (offset + part.length < this.#border) continue;
      pieces.push(...this.cut());
      this.#segment.release();
      this.#segment = null;
    }
    return pieces;
  }

  /** All that the server had at `serverMs` lies before `end`, which has come. */
  told(end: bigint, serverMs: number): void {
    if (end <= this.#at) this.#mark = Math.max(this.#mark, serverMs - MARGIN_MS);
  }

  /** The piece as far as it has come; none when that is nothing. */
  cut(): readonly CutPiece[] {
    const segment = this.#segment;
    if (segment === null || this.#at === this.#start) return [];
    const offset = Number(this.#start % BigInt(this.#border));
    const bytes = segment.bytes.subarray(offset, offset + this.openBytes);
    const piece = { start: this.#start, end: this.#at, bytes, coveredMs: this.#mark, release: segment.hold() };
    this.#start = this.#at;
    this.#said = this.#mark;
    return [piece];
  }

  /**
   * A piece without bytes, which says by its name that nothing was written: how far an idle server is covered. None while bytes
   * wait to be cut, or when there is nothing new to say.
   */
  attest(): readonly CutPiece[] {
    if (this.openBytes > 0 || this.#mark <= this.#said) return [];
    this.#said = this.#mark;
    const nothing = { bytes: new Uint8Array(), release: () => undefined };
    return [{ start: this.#at, end: this.#at, coveredMs: this.#mark, ...nothing }];
  }

  get coveredMs(): number {
    return this.#mark;
  }
}
