/**
 * Room for what is compressed, used again and again. Garbage of this size outlives its upload, so that V8 finds it only by looking
 * through all of its heap: it did so for nearly every segment, a sixth of all the work of shipping (`--trace-gc`).
 */
const STEP_BYTES = 2 ** 20;

export class Room {
  readonly #mostFree: number;
  #free: Buffer[] = [];

  /** `mostFree`: bytes that are kept for later; what is given back beyond them is garbage. */
  constructor(mostFree: number) {
    this.#mostFree = mostFree;
  }

  /** Room for so many bytes, with whatever was in it before. */
  take(bytes: number): Buffer {
    const fits = this.#free.findIndex((b) => b.length >= bytes && b.length <= 2 * bytes + STEP_BYTES);
    const [whole = Buffer.allocUnsafeSlow(Math.ceil(bytes / STEP_BYTES) * STEP_BYTES)] =
      fits < 0 ? [] : this.#free.splice(fits, 1);
    return whole.subarray(0, bytes);
  }

  /** Of what `take` answered, once nobody reads it any more. @throws Error when it was given back before. */
  give(taken: Uint8Array): void {
    const whole = Buffer.from(taken.buffer);
    if (this.#free.some((b) => b.buffer === whole.buffer))
      throw new Error(`room for ${taken.length} bytes is given back twice; expected once: two uploads would share it`);
    if (whole.length + this.#free.reduce((sum, b) => sum + b.length, 0) <= this.#mostFree) this.#free.push(whole);
  }
}
