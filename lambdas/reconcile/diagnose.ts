/**
 * Names what is the case before anything acts. Pure. Node by node in `diagnose-node.ts`; here the cluster as a whole:
 *
 * | Nodes in the primary component | the others                                      | diagnosis    |
 * | ------------------------------ | ----------------------------------------------- | ------------ |
 * | some                           |                                                 | (node codes) |
 * | none                           | one answers from outside                        | QUORUM_LOST  |
 * | none                           | none answers, one hangs or is unreachable       | QUORUM_LOST  |
 * | none                           | one rejects our login                           | (node codes) |
 * | none                           | one failed a single probe                       | (node codes) |
 * | none                           | all crashed, stopped, terminated or starting    | CLUSTER_DOWN |
 */
import type { Diagnosis, DiagnosisCode } from '../model/diagnosis.ts';
import type { ClusterView } from '../model/view.ts';
import { isOrphaned } from './claim.ts';
import { hasAnswered, primaryComponent } from './components.ts';
import { diagnoseNode } from './diagnose-node.ts';
import { foreignTargets, isForeignRecord, route, shortName } from './route.ts';
import { capacity, inMaintenance, situationOf } from './situation.ts';
import type { Situation } from './situation.ts';
import { writerTrouble } from './writer.ts';

/** Every diagnosis that holds, nodes first; HEALTHY alone when nothing is out of order. Never empty. */
export function diagnose(view: ClusterView): readonly Diagnosis[] {
  const component = primaryComponent(view);
  const nodes = view.nodes.flatMap((n) => diagnoseNode(view, component, n) ?? []);
  const s = situationOf(view, nodes);
  const all = [
    ...nodes,
    ...maintenance(s),
    ...quorum(s),
    ...writer(s),
    ...capacities(s),
    ...claim(s),
    ...foreign(s),
    ...drift(s),
  ];
  if (all.length > 0) return all;
  const evidence = `${component.length} nodes are Synced in the primary component, routed as they should be`;
  return [{ code: 'HEALTHY', evidence: [evidence] }];
}

function maintenance(s: Situation): Diagnosis[] {
  return s.view.nodes
    .filter((n) => inMaintenance(s, n.instance.id))
    .map((n) => ({
      code: 'NODE_IN_MAINTENANCE' as const,
      node: n.instance.id,
      evidence: [`in maintenance by ${s.view.ledger.maintenance?.by ?? 'a person'}`],
    }));
}

const MAY_LIVE: readonly (DiagnosisCode | null)[] = ['NODE_UNRESPONSIVE', 'NODE_UNREACHABLE_BY_PLANE'];

function quorum(s: Situation): Diagnosis[] {
  if (s.component.length > 0) return [];
  const says = (code: DiagnosisCode, first: string): Diagnosis[] => [
    { code, evidence: [first, ...s.view.nodes.map((n) => `${n.instance.id}: ${describe(s, n.instance.id)}`)] },
  ];
  const outside = s.view.nodes.filter(hasAnswered);
  const waitsForClaim = s.claim !== null && outside.every((n) => s.codeOf(n.instance.id) === 'NODE_STARTING');
  if (outside.length > 0 && !waitsForClaim)
    return says('QUORUM_LOST', 'no node that answers is in a primary component');
  // A node that refuses our login may well be in a primary component: it is our sight that is lost.
  if (s.has('NODE_SUSPECT') || s.has('NODE_REJECTS_PROBE')) return [];
  const mayLive = s.view.nodes.filter((n) => MAY_LIVE.includes(s.codeOf(n.instance.id)));
  if (mayLive.length > 0) return says('QUORUM_LOST', 'no node answers, and some may live');
  return says('CLUSTER_DOWN', 'no node runs the database');
}

function describe(s: Situation, id: string): string {
  const node = s.view.nodes.find((n) => n.instance.id === id);
  const answer = node && hasAnswered(node) ? `answers as ${node.probe.status.component}` : null;
  return s.codeOf(id) ?? answer ?? 'unknown';
}

function writer(s: Situation): Diagnosis[] {
  const { writer: id } = s.view.ledger;
  if (id === null) return [{ code: 'WRITER_UNSET', evidence: ['the ledger names no writer'] }];
  const trouble = writerTrouble(s);
  return trouble === null ? [] : [{ code: 'WRITER_LOST', evidence: [trouble] }];
}

function capacities(s: Situation): Diagnosis[] {
  const have = capacity(s).map((n) => n.instance.id);
  const want = s.view.spec.nodes;
  const evidence = [`${have.length} instances (${have.join(', ') || 'none'}), ${want} are specified`];
  if (have.length < want) return [{ code: 'CAPACITY_MISSING', evidence }];
  return have.length > want ? [{ code: 'CAPACITY_SURPLUS', evidence }] : [];
}

function claim(s: Situation): Diagnosis[] {
  const held = s.view.ledger.claim;
  if (held === null || !isOrphaned(s.view)) return [];
  const evidence = [`the claim is held by ${held.execution}, which is ${s.view.claimExecution ?? 'unknown'}`];
  return [{ code: 'CLAIM_ORPHANED', evidence }];
}

function foreign(s: Situation): Diagnosis[] {
  const targets = s.view.targetGroups.flatMap((g) =>
    foreignTargets(s, g).map((t) => `${t.id}:${t.port} in ${shortName(g.arn)} is not ours`),
  );
  const records = s.view.dns
    .filter((d) => isForeignRecord(s, d))
    .map((d) => `${d.name} says ${d.values.join(', ') || 'nothing'} and its owner is ${d.owner ?? 'nobody'}`);
  return [
    ...targets.map((t): Diagnosis => ({ code: 'FOREIGN_TARGET', evidence: [t] })),
    ...records.map((r): Diagnosis => ({ code: 'FOREIGN_RECORD', evidence: [r] })),
  ];
}

function drift(s: Situation): Diagnosis[] {
  const { groups, records } = route(s);
  const evidence = [...groups, ...records].filter((c) => c.kind !== 'SettleDrain').map((c) => `${c.kind}: ${c.reason}`);
  return evidence.length === 0 ? [] : [{ code: 'ROUTING_DRIFT', evidence }];
}
