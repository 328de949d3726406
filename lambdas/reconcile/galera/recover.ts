/** What a Galera cluster has to be recovered from: lost nodes, a lost quorum, or all of it down. Pure. */
import type { Refusal } from '../../model/change.ts';
import { CONFIRM_AFTER_MS } from '../../model/suspicion.ts';
import type { Case } from '../cases.ts';
import type { Recovery } from '../engine.ts';
import { isGone } from '../nodes.ts';
import { leftOver } from '../left-over.ts';
import { NOTHING, decide, merge, surplus, waitForClaim } from '../recover.ts';
import type { Situation } from '../situation.ts';
import { galeraCases, galeraObjections } from './cases.ts';

export function recover(s: Situation, nowMs: number): Recovery {
  if (s.has('QUORUM_LOST')) return quorumLost(s, nowMs);
  const decided = s.has('CLUSTER_DOWN') ? clusterDown(s, nowMs) : decide(s, galeraCases(s), nowMs, galeraObjections);
  return merge(decided, surplus(s), leftOver(s, decided), waitForClaim(s));
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
  // A place that is empty, for however long, is no witness of what the others have.
  const ofNodes = Object.values(s.view.ledger.suspicions).filter((x) => x.kind !== 'missing' && x.kind !== 'stopped');
  const seen = ofNodes.some((x) => nowMs - x.sinceMs >= CONFIRM_AFTER_MS);
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
  if (s.view.ledger.claim !== null || ready >= s.view.spec.nodes) return decide(s, [c], nowMs, galeraObjections);
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
