/**
 * Ships one server's log, from one position on, into a queue of pieces: until the time is over, until the log's end, or until
 * something fails. What is in the queue is in the archive only when the queue says so.
 */
import { type ServerLog, sharedPart } from '../../../engines/galera/binlog/log-state.ts';
import type { Mark } from '../../../engines/galera/binlog/observer.ts';
import type { Clock, DbCredentials, DbTarget } from '../../../cloud/ports.ts';
import { type GtidPosition, includesPosition } from '../../../model/archive/gtid.ts';
import { type ArchivePlace, type BinlogObject, keyOf } from '../../../model/archive/keys.ts';
import type { OpenPiece, PieceQueue } from '../ports.ts';
import { BinlogCutter, type Cut } from './cutter.ts';
import { type Dump, LOG_SERVERS, type LogServers, type Observer } from './ports.ts';
import { UNCONFIRMED_PIECES } from './recent.ts';

export interface StreamOptions {
  readonly place: ArchivePlace;
  readonly target: DbTarget;
  readonly credentials: DbCredentials;
  readonly log: ServerLog;
  /** See `SourceChoice`. */
  readonly after: GtidPosition;
  readonly ask: GtidPosition;
  readonly serverId: number;
  /** A piece is cut at the latest after so long, when there is something to be cut. */
  readonly cutEveryMs: number;
  /** True: goes on with what is written next. False: ends where the log ends. */
  readonly follow: boolean;
  readonly pieceBytes?: number;
  /** The real ones unless said. */
  readonly servers?: LogServers;
  /**
   * Nothing that is in the archive leads to `after`. The first piece goes alone then: were it lost and a later one stored, a
   * successor would take that for the archive's beginning.
   */
  readonly isBeginning: boolean;
  /** Told when all that was acknowledged before (the server's clock, epoch ms) is in S3. */
  readonly covered?: (untilMs: number) => void;
}

/** What one piece holds at most, and a larger transaction is not held: 512 MB have room for some of them on their way. */
const PIECE_BYTES = 16 * 2 ** 20;
/** A transaction took its time stamp before it was written: how much earlier, at most, than what the server's clock said. */
const MARGIN_MS = 1000;
/** An idle server is attested so often. */
const ATTEST_EVERY_MS = 60_000;
/** So often it is looked at what else is due. */
const TICK_MS = 100;
/** Between two questions how far the server is. */
const MARK_EVERY_MS = 1000;

export class LogStream {
  readonly #options: StreamOptions;
  readonly #clock: Clock;
  readonly #queue: PieceQueue;
  readonly #cutter: BinlogCutter;
  #dump: Dump | null = null;
  #observer: Observer | null = null;
  #open: OpenPiece | null = null;
  /** Not reached yet, in order. */
  #marks: Mark[] = [];
  #asking: Promise<void> | null = null;
  #markDueMs = 0;
  #cutDueMs: number;
  #attestedMs: number;
  #coveredMs = 0;
  #unconfirmed = 0;
  #confirmed: (() => void) | null = null;
  #failure: { readonly error: unknown } | null = null;
  #goesAlone: boolean;

  constructor(options: StreamOptions, clock: Clock, queue: PieceQueue) {
    this.#options = options;
    this.#clock = clock;
    this.#queue = queue;
    const { target, after, pieceBytes = PIECE_BYTES } = options;
    this.#cutter = new BinlogCutter({ instance: target.instanceId, after, pieceBytes });
    this.#cutDueMs = clock.nowMs() + options.cutEveryMs;
    this.#attestedMs = clock.nowMs();
    this.#goesAlone = options.isBeginning;
  }

  /** What has been read, whole. */
  get position(): GtidPosition {
    return this.#cutter.position;
  }

  /**
   * Until `stop` says why, or (when it does not follow) until all has been read that was there when it began. All that was
   * whole is in the queue then. Throws LogUnavailable, Refused, ConnectionEnded, and what the queue throws.
   */
  async run(stop: () => string | null): Promise<'ended' | 'stopped'> {
    const { target, credentials, ask, serverId, follow, servers = LOG_SERVERS } = this.#options;
    try {
      this.#observer = await servers.observe(target, credentials);
      await this.#observer.prepare();
      const first = await this.#observer.mark();
      this.#dump = await servers.dump(target, credentials, { after: ask, serverId, follow });
      this.#reached(first);
      const outcome = await this.#read(this.#dump, first, stop);
      await this.#finish();
      return outcome;
    } finally {
      this.#dump?.close();
      this.#observer?.close();
    }
  }

  async #read(dump: Dump, first: Mark, stop: () => string | null): Promise<'ended' | 'stopped'> {
    while (stop() === null) {
      const parts = await dump.read(TICK_MS);
      if (this.#failure !== null) throw this.#failure.error;
      if (parts === null) {
        this.#covers(first.atMs);
        return 'ended';
      }
      for (const part of parts) await this.#carryOut(this.#cutter.take(part));
      this.#look();
      if (this.#drained) return 'ended';
      await this.#whatIsDue();
    }
    return 'stopped';
  }

  /** A bounded run is over when it has all that there was when it began; what came meanwhile is the next one's. */
  get #drained(): boolean {
    return !this.#options.follow && this.#coveredMs > 0 && !this.#cutter.isOpen;
  }

  async #whatIsDue(): Promise<void> {
    const nowMs = this.#clock.nowMs();
    if (this.#options.follow && nowMs >= this.#markDueMs && this.#asking === null) this.#askMark(nowMs);
    if (nowMs < this.#cutDueMs) return;
    this.#cutDueMs = nowMs + this.#options.cutEveryMs;
    const cuts = this.#cutter.cut();
    if (cuts.length > 0) this.#attestedMs = nowMs;
    await this.#carryOut(cuts);
    if (nowMs - this.#attestedMs >= ATTEST_EVERY_MS) await this.#attest(nowMs);
  }

  async #attest(nowMs: number): Promise<void> {
    this.#attestedMs = nowMs;
    await this.#carryOut(this.#cutter.attest());
  }

  #askMark(nowMs: number): void {
    this.#markDueMs = nowMs + Math.min(MARK_EVERY_MS, this.#options.cutEveryMs);
    this.#asking = (async () => {
      try {
        const mark = await this.#observer?.mark();
        if (mark !== undefined) this.#reached(mark);
      } catch (error) {
        this.#failure ??= { error };
      } finally {
        this.#asking = null;
      }
    })();
  }

  #reached(mark: Mark): void {
    this.#marks.push(mark);
    this.#look();
  }

  /** Of the marks, those that the position has come to. Only what all nodes count together: the rest is in or never comes. */
  #look(): void {
    const isIn = ({ position }: Mark): boolean =>
      includesPosition(this.#cutter.position, sharedPart(this.#options.log, position));
    for (let mark = this.#marks[0]; mark !== undefined && isIn(mark); mark = this.#marks[0]) {
      this.#marks.shift();
      this.#covers(mark.atMs);
    }
  }

  #covers(atMs: number): void {
    this.#coveredMs = Math.max(this.#coveredMs, atMs - MARGIN_MS);
    this.#cutter.covers(this.#coveredMs);
    // Nothing is held, nothing on its way: all that there was is in S3.
    if (this.#unconfirmed === 0 && this.#cutter.heldBytes === 0) this.#options.covered?.(this.#coveredMs);
  }

  async #finish(): Promise<void> {
    // Who comes next reads a transaction anew that has come in part.
    await this.#discard();
    const cuts = this.#cutter.cut();
    await this.#carryOut(cuts.length > 0 || this.#options.follow ? cuts : this.#cutter.attest());
  }

  async #discard(): Promise<void> {
    if (this.#open === null) return;
    await this.#open.discard();
    this.#open = null;
    this.#unconfirmed--;
  }

  async #carryOut(cuts: readonly Cut[]): Promise<void> {
    for (const cut of cuts) {
      switch (cut.kind) {
        case 'piece':
          await this.#push(cut.object, cut.chunks);
          break;
        case 'open':
          await this.#room();
          this.#open = await this.#queue.open(keyOf(this.#options.place, cut.object), this.#turn(cut.object));
          break;
        case 'append':
          await this.#open?.append(cut.bytes);
          break;
        case 'close':
          await this.#open?.close();
          this.#open = null;
          await this.#begun();
          break;
        case 'discard':
          await this.#discard();
          break;
      }
    }
  }

  async #push(object: BinlogObject, chunks: readonly Uint8Array[]): Promise<void> {
    // What adds nothing vouches for all before it: a later shipper looks no further back (`recentObjects`).
    if (includesPosition(object.after, object.upTo)) await this.#queue.drain();
    await this.#room();
    await this.#queue.push({ key: keyOf(this.#options.place, object), chunks }, this.#turn(object));
    await this.#begun();
  }

  async #begun(): Promise<void> {
    if (this.#goesAlone) await this.#queue.drain();
    this.#goesAlone = false;
  }

  /** Later pieces may be stored before earlier ones: not too many, so that a successor finds what a killed one left out. */
  async #room(): Promise<void> {
    while (this.#unconfirmed >= UNCONFIRMED_PIECES) {
      const next = new Promise<void>((resolve) => (this.#confirmed = resolve));
      await Promise.race([next, this.#queue.drain()]);
    }
  }

  #turn(object: BinlogObject): () => void {
    this.#unconfirmed++;
    return () => {
      this.#unconfirmed--;
      this.#options.covered?.(object.coveredMs);
      this.#confirmed?.();
    };
  }
}
