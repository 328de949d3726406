/** Memory of segments, used again and again: to get 16 MB afresh from the system costs more than to fill them. */

export interface Segment {
  readonly bytes: Uint8Array;
  /** One more user, who calls the answer when it has done with the bytes. */
  hold(): () => void;
  /** The first user has done with them. */
  release(): void;
}

export class SegmentMemory {
  readonly #size: number;
  readonly #free: Uint8Array[] = [];

  constructor(size: number) {
    this.#size = size;
  }

  /** Free memory, whatever is in it, until everybody has done with it. */
  take(): Segment {
    const bytes = this.#free.pop() ?? Buffer.allocUnsafeSlow(this.#size);
    let users = 0;
    const hold = (): (() => void) => {
      users += 1;
      let done = false;
      return () => {
        if (done) return;
        done = true;
        users -= 1;
        if (users === 0) this.#free.push(bytes);
      };
    };
    return { bytes, hold, release: hold() };
  }
}
