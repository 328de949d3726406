/** PostgreSQL's nodes as the archive meets them: what they say when they are probed, their slot `rejoin_archive`, and the log they keep. */
import type { DbTarget, PostgresAdmin, Prober, SlotChanges } from '../../../lambdas/cloud/ports.ts';
import { NodeUnavailable } from '../../../lambdas/cloud/ports.ts';
import { lsnBytes } from '../../../lambdas/model/lsn.ts';
import { ARCHIVE_SLOT } from '../../../lambdas/model/postgres.ts';
import type { Probe } from '../../../lambdas/model/view.ts';
import type { Disk, Server } from '../../../test/fakes/postgres-cluster.ts';
import { last, lsnText, positionOf } from '../../../test/fakes/postgres-cluster.ts';
import type { SimPostgres } from '../../postgres/cluster.ts';
import type { World } from '../../world.ts';

/** `wal_segment_size`, far smaller than any server's: an archive of many segments with few bytes. */
export const SEGMENT_BYTES = 4096;
/** Log that is kept for nobody, and the most that a slot keeps (`max_slot_wal_keep_size`). */
const KEEP_BYTES = 2 * SEGMENT_BYTES;
const MOST_KEPT_BYTES = 5 * SEGMENT_BYTES;
const SILENT_MS = 1500;
const SLOTS_MADE_MS = 5000;

/** What of the log is on a disk, and the slot. */
interface Kept {
  /** Nothing before it is there any more. */
  removedTo: number;
  slot: { at: number; lost: boolean; user: object | null } | null;
}

const borderBefore = (at: number): number => at - (at % SEGMENT_BYTES);

export class ArchiveNodes implements Pick<Prober, 'probe'>, Pick<PostgresAdmin, 'setSlots'> {
  readonly #world: World;
  readonly #pg: SimPostgres;
  readonly #kept = new WeakMap<Disk, Kept>();
  #slotsMadeMs = 0;

  constructor(world: World, pg: SimPostgres) {
    this.#world = world;
    this.#pg = pg;
  }

  /** As the plane reaches it; nothing moves because it is looked at. */
  says(id: string, host: string | null): 'answers' | 'silent' | 'unreachable' | 'refused' | 'rejected' {
    const server = this.#pg.servers.get(id);
    const { unseen, clock } = this.#world;
    if (server === undefined || unseen.has(id) || !this.#world.hostRuns(id) || this.#pg.hostOf(id) !== host)
      return 'unreachable';
    if (server.process === 'frozen') return 'silent';
    if (server.process === 'down' || server.disk === null || server.seedingUntilMs !== null) return 'refused';
    return (server.recoversUntilMs ?? 0) > clock.nowMs() ? 'rejected' : 'answers';
  }

  answering(): readonly (Server & { readonly disk: Disk })[] {
    return [...this.#pg.servers.values()].filter(
      (s): s is Server & { readonly disk: Disk } => this.says(s.id, this.#pg.hostOf(s.id)) === 'answers',
    );
  }

  async probe(target: Parameters<Prober['probe']>[0]): Promise<Probe> {
    const { instanceId: id, host, deadlineMs = SILENT_MS } = target;
    const kind = this.says(id, host);
    const atMs = this.#world.clock.nowMs();
    const disk = this.#pg.servers.get(id)?.disk;
    if (kind !== 'answers' || disk == null) {
      const tookMs = kind === 'silent' || kind === 'unreachable' ? deadlineMs : 1;
      return { kind: kind === 'answers' ? 'refused' : kind, atMs: atMs + tookMs, tookMs, detail: 'simulated' };
    }
    const { slot } = this.keptOn(disk);
    const walStatus = slot?.lost === true ? 'lost' : 'reserved';
    const restartLsn = slot === null || slot.lost ? null : lsnText(slot.at);
    const status = {
      ...({ engine: 'postgres', inRecovery: this.#pg.server(id).recovering, systemId: disk.systemId } as const),
      ...{ ...positionOf(disk), replayLsn: null, replayLagSeconds: null, receiver: null, followsHost: null },
      ...{ standbys: [], synchronousStandbyNames: disk.names, disk: null },
      slots: slot === null ? [] : [{ name: ARCHIVE_SLOT, active: slot.user !== null, restartLsn, walStatus }],
    };
    return { kind: 'answered', atMs, tookMs: 3, status };
  }

  async setSlots(target: DbTarget, _: unknown, { create, drop, advance = {} }: SlotChanges): Promise<void> {
    const disk = await this.diskAt(target);
    const kept = this.keptOn(disk);
    if (create.includes(ARCHIVE_SLOT)) this.#make(disk);
    if (drop.includes(ARCHIVE_SLOT) && kept.slot?.user == null) kept.slot = null;
    const to = advance[ARCHIVE_SLOT];
    if (to === undefined || kept.slot === null || kept.slot.user !== null || kept.slot.lost) return;
    kept.slot.at = Math.max(kept.slot.at, Math.min(Number(lsnBytes(to)), last(disk).end));
  }

  /** The data directory behind a target that answers. @throws NodeUnavailable, after a while when nobody says a word. */
  async diskAt({ instanceId: id, host }: DbTarget): Promise<Disk> {
    const kind = this.says(id, host);
    const disk = this.#pg.servers.get(id)?.disk;
    if (kind === 'answers' && disk != null) return disk;
    if (kind === 'silent' || kind === 'unreachable') await this.#world.clock.sleep(SILENT_MS);
    throw new NodeUnavailable(`${id}: ${kind}`);
  }

  diskOf(id: string): Disk | null {
    return this.#pg.servers.get(id)?.disk ?? null;
  }

  keptOn(disk: Disk): Kept {
    const known = this.#kept.get(disk);
    if (known !== undefined) return known;
    // A base backup has the log since its beginning, and no slots.
    const first = disk.log[0]?.start ?? 0;
    const kept: Kept = { removedTo: disk.log.length < 3 ? first : borderBefore(last(disk).end), slot: null };
    this.#kept.set(disk, kept);
    return kept;
  }

  /** Once a second: log goes that nobody keeps, and reconcile has made the slot where it was missing. */
  tick(): void {
    const nowMs = this.#world.clock.nowMs();
    for (const { process, disk } of this.#pg.servers.values()) {
      if (disk !== null && process !== 'down') this.#removeOld(disk);
    }
    if (!this.#world.planeOn || nowMs - this.#slotsMadeMs < SLOTS_MADE_MS) return;
    this.#slotsMadeMs = nowMs;
    for (const { disk } of this.answering()) this.#make(disk);
  }

  #make(disk: Disk): void {
    const kept = this.keptOn(disk);
    kept.slot ??= { at: Math.max(kept.removedTo, borderBefore(last(disk).end)), lost: false, user: null };
  }

  #removeOld(disk: Disk): void {
    const kept = this.keptOn(disk);
    const { end } = last(disk);
    if (kept.slot !== null && end - kept.slot.at > MOST_KEPT_BYTES) kept.slot.lost = true;
    const from = kept.slot === null || kept.slot.lost ? end - KEEP_BYTES : Math.min(kept.slot.at, end - KEEP_BYTES);
    kept.removedTo = Math.max(kept.removedTo, borderBefore(from));
  }
}
