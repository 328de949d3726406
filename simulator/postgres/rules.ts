/** The safety rules as PostgreSQL has them: from the truth, not from what the plane believes. */
import type { DbTarget } from '../../lambdas/cloud/ports.ts';
import { synchronousStandbyNames } from '../../lambdas/model/quorum.ts';
import type { ClusterSpec } from '../../lambdas/model/spec.ts';
import type { Server } from '../../test/fakes/postgres-cluster.ts';
import { last, quorumOf } from '../../test/fakes/postgres-cluster.ts';
import type { Actor } from '../actor.ts';
import type { Call, EngineRules } from '../side.ts';
import type { World } from '../world.ts';
import { AcknowledgedWrites } from './acknowledged.ts';
import { AsyncRules } from './async-rules.ts';
import type { SimPostgres } from './cluster.ts';
import { durabilityOf } from './spec.ts';

export class PostgresRules implements EngineRules {
  readonly #world: World;
  readonly #pg: SimPostgres;
  readonly #writes = new AcknowledgedWrites();
  /** Where commits wait for nobody. */
  readonly #async: AsyncRules | null;
  #seen = 0;
  /** The writer that a person accepted with what it lacks. */
  #accepted: string | null = null;
  #writerBefore: string | null = null;

  constructor(world: World, pg: SimPostgres, spec: ClusterSpec) {
    this.#world = world;
    this.#pg = pg;
    this.#async = durabilityOf(spec) === 'async' ? new AsyncRules(world, pg, this.#writes) : null;
  }

  get lost(): number {
    return this.#writes.lost;
  }

  before({ actor, operation, args }: Call): void {
    const { guard, isForeign } = this.#world;
    if (operation === 'ledger.setWriter') this.#noteAcceptance(actor, String(args[2]));
    if (!operation.startsWith('admin.') || operation === 'admin.close') return;
    const { instanceId: id } = args[0] as DbTarget;
    if (isForeign(id)) guard.violate('8', `${operation} on ${id}, which is not ours`);
    if (operation === 'admin.promote') {
      guard.destroys(operation, id, this.#resumes(actor, id));
      this.#promotes(actor, id, this.#world.ledger().writer);
    }
    if (operation === 'admin.detach') this.#async?.cutsOff(id);
    if (operation === 'admin.setSync') this.#isKnown(id, String(args[3]));
  }

  ends(id: string, operation: string): void {
    this.#world.guard.servesAllAlong(id, operation);
  }

  becomesWriter(actor: Actor, id: string): void {
    if (actor.execution !== null || this.#writerBefore === null) return;
    this.#world.guard.violate('4', `${actor.name} makes ${id} the writer, and only a workflow may`);
  }

  tick(): void {
    const { guard } = this.#world;
    const told = this.#pg.journal.slice(this.#seen);
    this.#seen += told.length;
    for (const a of told) {
      const log = this.#pg.server(a.node).disk?.log ?? [];
      const wrong = this.#writes.add(a, log);
      if (wrong !== null) guard.violate('3', wrong);
    }
    for (const s of this.#pg.servers.values()) {
      if (s.disk === null || !this.#pg.canAcknowledge(s)) continue;
      const lost = this.#writes.lacking(s.disk.log);
      if (lost !== null) guard.violate('writes', `${s.id} serves as the primary and lacks ${lost}`);
      const back = this.#writes.returned(s.disk.log);
      if (back !== null) guard.violate('writes', `${s.id} takes writes and has ${back}`);
    }
    this.#async?.tick();
  }

  #noteAcceptance(actor: Actor, id: string): void {
    const { accepted, writer } = this.#world.ledger();
    const input = this.#world.aws.executions.get(actor.execution ?? '')?.input as
      { readonly accept?: string } | undefined;
    this.#writerBefore = writer;
    this.#accepted = accepted?.node === id || input?.accept === id ? id : null;
  }

  /** A switchover that failed makes its old primary one again, whom nobody has come after (`lambdas/switchover/steps/resume.ts`). */
  #resumes({ execution }: Actor, id: string): boolean {
    return execution?.includes(':switchover:') === true && this.#writes.lastBy === id;
  }

  /** A fence counts the sets that the ledger has: one that it does not know would not be cut off. */
  #isKnown(id: string, setting: string): void {
    const known = this.#world.ledger().sync?.sets.map(synchronousStandbyNames) ?? [];
    const inForce = this.#pg.servers.get(id)?.disk?.names;
    if (known.includes(setting) || inForce === setting) return;
    this.#world.guard.violate('3', `${id} is told to wait for ${setting || 'nobody'}, and the ledger does not know it`);
  }

  /** What the promotion would do, if the server is there and still a standby. */
  #promotes(actor: Actor, id: string, writer: string | null): void {
    const { guard } = this.#world;
    this.tick();
    const server = this.#pg.servers.get(id);
    if (server === undefined || this.#pg.hears(server) !== 'answers' || !server.recovering || server.disk === null)
      return;
    if (writer !== id) guard.violate('3', `${id} is promoted, and the ledger's writer is ${writer ?? 'nobody'}`);
    const lost = this.#writes.lacking(server.disk.log);
    const accepted = this.#accepted === id;
    this.#async?.promotes(actor, server, lost, accepted);
    if (accepted) this.#writes.accept(server.disk.log);
    if (lost !== null && (this.#async !== null || accepted)) this.#writes.forgive(server.disk.log);
    else if (lost !== null) guard.violate('writes', `${id} is promoted and lacks ${lost}`);
    for (const other of this.#pg.servers.values()) {
      if (other.id !== id && this.#mayAcknowledge(other)) {
        guard.violate('3', `${id} is promoted, and ${other.id} is not fenced: it can acknowledge writes`);
      }
    }
  }

  /** Now, or once it is thawed or reachable again, without anybody's doing. */
  #mayAcknowledge(primary: Server): boolean {
    const { disk } = primary;
    if (disk === null || primary.recovering || primary.process === 'down') return false;
    const set = quorumOf(disk.names);
    if (set === null || set.need === 0) return true;
    const attached = [...this.#pg.servers.values()].filter((s) => {
      if (s.disk === null || s.process === 'down' || !s.recovering || !set.standbys.includes(s.id)) return false;
      return s.disk.upstreamHost === this.#pg.hostOf(primary.id) && disk.log[s.disk.log.length - 1] === last(s.disk);
    });
    return attached.length >= set.need;
  }
}
