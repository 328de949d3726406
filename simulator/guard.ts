/** The safety rules as the simulator sees them: from the truth, not from what the plane believes. Numbers: docs/safety.md. */
import type { LaunchRequest, TargetRef } from '../lambdas/cloud/ports.ts';
import { CLUSTER_TAG, REPLACES_TAG } from '../lambdas/model/spec.ts';
import type { Actor } from './actor.ts';
import type { World } from './world.ts';

export interface Violation {
  readonly rule: string;
  readonly atMs: number;
  readonly what: string;
}

/** Between the last look and the act lie calls that may take seconds: what has changed only since is nobody's fault. */
export const GRACE_MS = 15_000;
const STALE_ROUTE_MS = 2500;
const TWO_WRITERS_MS = 10_000;
/** Old answers of the balancer may hide whom a look has taken out, and a look that was killed comes back after 30 s. */
const NO_READERS_MS = 45_000;
/** Signals that could not be passed on come back after 180 s, and so does the sweep. */
const UNSERVED_MS = 300_000;
/** Between the look at a node and the stop lie three calls, each of which may take 9 s. */
const SERVES_AGAIN_MS = 2 * GRACE_MS;

const DESTRUCTIVE = new Set(['instances.stop', 'instances.terminate', 'volumes.detach', 'volumes.delete']);
/** Beside scripts on hosts, all but those that only look. */
const CLAIMED = new Set([...DESTRUCTIVE, 'instances.launch', 'admin.detach', 'admin.promote']);

/** Causes that carry the id of an event, of a slot or a moment of time, or of an execution and its step. */
const NAMES_ONE_THING = /^(event|sweep|due|arn)[-:]/;

export class Guard {
  readonly violations: Violation[] = [];
  readonly #world: World;
  #epoch = -1;
  #epochSinceMs = 0;
  #claim: string | null = null;
  #claimSinceMs = 0;
  #brakeSinceMs: number | null = null;
  /** When EC2 last said stopped or terminated: a person may start it again in the middle of a replacement. */
  readonly #fencedAtMs = new Map<string, number>();
  readonly #servesSinceMs = new Map<string, number>();
  /** When the plane last could not reach it. */
  readonly #unseenAtMs = new Map<string, number>();
  #twoWritersSinceMs: number | null = null;
  /** When the plane has taken the last one out of the readers. */
  #emptiedAtMs: number | null = null;
  /** When a reconcile was asked for that has not begun. */
  unservedSinceMs: number | null = null;
  /** When the plane last had EC2 stop an instance: what it has stopped it retires, unless a person starts it. */
  readonly stoppedAtMs = new Map<string, number>();
  readonly #repeated = new Set<string>();

  constructor(world: World) {
    this.#world = world;
  }

  /**
   * Containers of the watch ask for one sweep under one name, a repeated step and a doubled event ask as they did before, so that
   * SQS drops all but the first: those are not waited for. Whatever else asks means something that has just happened.
   */
  asked(causes: readonly string[]): void {
    const news = causes.filter((c) => !this.#repeated.has(c));
    for (const c of causes) if (NAMES_ONE_THING.test(c)) this.#repeated.add(c);
    if (news.length > 0) this.unservedSinceMs ??= this.#world.clock.nowMs();
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
    const { rules, database } = this.#world.side;
    if (operation === 'instances.stop' || operation === 'instances.terminate') rules.ends(String(args[0]), operation);
    if (operation === 'instances.stop') this.stoppedAtMs.set(String(args[0]), this.#world.clock.nowMs());
    rules.before({ actor, operation, args });
    if (operation === 'volumes.delete' && !database.takesWrites()) {
      this.violate('6', `${String(args[0])} is deleted while nobody serves`);
    }
    if (operation === 'instances.launch') this.#launches(args[0] as LaunchRequest);
    if (operation === 'targetGroups.register' || operation === 'targetGroups.deregister')
      this.#routes(actor, operation, args);
    if (operation === 'ledger.releaseClaim') this.#releases(actor, String(args[1]));
    // A look at the cluster begins: it serves all who have asked by now.
    if (operation === 'instances.ofCluster' && actor.name === 'reconcile') this.unservedSinceMs = null;
    if (operation === 'volumes.attach' || operation === 'volumes.tag') this.#takesVolume(operation, String(args[0]));
  }

  after(actor: Actor, operation: string, args: readonly unknown[], value: unknown): void {
    if (operation === 'ledger.read') actor.epoch = (value as { cluster: { epoch: number } }).cluster.epoch;
    if (operation === 'ledger.setWriter') {
      actor.epoch = value as number;
      this.#world.side.rules.becomesWriter(actor, String(args[2]));
    }
    if (operation === 'instances.launch') this.#launchedOnce(args[0] as LaunchRequest);
    if (operation === 'targetGroups.deregister') this.#lastTarget(String(args[0]));
    this.#remember();
  }

  /** Looked at every half second. */
  tick(): void {
    this.#remember();
    const { clock, instancesOf, side } = this.#world;
    const nowMs = clock.nowMs();
    for (const { id, state } of instancesOf()) {
      if (state === 'stopped' || state === 'terminated') this.#fencedAtMs.set(id, nowMs);
      if (!side.database.serves(id)) this.#servesSinceMs.delete(id);
      else if (!this.#servesSinceMs.has(id)) this.#servesSinceMs.set(id, nowMs);
    }
    for (const id of this.#world.unseen) this.#unseenAtMs.set(id, nowMs);
    side.rules.tick();
    if (this.#hasReaders() || !this.#world.planeOn) this.#emptiedAtMs = null;
    if (this.#emptiedAtMs !== null && nowMs - this.#emptiedAtMs > NO_READERS_MS) {
      this.violate('1', 'the last target was taken out of the readers, and none has come back');
      this.#emptiedAtMs = null;
    }
    // A target whose host does not run leads nobody anywhere.
    const writers = this.#world.routed('writer').filter((id) => !this.#world.isForeign(id) && this.#world.hostRuns(id));
    if (writers.length < 2) this.#twoWritersSinceMs = null;
    else this.#twoWritersSinceMs ??= nowMs;
    if (this.#twoWritersSinceMs !== null && nowMs - this.#twoWritersSinceMs > TWO_WRITERS_MS && this.#world.planeOn) {
      this.violate('2', `${writers.join(' and ')} are both routed to`);
    }
    if (this.unservedSinceMs !== null && nowMs - this.unservedSinceMs > UNSERVED_MS && this.#world.planeOn) {
      this.violate('12', 'a reconcile that was asked for has not begun');
      this.unservedSinceMs = null;
    }
  }

  #remember(): void {
    const nowMs = this.#world.clock.nowMs();
    const { epoch, claim } = this.#world.ledger();
    if (epoch !== this.#epoch) [this.#epoch, this.#epochSinceMs] = [epoch, nowMs];
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

  #launches({ replaces }: LaunchRequest): void {
    const state = replaces === null ? undefined : this.#world.aws.instances.get(replaces)?.state;
    const fencedAtMs = this.#fencedAtMs.get(replaces ?? '') ?? Number.NEGATIVE_INFINITY;
    const stoppedAtMs = this.stoppedAtMs.get(replaces ?? '') ?? Number.POSITIVE_INFINITY;
    const { clock, aws } = this.#world;
    // It may have been stopped for less than the time between two looks of this guard, and be terminated by now.
    const hasStopped = clock.nowMs() - stoppedAtMs >= aws.stopMs;
    const lately = hasStopped || clock.nowMs() - fencedAtMs < 4 * GRACE_MS;
    if (state !== undefined && state !== 'stopped' && state !== 'terminated' && !lately) {
      this.violate('3', `a replacement of ${replaces ?? ''} is launched while EC2 says ${state}`);
    }
  }

  #launchedOnce({ replaces }: LaunchRequest): void {
    const live = this.#world.instancesOf().filter((i) => i.state === 'pending' || i.state === 'running');
    const same = live.filter((i) => replaces !== null && i.tags[REPLACES_TAG] === replaces);
    if (same.length > 1)
      this.violate('launch', `${same.map((i) => i.id).join(' and ')} both replace ${replaces ?? ''}`);
    // Beside its replacement a stopped node runs only when a person has started it: the plane starts none, and may not stop it.
    const isReplaced = (id: string): boolean => live.some((i) => i.tags[REPLACES_TAG] === id);
    const counted = live.filter((i) => !(this.#fencedAtMs.has(i.id) && isReplaced(i.id)));
    const most = this.#world.spec.nodes + 1;
    const ours = counted.filter((i) => !this.#world.startedByHand.has(i.id));
    if (ours.length > most)
      this.violate('launch', `${ours.length} instances run where ${this.#world.spec.nodes} are specified`);
  }

  #routes(actor: Actor, operation: string, args: readonly unknown[]): void {
    const late = this.#world.clock.nowMs() - this.#epochSinceMs > STALE_ROUTE_MS;
    if (actor.epoch !== this.#epoch && late) {
      this.violate(
        '2',
        `${actor.name} does ${operation} at epoch ${actor.epoch ?? 'none'}, the ledger is at ${this.#epoch}`,
      );
    }
    for (const t of args[1] as readonly TargetRef[]) {
      if (this.#world.isForeign(t.id)) this.violate('8', `${operation} of ${t.id}, which is not ours`);
    }
  }

  #lastTarget(group: string): void {
    if (group !== this.#world.groups.healthy) return;
    if (!this.#hasReaders()) this.#emptiedAtMs ??= this.#world.clock.nowMs();
  }

  #hasReaders(): boolean {
    return this.#world.routed('healthy').some((id) => !this.#world.isForeign(id));
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
