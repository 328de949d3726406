/**
 * What a primary that waits for nobody may cost, as docs/postgres.md says it: EC2 or the old primary itself proves the fence, the most
 * advanced of those that are here is promoted, and what is lost lies within `maxLagBytes` of where the primary was last seen.
 */
import { lsnBytes } from '../../lambdas/model/lsn.ts';
import type { LogEntry, Server } from '../../test/fakes/postgres-cluster.ts';
import { last } from '../../test/fakes/postgres-cluster.ts';
import type { Actor } from '../actor.ts';
import type { World } from '../world.ts';
import type { AcknowledgedWrites } from './acknowledged.ts';
import type { SimPostgres } from './cluster.ts';
import { Sightings } from './sightings.ts';

/** Who answers the plane since so long before the last standby was cut off was there to be asked. */
const THERE_MS = 1000;

type Log = readonly LogEntry[];

export class AsyncRules {
  readonly #world: World;
  readonly #pg: SimPostgres;
  readonly #writes: AcknowledgedWrites;
  readonly #sightings: Sightings;
  /** When EC2 last said stopped or terminated. */
  readonly #endedAtMs = new Map<string, number>();
  /** When it last ran as a primary. */
  readonly #ranAtMs = new Map<string, number>();
  /** Since when each node answers the plane. */
  readonly #thereSinceMs = new Map<string, number>();
  readonly #cutOffAtMs = new Map<string, number>();
  /** By which execution each node was last promoted. */
  readonly #promotedBy = new Map<string, string | null>();
  #primary: string | null = null;

  constructor(world: World, pg: SimPostgres, writes: AcknowledgedWrites) {
    this.#world = world;
    this.#pg = pg;
    this.#writes = writes;
    this.#sightings = new Sightings(world, pg);
  }

  tick(): void {
    this.#sightings.tick();
    this.#primary ??= this.#world.ledger().writer;
    const nowMs = this.#world.clock.nowMs();
    for (const s of this.#pg.servers.values()) {
      const state = this.#world.aws.instances.get(s.id)?.state ?? 'terminated';
      if (state === 'stopped' || state === 'terminated') this.#endedAtMs.set(s.id, nowMs);
      else if (s.process !== 'down' && !s.recovering) this.#ranAtMs.set(s.id, nowMs);
      const startsUp = (s.recoversUntilMs ?? 0) > nowMs;
      if (startsUp || this.#pg.hears(s) !== 'answers') this.#thereSinceMs.delete(s.id);
      else if (!this.#thereSinceMs.has(s.id)) this.#thereSinceMs.set(s.id, nowMs);
    }
  }

  cutsOff(id: string): void {
    this.#cutOffAtMs.set(id, this.#world.clock.nowMs());
  }

  /** `lost`: a write that it lacks, in words; null when it has all. */
  promotes(actor: Actor, server: Server, lost: string | null, accepted: boolean): void {
    const { guard } = this.#world;
    const bySwitchover = actor.execution?.includes(':switchover:') === true;
    if (!bySwitchover) this.#fencedByProof(server);
    if (lost !== null && !accepted) {
      if (bySwitchover) guard.violate('writes', `${server.id} is promoted by plan and lacks ${lost}`);
      else this.#loses(actor, server);
    }
    this.#promotedBy.set(server.id, actor.execution);
    this.#primary = server.id;
  }

  /**
   * Rule 3: no quorum fences the old primary. That nobody listens there is no proof: its host may be hung. EC2's word is one for good, since whoever
   * starts the instance again starts a standby (docs/decisions/0012): the workflow may come to the promotion minutes later. Those before it were
   * proven when it was promoted itself, or shut down by plan.
   */
  #fencedByProof({ id }: Server): void {
    const { guard, aws } = this.#world;
    const old = this.#pg.servers.get(this.#primary ?? '');
    if (old === undefined || old.id === id || old.recovering || old.disk === null) return;
    const state = aws.instances.get(old.id)?.state ?? 'terminated';
    const endedAtMs = this.#endedAtMs.get(old.id) ?? Number.NEGATIVE_INFINITY;
    const ranAtMs = this.#ranAtMs.get(old.id) ?? Number.NEGATIVE_INFINITY;
    if (state === 'stopped' || state === 'terminated' || endedAtMs > ranAtMs) return;
    guard.violate('3', `${id} is promoted, and of the primary ${old.id} EC2 says ${state}: nothing proves a fence`);
  }

  #loses(actor: Actor, server: Server): void {
    const { guard, aws } = this.#world;
    const log = server.disk?.log ?? [];
    for (const what of [this.#beyondTheAllowance(actor, log), this.#behindAnother(server)]) {
      if (what !== null) guard.violate('writes', `${server.id} is promoted and lacks ${what}`);
    }
    // Or it has all that a candidate before it had, of whom that was said.
    const told = [...aws.incidents.values()].some((entries) =>
      [...entries.values()].some((e) => e.what.startsWith('chooses ') && / missing/.test(e.why)),
    );
    if (!told) guard.violate('12', `${server.id} is promoted without what was acknowledged, and no record says so`);
  }

  #beyondTheAllowance(actor: Actor, log: Log): string | null {
    const { engine } = this.#world.spec;
    const { position } = this.#world.ledger();
    const maxLag = engine.kind === 'postgres' ? engine.maxLagBytes : 0;
    const seen = [
      ...(position === null ? [] : [{ timeline: position.timeline, end: Number(lsnBytes(position.lsn)) }]),
      ...(this.#sightings.lasting === null ? [] : [this.#sightings.lasting]),
    ];
    for (const a of this.#writes.lackedBy(log)) {
      const what = `write ${a.commit}, which ${a.node} acknowledged on timeline ${a.timeline}`;
      const from = seen.find((s) => a.timeline <= s.timeline && a.entry.end <= s.end - maxLag);
      if (from !== undefined)
        return `${what} ${from.end - a.entry.end} bytes before the place where the primary was seen`;
      // A candidate that its own workflow gave up may have acknowledged something between two looks at it.
      const givenUp = actor.execution !== null && this.#promotedBy.get(a.node) === actor.execution;
      if (position !== null && a.timeline > position.timeline && !givenUp)
        return `${what}, of which the ledger has seen nothing: it is at timeline ${position.timeline}`;
    }
    return null;
  }

  /** Rule 4: of those that answered as the last standby was cut off, and whose instance EC2 is not ending, none has more of what was acknowledged. */
  #behindAnother(server: Server): string | null {
    const chosenAtMs = this.#cutOffAtMs.get(server.id) ?? this.#world.clock.nowMs();
    const lacked = this.#writes.lackedBy(server.disk?.log ?? []);
    for (const other of this.#pg.servers.values()) {
      const since = this.#thereSinceMs.get(other.id) ?? Number.POSITIVE_INFINITY;
      if (other.id === server.id || other.disk === null || !other.recovering || since > chosenAtMs - THERE_MS) continue;
      if (this.#world.aws.instances.get(other.id)?.state !== 'running') continue;
      const { log } = other.disk;
      const more = lacked.find((a) => log[a.entry.index] === a.entry);
      if (more !== undefined)
        return `write ${more.commit}, which ${other.id} has (it ends at ${last(other.disk).end}) and could be asked for`;
    }
    return null;
  }
}
