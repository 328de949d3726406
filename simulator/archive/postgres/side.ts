/** The archive of a PostgreSQL cluster: its shipper over streams of the model's log, and what people may ask to have back. */
import { postgresShipEngine } from '../../../lambdas/archive/ship/postgres/engine.ts';
import type { ShipEngine } from '../../../lambdas/archive/ship/run.ts';
import { parseKey } from '../../../lambdas/model/archive/keys.ts';
import { lsnBytes } from '../../../lambdas/model/lsn.ts';
import type { LogEntry } from '../../../test/fakes/postgres-cluster.ts';
import { last, lsnText, positionOf } from '../../../test/fakes/postgres-cluster.ts';
import type { Actor } from '../../actor.ts';
import type { SimPostgres } from '../../postgres/cluster.ts';
import type { World } from '../../world.ts';
import type { ArchivePorts, SimArchive } from '../archive.ts';
import type { ArchiveSide, Asked, Backup } from '../side.ts';
import { daysBefore } from './days-before.ts';
import { ArchiveNodes } from './nodes.ts';
import { SimReplication } from './replication.ts';
import type { Log } from './wal.ts';
import { historyOf, Wal } from './wal.ts';

/** So long after it was acknowledged a write may not be in S3: the RPO of 20 s, and as much for whatever was under way. */
const BEHIND_MS = 40_000;

interface Base {
  readonly manifestKey: string;
  readonly end: LogEntry;
  readonly endedMs: number;
}

/** What a target meant when it was asked for. */
interface Meaning {
  readonly log: Log;
  readonly upTo: LogEntry | null;
}

export class PostgresArchive implements ArchiveSide {
  readonly #world: World;
  readonly #archive: SimArchive;
  readonly #pg: SimPostgres;
  readonly nodes: ArchiveNodes;
  readonly wal: Wal;
  readonly #bases: Base[] = [];
  /** Where backups ended, by their place. */
  readonly #ends = new Map<string, LogEntry>();
  readonly #meant = new WeakMap<Asked, Meaning>();

  constructor(world: World, archive: SimArchive, pg: SimPostgres) {
    this.#world = world;
    this.#archive = archive;
    this.#pg = pg;
    this.nodes = new ArchiveNodes(world, pg);
    for (const { disk } of pg.servers.values()) {
      const place = { cluster: world.spec.name, history: disk?.systemId ?? '' };
      for (const key of daysBefore(place, world.clock.nowMs())) world.aws.objects.set(key, Buffer.from('before'));
    }
    this.wal = new Wal({
      violate: (rule, what) => world.guard.violate(rule, what),
      tell: (what) => world.story.tell('archive', what),
      keeps: (entry) => this.#keeps(entry),
      acknowledgedBefore: (ms) => this.#acknowledgedBefore(ms),
    });
  }

  get prober(): ArchiveNodes {
    return this.nodes;
  }

  get admin(): ArchiveNodes {
    return this.nodes;
  }

  shipper(ports: ArchivePorts, actor: Actor): ShipEngine {
    const { intercept } = this.#world;
    return postgresShipEngine({
      ...ports,
      replicate: async (target) => {
        const go = (): Promise<SimReplication> => SimReplication.open(this.#world, this.nodes, this.wal, actor, target);
        const call = { actor, operation: 'replication.open', args: [target] };
        return intercept === null ? go() : ((await intercept(call, go)) as SimReplication);
      },
    });
  }

  tick(): void {
    this.nodes.tick();
  }

  stored(key: string, body: Uint8Array): void {
    this.wal.stored(key, body);
  }

  found(): void {
    // It is there under a name that says which bytes it holds: nothing new.
  }

  removes(): void {
    // The rule is the same for both engines.
  }

  backup(): Backup | null {
    const { writer } = this.#world.ledger();
    const node = this.#archive.random.pick(this.nodes.answering().filter((s) => s.recovering && s.id !== writer));
    if (node === undefined) return null;
    const { disk } = node;
    const first = last(disk);
    return {
      ...{ history: disk.systemId, node: node.id, start: { ...positionOf(disk) } },
      end: () => {
        const gone = !this.nodes.answering().some((s) => s.disk === disk) || disk.log[first.index] !== first;
        if (gone) return null;
        const { timeline, lsn } = positionOf(disk);
        this.#ends.set(`${timeline}/${lsn}`, last(disk));
        return { timeline, lsn };
      },
    };
  }

  backedUp(manifestKey: string, endedMs: number): void {
    const object = parseKey(manifestKey)?.object;
    if (object?.kind !== 'manifest' || object.end.engine !== 'postgres') return;
    const end = this.#ends.get(`${object.end.timeline}/${object.end.lsn}`);
    if (end !== undefined) this.#bases.push({ manifestKey, end, endedMs });
  }

  ask(): Asked | null {
    const { random } = this.#archive;
    const log = this.#writersLog();
    const first = this.#basesIn(log)[0];
    if (log === null || first === undefined) return null;
    if (random.chance(0.5)) return this.#askPlace(log, log[random.int(first.end.index, log.length - 2)]);
    const atMs = random.int(first.endedMs, this.#world.clock.nowMs());
    return this.#askMoment(log, atMs);
  }

  judge(asked: Asked, { end }: { readonly end: string }): string | null {
    const meant = this.#meant.get(asked);
    if (meant === undefined || meant.upTo === null) return null;
    const { log, upTo } = meant;
    const hole = this.wal.hole(log, log[0]?.start ?? 0, upTo.end);
    const said = `${upTo.timeline}/${lsnText(upTo.end)}`;
    if (hole !== null) return `${said} is asked for, and entry ${hole.id} at ${lsnText(hole.start)} is not in S3`;
    const reached = lsnBytes(end.slice(end.indexOf('/') + 1)) >= BigInt(upTo.end);
    return reached ? null : `it ends at ${end}, before ${said}`;
  }

  behind(): string | null {
    const log = this.#writersLog();
    const told = this.#acknowledgedBefore(this.#world.clock.nowMs() - BEHIND_MS);
    if (log === null || told === null || !this.#pg.takesWrites()) return null;
    const entry = this.wal.missing(log, told.end);
    return entry === null ? null : `entry ${entry.id}, at ${entry.timeline}/${lsnText(entry.start)}`;
  }

  #askPlace(log: Log, entry: LogEntry | undefined): Asked | null {
    if (entry === undefined || log[entry.index + 1]?.timeline !== entry.timeline) return null;
    const isWhole = this.#isWhole(log, entry) && this.#basesIn(log).some((b) => b.end.end <= entry.end);
    const asked: Asked = {
      target: `${entry.timeline}/${lsnText(entry.end)}`,
      must: isWhole ? 'accept' : null,
      why: 'a base backup and all log up to there are in S3',
    };
    this.#meant.set(asked, { log, upTo: entry });
    return asked;
  }

  #askMoment(log: Log, atMs: number): Asked {
    const told = this.#acknowledgedBefore(atMs);
    const upTo = told !== null && log[told.index] === told ? told : null;
    // What a later object covers an earlier one need not be asked for.
    const said = this.wal.said.find((s) => s.coveredMs >= atMs && log[s.entry.index] === s.entry);
    const covered = said !== undefined && this.#isWhole(log, said.entry);
    const asked: Asked = {
      target: new Date(atMs).toISOString(),
      must: covered && this.#basesIn(log).some((b) => b.endedMs <= atMs) ? 'accept' : null,
      why: 'a base backup ended before it, and all log is in S3 up to an object that covers it',
    };
    this.#meant.set(asked, { log, upTo });
    return asked;
  }

  /** Everything up to the entry is in S3, with the histories that lead there, and of no timeline that this log has not. */
  #isWhole(log: Log, entry: LogEntry): boolean {
    const [first, newest] = [log[0], log.at(-1)];
    if (first === undefined || newest === undefined || this.wal.newestTimeline > newest.timeline) return false;
    if (this.wal.hole(log, first.start, entry.end) !== null) return false;
    return [...new Set(log.map((e) => e.timeline))].every((t) => historyOf(log, t) === null || this.#hasHistory(t));
  }

  #hasHistory(timeline: number): boolean {
    const name = `/history/${timeline.toString(16).toUpperCase().padStart(8, '0')}`;
    return [...this.#world.aws.objects.keys()].some((key) => key.endsWith(name));
  }

  /** Base backups that are part of what a log has. */
  #basesIn(log: Log | null): readonly Base[] {
    const { objects } = this.#world.aws;
    return this.#bases.filter((b) => log?.[b.end.index] === b.end && objects.has(b.manifestKey));
  }

  #writersLog(): Log | null {
    const { writer } = this.#world.ledger();
    const server = this.nodes.answering().find((s) => s.id === writer && !s.recovering);
    return server?.disk.log ?? null;
  }

  #keeps(entry: LogEntry): string | null {
    const has = this.nodes
      .answering()
      .find(({ disk }) => disk.log[entry.index] === entry && this.nodes.keptOn(disk).removedTo <= entry.start);
    return has?.id ?? null;
  }

  /** By the writer's own word; null when there is none, or when a person has accepted that it is lost. */
  #acknowledgedBefore(ms: number): LogEntry | null {
    const told = this.#pg.journal.findLast((a) => a.atMs < ms);
    const log = this.#writersLog();
    return told === undefined || (log !== null && log[told.entry.index] !== told.entry) ? null : told.entry;
  }
}
