/** What there is to recover, most urgent first, and what stands against it. Pure. */
import type { Refusal } from '../model/change.ts';
import type { DiagnosisCode } from '../model/diagnosis.ts';
import type { Escalation, RecoveryMode } from '../model/ledger.ts';
import { INCIDENT_TAG } from '../model/spec.ts';
import type { Node } from '../model/view.ts';
import { hasAnswered, peersOpinion } from './components.ts';
import { isGone, replacementsOf } from './diagnose-node.ts';
import { capacity, inMaintenance, isLost, isServingInNeed, nodeOf } from './situation.ts';
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

/** A partition often heals by itself, and its node lives: it is given ten times as long as a silent one. */
export const PARTITION_PATIENCE = 10;

const ORDER: readonly DiagnosisCode[] = [
  'NODE_TERMINATED',
  'NODE_CRASHED',
  'NODE_UNRESPONSIVE',
  'NODE_STOPPING',
  'NODE_PARTITIONED',
];

/**
 * Lost nodes in the order in which they are recovered: terminated, crashed, hung, stopped, partitioned; ties by instance
 * id; last a place that no known instance has left. A node whose replacement lives is no case.
 */
export function lostCases(s: Situation): readonly Case[] {
  const gap = Math.max(0, s.view.spec.nodes - capacity(s).length);
  const lost = s.view.nodes.filter((n) => isLost(s, n.instance.id) && isUnreplaced(s, n));
  const terminated = lost.filter(isGone).sort(terminatedOrder(s)).slice(0, gap);
  const living = lost.filter((n) => !isGone(n)).sort(livingOrder(s));
  const unexplained = gap > terminated.length ? [addCase(s, gap)] : [];
  return [...[...terminated, ...living].map((n) => caseOf(s, n)), ...unexplained];
}

const isUnreplaced = (s: Situation, n: Node): boolean => replacementsOf(s.view, n.instance.id).length === 0;

const terminatedOrder =
  (s: Situation) =>
  (a: Node, b: Node): number =>
    Number(s.view.ledger.incident?.node === b.instance.id) - Number(s.view.ledger.incident?.node === a.instance.id) ||
    (a.instance.id < b.instance.id ? -1 : 1);

const livingOrder =
  (s: Situation) =>
  (a: Node, b: Node): number =>
    rank(s, a) - rank(s, b) || (a.instance.id < b.instance.id ? -1 : 1);

const rank = (s: Situation, n: Node): number => ORDER.indexOf(s.codeOf(n.instance.id) ?? 'NODE_PARTITIONED');

function caseOf(s: Situation, node: Node): Case {
  const { id } = node.instance;
  const diagnosis = s.codeOf(id) ?? 'NODE_CRASHED';
  const reason = `${diagnosis}: ${s.evidenceOf(id).join('; ')}`;
  const deadAfterMs = s.view.spec.timing.deadAfterSeconds * 1000;
  const sinceMs = s.view.ledger.suspicions[id]?.sinceMs ?? s.view.atMs;
  if (diagnosis === 'NODE_CRASHED') return { node: id, diagnosis, mode: 'rejoin', reason, dueAtMs: null };
  const patience = { NODE_TERMINATED: null, NODE_PARTITIONED: deadAfterMs * PARTITION_PATIENCE }[diagnosis as string];
  const dueAtMs = patience === null ? null : sinceMs + (patience ?? deadAfterMs);
  return { node: id, diagnosis, mode: 'replace', reason, dueAtMs };
}

/**
 * No instance explains the gap. EC2 may not yet describe a new one (eventual consistency), or someone is launching it
 * by hand: so it is believed only when the incident has been open for `deadAfterSeconds`.
 */
function addCase(s: Situation, gap: number): Case {
  const openedAtMs = s.view.ledger.incident?.openedAtMs ?? s.view.atMs;
  return {
    node: null,
    diagnosis: 'CAPACITY_MISSING',
    mode: 'add',
    reason: `${gap} of ${s.view.spec.nodes} nodes missing, and no lost instance is known that would explain it`,
    dueAtMs: openedAtMs + s.view.spec.timing.deadAfterSeconds * 1000,
  };
}

/** What stands against starting a recovery now; null when nothing does. */
export function objection(s: Situation, c: Case, nowMs: number): Refusal | null {
  const { maintenance } = s.view.ledger;
  const refuse = (code: Refusal['code'], reason: string): Refusal => ({
    code,
    ...(c.node === null ? {} : { node: c.node }),
    reason: `${c.mode} of ${c.node ?? s.view.spec.name} not started: ${reason}`,
  });
  if (maintenance !== null && (c.node === null ? c.mode === 'bootstrap' : inMaintenance(s, c.node))) {
    return refuse('REFUSED_MAINTENANCE', `${maintenance.node} is in maintenance by ${maintenance.by}`);
  }
  if (c.diagnosis === 'NODE_PARTITIONED' && hasOtherHistory(s, c)) {
    const why = 'it is in a primary component of its own, which may hold writes that the other has not';
    return refuse('REFUSED_QUORUM_LOST', `${why}: see the runbook, "Quorum lost"`);
  }
  const early = tooEarly(s, c, nowMs);
  if (early !== null) return refuse('REFUSED_TOO_EARLY', early);
  if (s.view.ledger.claim !== null) {
    return refuse(
      'REFUSED_CLAIMED',
      `${s.view.ledger.claim.execution} holds the claim (${s.view.claimExecution ?? 'state unknown'})`,
    );
  }
  if (s.view.brake.engaged)
    return refuse('REFUSED_BRAKE', `the fleet brake is engaged: ${s.view.brake.reason ?? 'no reason given'}`);
  const escalated = escalation(s, c, nowMs);
  if (escalated !== null) return refuse('REFUSED_ESCALATED', escalated);
  if (c.mode !== 'bootstrap' && !othersServe(s, c)) {
    return refuse(
      'REFUSED_QUORUM',
      'no other node of the cluster serves, so that none could carry it or give its state',
    );
  }
  return null;
}

/**
 * Hung needs the peers' word that it is out. Crashed needs no word (they may all be gone), but is held up by a contrary one:
 * started again too early, a node that was just joining would be killed in its state transfer. The peers' eviction takes
 * 5 s (`evs.suspect_timeout`), and a rejoin before it would have to wait for it in any case.
 */
function tooEarly(s: Situation, c: Case, nowMs: number): string | null {
  if (c.dueAtMs !== null && nowMs < c.dueAtMs) {
    return `${c.diagnosis} has to last ${secondsUntil(c.dueAtMs, nowMs)} s longer`;
  }
  const node = c.node === null ? undefined : nodeOf(s, c.node);
  if (node === undefined) return null;
  const opinion = peersOpinion(s.component, node);
  if (c.diagnosis === 'NODE_CRASHED' && opinion.kind === 'member') {
    return `a node that receives a state transfer does not listen either, and its peers have not cast it out (${opinion.says})`;
  }
  if (c.diagnosis !== 'NODE_UNRESPONSIVE' || opinion.kind === 'castOut') return null;
  return `its peers have not cast it out (${opinion.says})`;
}

/** The same incident or the same node was given up on, less than `retryAfterSeconds` ago. */
function escalation(s: Situation, c: Case, nowMs: number): string | null {
  const e = s.view.ledger.escalation;
  if (e === null || e.acknowledgedBy !== undefined) return null;
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

/** To replace a node that accepted writes on its own would throw them away: that is a person's decision. */
function hasOtherHistory(s: Situation, c: Case): boolean {
  const node = c.node === null ? undefined : nodeOf(s, c.node);
  return node !== undefined && hasAnswered(node) && node.probe.status.component === 'Primary';
}

/** Safety rule 6. */
const othersServe = (s: Situation, c: Case): boolean =>
  s.view.nodes.some((n) => n.instance.id !== c.node && isServingInNeed(s, n));

export const secondsUntil = (atMs: number, nowMs: number): number => Math.max(1, Math.ceil((atMs - nowMs) / 1000));
