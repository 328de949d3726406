/**
 * From what is the case to what is done about it. Pure: the same view, diagnoses and time give the same plan.
 *
 * The order of changes is the order in which apply carries them out. Traffic first: what writes may be waiting for, the
 * writer in the ledger, then the target groups. Then recovery. DNS comes after it: Route 53's control plane is not on the recovery path (safety rule 9).
 * Bookkeeping that nothing waits for comes last; only the incident is opened first, so that every act has a record to be on.
 */
import type { Change, Outcome, Plan, Refusal } from '../model/change.ts';
import type { Diagnosis } from '../model/diagnosis.ts';
import type { Policy } from '../model/spec.ts';
import type { ClusterView } from '../model/view.ts';
import type { Recovery, Wait } from './engine.ts';
import { engineOf } from './engines.ts';
import { incidentId } from './incident.ts';
import { forgotten } from './left-over.ts';
import { isGone } from './nodes.ts';
import { recover } from './recover.ts';
import { route } from './route.ts';
import type { Routing } from './route.ts';
import { capacity, inMaintenance, isServing, situationOf } from './situation.ts';
import type { Situation } from './situation.ts';
import { suspicionChanges } from './suspect.ts';

export function plan(view: ClusterView, diagnoses: readonly Diagnosis[], nowMs: number): Plan {
  const s = situationOf(engineOf(view), view, diagnoses);
  const routing = route(s);
  const recovery = recover(s, nowMs);
  const upkeep = s.engine.upkeep(s);
  const released = recovery.changes.filter((c) => c.kind === 'ReleaseClaim');
  const starts = recovery.changes.filter((c) => c.kind === 'StartRecovery');
  const changes: Change[] = [
    ...openIncident(s, routing, recovery),
    ...upkeep.urgent,
    ...routing.setWriter,
    ...routing.groups,
    ...released,
    ...starts,
    ...routing.records,
    ...upkeep.calm,
    ...suspicionChanges(s),
    ...forgotten(s),
    ...closeIncident(s, routing, recovery),
  ];
  const refusals = [...routing.refusals, ...recovery.refusals];
  const waits = [...routing.waits, ...recovery.waits, ...upkeep.waits, ...lookAgain(s, changes)];
  return underPolicy(view.spec.policy, { changes, refusals, outcome: outcomeOf(waits) });
}

function openIncident(s: Situation, routing: Routing, recovery: Recovery): Change[] {
  if (s.view.ledger.incident !== null) return [];
  const { subject } = recovery;
  const noWriter = routing.writer.kind === 'nobody' && s.view.ledger.writer !== null && !s.has('QUORUM_LOST');
  const stuck = routing.writer.kind === 'nobody' && noWriter ? routing.writer.refusal : null;
  const stands = stuck === null || s.has('NODE_IN_MAINTENANCE') ? null : stuck.reason;
  const about =
    subject ??
    (stands === null ? endedUnneeded(s, routing) : { node: null, diagnosis: 'WRITER_LOST' as const, reason: stands });
  if (about === null) return [];
  const incident = incidentId(s.view, about.node);
  return [{ kind: 'OpenIncident', incident, node: about.node, diagnosis: about.diagnosis, reason: about.reason }];
}

/**
 * A node has ended, and as many as are declared serve without it: nothing is to be recovered. That traffic left it is put on a record, and when that
 * is closed people are told of its volume.
 */
function endedUnneeded(s: Situation, { groups }: Routing): Recovery['subject'] {
  const leaving = groups.flatMap((c) => (c.kind === 'Deregister' ? c.targets.map((t) => t.id) : []));
  const node = s.view.nodes.find((n) => isGone(n) && leaving.includes(n.instance.id));
  if (node === undefined || inMaintenance(s, node.instance.id)) return null;
  const { id, state } = node.instance;
  const reason = `EC2 says that ${id} is ${state}; as many as are declared serve without it`;
  return { node: id, diagnosis: s.codeOf(id) ?? 'NODE_TERMINATED', reason };
}

/** All nodes serve, or are in a person's hands; the endpoints are right; nobody holds the cluster. */
function closeIncident(s: Situation, routing: Routing, recovery: Recovery): Change[] {
  const { incident } = s.view.ledger;
  if (incident === null || s.view.ledger.claim !== null || recovery.subject !== null) return [];
  const fit = capacity(s).filter((n) => isServing(s, n) || inMaintenance(s, n.instance.id));
  if (fit.length < s.view.spec.nodes || capacity(s).length > fit.length) return [];
  if (s.has('ROUTING_DRIFT') || routing.writer.kind !== 'keep') return [];
  if (s.view.dns.some((d) => d.unread !== undefined)) return [];
  const reason = `${fit.length} of ${s.view.spec.nodes} nodes serve and the endpoints are right`;
  return [{ kind: 'CloseIncident', incident: incident.id, reason }];
}

const UNSEEN: readonly Diagnosis['code'][] = ['NODE_UNREACHABLE_BY_PLANE', 'NODE_REJECTS_PROBE', 'PRIMARY_PARTITIONED'];

/** When to look again though nobody may ask. */
function lookAgain(s: Situation, changes: readonly Change[]): Wait[] {
  const waits: Wait[] = [];
  if (s.has('NODE_SUSPECT'))
    waits.push({ seconds: s.engine.suspectSeconds, reason: 'a failed probe is believed when it fails again' });
  if (UNSEEN.some((code) => s.has(code))) {
    waits.push({ seconds: 30, reason: 'a node cannot be seen from here' });
  }
  if (changes.some((c) => c.kind === 'StartRecovery')) waits.push({ seconds: 10, reason: 'a recovery was started' });
  if (changes.some((c) => ['SetWriter', 'Register', 'Deregister', 'UpsertRecord'].includes(c.kind))) {
    waits.push({ seconds: 5, reason: 'routing was changed, and is looked at again' });
  }
  const closes = changes.some((c) => c.kind === 'CloseIncident');
  const opens = changes.some((c) => c.kind === 'OpenIncident');
  if (opens || (s.view.ledger.incident !== null && !closes)) waits.push({ seconds: 30, reason: 'an incident is open' });
  return waits;
}

const outcomeOf = (waits: readonly Wait[]): Outcome => {
  const first = [...waits].sort((a, b) => a.seconds - b.seconds)[0];
  return first === undefined ? { kind: 'done' } : { kind: 'requeueAfter', ...first };
};

/** What a policy leaves of a plan; what it takes away becomes a refusal, so that the log shows what would have been done. */
function underPolicy(policy: Policy, wanted: Plan): Plan {
  const allowed = wanted.changes.filter((c) => allows(policy, c));
  const refused = wanted.changes.filter((c) => !allows(policy, c));
  const refusals = [...wanted.refusals, ...refused.map((c) => refusedByPolicy(policy, c))];
  // With nothing allowed there is nothing to come back for: the watch asks again when something changes.
  const outcome: Outcome = policy === 'OBSERVE' ? { kind: 'done' } : wanted.outcome;
  return { changes: allowed, refusals, outcome };
}

const HEALING: readonly Change['kind'][] = ['StartRecovery', 'SetSync', 'SetSlots', 'Follow'];

function allows(policy: Policy, change: Change): boolean {
  switch (policy) {
    case 'HEAL':
      return true;
    case 'ROUTE':
      return !HEALING.includes(change.kind);
    case 'OBSERVE':
      return false;
  }
}

const refusedByPolicy = (policy: Policy, change: Change): Refusal => ({
  code: 'REFUSED_POLICY',
  ...('node' in change && change.node !== null ? { node: change.node } : {}),
  reason: `${change.kind} is not allowed by policy ${policy}: ${change.reason}`,
});
