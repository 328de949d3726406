/** One reconcile of one cluster: observe, diagnose, plan, apply, tell. Level-triggered: what asked for it does not matter. */
import { CloudUnavailable } from '../cloud/ports.ts';
import type { Outcome, Plan } from '../model/change.ts';
import type { Diagnosis } from '../model/diagnosis.ts';
import type { ClusterView } from '../model/view.ts';
import { apply } from './apply.ts';
import type { Applied } from './apply.ts';
import { diagnose } from './diagnose.ts';
import { due } from './due.ts';
import { isPressed, WANTED } from './put-off.ts';
import { observe } from './observe.ts';
import { plan } from './plan.ts';
import { writesFirst } from './writes-first.ts';
import { counted } from './ports.ts';
import type { ReconcilePorts } from './ports.ts';
import { tellPeople } from './tell.ts';

/** How soon to come back after something failed. Coming back beats failing the message: a failed message of a FIFO queue
 * holds up its whole group for the visibility timeout. */
const RETRY_SECONDS = 2;

/** What comes back by itself fails no message and reaches no DLQ: an alarm counts it, over all clusters. */
const OBSTRUCTED = 'ReconcileObstructed';

export interface Circumstances {
  /** Requests for the cluster have waited, and more may: the look is noted, so that it answers those too. */
  readonly isBacklog: boolean;
  /** When SQS took the newest of them, by its clock: this function's own may be behind. */
  readonly askedAtMs?: number;
  /** A person has asked for it: it is not put off, and comes back as such until it has had its turn. */
  readonly isWanted?: boolean;
}

interface Attempt {
  readonly outcome: Outcome;
  /** All was seen, and all that was decided was done: what was sent before it is answered. */
  readonly isWhole: boolean;
  /** AWS did not answer, or a launch waits for its turn. */
  readonly isHeldUp: boolean;
}

/**
 * Reconciles and, where something is still to be waited for, asks to come back.
 * @throws BadSpec, and whatever is neither a passing failure of AWS nor the failure of a single change: the message then
 *   returns to the queue and in the end to its DLQ.
 */
export async function reconcile(
  cluster: string,
  given: ReconcilePorts,
  { isBacklog, isWanted = false, askedAtMs = 0 }: Circumstances = { isBacklog: false },
): Promise<Outcome> {
  const startedAtMs = given.clock.nowMs();
  const { ports, calls } = counted(given);
  const { outcome, isWhole, isHeldUp } = await attempt(cluster, ports, isBacklog, () => ({
    tookMs: given.clock.nowMs() - startedAtMs,
    calls: Object.fromEntries(calls),
  }));
  if (outcome.kind === 'requeueAfter') {
    const { delaySeconds, cause } = due(cluster, outcome.seconds, Math.max(given.clock.nowMs(), askedAtMs));
    const rank = isWanted && isHeldUp ? WANTED : '';
    await ports.requests.sendLater(cluster, delaySeconds, `${rank}${cause}`);
  }
  // Last, when nothing that it decided can fail any more.
  if (isBacklog && isWhole) await noteLook(cluster, startedAtMs, ports);
  return outcome;
}

/** A look that is not noted answers nothing, which costs a reconcile and loses none. */
async function noteLook(cluster: string, beganMs: number, ports: ReconcilePorts): Promise<void> {
  try {
    await ports.ledger.noteLook(cluster, beganMs);
  } catch (error) {
    if (!(error instanceof CloudUnavailable)) throw error;
    ports.log.warn('the look cannot be noted: what waits is looked into again', { cluster });
  }
}

/** Something could not be read, and the plan goes around it: whoever asked for a look has not had one. */
const isWholeView = ({ dns, nodes, ledger, claimExecution }: ClusterView): boolean =>
  dns.every((d) => d.unread === undefined) &&
  nodes.every((n) => n.probe.kind !== 'rejected') &&
  (ledger.claim === null || claimExecution !== null);

/**
 * A record that will not become readable by itself (its zone was deleted, the role is too narrow) has to reach the DLQ and
 * its alarm; but only when all is quiet, for a failed message holds up its cluster.
 */
function tellOfLostRecord(view: ClusterView, planned: Plan): void {
  const lost = view.dns.find((d) => d.unread !== undefined && !d.unread.passing);
  if (lost === undefined || view.ledger.incident !== null || planned.changes.length > 0) return;
  throw new Error(`the record ${lost.name} in zone ${lost.zoneId} cannot be read: ${lost.unread?.why ?? ''}`);
}

type Cost = () => { readonly tookMs: number; readonly calls: Readonly<Record<string, number>> };

async function attempt(cluster: string, ports: ReconcilePorts, isBacklog: boolean, cost: Cost): Promise<Attempt> {
  try {
    const view = await observe(cluster, ports);
    if (view === null) {
      ports.log.warn('no such cluster is declared; nothing to do', { cluster, ...cost() });
      return {
        outcome: { kind: 'terminal', reason: `no specification of ${cluster} exists` },
        isWhole: false,
        isHeldUp: true,
      };
    }
    const diagnoses = diagnose(view);
    const whole = plan(view, diagnoses, ports.clock.nowMs());
    const planned = isPressed(ports, isBacklog) ? writesFirst(whole, view) : whole;
    const applied = await apply(planned, view, ports);
    await tellPeople(view, diagnoses, planned, [...planned.refusals, ...applied.refusals], ports);
    const outcome = outcomeOf(planned, applied);
    report(view, diagnoses, planned, applied, outcome, ports, cost);
    tellOfLostRecord(view, planned);
    const isDone = applied.stale === null && applied.failures.length === 0;
    // It saw another target in, which left meanwhile: who asked for a look has not had one at what is there now.
    const isOvertaken = applied.refusals.some((r) => r.code === 'REFUSED_LAST_HEALTHY_TARGET');
    const isHeldUp = !isDone || applied.refusals.some((r) => r.code === 'REFUSED_PACED');
    return { outcome, isWhole: isDone && !isOvertaken && planned === whole && isWholeView(view), isHeldUp };
  } catch (error) {
    if (!(error instanceof CloudUnavailable)) throw error;
    ports.log.error('AWS is not available for now; reconcile comes back', { cluster, error, ...cost() });
    ports.metrics.count('ReconcileUnavailable', 1, { cluster });
    ports.metrics.count(OBSTRUCTED);
    const outcome: Outcome = { kind: 'requeueAfter', seconds: RETRY_SECONDS, reason: error.message };
    return { outcome, isWhole: false, isHeldUp: true };
  }
}

function outcomeOf(planned: Plan, applied: Applied): Outcome {
  if (applied.stale !== null) return { kind: 'requeueAfter', seconds: 1, reason: applied.stale };
  const failed = applied.failures[0];
  if (failed === undefined) return planned.outcome;
  return {
    kind: 'requeueAfter',
    seconds: RETRY_SECONDS,
    reason: `${failed.change.kind} failed: ${String(failed.error)}`,
  };
}

function report(
  view: ClusterView,
  diagnoses: readonly Diagnosis[],
  planned: Plan,
  applied: Applied,
  outcome: Outcome,
  ports: ReconcilePorts,
  cost: Cost,
): void {
  const cluster = view.spec.name;
  const refusals = [...planned.refusals, ...applied.refusals];
  for (const { change, error } of applied.failures) {
    ports.log.error('a change failed and will be tried again', { cluster, change, error });
  }
  ports.log.info('reconciled', {
    cluster,
    policy: view.spec.policy,
    epoch: view.ledger.epoch,
    diagnoses: diagnoses.map((d) => (d.node === undefined ? d.code : `${d.code} ${d.node}`)),
    evidence: diagnoses.flatMap((d) => d.evidence),
    changes: planned.changes.map((c) => `${c.kind}: ${c.reason}`),
    refusals: refusals.map((r) => `${r.code}: ${r.reason}`),
    failures: applied.failures.length,
    outcome,
    ...cost(),
  });
  for (const d of diagnoses) ports.metrics.count('Diagnosis', 1, { cluster, code: d.code });
  for (const r of refusals) ports.metrics.count('Refusal', 1, { cluster, code: r.code });
  if (applied.failures.length > 0) ports.metrics.count('ChangeFailed', applied.failures.length, { cluster });
  const unread = view.dns.some((d) => d.unread !== undefined);
  if ((applied.failures.length > 0 && applied.stale === null) || unread) ports.metrics.count(OBSTRUCTED);
}
