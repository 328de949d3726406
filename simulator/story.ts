/** What happened, line by line, and a fingerprint of it. */
export class Story {
  readonly lines: string[] = [];
  readonly #startMs: number;
  readonly #nowMs: () => number;

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
    this.#startMs = nowMs();
  }

  tell(who: string, what: string): void {
    const seconds = ((this.#nowMs() - this.#startMs) / 1000).toFixed(3);
    this.lines.push(`${seconds.padStart(9)}  ${who.padEnd(18)} ${what}`);
  }

  /** FNV-1a over all lines: two runs of a seed have the same, or the simulator is not deterministic. */
  fingerprint(): string {
    let h = 0x811c9dc5;
    for (const line of this.lines) {
      for (let i = 0; i < line.length; i += 1) h = Math.imul(h ^ line.charCodeAt(i), 0x01000193);
    }
    return (h >>> 0).toString(16).padStart(8, '0');
  }
}
