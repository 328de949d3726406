/** The view and what was diagnosed of its nodes, indexed for the questions that plans ask. */
import { serves, servesInNeed } from '../model/galera.ts';
import type { Diagnosis, DiagnosisCode } from '../model/diagnosis.ts';
import type { Claim } from '../model/ledger.ts';
import type { ClusterView, Node } from '../model/view.ts';
import { liveClaim } from './claim.ts';
import { hasAnswered, primaryComponent } from './components.ts';
import { isGone, replacementsOf } from './diagnose-node.ts';
import type { AnsweredNode } from './components.ts';

export interface Situation {
  readonly view: ClusterView;
  readonly component: readonly AnsweredNode[];
  /** The node's own diagnosis (maintenance aside: that is a person's wish, not a condition). */
  codeOf(node: string): DiagnosisCode | null;
  evidenceOf(node: string): readonly string[];
  has(code: DiagnosisCode): boolean;
  /** The claim, when a workflow stands behind it. */
  readonly claim: Claim | null;
}

export function situationOf(view: ClusterView, diagnoses: readonly Diagnosis[]): Situation {
  const byNode = new Map<string, Diagnosis>();
  for (const d of diagnoses) {
    if (d.node !== undefined && d.code !== 'NODE_IN_MAINTENANCE' && !byNode.has(d.node)) byNode.set(d.node, d);
  }
  return {
    view,
    component: primaryComponent(view),
    codeOf: (node) => byNode.get(node)?.code ?? null,
    evidenceOf: (node) => byNode.get(node)?.evidence ?? [],
    has: (code) => diagnoses.some((d) => d.code === code),
    claim: liveClaim(view),
  };
}

/** Diagnoses with which a node is lost to its cluster: it takes no traffic, and recovery is considered. */
export const LOST: readonly DiagnosisCode[] = [
  'NODE_TERMINATED',
  'NODE_STOPPING',
  'NODE_CRASHED',
  'NODE_UNRESPONSIVE',
  'NODE_PARTITIONED',
];

/** Diagnoses with which nothing is known well enough to change a node's routing, either way. */
export const UNCLEAR: readonly DiagnosisCode[] = ['NODE_SUSPECT', 'NODE_UNREACHABLE_BY_PLANE', 'NODE_REJECTS_PROBE'];

export const isLost = (s: Situation, node: string): boolean => {
  const code = s.codeOf(node);
  return code !== null && LOST.includes(code);
};

export const isUnclear = (s: Situation, node: string): boolean => {
  const code = s.codeOf(node);
  return code !== null && UNCLEAR.includes(code);
};

export const inMaintenance = (s: Situation, node: string): boolean => s.view.ledger.maintenance?.node === node;

export const nodeOf = (s: Situation, id: string): Node | undefined => s.view.nodes.find((n) => n.instance.id === id);

const inComponent = (s: Situation, node: Node): boolean =>
  s.component.some((n) => n.instance.id === node.instance.id) && node.instance.state === 'running';

/** Synced in the primary component, by our own probe. */
export const isServing = (s: Situation, node: Node): boolean =>
  hasAnswered(node) && inComponent(s, node) && serves(node.probe.status);

/** Serves, or could when there is nobody better (a donor). */
export const isServingInNeed = (s: Situation, node: Node): boolean =>
  hasAnswered(node) && inComponent(s, node) && servesInNeed(node.probe.status);

/**
 * Instances that count as the cluster's capacity: all that EC2 has not ended, without those whose replacement is
 * there already (unless they serve again, when they are capacity like any other).
 */
export const capacity = (s: Situation): readonly Node[] =>
  s.view.nodes.filter((n) => !isGone(n) && (isServing(s, n) || replacementsOf(s.view, n.instance.id).length === 0));

/** The name under which Rejoin marks a DNS record as its own, in the TXT record beside it. */
export const ownerOf = (view: Pick<ClusterView, 'spec'>): string => view.spec.name;
