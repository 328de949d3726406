/** What there is to recover, most urgent first, and what stands against it. Pure. */
import type { Refusal } from '../model/change.ts';
import type { DiagnosisCode } from '../model/diagnosis.ts';
import { MISSING, standingAcceptance } from '../model/ledger.ts';
import type { AcceptedLoss, Escalation, RecoveryMode } from '../model/ledger.ts';
import { INCIDENT_TAG } from '../model/spec.ts';
import type { Node } from '../model/view.ts';
import { isGone, replacementsOf } from './nodes.ts';
import { capacity, inMaintenance, isLost, isPlaceTaken, nodeOf, rolledNode } from './situation.ts';
import type { Situation } from './situation.ts';

/** A node (or with null the cluster) that needs recovery. */
export interface Case {
  readonly node: string | null;
  readonly diagnosis: DiagnosisCode;
  readonly mode: RecoveryMode;
  readonly reason: string;
  /** The clock that has to pass first; null when nothing has to be waited for. */
  readonly dueAtMs: number | null;
}

/** An engine's own objections to a case: before the claim, the brake and the escalation are looked at, and after. */
export interface Objections {
  early(s: Situation, c: Case, nowMs: number): Refusal | null;
  late(s: Situation, c: Case): Refusal | null;
}

/**
 * Lost nodes in the order in which they are recovered: those that EC2 has ended, then by `order`; ties by instance
 * id; last a place that no known instance has left. A node whose replacement lives, or whose place is taken, is no case.
 */
export function lostCases(
  s: Situation,
  order: readonly DiagnosisCode[],
  caseOf: (s: Situation, node: Node) => Case,
): readonly Case[] {
  const gap = gapOf(s);
  // What a planned replacement has stopped or ended is in its hands.
  const lost = s.view.nodes.filter(
    (n) => isLost(s, n.instance.id) && isUnreplaced(s, n) && !isPlaceTaken(s, n) && n.instance.id !== rolledNode(s),
  );
  const terminated = lost.filter(isGone).sort(terminatedOrder(s)).slice(0, gap);
  const living = lost.filter((n) => !isGone(n)).sort(livingOrder(s, order));
  const unexplained = gap > terminated.length ? [addCase(s, gap)] : [];
  return [...[...terminated, ...living].map((n) => caseOf(s, n)), ...unexplained];
}

const gapOf = (s: Situation): number => Math.max(0, s.view.spec.nodes - capacity(s).length);

/** Is there a place that no lost instance explains. */
export function isPlaceUnexplained(s: Situation): boolean {
  const ended = s.view.nodes.filter((n) => isGone(n) && isLost(s, n.instance.id) && isUnreplaced(s, n));
  return gapOf(s) > ended.filter((n) => n.instance.id !== rolledNode(s)).length;
}

const isUnreplaced = (s: Situation, n: Node): boolean => replacementsOf(s.view, n.instance.id).length === 0;

const terminatedOrder =
  (s: Situation) =>
  (a: Node, b: Node): number =>
    Number(s.view.ledger.incident?.node === b.instance.id) - Number(s.view.ledger.incident?.node === a.instance.id) ||
    (a.instance.id < b.instance.id ? -1 : 1);

const livingOrder =
  (s: Situation, order: readonly DiagnosisCode[]) =>
  (a: Node, b: Node): number =>
    rank(s, order, a) - rank(s, order, b) || (a.instance.id < b.instance.id ? -1 : 1);

function rank(s: Situation, order: readonly DiagnosisCode[], n: Node): number {
  const code = s.codeOf(n.instance.id);
  const at = code === null ? -1 : order.indexOf(code);
  return at === -1 ? order.length : at;
}

/** Since when the node is in trouble, by the ledger; now, when it says nothing. */
export const troubledSinceMs = (s: Situation, node: string): number =>
  s.view.ledger.suspicions[node]?.sinceMs ?? s.view.atMs;

/**
 * No instance explains the gap. EC2 may not yet describe a new one (eventual consistency), or someone is launching it
 * by hand: so it is believed only when it has lasted for `deadAfterSeconds`, by a clock of its own: an incident may have been
 * open for days for another reason.
 */
function addCase(s: Situation, gap: number): Case {
  return {
    node: null,
    diagnosis: 'CAPACITY_MISSING',
    mode: 'add',
    reason: `${gap} of ${s.view.spec.nodes} nodes missing, and no lost instance is known that would explain it`,
    dueAtMs: troubledSinceMs(s, MISSING) + s.view.spec.timing.deadAfterSeconds * 1000,
  };
}

/** A refusal to start a case, in one form for all reasons. */
export const refuseCase = (s: Situation, c: Case, code: Refusal['code'], reason: string): Refusal => ({
  code,
  ...(c.node === null ? {} : { node: c.node }),
  reason: `${c.mode} of ${c.node ?? s.view.spec.name} not started: ${reason}`,
});

/** What stands against starting a recovery now; null when nothing does. */
export function objection(s: Situation, c: Case, nowMs: number, own: Objections): Refusal | null {
  const { maintenance, claim } = s.view.ledger;
  const refuse = (code: Refusal['code'], reason: string): Refusal => refuseCase(s, c, code, reason);
  if (maintenance !== null && (isAboutAll(c) || (c.node !== null && inMaintenance(s, c.node)))) {
    return refuse('REFUSED_MAINTENANCE', `${maintenance.node} is in maintenance by ${maintenance.by}`);
  }
  const early = own.early(s, c, nowMs);
  if (early !== null) return early;
  if (c.dueAtMs !== null && nowMs < c.dueAtMs) {
    return refuse('REFUSED_TOO_EARLY', `${c.diagnosis} has to last ${secondsUntil(c.dueAtMs, nowMs)} s longer`);
  }
  if (claim !== null) {
    return refuse(
      'REFUSED_CLAIMED',
      `${claim.execution} holds the claim (${s.view.claimExecution ?? 'state unknown'})`,
    );
  }
  if (s.view.brake.engaged)
    return refuse('REFUSED_BRAKE', `the fleet brake is engaged: ${s.view.brake.reason ?? 'no reason given'}`);
  const escalated = escalation(s, c, nowMs, c.mode === 'failover' ? standingAcceptance(s.view.ledger) : null);
  if (escalated !== null) return refuse('REFUSED_ESCALATED', escalated);
  return own.late(s, c);
}

/** Acts on the cluster as a whole, so that a person's hand on any of its nodes is in the way. */
const isAboutAll = (c: Case): boolean => c.mode === 'bootstrap' || c.mode === 'failover';

/** The same incident or the same node was given up on, less than `retryAfterSeconds` ago, and no person has said go on. */
function escalation(s: Situation, c: Case, nowMs: number, accepted: AcceptedLoss | null): string | null {
  const e = s.view.ledger.escalation;
  if (e === null || e.acknowledgedBy !== undefined) return null;
  if (accepted !== null && accepted.atMs >= e.atMs) return null;
  const same = isSameTrouble(s, c, e);
  const untilMs = e.atMs + s.view.spec.timing.retryAfterSeconds * 1000;
  if (!same || nowMs >= untilMs) return null;
  return `attempt ${e.attempts} failed (${e.reason}); acknowledge it, or it is tried again in ${secondsUntil(untilMs, nowMs)} s`;
}

/** The node itself, the same missing place, or an instance that was launched in that incident and failed. */
function isSameTrouble(s: Situation, c: Case, e: Escalation): boolean {
  if (c.node === null) return e.incident === s.view.ledger.incident?.id;
  return c.node === e.node || nodeOf(s, c.node)?.instance.tags[INCIDENT_TAG] === e.incident;
}

export const secondsUntil = (atMs: number, nowMs: number): number => Math.max(1, Math.ceil((atMs - nowMs) / 1000));
