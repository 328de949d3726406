/**
 * A Galera cluster as a whole. Pure.
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
import type { Diagnosis, DiagnosisCode } from '../../model/diagnosis.ts';
import type { Situation } from '../situation.ts';
import { componentOf, hasAnswered } from './components.ts';

const MAY_LIVE: readonly (DiagnosisCode | null)[] = ['NODE_UNRESPONSIVE', 'NODE_UNREACHABLE_BY_PLANE'];

/** QUORUM_LOST, CLUSTER_DOWN or neither. */
export function quorum(s: Situation): Diagnosis[] {
  if (componentOf(s).length > 0) return [];
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
