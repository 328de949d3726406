/**
 * Carries out a plan. Every change is idempotent; the first routing write of a batch, and any that comes more than a second
 * after the last look, is preceded by a strongly consistent look at the ledger's epoch (safety rule 2): another hand that
 * changed the writer or took the claim has raised it, and then this plan is about a past that is gone. SetWriter needs no
 * look of its own: it is conditional. What is changed on a database node is preceded by the same look. A look is as old as its question: an answer that took longer than it is good for (SDK
 * retries, a frozen sandbox) is asked for again.
 *
 * One failing change does not stop what does not depend on it: a failing DNS call does not keep a recovery from starting.
 * What does depend: everything about routing on SetWriter, and within a target group each change on those before it.
 */
import { CloudUnavailable, Conflict } from '../cloud/ports.ts';
import type { Change, Plan, Refusal } from '../model/change.ts';
import { dataVolumeOf } from '../model/view.ts';
import type { ClusterView } from '../model/view.ts';
import { tellOfVolumes } from './left-volumes.ts';
import { note } from './notify.ts';
import type { ReconcilePorts } from './ports.ts';
import { keepUp } from './postgres/apply.ts';
import type { UpkeepChange } from './postgres/apply.ts';
import { ownerOf } from './situation.ts';
import { startRecovery } from './start.ts';

export interface Failure {
  readonly change: Change;
  readonly error: unknown;
}

export interface Applied {
  readonly done: readonly Change[];
  /** What apply itself declined: the brake, found engaged or to be engaged at the last moment. */
  readonly refusals: readonly Refusal[];
  readonly failures: readonly Failure[];
  /** Set when the ledger was no longer at the plan's epoch; nothing was routed from then on. */
  readonly stale: string | null;
}

/** For how long a look at the epoch is good, from when it was asked for: many times what DynamoDB takes, and far below a pause. */
const EPOCH_GOOD_FOR_MS = 1000;
/** A ledger too slow this often in a row fails the change, as one that does not answer: reconcile comes back and is alarmed on. */
const LOOKS = 2;

export async function apply(plan: Plan, view: ClusterView, ports: ReconcilePorts): Promise<Applied> {
  // Before the first of them, since a target group must not stand empty between two: a turn may take seconds to come.
  await takeTurns(plan.changes, view, ports);
  const run = new Run(view, ports);
  for (const change of plan.changes) await run.attempt(change);
  return run.result();
}

/** What each change of routing asks of Elastic Load Balancing: the group's delay, who is in the readers' when one leaves, and the change itself. */
async function takeTurns(changes: readonly Change[], view: ClusterView, { pace }: ReconcilePorts): Promise<void> {
  if (pace === undefined) return;
  const groups = new Set(changes.flatMap((c) => ('groupArn' in c ? [c.groupArn] : [])));
  await pace.turn('register', changes.filter((c) => c.kind === 'Deregister' || c.kind === 'Register').length);
  const looks = changes.filter((c) => c.kind === 'Deregister' && isReaders(view, c.groupArn)).length;
  await pace.turn('describe', groups.size + looks);
}

const isReaders = (view: ClusterView, groupArn: string): boolean =>
  view.targetGroups.find((g) => g.arn === groupArn)?.route === 'healthy';

class Run {
  readonly #view: ClusterView;
  readonly #ports: ReconcilePorts;
  readonly #done: Change[] = [];
  readonly #refusals: Refusal[] = [];
  readonly #failures: Failure[] = [];
  /** Target groups in which a change failed: what comes later there relied on it. */
  readonly #stuck = new Set<string>();
  /** Target groups whose delay was found to be 0, or made so, a moment ago. */
  readonly #undelayed = new Set<string>();
  #stale: string | null = null;
  #writerFailed = false;
  #epoch: number;
  #epochSeenAtMs = Number.NEGATIVE_INFINITY;
  #incident: string | null;

  constructor(view: ClusterView, ports: ReconcilePorts) {
    this.#view = view;
    this.#ports = ports;
    this.#epoch = view.ledger.epoch;
    this.#incident = view.ledger.incident?.id ?? null;
  }

  async attempt(change: Change): Promise<void> {
    if (this.#isBlocked(change)) return;
    try {
      // Before the look at the epoch: it may take seconds to come.
      if (change.kind === 'UpsertRecord') await this.#ports.pace?.turn('dns');
      if (isGuarded(change)) await this.#checkEpoch();
      await this.#carryOut(change);
      this.#done.push(change);
    } catch (error) {
      if (error instanceof Conflict) this.#stale = error.message;
      this.#failures.push({ change, error });
      if ('groupArn' in change) this.#stuck.add(change.groupArn);
      if (change.kind === 'SetWriter') this.#writerFailed = true;
    }
  }

  result(): Applied {
    return { done: this.#done, refusals: this.#refusals, failures: this.#failures, stale: this.#stale };
  }

  #isBlocked(change: Change): boolean {
    if (this.#stale !== null && change.kind !== 'NoteSuspicion') return true;
    if ('groupArn' in change && this.#stuck.has(change.groupArn)) return true;
    return this.#writerFailed && isRouting(change);
  }

  async #checkEpoch(): Promise<void> {
    for (let looks = 0; !this.#isEpochFresh(); looks += 1) {
      if (looks === LOOKS) {
        throw new CloudUnavailable(`the epoch of cluster ${this.#view.spec.name} could not be read in time`);
      }
      await this.#look();
    }
  }

  #isEpochFresh(): boolean {
    return this.#ports.clock.nowMs() - this.#epochSeenAtMs <= EPOCH_GOOD_FOR_MS;
  }

  async #look(): Promise<void> {
    const askedAtMs = this.#ports.clock.nowMs();
    const { cluster } = await this.#ports.ledger.read(this.#view.spec.name);
    if (cluster.epoch !== this.#epoch) {
      throw new Conflict(
        `cluster ${this.#view.spec.name} is at epoch ${cluster.epoch}, the plan is of ${this.#epoch}: observe again`,
      );
    }
    this.#epochSeenAtMs = askedAtMs;
  }

  async #carryOut(change: Change): Promise<void> {
    const { ledger } = this.#ports;
    const cluster = this.#view.spec.name;
    switch (change.kind) {
      case 'OpenIncident':
        return this.#open(change);
      case 'SetWriter':
        // Together with its line on the record: neither waits for the other.
        await Promise.all([this.#setWriter(change.to), this.#record(change)]);
        return;
      case 'Deregister':
      case 'Register':
      case 'SettleDrain':
      case 'UpsertRecord':
        await Promise.all([this.#route(change), this.#record(change)]);
        return;
      case 'ReleaseClaim':
        await this.#record(change);
        // First the attempt is counted: were it lost after the release, the next start would find the old name taken.
        if (change.escalation) await ledger.setEscalation(cluster, change.escalation);
        return ledger.releaseClaim(cluster, change.execution);
      case 'SetSync':
      case 'SetSlots':
      case 'Follow':
        return this.#keepUp(change);
      case 'StartRecovery':
        return this.#start(change);
      case 'NoteSuspicion':
        return ledger.setSuspicion(cluster, change.node, change.suspicion);
      case 'Forget':
        return change.what === 'fence'
          ? ledger.forgetFence(cluster, change.node)
          : ledger.setLeftOver(cluster, change.node, null);
      case 'CloseIncident':
        await tellOfVolumes(this.#view, change.incident, this.#ports);
        await this.#record(change);
        if (this.#view.ledger.escalation !== null) await ledger.setEscalation(cluster, null);
        return ledger.closeIncident(cluster, change.incident);
    }
  }

  async #open(change: Extract<Change, { kind: 'OpenIncident' }>): Promise<void> {
    const { incident: id, node, diagnosis } = change;
    const openedAtMs = this.#ports.clock.nowMs();
    const open = await this.#ports.ledger.openIncident(this.#view.spec.name, { id, openedAtMs, node, diagnosis });
    this.#incident = open.id;
    await this.#record(change);
  }

  async #setWriter(to: string): Promise<void> {
    const askedAtMs = this.#ports.clock.nowMs();
    const { spec, nodes } = this.#view;
    const instance = nodes.find((n) => n.instance.id === to)?.instance;
    const volume = instance === undefined ? null : dataVolumeOf(instance, spec.dataDevice);
    this.#epoch = await this.#ports.ledger.setWriter(spec.name, this.#epoch, to, volume);
    this.#epochSeenAtMs = askedAtMs;
  }

  /**
   * A deregistration takes the group's delay that is set when it begins, so the delay is written first: 0 cuts a lost node's
   * connections at once, a drain lets them go on. It is read each time (one Describe, a write only when it differs)
   * because another container may have left a drain's delay there. Should that fail, the deregistration still happens:
   * new connections stay away at once, and the failure brings us back. Registration comes before the check of the
   * delay: it must not wait for it.
   */
  async #route(
    change: Extract<Change, { kind: 'Deregister' | 'Register' | 'SettleDrain' | 'UpsertRecord' }>,
  ): Promise<void> {
    const { targetGroups, dns } = this.#ports;
    switch (change.kind) {
      case 'Deregister': {
        const [delay] = await Promise.allSettled([
          targetGroups.ensureTermination(change.groupArn, change.drainSeconds),
        ]);
        const last = await this.#lastOf(change);
        if (last !== null) return void this.#refusals.push(last);
        // That may have taken seconds (SDK retries): the plan may be of the past by now.
        await this.#checkEpoch();
        await targetGroups.deregister(change.groupArn, change.targets);
        if (delay.status === 'rejected') this.#failures.push({ change, error: delay.reason });
        else if (change.drainSeconds === 0) this.#undelayed.add(change.groupArn);
        else this.#undelayed.delete(change.groupArn);
        return;
      }
      case 'Register':
        await targetGroups.register(change.groupArn, change.targets);
        if (!this.#isDraining(change.groupArn) && !this.#undelayed.has(change.groupArn))
          await targetGroups.ensureTermination(change.groupArn, 0);
        return;
      case 'SettleDrain':
        await targetGroups.ensureTermination(change.groupArn, 0);
        return;
      case 'UpsertRecord':
        return dns.upsert(change.zoneId, change.name, change.value, change.ttlSeconds, ownerOf(this.#view));
    }
  }

  /**
   * Safety rule 1, looked at again right before the act: SQS and Lambda may run two looks at once, and each has left another target in.
   * Not for the writers' group, whose order is the other way round (docs/decisions/0003-deregister-before-register.md).
   */
  async #lastOf({ groupArn, targets }: Extract<Change, { kind: 'Deregister' }>): Promise<Refusal | null> {
    if (!isReaders(this.#view, groupArn)) return null;
    const present = (await this.#ports.targetGroups.health(groupArn)).filter((t) => t.state !== 'draining');
    const leaving = targets.filter(({ id }) => present.some((t) => t.id === id)).map((t) => t.id);
    const [node] = leaving;
    if (node === undefined || present.some((t) => !leaving.includes(t.id))) return null;
    const why = 'they are the last targets by now, so that they stay: stale rather than nothing';
    return { code: 'REFUSED_LAST_HEALTHY_TARGET', node, reason: `${leaving.join(', ')}: ${why}` };
  }

  /** The line on the record first: a setting that was loosened without a word about it would be a silent promise broken. */
  async #keepUp(change: UpkeepChange): Promise<void> {
    await this.#record(change);
    await keepUp(change, this.#view, { epoch: this.#epoch, incident: this.#incident }, this.#ports);
  }

  /** A planned drain is under way there: its delay is left alone until it is over (SettleDrain). */
  #isDraining(groupArn: string): boolean {
    const begun = this.#done.some((c) => c.kind === 'Deregister' && c.groupArn === groupArn && c.drainSeconds > 0);
    const group = this.#view.targetGroups.find((g) => g.arn === groupArn);
    const { maintenance, claim } = this.#view.ledger;
    const drains = maintenance !== null || claim?.mode === 'roll';
    return begun || (drains && (group?.targets.some((t) => t.state === 'draining') ?? false));
  }

  async #start(change: Extract<Change, { kind: 'StartRecovery' }>): Promise<void> {
    // Names come from the incident: a start under an id that was never written would be doubled under the next one's.
    if (this.#incident === null) throw new Error(`incident ${change.incident} could not be opened: nothing is started`);
    const refusal = await startRecovery({ ...change, incident: this.#incident }, this.#view, this.#ports);
    if (refusal !== null) this.#refusals.push(refusal);
  }

  async #record(change: Change): Promise<void> {
    if (this.#incident !== null) await note(this.#view, this.#incident, change, this.#ports);
  }
}

/** Whatever another hand, the holder of the claim above all, must not be met by. */
const isGuarded = (change: Change): boolean =>
  isRouting(change) || change.kind === 'SetSync' || change.kind === 'SetSlots' || change.kind === 'Follow';

const isRouting = (change: Change): boolean =>
  ['Register', 'Deregister', 'SettleDrain', 'UpsertRecord'].includes(change.kind);
