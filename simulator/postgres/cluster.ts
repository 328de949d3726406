/**
 * PostgreSQL's streaming replication in the simulator: the model that the workflow tests run over (`test/fakes/postgres*.ts`:
 * logs that are copied, timelines that fork, commits that wait for their quorum), on hosts and networks of the world that
 * fail, with streams that stand still, base backups that take time, and clients at every node that takes writes.
 */
import type { DbTarget } from '../../lambdas/cloud/ports.ts';
import type { Instance, Probe } from '../../lambdas/model/view.ts';
import type { ClusterSpec } from '../../lambdas/model/spec.ts';
import type { Server } from '../../test/fakes/postgres-cluster.ts';
import { FakePostgres, PROBE_DEADLINE_MS } from '../../test/fakes/postgres.ts';
import type { Database } from '../side.ts';
import type { World } from '../world.ts';

/** Clients that wait for an acknowledgement write nothing else: a primary without its quorum gets no more than that. */
const MOST_WAITING = 40;

/** `wal_sender_timeout` (docs/hosts.md): a standby that says nothing for so long is gone. */
const SENDER_TIMEOUT_MS = 6000;

export class SimPostgres extends FakePostgres implements Database {
  readonly #world: World;
  /** Chance that a stream stands still for half a second. */
  sluggish = 0.15;
  /** Streams that stand still, by instance, until when. */
  readonly heldUntilMs = new Map<string, number>();
  /** Who gives a base backup, by who takes it. */
  readonly donors = new Map<string, string>();
  readonly #unanswered = new Map<string, number>();
  /** When a standby last told its primary something, by both. */
  readonly #toldAtMs = new Map<string, number>();

  constructor(world: World, spec: ClusterSpec) {
    super(world.aws, spec);
    this.#world = world;
  }

  get writes(): number {
    return this.journal.length;
  }

  tick(): void {
    const nowMs = this.#world.clock.nowMs();
    for (const s of this.servers.values()) {
      this.#seeDisk(s);
      this.#seeBackup(s);
      s.held = (this.heldUntilMs.get(s.id) ?? 0) > nowMs || this.#world.random.chance(this.sluggish);
    }
    this.settle();
    for (const primary of this.servers.values()) {
      if (primary.process === 'down' || primary.disk === null) continue;
      for (const s of this.attachedTo(primary)) if (s.process === 'up') this.#toldAtMs.set(streamOf(primary, s), nowMs);
    }
  }

  /** Of a frozen or cut off standby nobody tells the primary: it is shown until the sender gives up. */
  protected override listedBy(primary: Server): readonly Server[] {
    const nowMs = this.#world.clock.nowMs();
    return [...this.servers.values()].filter((s) => {
      if (s.process === 'down' || s.disk === null || s.disk.upstreamHost !== this.hostOf(primary.id)) return false;
      return nowMs - (this.#toldAtMs.get(streamOf(primary, s)) ?? Number.NEGATIVE_INFINITY) < SENDER_TIMEOUT_MS;
    });
  }

  /** They write to every node that takes writes, routed or not: an old primary has clients too. */
  clients(): boolean {
    const before = this.journal.length;
    for (const id of this.primaries()) {
      const waiting = this.#unanswered.get(id) ?? 0;
      const answered = this.canAcknowledge(this.server(id));
      this.#unanswered.set(id, answered ? 0 : waiting + 1);
      if (waiting < MOST_WAITING) this.append(this.server(id), true);
    }
    this.settle();
    return this.journal.length > before;
  }

  /** Would a commit of this moment be acknowledged: it takes writes, and enough of its set stream from it. */
  canAcknowledge(server: Server): boolean {
    return this.runs(server) && !server.recovering && server.disk !== null && this.reachesQuorum(server);
  }

  isUp(id: string): boolean {
    return this.servers.get(id)?.process === 'up';
  }

  listens(id: string): boolean {
    return this.hostLives(id) && this.servers.get(id)?.process !== 'down';
  }

  /** The ledger's writer that can acknowledge, or a replica that streams from it. */
  serves(id: string): boolean {
    const { writer } = this.#world.ledger();
    const [server, primary] = [this.servers.get(id), this.servers.get(writer ?? '')];
    if (server === undefined || primary === undefined || !this.canAcknowledge(primary)) return false;
    return id === writer || (this.runs(server) && this.attachedTo(primary).includes(server));
  }

  takesWrites(): boolean {
    return [...this.servers.values()].some((s) => this.canAcknowledge(s));
  }

  /** A shutdown checkpoint, which reaches those that stream. One that hangs is killed. */
  stop(id: string): void {
    const server = this.servers.get(id);
    if (server?.process === 'up' && !server.recovering && server.disk !== null) this.append(server, false);
    this.crash(id);
  }

  hang(id: string): void {
    if (this.isUp(id)) this.freeze(id);
  }

  resume(id: string): void {
    this.thaw(id);
  }

  /** The guest may be gone at once, or run until EC2 says that it has ended. */
  hostEnds(id: string): void {
    if (this.#world.random.chance(0.5)) this.crash(id);
  }

  override crash(id: string): void {
    if (this.servers.has(id)) super.crash(id);
  }

  /** At once: the plane lets the time pass that it took. */
  override async probe(target: DbTarget): Promise<Probe> {
    const found = this.seen(target);
    if (found.kind !== 'silent' && found.kind !== 'unreachable') return found;
    const tookMs = target.deadlineMs ?? PROBE_DEADLINE_MS;
    return { ...found, tookMs, atMs: found.atMs + tookMs };
  }

  /** An address that the instance does not have any more: nobody is there. */
  protected override heardAt(target: DbTarget): ReturnType<SimPostgres['hears']> {
    return this.hostOf(target.instanceId) === target.host ? super.heardAt(target) : 'unreachable';
  }

  protected override lives(instance: Instance): boolean {
    return super.lives(instance) && !this.#world.downZones.has(instance.zone);
  }

  protected override linked(a: Server, b: Server): boolean {
    return this.reach(a.id, b.id);
  }

  protected override seenByPlane(server: Server): boolean {
    return !this.#world.unseen.has(server.id);
  }

  reach(a: string, b: string): boolean {
    return this.#world.reach(a, b);
  }

  /** The directory is on the volume: it goes with it. */
  #seeDisk(server: Server): void {
    const volume = this.#world.volumeOf(server.id);
    const disk = volume === null ? null : (this.disks.get(volume) ?? null);
    if (disk === server.disk) return;
    if (disk === null) Object.assign(server, { process: 'down', seedingUntilMs: null });
    if (server.process === 'down') server.disk = disk;
  }

  /** A base backup breaks off with its donor, and leaves nothing that could be started. */
  #seeBackup(server: Server): void {
    const donor = this.servers.get(this.donors.get(server.id) ?? '');
    if (server.seedingUntilMs === null || donor === undefined) return;
    if (this.hostLives(server.id) && this.runs(donor) && this.reach(server.id, donor.id)) return;
    this.#world.story.tell(server.id, `its base backup from ${donor.id} broke off`);
    this.erase(server);
  }

  erase(server: Server): void {
    const volume = this.#world.volumeOf(server.id);
    if (volume !== null) this.disks.delete(volume);
    Object.assign(server, { disk: null, process: 'down', seedingUntilMs: null });
  }
}

const streamOf = (primary: Server, standby: Server): string => `${primary.id} ${standby.id}`;
