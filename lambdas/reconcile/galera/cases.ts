/** Which Galera nodes are recovered how, and what stands against it beyond what holds for every engine. Pure. */
import type { Refusal } from '../../model/change.ts';
import type { DiagnosisCode } from '../../model/diagnosis.ts';
import type { Node } from '../../model/view.ts';
import { lostCases, refuseCase, secondsUntil, troubledSinceMs } from '../cases.ts';
import type { Case, Objections } from '../cases.ts';
import { isServingInNeed, nodeOf } from '../situation.ts';
import type { Situation } from '../situation.ts';
import { componentOf, hasAnswered, peersOpinion } from './components.ts';

/** A partition often heals by itself, and its node lives: it is given ten times as long as a silent one. */
export const PARTITION_PATIENCE = 10;

const ORDER: readonly DiagnosisCode[] = ['NODE_CRASHED', 'NODE_UNRESPONSIVE', 'NODE_STOPPING', 'NODE_PARTITIONED'];

/** Terminated, crashed, hung, stopped, partitioned. */
export const galeraCases = (s: Situation): readonly Case[] => lostCases(s, ORDER, caseOf);

function caseOf(s: Situation, node: Node): Case {
  const { id } = node.instance;
  const diagnosis = s.codeOf(id) ?? 'NODE_CRASHED';
  const reason = `${diagnosis}: ${s.evidenceOf(id).join('; ')}`;
  const deadAfterMs = s.view.spec.timing.deadAfterSeconds * 1000;
  if (diagnosis === 'NODE_CRASHED') return { node: id, diagnosis, mode: 'rejoin', reason, dueAtMs: null };
  const patience = { NODE_TERMINATED: null, NODE_PARTITIONED: deadAfterMs * PARTITION_PATIENCE }[diagnosis as string];
  const dueAtMs = patience === null ? null : troubledSinceMs(s, id) + (patience ?? deadAfterMs);
  return { node: id, diagnosis, mode: 'replace', reason, dueAtMs };
}

export const galeraObjections: Objections = { early, late };

function early(s: Situation, c: Case, nowMs: number): Refusal | null {
  if (c.diagnosis === 'NODE_PARTITIONED' && hasOtherHistory(s, c)) {
    const why = 'it is in a primary component of its own, which may hold writes that the other has not';
    return refuseCase(s, c, 'REFUSED_QUORUM_LOST', `${why}: see the runbook, "Quorum lost"`);
  }
  const reason = tooEarly(s, c, nowMs);
  return reason === null ? null : refuseCase(s, c, 'REFUSED_TOO_EARLY', reason);
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
  const opinion = peersOpinion(componentOf(s), node);
  if (c.diagnosis === 'NODE_CRASHED' && opinion.kind === 'member') {
    return `a node that receives a state transfer does not listen either, and its peers have not cast it out (${opinion.says})`;
  }
  if (c.diagnosis !== 'NODE_UNRESPONSIVE' || opinion.kind === 'castOut') return null;
  return `its peers have not cast it out (${opinion.says})`;
}

/** Safety rule 6. */
function late(s: Situation, c: Case): Refusal | null {
  const othersServe = s.view.nodes.some((n) => n.instance.id !== c.node && isServingInNeed(s, n));
  if (c.mode === 'bootstrap' || othersServe) return null;
  const why = 'no other node of the cluster serves, so that none could carry it or give its state';
  return refuseCase(s, c, 'REFUSED_QUORUM', why);
}

/** To replace a node that accepted writes on its own would throw them away: that is a person's decision. */
function hasOtherHistory(s: Situation, c: Case): boolean {
  const node = c.node === null ? undefined : nodeOf(s, c.node);
  return node !== undefined && hasAnswered(node) && node.probe.status.component === 'Primary';
}
