/** One stream of one timeline from one node into the queue: bytes in, pieces out, positions back. */
import { keyOf, lsnOfBytes } from '../../../model/archive/keys.ts';
import type { ArchivePlace } from '../../../model/archive/keys.ts';
import type { ReplicationSession, StreamEnd, StreamEvents } from '../../../engines/postgres/replication.ts';
import type { ShipRun } from '../run.ts';
import type { CutPiece } from './cutter.ts';
import { WalCutter } from './cutter.ts';
import type { SegmentMemory } from './segment-memory.ts';

export interface SessionFacts {
  readonly place: ArchivePlace;
  readonly slot: string;
  readonly timeline: number;
  readonly start: bigint;
  readonly border: number;
  /** Only the writer's log has all that was acknowledged; another node's says nothing of the clock. */
  readonly fromWriter: boolean;
  /** In drain mode: what was there at the beginning. */
  readonly target: bigint;
  readonly memory: SegmentMemory;
}

/** Between two looks at what is due. */
const TICK_MS = 100;
/** No byte for so long: the open piece is stored, for an idle server must not be behind. At most a quarter of the RPO. */
const IDLE_MS = 1000;
/** An idle server is attested so often: without it, what can be restored would end at its last write. */
const ATTEST_EVERY_MS = 60_000;
/**
 * A server that asks again and again for so long, and has sent all, shuts down and waits for us. It must not wait longer for
 * an S3 that is away (rule 9): what is not archived it keeps for the slot.
 */
const ASKED_MS = 5000;

export class Session implements StreamEvents {
  readonly #run: ShipRun;
  readonly #facts: SessionFacts;
  readonly #replication: ReplicationSession;
  readonly #cutter: WalCutter;
  readonly #cutAfterMs: number;
  readonly #idleMs: number;
  #safe: bigint;
  /** The server's newest word that all it had then has come. */
  #said: { readonly end: bigint; readonly serverMs: number } | null = null;
  #openedMs = 0;
  #lastByteMs = 0;
  #attestedMs: number;
  #askedSinceMs: number | null = null;
  #failure: { readonly error: unknown } | null = null;
  #waiting = 0;
  #over = false;

  constructor(run: ShipRun, replication: ReplicationSession, facts: SessionFacts) {
    this.#run = run;
    this.#facts = facts;
    this.#replication = replication;
    this.#cutter = new WalCutter(facts.start, facts.border, facts.memory);
    this.#safe = facts.start;
    this.#attestedMs = run.clock.nowMs();
    this.#cutAfterMs = run.archive.rpoSeconds * 500;
    this.#idleMs = Math.min(IDLE_MS, run.archive.rpoSeconds * 250);
  }

  /** What S3 has, without a hole. */
  get safe(): bigint {
    return this.#safe;
  }

  /** Up to where bytes have come. */
  get received(): bigint {
    return this.#cutter.position;
  }

  /**
   * Streams until the end; all that was read is in the queue then. `alsoStop`: a reason of the caller's. `look`: looks who is the
   * writer (`attested`).
   */
  async stream(alsoStop: () => string | null, look: () => Promise<void>): Promise<StreamEnd> {
    const { slot, timeline, start } = this.#facts;
    const ticking = this.#tick(alsoStop);
    try {
      const end = await this.#replication.stream({ slot, timeline, start }, this);
      if (this.#failure !== null) throw this.#failure.error;
      // A run that drains may be over before anybody has looked.
      if (this.#run.mode === 'drain') await look();
      this.#push(this.#cutter.cut());
      return end;
    } finally {
      this.#over = true;
      this.#replication.end('the stream is over');
      await ticking;
    }
  }

  wal(start: bigint, bytes: Uint8Array): void {
    const nowMs = this.#run.clock.nowMs();
    this.#lastByteMs = nowMs;
    if (this.#cutter.openBytes === 0) this.#openedMs = nowMs;
    const pieces = this.#cutter.take(start, bytes);
    if (pieces.length === 0) return;
    this.#openedMs = nowMs;
    this.#push(pieces);
  }

  told(end: bigint, serverMs: number, whole: boolean): void {
    if (whole && this.#facts.fromWriter) this.#said = { end, serverMs };
  }

  /**
   * What the server has said until now of its own log. It covers what was acknowledged anywhere only if nobody else was the
   * writer by then, and the server is the last to know: one that hung, and wakes up after a failover, goes on as before. So the
   * ledger, which names a new writer before that is promoted, is read after this, and the answer called when it names the same.
   */
  attested(): () => void {
    const said = this.#said;
    return () => {
      if (said === null) return;
      this.#cutter.told(said.end, said.serverMs);
      if (this.#safe === this.#cutter.position) this.#run.covered(this.#cutter.coveredMs);
    };
  }

  asked(): void {
    if (this.#safe === this.#cutter.position) {
      this.#askedSinceMs = null;
      return;
    }
    this.#askedSinceMs ??= this.#run.clock.nowMs();
    this.#push(this.#cutter.cut());
  }

  position(): { readonly received: bigint; readonly safe: bigint } {
    return { received: this.#cutter.position, safe: this.#safe };
  }

  #push(pieces: readonly CutPiece[]): void {
    const { place, timeline } = this.#facts;
    if (pieces.length > 0) this.#attestedMs = this.#run.clock.nowMs();
    for (const { start, end, bytes, coveredMs, release } of pieces) {
      const range = { start: lsnOfBytes(start), end: lsnOfBytes(end), coveredMs };
      const key = keyOf(place, { kind: 'wal', timeline, ...range });
      const room = this.#run.queue.push({ key, chunks: [bytes], release }, () => {
        // Rule 10: only here does what the server is told move on.
        this.#safe = end;
        this.#run.covered(coveredMs);
      });
      void this.#wait(room);
    }
  }

  /** Reads no more while the queue has no room. */
  async #wait(room: Promise<void>): Promise<void> {
    this.#waiting += 1;
    this.#replication.pause();
    try {
      await room;
    } catch (error) {
      this.#failure ??= { error };
      this.#replication.end(`pieces cannot be stored: ${String(error)}`);
    }
    this.#waiting -= 1;
    if (this.#waiting === 0) this.#replication.resume();
  }

  async #tick(alsoStop: () => string | null): Promise<void> {
    while (!this.#over) {
      await this.#run.clock.sleep(TICK_MS);
      if (this.#over) return;
      const nowMs = this.#run.clock.nowMs();
      const isOpen = this.#cutter.openBytes > 0;
      const old = nowMs - this.#openedMs >= this.#cutAfterMs;
      const idle = nowMs - this.#lastByteMs >= this.#idleMs;
      if (isOpen && (old || idle)) this.#push(this.#cutter.cut());
      if (nowMs - this.#attestedMs >= ATTEST_EVERY_MS) this.#push(this.#cutter.attest());
      const why = this.#reasonToEnd(nowMs) ?? alsoStop();
      if (why !== null) this.#replication.end(why);
    }
  }

  #reasonToEnd(nowMs: number): string | null {
    if (this.#run.mode === 'drain' && this.#cutter.position >= this.#facts.target) return 'all that was there is read';
    if (this.#askedSinceMs === null || nowMs - this.#askedSinceMs < ASKED_MS) return null;
    return this.#safe === this.#cutter.position ? null : 'the server waits for us, it may be shutting down';
  }
}
