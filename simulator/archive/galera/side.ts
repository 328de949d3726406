/** The archive of a Galera cluster: its shipper over dumps of the nodes' own binlogs, and what people may ask to have back. */
import { galeraShipEngine } from '../../../lambdas/archive/ship/galera/engine.ts';
import type { ShipEngine, ShipRun } from '../../../lambdas/archive/ship/run.ts';
import { parseGtidPosition } from '../../../lambdas/model/archive/gtid.ts';
import { parseKey } from '../../../lambdas/model/archive/keys.ts';
import type { Actor } from '../../actor.ts';
import type { GaleraModel } from '../../galera/cluster.ts';
import { holds } from '../../galera/history.ts';
import type { World } from '../../world.ts';
import type { ArchivePorts, SimArchive } from '../archive.ts';
import type { ArchiveSide, Asked, Backup } from '../side.ts';
import { Binlogs, oldestOf } from './binlogs.ts';
import { daysBefore } from './days-before.ts';
import { gtid, GaleraServers } from './servers.ts';
import type { Log } from './truth.ts';
import { GaleraTruth, isAsGood, sequenceOf } from './truth.ts';

/** So long after it was acknowledged a write may not be in S3: the RPO of 20 s, and as much for whatever was under way. */
const BEHIND_MS = 40_000;
/** Of some transactions (16 MB in production): an archive of many pieces with few bytes. */
const PIECE_BYTES = 1500;
/** A shipper asks all nodes, lists the bucket, and reads on: a node that was there for so long was there to be asked. */
const LOOKED_MS = 20_000;

interface Base {
  readonly manifestKey: string;
  readonly log: Log;
  readonly endedMs: number;
}

export class GaleraArchive implements ArchiveSide {
  readonly #world: World;
  readonly #archive: SimArchive;
  readonly #model: GaleraModel;
  readonly binlogs: Binlogs;
  readonly servers: GaleraServers;
  readonly truth: GaleraTruth;
  #current: Log;
  /** Since when a node's log can be had without a break. */
  readonly #ableSinceMs = new Map<string, number>();
  readonly #bases: Base[] = [];
  readonly #ends = new Map<number, Log>();
  /** What a target meant when it was asked for. */
  readonly #meant = new WeakMap<Asked, Log>();

  constructor(world: World, archive: SimArchive, model: GaleraModel) {
    this.#world = world;
    this.#archive = archive;
    this.#model = model;
    this.binlogs = new Binlogs(world, model);
    this.servers = new GaleraServers(world, model, this.binlogs, () =>
      archive.random.chance(world.weather.lostReply / 10),
    );
    const first = model.primaries()[0]?.data;
    if (first === undefined) throw new Error('a night begins with a primary component');
    this.#current = first;
    const place = { cluster: world.spec.name, history: first.branch.uuid };
    for (const key of daysBefore(place, world.clock.nowMs(), first.seqno))
      world.aws.objects.set(key, Buffer.from('before'));
    this.truth = new GaleraTruth(
      {
        violate: (rule, what) => world.guard.violate(rule, what),
        tell: (what) => world.story.tell('archive', what),
        current: () => this.#now(),
        keeps: (after) => this.#keeps(after),
        journal: model.journal,
        file: (name) => this.binlogs.known.get(name) ?? null,
      },
      first.seqno,
    );
    this.binlogs.tick();
  }

  get prober(): World['side']['prober'] {
    return this.#world.side.prober;
  }

  readonly admin = { setSlots: () => Promise.reject(new Error('Galera has no slots')) };

  shipper(ports: ArchivePorts, actor: Actor): ShipEngine {
    const servers = this.servers.of(actor, (id, _, after) => this.truth.begins(actor.name, id, after));
    const engine = galeraShipEngine(ports, { servers, pieceBytes: PIECE_BYTES });
    return { kind: engine.kind, ship: (run) => engine.ship(this.#watched(run, actor)) };
  }

  /** The truth hears what the shipper says of the archive. */
  #watched(run: ShipRun, actor: Actor): ShipRun {
    return {
      ...run,
      covered: (ms) => {
        this.truth.covered(actor.name, ms);
        run.covered(ms);
      },
      metrics: {
        ...run.metrics,
        count: (name, ...rest) => {
          if (name === 'ArchiveGap') this.truth.tellsGap(actor.name);
          run.metrics.count(name, ...rest);
        },
        gauge: (...said) => run.metrics.gauge(...said),
      },
    };
  }

  tick(): void {
    this.#now();
    this.binlogs.tick();
    const nowMs = this.#world.clock.nowMs();
    for (const { id } of this.#world.instancesOf()) {
      if (!this.#isAble(id)) this.#ableSinceMs.delete(id);
      else if (!this.#ableSinceMs.has(id)) this.#ableSinceMs.set(id, nowMs);
    }
  }

  stored(key: string, body: Uint8Array): void {
    this.truth.stored(key, body);
  }

  found(): void {
    // It is there under a name that says which bytes it holds: nothing new.
  }

  isAsGood(key: string, body: Uint8Array, there: Uint8Array): boolean {
    return isAsGood(key, body, there);
  }

  removes(): void {
    // The rule is the same for both engines.
  }

  /** mariabackup: as the node is when it ends. */
  backup(): Backup | null {
    const { writer } = this.#world.ledger();
    const able = this.#world.instancesOf().filter(({ id }) => id !== writer && this.#isAble(id));
    const node = this.#archive.random.pick(able)?.id;
    if (node === undefined) return null;
    const begun = this.binlogs.of(node);
    const server = begun?.server;
    let at = { gtid: '' };
    return {
      ...{ history: this.#current.branch.uuid, node },
      get start() {
        return at;
      },
      end: () => {
        const binlog = this.binlogs.of(node);
        if (binlog === null || binlog !== begun || binlog.server !== server || !this.#isAble(node)) return null;
        at = { gtid: gtid(binlog.end.seqno) };
        this.#ends.set(binlog.end.seqno, binlog.end);
        return at;
      },
    };
  }

  backedUp(manifestKey: string, endedMs: number): void {
    const object = parseKey(manifestKey)?.object;
    if (object?.kind !== 'manifest' || object.end.engine !== 'galera') return;
    const log = this.#ends.get(sequenceOf(object.end.gtid));
    if (log !== undefined) this.#bases.push({ manifestKey, log, endedMs });
  }

  ask(): Asked | null {
    const { random } = this.#archive;
    const first = this.#basesNow()[0];
    if (first === undefined || this.#model.primaries().length === 0) return null;
    if (random.chance(0.5)) return this.#askPlace(random.int(first.log.seqno, this.#now().seqno));
    const second = Math.floor(random.int(first.endedMs, this.#world.clock.nowMs()) / 1000) * 1000;
    return this.#askMoment(second);
  }

  judge(asked: Asked, { end, baseEnd }: { readonly end: string; readonly baseEnd: string }): string | null {
    const log = this.#meant.get(asked);
    if (log === undefined || !this.#isCurrent(log)) return null;
    const reached = sequenceOf(parseGtidPosition(end));
    if (reached < log.seqno) return `it ends at ${end}, before write ${log.seqno}`;
    const hole = this.truth.hole(log, sequenceOf(parseGtidPosition(baseEnd)));
    if (hole === null) return null;
    const lacks = `write ${log.seqno} is asked for, and ${hole} is not in S3`;
    if (!this.truth.isAnothers(hole)) return lacks;
    this.#world.guard.violate(
      'history',
      `the plan for ${asked.target}: ${lacks}: another of that GTID is, which is lost`,
    );
    return null;
  }

  behind(): string | null {
    const told = this.truth.acknowledgedBefore(this.#world.clock.nowMs() - BEHIND_MS);
    if (told === null || !this.#world.instancesOf().some(({ id }) => this.#isAble(id))) return null;
    const first = this.truth.missing({ branch: this.#now().branch, seqno: told.seqno });
    return first === null ? null : `write ${first}`;
  }

  #askPlace(seqno: number): Asked {
    const log = { branch: this.#now().branch, seqno };
    const isWhole = this.#basesNow().some((b) => b.log.seqno <= seqno && this.truth.hole(log, b.log.seqno) === null);
    const why = 'a base backup and all log up to there are in S3';
    return this.#asked({ target: gtid(seqno), must: isWhole ? 'accept' : null, why }, log);
  }

  #askMoment(atMs: number): Asked {
    const told = this.truth.acknowledgedBefore(atMs);
    const before = this.#basesNow().filter((b) => b.endedMs <= atMs);
    const isWhole = this.truth.said.some(
      ({ log, coveredMs }) =>
        coveredMs >= atMs && this.#isCurrent(log) && before.some((b) => this.truth.hole(log, b.log.seqno) === null),
    );
    const why = 'a base backup ended before it, and all log is in S3 up to an object that covers it';
    const asked = { target: new Date(atMs).toISOString(), must: isWhole ? 'accept' : null, why } as const;
    return this.#asked(asked, told === null ? null : { branch: this.#now().branch, seqno: told.seqno });
  }

  #asked(asked: Asked, log: Log | null): Asked {
    if (log !== null) this.#meant.set(asked, log);
    return asked;
  }

  /** Base backups that are part of what there is now, and in the folder of its state UUID: others are restored by their own `history`. */
  #basesNow(): readonly Base[] {
    const { objects } = this.#world.aws;
    const { uuid } = this.#now().branch;
    return this.#bases.filter(
      (b) => objects.has(b.manifestKey) && this.#isCurrent(b.log) && b.log.branch.uuid === uuid,
    );
  }

  #isCurrent({ branch, seqno }: Log): boolean {
    const now = this.#now();
    return holds(now.branch, now.seqno, branch, seqno);
  }

  #now(): Log {
    return (this.#current = this.#model.primaries()[0]?.data ?? this.#current);
  }

  /** It answers, is in the primary component, and Synced or a donor: its log can be read. */
  #isAble(id: string): boolean {
    const host = this.#world.addressOf(id);
    if (host === null || this.servers.says({ instanceId: id, host }) !== 'answers') return false;
    return this.#model.isMember(id) && this.#model.servesInNeed(id);
  }

  #keeps(after: number): string | null {
    const nowMs = this.#world.clock.nowMs();
    const has = this.#world.instancesOf().find(({ id }) => {
      const sinceMs = this.#ableSinceMs.get(id);
      const binlog = this.#isAble(id) ? this.binlogs.of(id) : null;
      if (sinceMs === undefined || nowMs - sinceMs < LOOKED_MS || binlog === null) return false;
      return oldestOf(binlog) <= after && after < binlog.end.seqno;
    });
    return has?.id ?? null;
  }
}
