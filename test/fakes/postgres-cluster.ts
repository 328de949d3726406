/**
 * A PostgreSQL cluster in memory: logs that are copied, timelines that fork, commits that wait for their quorum. Copying takes no
 * time unless a stream is held. `postgres.ts` puts the plane's ports on it, `postgres-scripts.ts` the scripts on hosts.
 */
import type { Position } from '../../lambdas/model/lsn.ts';
import type { AttachedStandby, PostgresStatus, WalReceiver } from '../../lambdas/model/postgres.ts';
import { slotOf } from '../../lambdas/model/postgres.ts';
import { parseSynchronousStandbyNames } from '../../lambdas/model/quorum.ts';
import type { QuorumSet } from '../../lambdas/model/quorum.ts';
import type { ClusterSpec } from '../../lambdas/model/spec.ts';
import type { Instance } from '../../lambdas/model/view.ts';
import type { FakeAws } from './aws.ts';

/** One piece of the log. Logs are the same up to an entry when they hold the same entry there. */
export interface LogEntry {
  readonly id: number;
  /** Its place in every log that holds it. */
  readonly index: number;
  readonly timeline: number;
  /** Where it begins and ends, bytes. */
  readonly start: number;
  readonly end: number;
  /** The client's number of the commit; null: PostgreSQL's own. */
  readonly commit: number | null;
}

/** A data directory: it lives on a volume, and may outlive its instance. */
export interface Disk {
  log: readonly LogEntry[];
  systemId: string;
  /** `primary_conninfo` and `primary_slot_name`. */
  upstreamHost: string | null;
  upstreamSlot: string | null;
  readonly slots: Set<string>;
  /** Numbers of timelines whose history files only say that they are used. */
  readonly passedOver: Set<number>;
  /** `synchronous_standby_names`. */
  names: string;
}

export interface Server {
  readonly id: string;
  disk: Disk | null;
  /** `down`: nobody listens. `frozen`: it has the connections and says nothing. */
  process: 'up' | 'down' | 'frozen';
  recovering: boolean;
  /** Cut off from the plane, from the other nodes. */
  deafToPlane: boolean;
  deafToPeers: boolean;
  /** Its stream stands still: it hears, and receives no log. */
  held: boolean;
  lastHeardMs: number | null;
  /** It recovers from a crash until then, and lets nobody in. */
  recoversUntilMs: number | null;
  /** A base backup is being taken until then. */
  seedingUntilMs: number | null;
}

export interface Acknowledged {
  readonly commit: number;
  readonly entry: LogEntry;
  readonly node: string;
  readonly timeline: number;
  readonly atMs: number;
}

const RECEIVER_TIMEOUT_MS = 4000;

export const lsnText = (bytes: number): string =>
  `${Math.floor(bytes / 2 ** 32)
    .toString(16)
    .toUpperCase()}/${(bytes % 2 ** 32).toString(16).toUpperCase()}`;

export const last = (disk: Disk): LogEntry => {
  const entry = disk.log.at(-1);
  if (entry === undefined) throw new Error('a fake data directory has an empty log');
  return entry;
};

export const positionOf = (disk: Disk): Position => ({ timeline: last(disk).timeline, lsn: lsnText(last(disk).end) });

const quorums = new Map<string, QuorumSet | null>();

/** The setting as the plane's own parser reads it, once for each text. */
export function quorumOf(names: string): QuorumSet | null {
  const known = quorums.get(names);
  if (known !== undefined) return known;
  const parsed = parseSynchronousStandbyNames(names);
  quorums.set(names, parsed);
  return parsed;
}

export class FakePostgresCluster {
  readonly servers = new Map<string, Server>();
  /** Commits that a client was told of, in that order. */
  readonly journal: Acknowledged[] = [];
  /** `setup.sql` of this version has been run. */
  passesOver = true;
  /** How long a started server recovers before it lets anybody in. */
  recoveryMs = 0;
  /** How long a base backup takes. */
  seedMs = 0;
  /** Nodes that took a base backup from a peer. */
  readonly copies: string[] = [];
  /** How long a restore from the archive takes; by plan, until when. */
  restoreMs = 0;
  readonly restores = new Map<string, number>();
  /** By instance, the plan that its data are of. */
  readonly restored = new Map<string, string>();
  /** Nodes whose data pg_rewind cannot mend. */
  readonly cannotRewind = new Set<string>();
  readonly aws: FakeAws;
  readonly #spec: ClusterSpec;
  readonly disks = new Map<string, Disk>();
  readonly #waiting = new Map<number, { readonly node: string; readonly entry: LogEntry }>();
  #counter = 0;

  constructor(aws: FakeAws, spec: ClusterSpec) {
    this.aws = aws;
    this.#spec = spec;
  }

  /** A primary with its history, on the instance's data volume. */
  addPrimary(instance: Instance): Server {
    const log = [this.entry({ timeline: 1, end: 0x3000000, index: -1 }, 'none')];
    const server = this.add(instance, {
      log,
      systemId: '7300000000000000001',
      upstreamHost: null,
      upstreamSlot: null,
      slots: new Set(),
      passedOver: new Set(),
      names: '',
    });
    server.process = 'up';
    server.recovering = false;
    return server;
  }

  /** A streaming replica of `primary`, with a slot there. */
  addStandby(instance: Instance, primary: Server): Server {
    const { log, systemId } = this.diskOf(primary);
    const upstreamSlot = this.usesSlots() ? slotOf(instance.id) : null;
    if (upstreamSlot !== null) this.diskOf(primary).slots.add(upstreamSlot);
    const server = this.add(instance, {
      log,
      systemId,
      upstreamHost: this.hostOf(primary.id),
      upstreamSlot,
      slots: new Set(),
      passedOver: new Set(),
      names: '',
    });
    server.process = 'up';
    return server;
  }

  server(id: string): Server {
    const found = this.servers.get(id) ?? this.#blank(id);
    if (found === null) throw new Error(`the fake cluster has no server ${id}`);
    return found;
  }

  // ---- what befalls it

  /** The process is gone, the host lives: connections are refused. */
  crash(id: string): void {
    this.settle();
    Object.assign(this.server(id), { process: 'down', seedingUntilMs: null });
    this.settle();
  }

  freeze(id: string): void {
    this.settle();
    this.server(id).process = 'frozen';
  }

  thaw(id: string): void {
    this.settle();
    if (this.server(id).process === 'frozen') this.server(id).process = 'up';
    this.settle();
  }

  cut(id: string, from: { readonly plane?: boolean; readonly peers?: boolean }): void {
    this.settle();
    const server = this.server(id);
    server.deafToPlane = from.plane ?? server.deafToPlane;
    server.deafToPeers = from.peers ?? server.deafToPeers;
    this.settle();
  }

  /** Its stream stands still (true) or goes on. */
  hold(id: string, held = true): void {
    this.settle();
    this.server(id).held = held;
    this.settle();
  }

  /** As hosts start it: a standby, whatever it was. The upstream stays as it is set. */
  boot(id: string): void {
    const server = this.server(id);
    Object.assign(server, { process: 'up', recovering: true, lastHeardMs: null });
    this.settle();
  }

  // ---- what clients see

  primaries(): readonly string[] {
    return [...this.servers.values()].filter((s) => this.runs(s) && !s.recovering).map((s) => s.id);
  }

  /** A client writes to every node that takes writes; an acknowledgement may come at once, later or never. */
  write(): void {
    for (const id of this.primaries()) this.append(this.server(id), true);
    this.settle();
  }

  commitsOf(id: string): ReadonlySet<number> {
    return new Set(this.diskOf(this.server(id)).log.flatMap((e) => e.commit ?? []));
  }

  /** Does it have a stream from `primary`. */
  streams(id: string, primary: string): boolean {
    this.settle();
    return this.#upstreamOf(this.server(id))?.id === primary;
  }

  /** Does it stream from `primary` and have everything that it has. */
  follows(id: string, primary: string): boolean {
    this.settle();
    const standby = this.server(id);
    return (
      this.#upstreamOf(standby)?.id === primary &&
      last(this.diskOf(standby)).id === last(this.diskOf(this.server(primary))).id
    );
  }

  /**
   * What must never be: an acknowledged commit that `primary` lacks, and acknowledgements of an older timeline, or by another
   * node, after those of a newer one. Sentences; empty when all is well.
   */
  problems(primary: string | null): readonly string[] {
    this.settle();
    const problems: string[] = [];
    if (primary !== null) {
      const has = this.commitsOf(primary);
      const lost = this.journal.filter((a) => !has.has(a.commit));
      if (lost.length > 0)
        problems.push(`${primary} lacks ${lost.length} acknowledged commits, the first by ${lost[0]?.node ?? ''}`);
    }
    const by = new Map<number, string>();
    let newest = 0;
    for (const { timeline, node, atMs } of this.journal) {
      if (timeline < newest)
        problems.push(`${node} acknowledged on timeline ${timeline} at ${atMs}, after timeline ${newest}`);
      newest = Math.max(newest, timeline);
      const first = by.get(timeline) ?? node;
      by.set(timeline, first);
      if (first !== node) problems.push(`${first} and ${node} both acknowledged on timeline ${timeline}`);
    }
    return [...new Set(problems)];
  }

  // ---- what nodes say of themselves

  status(id: string): PostgresStatus {
    this.settle();
    const server = this.server(id);
    const disk = this.diskOf(server);
    const { timeline, lsn } = positionOf(disk);
    const attached = this.listedBy(server);
    return {
      engine: 'postgres',
      inRecovery: server.recovering,
      systemId: disk.systemId,
      timeline,
      lsn,
      replayLsn: server.recovering ? lsn : null,
      replayLagSeconds: server.recovering ? 0 : null,
      receiver: this.#receiverOf(server),
      followsHost: server.recovering ? disk.upstreamHost : null,
      standbys: attached.map((s): AttachedStandby => {
        const at = positionOf(this.diskOf(s)).lsn;
        const quorum = quorumOf(disk.names);
        return {
          node: s.id,
          state: 'streaming',
          syncState: quorum?.standbys.includes(s.id) === true ? 'quorum' : 'async',
          flushLsn: at,
          replayLsn: at,
        };
      }),
      slots: [...disk.slots].map((name) => ({
        name,
        active: attached.some((s) => slotOf(s.id) === name),
        restartLsn: lsn,
        walStatus: 'reserved',
      })),
      synchronousStandbyNames: disk.names,
      disk: null,
    };
  }

  // ---- how it works

  /** Lets logs flow and acknowledgements come, until nothing moves. */
  settle(): void {
    const nowMs = this.aws.clock.nowMs();
    for (const server of this.servers.values()) {
      if (!this.hostLives(server.id)) server.process = 'down';
      if (server.seedingUntilMs !== null && server.seedingUntilMs <= nowMs) {
        Object.assign(server, { seedingUntilMs: null, process: 'up', recovering: true });
      }
    }
    for (let moved = true; moved;) {
      moved = false;
      for (const standby of this.servers.values()) moved = this.#receive(standby, nowMs) || moved;
      for (const server of this.servers.values()) this.#acknowledge(server, nowMs);
    }
  }

  #receive(standby: Server, nowMs: number): boolean {
    const upstream = this.#upstreamOf(standby);
    if (upstream === null || upstream.process !== 'up' || standby.process !== 'up') return false;
    standby.lastHeardMs = nowMs;
    const disk = this.diskOf(standby);
    const from = this.diskOf(upstream);
    if (standby.held || from.log.length === disk.log.length) return false;
    disk.log = from.log;
    return true;
  }

  /** Clients of one server hear of every commit that enough standbys have. */
  #acknowledge(server: Server, nowMs: number): void {
    if (this.#waiting.size === 0) return;
    const waiting = [...this.#waiting].filter(([, w]) => w.node === server.id);
    if (waiting.length === 0) return;
    const serves = this.runs(server) && !server.recovering;
    const has = this.flushedBy(server);
    for (const [commit, { entry }] of waiting) {
      // A client whose server has ended waits no more; a frozen one may answer yet.
      if (!serves && server.process !== 'frozen') this.#waiting.delete(commit);
      if (!serves || !has(entry)) continue;
      this.#waiting.delete(commit);
      this.journal.push({ commit, entry, node: server.id, timeline: entry.timeline, atMs: nowMs });
    }
  }

  /** Have as many standbys flushed an entry as the server waits for. */
  flushedBy(server: Server): (entry: LogEntry) => boolean {
    if (server.disk === null) return () => false;
    const set = quorumOf(server.disk.names);
    if (set === null) throw new Error(`the fake cannot read synchronous_standby_names of ${server.id}`);
    const standbys = this.attachedTo(server).filter((s) => set.standbys.includes(s.id) && s.process === 'up');
    return (entry) => standbys.filter((s) => this.diskOf(s).log[entry.index] === entry).length >= set.need;
  }

  /** Are as many of its set attached as it waits for. */
  reachesQuorum(server: Server): boolean {
    const set = quorumOf(this.diskOf(server).names);
    if (set === null) return true;
    if (set.need === 0) return true;
    return this.attachedTo(server).filter((s) => s.process === 'up' && set.standbys.includes(s.id)).length >= set.need;
  }

  /** Whom it has a stream from, or would have in a moment. A frozen upstream holds the connection until the receiver gives up. */
  #upstreamOf(standby: Server): Server | null {
    if (standby.process === 'down' || !standby.recovering || standby.disk === null || !this.hostLives(standby.id))
      return null;
    const { log, upstreamHost, upstreamSlot, systemId } = standby.disk;
    const upstream = this.#serverAt(upstreamHost, standby);
    if (upstream === null || upstream.process === 'down' || upstream.disk === null) return null;
    if (!this.hostLives(upstream.id) || !this.linked(standby, upstream)) return null;
    const theirs = upstream.disk;
    if (theirs.systemId !== systemId || (upstreamSlot !== null && !theirs.slots.has(upstreamSlot))) return null;
    return theirs.log[log.length - 1]?.id === last(standby.disk).id ? upstream : null;
  }

  #serverAt(host: string | null, except: Server): Server | null {
    if (host === null) return null;
    for (const s of this.servers.values()) if (s !== except && this.hostOf(s.id) === host) return s;
    return null;
  }

  attachedTo(primary: Server): readonly Server[] {
    const attached: Server[] = [];
    const host = this.hostOf(primary.id);
    for (const s of this.servers.values()) {
      if (s.disk?.upstreamHost === host && this.#upstreamOf(s) === primary) attached.push(s);
    }
    return attached;
  }

  /** Whom its `pg_stat_replication` shows. */
  protected listedBy(primary: Server): readonly Server[] {
    return this.attachedTo(primary);
  }

  #receiverOf(server: Server): WalReceiver | null {
    if (!server.recovering || server.lastHeardMs === null || server.disk?.upstreamHost == null) return null;
    const ago = this.aws.clock.nowMs() - server.lastHeardMs;
    const upstream = this.#upstreamOf(server);
    if (upstream === null && ago === 0) return null;
    if (ago > RECEIVER_TIMEOUT_MS) return null;
    const { upstreamHost, upstreamSlot } = server.disk;
    return {
      status: 'streaming',
      senderHost: upstreamHost,
      slot: upstreamSlot,
      lastMessageAgoMs: ago,
      timeline: last(server.disk).timeline,
    };
  }

  append(server: Server, byClient: boolean): LogEntry {
    const disk = this.diskOf(server);
    const entry = this.entry(last(disk), byClient ? 'client' : 'none');
    disk.log = [...disk.log, entry];
    if (entry.commit !== null) this.#waiting.set(entry.commit, { node: server.id, entry });
    return entry;
  }

  entry(after: Pick<LogEntry, 'timeline' | 'end' | 'index'>, by: 'client' | 'none'): LogEntry {
    this.#counter += 1;
    const id = this.#counter;
    const { timeline, end: start } = after;
    return { id, index: after.index + 1, timeline, start, end: start + 0x60, commit: by === 'client' ? id : null };
  }

  hears(server: Server): 'answers' | 'refused' | 'silent' | 'unreachable' | 'rejected' {
    this.settle();
    if (!this.hostLives(server.id) || !this.seenByPlane(server)) return 'unreachable';
    if (server.process === 'frozen') return 'silent';
    if (this.#recovers(server)) return 'rejected';
    return server.process === 'up' ? 'answers' : 'refused';
  }

  /** EC2 has not ended it: an instance that is being stopped may still run. */
  protected hostLives(id: string): boolean {
    const instance = this.aws.instances.get(id);
    return instance !== undefined && this.lives(instance);
  }

  protected lives({ state }: Instance): boolean {
    return state === 'running' || state === 'stopping' || state === 'shutting-down';
  }

  /** Can the two hosts reach each other. */
  protected linked(a: Server, b: Server): boolean {
    return !a.deafToPeers && !b.deafToPeers;
  }

  protected seenByPlane(server: Server): boolean {
    return !server.deafToPlane;
  }

  runs(server: Server): boolean {
    return this.hostLives(server.id) && server.process === 'up' && !this.#recovers(server);
  }

  #recovers({ process, recoversUntilMs }: Server): boolean {
    return process === 'up' && (recoversUntilMs ?? 0) > this.aws.clock.nowMs();
  }

  hostOf(id: string): string | null {
    return this.aws.instances.get(id)?.privateIp ?? null;
  }

  diskOf(server: Server): Disk {
    if (server.disk === null) throw new Error(`${server.id} has no data directory`);
    return server.disk;
  }

  usesSlots(): boolean {
    return this.#spec.engine.kind === 'postgres' && this.#spec.engine.slots === 'physical';
  }

  add(instance: Instance, disk: Disk | null): Server {
    const server: Server = {
      id: instance.id,
      disk,
      process: 'down',
      recovering: true,
      deafToPlane: false,
      deafToPeers: false,
      held: false,
      lastHeardMs: null,
      recoversUntilMs: null,
      seedingUntilMs: null,
    };
    this.servers.set(instance.id, server);
    const volume = instance.volumes.find((v) => v.device === this.#spec.dataDevice)?.volumeId;
    if (volume !== undefined && disk !== null) this.disks.set(volume, disk);
    return server;
  }

  /** A new instance: its database has never run. */
  #blank(id: string): Server | null {
    const instance = this.aws.instances.get(id);
    return instance === undefined ? null : this.add(instance, null);
  }
}
