/**
 * Names what is the case before anything acts. Pure. What is particular to an engine (its nodes, its quorum) is in its own
 * folder; here what holds for every cluster: writer, capacity, claim, endpoints.
 */
import type { Diagnosis } from '../model/diagnosis.ts';
import type { ClusterView } from '../model/view.ts';
import { isOrphaned } from './claim.ts';
import { engineOf } from './engines.ts';
import { foreignTargets, isForeignRecord, route, shortName } from './route.ts';
import { capacity, inMaintenance, situationOf } from './situation.ts';
import type { Situation } from './situation.ts';

/** Every diagnosis that holds, nodes first; HEALTHY alone when nothing is out of order. Never empty. */
export function diagnose(view: ClusterView): readonly Diagnosis[] {
  const engine = engineOf(view);
  const nodes = engine.diagnoseNodes(view);
  const s = situationOf(engine, view, nodes);
  const all = [
    ...nodes,
    ...maintenance(s),
    ...engine.diagnoseCluster(s),
    ...writer(s),
    ...capacities(s),
    ...claim(s),
    ...foreign(s),
    ...drift(s),
  ];
  return all.length > 0 ? all : [{ code: 'HEALTHY', evidence: [engine.healthyEvidence(s)] }];
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

function writer(s: Situation): Diagnosis[] {
  const { writer: id } = s.view.ledger;
  if (id === null) return [{ code: 'WRITER_UNSET', evidence: ['the ledger names no writer'] }];
  const trouble = s.engine.writerTrouble(s);
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
