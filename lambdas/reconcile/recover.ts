/** Which recovery to start, if any: at most one at a time. Pure. */
import type { Change, Refusal } from '../model/change.ts';
import type { DiagnosisCode } from '../model/diagnosis.ts';
import type { Escalation } from '../model/ledger.ts';
import { CONFIRM_AFTER_MS } from '../model/suspicion.ts';
import { isOrphaned } from './claim.ts';
import { lostCases, objection, secondsUntil } from './cases.ts';
import type { Case } from './cases.ts';
import { replacementsOf, isGone } from './diagnose-node.ts';
import { executionName, incidentId } from './incident.ts';
import { capacity, inMaintenance, isLost } from './situation.ts';
import type { Situation } from './situation.ts';

export interface Wait {
  readonly seconds: number;
  readonly reason: string;
}

export interface Recovery {
  readonly changes: readonly Change[];
  readonly refusals: readonly Refusal[];
  readonly waits: readonly Wait[];
  /** What an incident is about, when something has happened that is worth one. */
  readonly subject: { readonly node: string | null; readonly diagnosis: DiagnosisCode; readonly reason: string } | null;
}

const NOTHING: Recovery = { changes: [], refusals: [], waits: [], subject: null };

export function recover(s: Situation, nowMs: number): Recovery {
  const released = releaseOrphan(s, nowMs);
  if (s.has('QUORUM_LOST')) return merge(released, quorumLost(s, nowMs));
  const cases = s.has('CLUSTER_DOWN') ? [] : lostCases(s);
  const decided = s.has('CLUSTER_DOWN') ? clusterDown(s, nowMs) : decide(s, cases, nowMs);
  return merge(released, decided, surplus(s), waitForClaim(s));
}

function decide(s: Situation, cases: readonly Case[], nowMs: number): Recovery {
  const refusals: Refusal[] = [];
  const waits: Wait[] = [];
  let started: Change | null = null;
  for (const c of cases) {
    const refused = started === null ? objection(s, c, nowMs) : oneAtATime(c, started);
    if (refused === null) started = start(s, c);
    else {
      refusals.push(refused);
      waits.push(...waitFor(c, refused, nowMs));
    }
  }
  // A node that a person has in hand is no incident: they know.
  const first = cases.find((c) => c.node === null || !inMaintenance(s, c.node));
  const subject = first === undefined ? null : { node: first.node, diagnosis: first.diagnosis, reason: first.reason };
  return { changes: started === null ? [] : [started], refusals, waits, subject };
}

function start(s: Situation, c: Case): Change {
  const { incident: open, escalation } = s.view.ledger;
  const incident = open?.id ?? incidentId(s.view, c.node);
  const attempt = escalation !== null && escalation.incident === incident ? escalation.attempts + 1 : 1;
  return {
    kind: 'StartRecovery',
    executionName: executionName(s.view.spec.name, c.node, incident, c.mode, attempt),
    mode: c.mode,
    incident,
    node: c.node,
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

/** Nobody can tell from here which side has the last writes: that takes a person (or, once all are down, bootstrap). */
function quorumLost(s: Situation, nowMs: number): Recovery {
  if (s.claim !== null) {
    const claimed: Refusal = {
      code: 'REFUSED_CLAIMED',
      reason: `no node is in a primary component, and ${s.claim.execution} is at work`,
    };
    return merge({ ...NOTHING, refusals: [claimed] }, waitForClaim(s));
  }
  const reason = 'no reachable node is in a primary component and some may live: see the runbook, "Quorum lost"';
  const seen = Object.values(s.view.ledger.suspicions).some((x) => nowMs - x.sinceMs >= CONFIRM_AFTER_MS);
  if (!seen) {
    const early: Refusal = { code: 'REFUSED_TOO_EARLY', reason: 'quorum lost was seen once: looked at again' };
    return { ...NOTHING, refusals: [early], waits: [{ seconds: 2, reason: early.reason }] };
  }
  return {
    ...NOTHING,
    refusals: [{ code: 'REFUSED_QUORUM_LOST', reason }],
    waits: [{ seconds: 30, reason: 'quorum may come back by itself' }],
    subject: { node: null, diagnosis: 'QUORUM_LOST', reason },
  };
}

function clusterDown(s: Situation, nowMs: number): Recovery {
  const reason = 'no node runs the database';
  const down = { node: null, diagnosis: 'CLUSTER_DOWN' as const, reason };
  const c: Case = { ...down, mode: 'bootstrap', dueAtMs: null };
  const hosts = s.view.nodes.filter((n) => !isGone(n));
  const ready = hosts.filter((n) => s.codeOf(n.instance.id) === 'NODE_CRASHED').length;
  const starting = hosts.filter((n) => s.codeOf(n.instance.id) === 'NODE_STARTING').length;
  if (s.view.ledger.claim !== null || ready >= s.view.spec.nodes) return decide(s, [c], nowMs);
  const stopped = hosts.filter((n) => n.instance.state === 'stopped' || n.instance.state === 'stopping');
  const sinceMs = Math.min(...stopped.map((n) => s.view.ledger.suspicions[n.instance.id]?.sinceMs ?? nowMs));
  const patient = stopped.length > 0 && nowMs < sinceMs + s.view.spec.timing.deadAfterSeconds * 1000;
  const found = `${ready} of ${s.view.spec.nodes} hosts are ready, ${starting} are starting, ${stopped.length} are stopped`;
  const waiting = starting > 0 || patient;
  const refusal: Refusal = waiting
    ? { code: 'REFUSED_TOO_EARLY', reason: `bootstrap waits for every node's host: ${found}` }
    : {
        code: 'REFUSED_QUORUM_LOST',
        reason: `bootstrap needs every node's position, and ${found}: see the runbook, "Quorum lost"`,
      };
  const wait = { seconds: waiting ? 5 : 30, reason: refusal.reason };
  return { changes: [], refusals: [refusal], waits: [wait], subject: { ...down, reason: `${reason}: ${found}` } };
}

/** More instances than specified, and those whose replacement is in service: told, and never terminated from here. */
function surplus(s: Situation): Recovery {
  const want = s.view.spec.nodes;
  const have = capacity(s).map((n) => n.instance.id);
  const tooMany: Refusal[] =
    have.length > want
      ? [
          {
            code: 'REFUSED_SURPLUS',
            reason: `${have.length} instances (${have.join(', ')}) where ${want} are specified: nothing is terminated that nobody asked for`,
          },
        ]
      : [];
  const leftOver = s.view.nodes
    .filter((n) => isLost(s, n.instance.id) && !isGone(n) && s.claim?.node !== n.instance.id)
    .filter((n) => replacementsOf(s.view, n.instance.id).length > 0)
    .map((n): Refusal => {
      const by = replacementsOf(s.view, n.instance.id).map((r) => r.instance.id);
      return {
        code: 'REFUSED_SURPLUS',
        node: n.instance.id,
        reason: `${n.instance.id} has been replaced by ${by.join(', ')} and is still there: terminate it by hand`,
      };
    });
  return { ...NOTHING, refusals: [...tooMany, ...leftOver] };
}

const waitForClaim = (s: Situation): Recovery =>
  s.claim === null ? NOTHING : { ...NOTHING, waits: [{ seconds: 30, reason: `${s.claim.execution} is at work` }] };

const merge = (...all: readonly Recovery[]): Recovery => ({
  changes: all.flatMap((r) => r.changes),
  refusals: all.flatMap((r) => r.refusals),
  waits: all.flatMap((r) => r.waits),
  subject: all.find((r) => r.subject !== null)?.subject ?? null,
});
