/** Which recovery to start, if any: at most one at a time. Pure. */
import type { Change, Refusal } from '../model/change.ts';
import { standingAcceptance } from '../model/ledger.ts';
import type { Escalation } from '../model/ledger.ts';
import { objection, secondsUntil } from './cases.ts';
import type { Case, Objections } from './cases.ts';
import { isOrphaned } from './claim.ts';
import type { Recovery, Wait } from './engine.ts';
import { executionName, incidentId } from './incident.ts';
import { capacity, inMaintenance } from './situation.ts';
import type { Situation } from './situation.ts';

export const NOTHING: Recovery = { changes: [], refusals: [], waits: [], subject: null };

/** First a claim that nobody stands behind; then what the engine finds to recover. */
export const recover = (s: Situation, nowMs: number): Recovery =>
  merge(releaseOrphan(s, nowMs), s.engine.recover(s, nowMs));

/** Starts the first case that nothing stands against; the others are refused, each with its reason. */
export function decide(s: Situation, cases: readonly Case[], nowMs: number, own: Objections): Recovery {
  const refusals: Refusal[] = [];
  const waits: Wait[] = [];
  let started: Change | null = null;
  for (const c of cases) {
    const refused = started === null ? objection(s, c, nowMs, own) : oneAtATime(c, started);
    if (refused === null) started = startOf(s, c);
    else {
      refusals.push(refused);
      waits.push(...waitFor(c, refused, nowMs));
    }
  }
  // A node that a person has in hand is no incident: they know.
  const first = cases.find((c) => c.node === null || c.mode === 'failover' || !inMaintenance(s, c.node));
  const subject = first === undefined ? null : { node: first.node, diagnosis: first.diagnosis, reason: first.reason };
  return { changes: started === null ? [] : [started], refusals, waits, subject };
}

/** The first try in the incident, or the one after those that were given up. */
export function startOf(s: Situation, c: Pick<Case, 'node' | 'mode' | 'reason'>): Change {
  const { incident: open, escalation } = s.view.ledger;
  const accepted = standingAcceptance(s.view.ledger);
  const incident = open?.id ?? incidentId(s.view, c.node);
  const attempt = escalation !== null && escalation.incident === incident ? escalation.attempts + 1 : 1;
  return {
    kind: 'StartRecovery',
    executionName: executionName(s.view.spec.name, c.node, incident, c.mode, attempt),
    mode: c.mode,
    incident,
    node: c.node,
    ...(c.mode === 'failover' && accepted !== null ? { accept: accepted.node } : {}),
    reason: c.reason,
  };
}

const oneAtATime = (c: Case, started: Change): Refusal => ({
  code: 'REFUSED_CLAIMED',
  ...(c.node === null ? {} : { node: c.node }),
  reason: `${c.mode} of ${c.node ?? 'a missing node'} waits: one recovery at a time, and ${'node' in started ? (started.node ?? 'another') : 'another'} goes first`,
});

function waitFor(c: Case, refused: Refusal, nowMs: number): Wait[] {
  if (refused.code !== 'REFUSED_TOO_EARLY') return [];
  const seconds = c.dueAtMs !== null && c.dueAtMs > nowMs ? secondsUntil(c.dueAtMs, nowMs) : 5;
  return [{ seconds, reason: refused.reason }];
}

/** Let go of a claim whose workflow has ended. Recovery itself waits for the next look, which sees the claim gone. */
function releaseOrphan(s: Situation, nowMs: number): Recovery {
  const { claim, escalation } = s.view.ledger;
  if (claim === null || !isOrphaned(s.view)) return NOTHING;
  const state = s.view.claimExecution ?? 'unknown';
  const reason = `${claim.execution} has ended (${state}) and still held the claim`;
  const before = escalation?.incident === claim.incident ? escalation.attempts : 0;
  const counted: Escalation = { node: claim.node, incident: claim.incident, attempts: before + 1, atMs: nowMs, reason };
  const ended = state === 'SUCCEEDED' ? {} : { escalation: counted };
  return {
    ...NOTHING,
    changes: [{ kind: 'ReleaseClaim', execution: claim.execution, ...ended, reason }],
    waits: [{ seconds: 1, reason: 'the claim is free again' }],
  };
}

/** More instances than specified: never terminated from here. */
export function surplus(s: Situation): Recovery {
  const want = s.view.spec.nodes;
  const have = capacity(s).map((n) => n.instance.id);
  if (have.length <= want) return NOTHING;
  const reason = `${have.length} instances (${have.join(', ')}) where ${want} are specified: nothing is terminated that nobody asked for`;
  return { ...NOTHING, refusals: [{ code: 'REFUSED_SURPLUS', reason }] };
}

/** While a workflow is at work. */
export const waitForClaim = (s: Situation): Recovery =>
  s.claim === null ? NOTHING : { ...NOTHING, waits: [{ seconds: 30, reason: `${s.claim.execution} is at work` }] };

/** One after the other; the first subject counts. */
export const merge = (...all: readonly Recovery[]): Recovery => ({
  changes: all.flatMap((r) => r.changes),
  refusals: all.flatMap((r) => r.refusals),
  waits: all.flatMap((r) => r.waits),
  subject: all.find((r) => r.subject !== null)?.subject ?? null,
});
