/**
 * The safety rules as the simulator sees them: from the truth, not from what the plane believes. Numbers: docs/safety.md. Here are those
 * about acts: 5 to 8, and of 12 that they are on the record. Those that have clocks of their own are in `rules/`.
 */
import type { LaunchRequest, TargetRef } from '../lambdas/cloud/ports.ts';
import { CLUSTER_TAG } from '../lambdas/model/spec.ts';
import type { Actor } from './actor.ts';
import { GRACE_MS } from './rules/grace.ts';
import { Launches } from './rules/launches.ts';
import { Readers } from './rules/readers.ts';
import { Requests } from './rules/requests.ts';
import { Writers } from './rules/writers.ts';
import type { World } from './world.ts';

export interface Violation {
  readonly rule: string;
  readonly atMs: number;
  readonly what: string;
}

/** Between the look at a node and the stop lie three calls, each of which may take 9 s. */
const SERVES_AGAIN_MS = 2 * GRACE_MS;

const DESTRUCTIVE = new Set(['instances.stop', 'instances.terminate', 'volumes.detach', 'volumes.delete']);
/** Beside scripts on hosts, all but those that only look. */
const CLAIMED = new Set([...DESTRUCTIVE, 'instances.launch', 'admin.detach', 'admin.promote']);

export class Guard {
  readonly violations: Violation[] = [];
  readonly #world: World;
  #claim: string | null = null;
  #claimSinceMs = 0;
  #brakeSinceMs: number | null = null;
  readonly #servesSinceMs = new Map<string, number>();
  /** When the plane last could not reach it. */
  readonly #unseenAtMs = new Map<string, number>();
  readonly #readers: Readers;
  readonly #writers: Writers;
  readonly #launches: Launches;
  readonly requests: Requests;

  constructor(world: World) {
    this.#world = world;
    this.#readers = new Readers(world);
    this.#writers = new Writers(world);
    this.#launches = new Launches(world);
    this.requests = new Requests(world);
  }

  /** When the plane last had EC2 stop each instance. */
  get stoppedAtMs(): ReadonlyMap<string, number> {
    return this.#launches.stoppedAtMs;
  }

  violate(rule: string, what: string): void {
    this.#world.story.tell(`RULE ${rule}`, what);
    this.violations.push({ rule, atMs: this.#world.clock.nowMs(), what });
  }

  before(actor: Actor, operation: string, args: readonly unknown[]): void {
    this.#remember();
    const document = operation === 'hosts.start' ? String(args[1]) : null;
    const script = document !== null && !document.endsWith('-position');
    if (CLAIMED.has(operation) || script) this.#claimed(actor, operation, args);
    if (DESTRUCTIVE.has(operation) || document === 'galera-bootstrap') this.destroys(operation, String(args[0]));
    const { rules } = this.#world.side;
    if (operation === 'instances.stop' || operation === 'instances.terminate') rules.ends(String(args[0]), operation);
    if (operation === 'instances.stop') this.#launches.stops(String(args[0]));
    rules.before({ actor, operation, args });
    if (operation === 'volumes.delete' && !this.#somebodyServes()) {
      this.violate('6', `${String(args[0])} is deleted while nobody serves`);
    }
    if (operation === 'instances.launch') this.#launches.launches(args[0] as LaunchRequest);
    if (operation === 'targetGroups.register' || operation === 'targetGroups.deregister')
      this.#routes(actor, operation, args);
    if (operation === 'ledger.releaseClaim') this.#releases(actor, String(args[1]));
    if (operation === 'requests.sendLater') this.requests.later(String(args[2]));
    if (operation === 'instances.ofCluster' && actor.name === 'reconcile') this.requests.served();
    if (operation === 'volumes.attach' || operation === 'volumes.tag') this.#takesVolume(operation, String(args[0]));
  }

  after(actor: Actor, operation: string, args: readonly unknown[], value: unknown): void {
    if (operation === 'ledger.read') actor.epoch = (value as { cluster: { epoch: number } }).cluster.epoch;
    if (operation === 'ledger.setWriter') {
      actor.epoch = value as number;
      this.#world.side.rules.becomesWriter(actor, String(args[2]));
    }
    if (operation === 'instances.launch') this.#launches.launched(args[0] as LaunchRequest);
    if (operation === 'targetGroups.deregister') this.#readers.deregistered(String(args[0]));
    this.#remember();
  }

  /** Looked at every half second. */
  tick(): void {
    this.#remember();
    const { clock, instancesOf, side } = this.#world;
    const nowMs = clock.nowMs();
    for (const { id } of instancesOf()) {
      if (!side.database.serves(id)) this.#servesSinceMs.delete(id);
      else if (!this.#servesSinceMs.has(id)) this.#servesSinceMs.set(id, nowMs);
    }
    for (const id of this.#world.unseen) this.#unseenAtMs.set(id, nowMs);
    side.rules.tick();
    this.#launches.tick();
    this.#readers.tick();
    this.#writers.tick();
    this.requests.tick();
  }

  #remember(): void {
    const nowMs = this.#world.clock.nowMs();
    const { claim } = this.#world.ledger();
    this.#writers.remember();
    const holder = claim?.execution ?? null;
    if (holder !== this.#claim) [this.#claim, this.#claimSinceMs] = [holder, nowMs];
    const { engaged } = this.#world.aws.brake;
    this.#brakeSinceMs = engaged ? (this.#brakeSinceMs ?? nowMs) : null;
  }

  #claimed(actor: Actor, operation: string, args: readonly unknown[]): void {
    if (actor.execution !== null && this.#claim === actor.execution) return;
    if (this.#world.clock.nowMs() - this.#claimSinceMs < GRACE_MS && actor.execution !== null) return;
    this.violate(
      '5',
      `${actor.name} does ${operation}(${short(args)}) and the claim is held by ${this.#claim ?? 'nobody'}`,
    );
  }

  /** `givesBack`: it takes nothing away, so that the brake does not stop it. */
  destroys(operation: string, id: string, givesBack = false): void {
    const nowMs = this.#world.clock.nowMs();
    if (!givesBack && this.#brakeSinceMs !== null && nowMs - this.#brakeSinceMs > GRACE_MS) {
      this.violate('7', `${operation}(${id}) while the brake is engaged`);
    }
    // A repeated step deletes what is gone already.
    if (id.startsWith('vol') && !this.#world.aws.volumes.has(id)) return;
    const tags = id.startsWith('vol') ? this.#world.aws.volumes.get(id)?.tags : this.#world.aws.instances.get(id)?.tags;
    if (tags?.[CLUSTER_TAG] !== this.#world.spec.name) this.violate('8', `${operation}(${id}), which is not ours`);
    const told = [...this.#world.aws.incidents.values()].some((entries) =>
      [...entries.values()].some((e) => e.what.includes(id)),
    );
    if (!told) this.violate('12', `${operation}(${id}) is on no incident's record`);
  }

  /** Rule 6 of a node that the plane can see, and that has served all along. */
  servesAllAlong(id: string, operation: string): void {
    const { database } = this.#world;
    const nowMs = this.#world.clock.nowMs();
    const since = this.#servesSinceMs.get(id);
    const seenForMs = nowMs - (this.#unseenAtMs.get(id) ?? Number.NEGATIVE_INFINITY);
    if (since !== undefined && nowMs - since > SERVES_AGAIN_MS && database.serves(id) && seenForMs > GRACE_MS) {
      this.violate('6', `${operation}(${id}), which has served for ${Math.round((nowMs - since) / 1000)} s`);
    }
  }

  /** A primary of PostgreSQL serves, too, whose commits wait for the next look to set who acknowledges them: it has all of the data. */
  #somebodyServes(): boolean {
    const { engine, side } = this.#world;
    const { writer } = this.#world.ledger();
    return side.database.takesWrites() || (engine === 'postgres' && writer !== null && side.database.isUp(writer));
  }

  #routes(actor: Actor, operation: string, args: readonly unknown[]): void {
    this.#writers.routes(actor, operation);
    for (const t of args[1] as readonly TargetRef[]) {
      if (this.#world.isForeign(t.id)) this.violate('8', `${operation} of ${t.id}, which is not ours`);
    }
  }

  #takesVolume(operation: string, id: string): void {
    const volume = this.#world.aws.volumes.get(id);
    // A repeated step may name what is deleted by now: EC2 refuses.
    if (volume === undefined) return;
    const owner = volume.tags[CLUSTER_TAG];
    if (owner !== this.#world.spec.name) this.violate('8', `${operation}(${id}), which is ${owner ?? 'nobody'}'s`);
  }

  #releases(actor: Actor, execution: string): void {
    if (this.#claim !== execution || actor.execution === execution) return;
    const state = this.#world.aws.executions.get(execution)?.state;
    if (state === 'RUNNING') this.violate('5', `${actor.name} releases the claim of ${execution}, which runs`);
  }
}

const short = (args: readonly unknown[]): string => args.map((a) => (typeof a === 'string' ? a : '…')).join(', ');
