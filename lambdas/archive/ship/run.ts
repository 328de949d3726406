/**
 * One invocation of a shipper, whatever the engine: takes the lease, ships until its time is nearly up (or, with an RPO of a
 * minute and more, until it has all that there was, in a short one twice), and starts its successor.
 *
 *   lease ─▶ engine ships ─▶ something failed: from the bucket's end again, after a pause
 *                         ├▶ time is up: what was read is stored ─▶ lease released ─▶ successor
 *                         └▶ drained: lease released
 */
import type { Clock, Log, Metrics } from '../../cloud/ports.ts';
import type { ArchiveSpec, ClusterSpec, EngineKind } from '../../model/spec.ts';
import { describeProblems } from '../../model/spec.ts';
import { LeaseKeeper } from './lease-keeper.ts';
import { pieceQueue } from './piece-queue.ts';
import type { PieceQueue, ShipPorts } from './ports.ts';
import { Telemetry } from './telemetry.ts';

/** Beyond this RPO a shipper comes once a minute, drains and goes. */
export const DRAIN_FROM_SECONDS = 60;

/** What an engine's shipper is given for one go. */
export interface ShipRun {
  readonly spec: ClusterSpec;
  readonly archive: ArchiveSpec;
  /** `stream`: until `stop` says why to stop. `drain`: until all is pushed that was there when it began. */
  readonly mode: 'stream' | 'drain';
  /** For this go alone: given up when the go fails. */
  readonly queue: PieceQueue;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
  /** Why it must stop now, whatever there is to read; null: it goes on. To be asked several times a second. */
  stop(): string | null;
  /** All that was acknowledged before `serverMs` is in S3. */
  covered(serverMs: number): void;
}

/** `drained`: nothing more to do in this run. `again`: another go, from the bucket's end, after so long. */
export type ShipEnd =
  { readonly kind: 'drained' } | { readonly kind: 'again'; readonly why: string; readonly pauseMs: number };

/** An engine's side: finds where the archive ends, opens the best node's log there, and pushes pieces into the queue. */
export interface ShipEngine {
  readonly kind: EngineKind;
  /** Answers when it has stopped and pushed what it had read. Throws what failed; then nothing more is pushed. */
  ship(run: ShipRun): Promise<ShipEnd>;
}

export interface ShipRequest {
  readonly cluster: string;
  /** Who asks for the lease: unique to this invocation. */
  readonly holder: string;
  /** The invocation's end, epoch ms. */
  readonly deadlineMs: number;
}

/**
 * Schedules are of whole minutes. With one drain a minute the archive would be behind by that minute, the drain and the margin
 * of `covered`: too late for an RPO of a minute. So below two minutes it drains once more after so long.
 */
const DRAIN_AGAIN = { belowSeconds: 120, afterMs: 15_000 } as const;

/** Kept at the end for what is under way to be stored, and for the successor's start. */
const RESERVE_MS = 15_000;
/** Of that, for the last calls. */
const LAST_CALLS_MS = 4_000;
/** After something failed: from this on, doubling, for as long as nothing gets through. */
const PAUSE = { firstMs: 500, mostMs: 10_000 } as const;

export type ShipOutcome = 'not declared' | 'another ships' | 'drained' | 'handed over' | 'stopped';

/** @throws Error when the specification is missing or not valid, or names another engine. */
export async function ship(request: ShipRequest, ports: ShipPorts, engine: ShipEngine): Promise<ShipOutcome> {
  const { cluster, holder, deadlineMs } = request;
  const spec = await specOf(cluster, ports, engine.kind);
  if (spec.archive === undefined) {
    ports.log.info('no archive is declared: nothing to ship', { cluster });
    return 'not declared';
  }
  const lease = new LeaseKeeper(ports, cluster, holder);
  if (!(await lease.take())) {
    ports.log.info('another shipper is at work', { cluster });
    return 'another ships';
  }
  try {
    const mode = spec.archive.rpoSeconds >= DRAIN_FROM_SECONDS ? 'drain' : 'stream';
    const outcome = await go(
      { spec, archive: spec.archive, mode, lease, endMs: deadlineMs - RESERVE_MS },
      ports,
      engine,
    );
    if (outcome !== 'stopped') await lease.release();
    // The successor finds the lease free; should its start be lost, the schedule's next one does.
    if (outcome === 'handed over') await ports.handOver(cluster);
    return outcome;
  } finally {
    lease.stop();
  }
}

async function specOf(cluster: string, ports: ShipPorts, kind: EngineKind): Promise<ClusterSpec> {
  const result = await ports.specs.get(cluster);
  if (result === null)
    throw new Error(`there is no specification of cluster ${JSON.stringify(cluster)}: is it declared?`);
  if (!result.ok) throw new Error(describeProblems(cluster, result.problems));
  if (result.spec.engine.kind !== kind)
    throw new Error(`cluster ${cluster} is ${result.spec.engine.kind}, and this function ships ${kind}: mend its rule`);
  return result.spec;
}

interface Going {
  readonly spec: ClusterSpec;
  readonly archive: ArchiveSpec;
  readonly mode: ShipRun['mode'];
  readonly lease: LeaseKeeper;
  readonly endMs: number;
}

/** Go after go until the end. */
async function go(going: Going, ports: ShipPorts, engine: ShipEngine): Promise<ShipOutcome> {
  const { clock, log } = ports;
  const { spec, lease, endMs } = going;
  const telemetry = new Telemetry(ports, spec.name);
  const stop = (): string | null => {
    telemetry.tick();
    return lease.lost ?? (clock.nowMs() >= endMs ? 'its time is up' : null);
  };
  let pauseMs: number = PAUSE.firstMs;
  const againMs = Math.min(clock.nowMs() + DRAIN_AGAIN.afterMs, endMs);
  let again = going.mode === 'drain' && going.archive.rpoSeconds < DRAIN_AGAIN.belowSeconds;
  for (;;) {
    const queue = pieceQueue({
      ...{ bucket: ports.bucket, clock, stored: (piece) => telemetry.stored(piece) },
      ...(ports.frame === undefined ? {} : { frame: ports.frame }),
    });
    const before = telemetry.objects;
    const end = await once({ ...going, ...ports, queue, stop, covered: (ms) => telemetry.covered(ms) }, engine, endMs);
    if (telemetry.objects > before) pauseMs = PAUSE.firstMs;
    const why = stop();
    if (again && end.kind === 'drained' && why === null && clock.nowMs() < againMs) {
      again = false;
      telemetry.flush();
      await clock.sleep(againMs - clock.nowMs());
      if (lease.lost === null) continue;
      return 'stopped';
    }
    if (end.kind === 'drained' || why !== null) {
      telemetry.flush();
      if (lease.lost !== null) return 'stopped';
      log.info(`the shipper ends: ${why ?? 'all is shipped'}`, { cluster: spec.name });
      return end.kind === 'drained' ? 'drained' : going.mode === 'drain' ? 'stopped' : 'handed over';
    }
    log.info(`the shipper begins anew: ${end.why}`, { cluster: spec.name });
    const failed = end.pauseMs < 0;
    await clock.sleep(Math.min(failed ? pauseMs : end.pauseMs, Math.max(0, endMs - clock.nowMs())));
    if (failed) pauseMs = Math.min(PAUSE.mostMs, pauseMs * 2);
  }
}

/** One go. What fails is told and counted; the next go begins where the bucket ends. */
async function once(run: ShipRun, engine: ShipEngine, endMs: number): Promise<ShipEnd> {
  const { queue, clock, log, metrics, spec } = run;
  try {
    const end = await engine.ship(run);
    const leftMs = endMs + RESERVE_MS - LAST_CALLS_MS - clock.nowMs();
    const late = clock.sleep(Math.max(0, leftMs)).then(() => 'late' as const);
    if ((await Promise.race([queue.drain(), late])) === 'late')
      throw new Error('S3 did not take what was read in time');
    return end;
  } catch (error) {
    metrics.count('ShipFailed', 1, { cluster: spec.name });
    log.warn('shipping failed, and goes on from the end of the archive', { cluster: spec.name, error });
    await queue.abort().catch((again: unknown) => log.warn('an upload could not be ended', { error: again }));
    return { kind: 'again', why: String(error), pauseMs: -1 };
  }
}
