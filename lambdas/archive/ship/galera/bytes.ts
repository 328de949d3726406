/** Bytes that come in stretches of any size, held without a copy of the large ones and without an object for each small one. */

/** Blocks grow with the list, so that one for a small transaction is small. */
const FIRST_BLOCK_BYTES = 1 << 10;
const BLOCK_BYTES = 1 << 18;
/** Smaller stretches are copied together: the lists, and what each stretch's buffer keeps alive beside it, stay small. */
const SMALL_BYTES = 1 << 14;

const blockBytes = (held: number): number => Math.min(BLOCK_BYTES, Math.max(FIRST_BLOCK_BYTES, held));

export class ByteList {
  #chunks: Uint8Array[] = [];
  #bytes = 0;
  #block: Buffer | null = null;
  #used = 0;
  #blockFrom = 0;

  get bytes(): number {
    return this.#bytes;
  }

  add(stretch: Uint8Array): void {
    this.#bytes += stretch.length;
    if (stretch.length > SMALL_BYTES) {
      this.#endBlock();
      this.#chunks.push(stretch);
      return;
    }
    if (this.#block === null || this.#used + stretch.length > this.#block.length) {
      this.#endBlock();
      this.#block = Buffer.allocUnsafe(Math.max(stretch.length, blockBytes(this.#bytes)));
      this.#used = 0;
      this.#blockFrom = 0;
    }
    this.#block.set(stretch, this.#used);
    this.#used += stretch.length;
  }

  /** All of it, in order; what is added later is in none of them. */
  chunks(): readonly Uint8Array[] {
    this.#endStretch();
    return [...this.#chunks];
  }

  clear(): void {
    this.#chunks = [];
    this.#bytes = 0;
    this.#block = null;
  }

  #endStretch(): void {
    if (this.#block !== null && this.#used > this.#blockFrom) {
      this.#chunks.push(this.#block.subarray(this.#blockFrom, this.#used));
      this.#blockFrom = this.#used;
    }
  }

  #endBlock(): void {
    this.#endStretch();
    this.#block = null;
  }
}
