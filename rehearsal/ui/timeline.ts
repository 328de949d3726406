/** What happened when: kept for the report, shown live. On a terminal a progress line stands below the latest entry. */
import logUpdate from 'log-update';
import pc from 'picocolors';

export interface TimelineEntry {
  /** Milliseconds since the scenario began; negative while the world was being built. */
  readonly atMs: number;
  readonly what: string;
}

export type Voice = 'stage' | 'fault' | 'cloud' | 'rejoin' | 'client' | 'check' | 'note';

const painted: Readonly<Record<Voice, (text: string) => string>> = {
  stage: pc.bold,
  fault: pc.red,
  cloud: pc.dim,
  rejoin: pc.cyan,
  client: pc.yellow,
  check: (text) => text,
  note: pc.dim,
};

/** Without a terminal, long silences are broken by a line each so often. */
const HEARTBEAT_MS = 15_000;
const REDRAW_MS = 200;
/** Evidence can be long; two lines of an ordinary terminal are read, more are not. */
const LINE_CHARACTERS = 200;

export class Timeline {
  readonly entries: TimelineEntry[] = [];
  private originMs = Date.now();
  private readonly live: boolean;
  private readonly write: (line: string) => void;
  private readonly shown: (voice: Voice) => boolean;
  private status: () => string = () => '';
  private lastLineAtMs = Date.now();
  private timer: NodeJS.Timeout | null = null;

  constructor(
    live: boolean = process.stdout.isTTY === true,
    write: (line: string) => void = (line) => console.log(line),
    shown: (voice: Voice) => boolean = () => true,
  ) {
    this.live = live;
    this.write = write;
    this.shown = shown;
  }

  /** Shows what was kept since then, also what is not shown as it comes. `sinceMs` is a time of the timeline. */
  tellAgain(sinceMs: number): void {
    for (const { atMs, what } of this.entries.filter((e) => e.atMs >= sinceMs)) {
      this.write(`${pc.dim(seconds(atMs))}  ${shortened(what)}`);
    }
  }

  /** From here on, times count from now. What came before is kept with negative times. */
  begin(): void {
    const shift = Date.now() - this.originMs;
    this.originMs += shift;
    this.entries.forEach((entry, i) => (this.entries[i] = { ...entry, atMs: entry.atMs - shift }));
  }

  nowMs(): number {
    return Date.now() - this.originMs;
  }

  add(voice: Voice, what: string, atEpochMs: number = Date.now()): void {
    const atMs = atEpochMs - this.originMs;
    this.entries.push({ atMs, what });
    if (!this.shown(voice)) return;
    if (this.live) logUpdate.clear();
    this.write(`${pc.dim(seconds(atMs))}  ${painted[voice](shortened(what))}`);
    this.lastLineAtMs = Date.now();
  }

  /** Shows `status()` below the latest line until `quiet()`. */
  progress(status: () => string): void {
    this.status = status;
    this.timer ??= setInterval(() => this.redraw(), REDRAW_MS).unref();
  }

  quiet(): void {
    if (this.timer !== null) clearInterval(this.timer);
    this.timer = null;
    if (this.live) logUpdate.clear();
  }

  private redraw(): void {
    const text = this.status();
    if (this.live) {
      logUpdate(pc.dim(`          ${text}`));
    } else if (Date.now() - this.lastLineAtMs > HEARTBEAT_MS && text !== '') {
      this.write(`${seconds(this.nowMs())}  … ${text}`);
      this.lastLineAtMs = Date.now();
    }
  }
}

/** A line for the terminal; the report keeps the whole sentence. */
const shortened = (text: string): string =>
  text.length <= LINE_CHARACTERS ? text : `${text.slice(0, LINE_CHARACTERS - 1)}…`;

/** Right-aligned seconds, such as `  +12.3 s`. */
function seconds(ms: number): string {
  return `${ms < 0 ? '-' : '+'}${(Math.abs(ms) / 1000).toFixed(1)} s`.padStart(9);
}
