/** The view and what was diagnosed of its nodes, indexed for the questions that plans ask. */
import type { Diagnosis, DiagnosisCode } from '../model/diagnosis.ts';
import type { Claim } from '../model/ledger.ts';
import type { ClusterView, Node } from '../model/view.ts';
import { liveClaim } from './claim.ts';
import type { Engine } from './engine.ts';
import { isGone, replacementsOf } from './nodes.ts';

export interface Situation {
  readonly view: ClusterView;
  readonly engine: Engine;
  /** The node's own diagnosis (maintenance aside: that is a person's wish, not a condition). */
  codeOf(node: string): DiagnosisCode | null;
  evidenceOf(node: string): readonly string[];
  has(code: DiagnosisCode): boolean;
  /** Those of one kind, with their nodes. */
  all(code: DiagnosisCode): readonly Diagnosis[];
  /** The claim, when a workflow stands behind it. */
  readonly claim: Claim | null;
}

export function situationOf(engine: Engine, view: ClusterView, diagnoses: readonly Diagnosis[]): Situation {
  const byNode = new Map<string, Diagnosis>();
  for (const d of diagnoses) {
    if (d.node !== undefined && d.code !== 'NODE_IN_MAINTENANCE' && !byNode.has(d.node)) byNode.set(d.node, d);
  }
  return {
    view,
    engine,
    codeOf: (node) => byNode.get(node)?.code ?? null,
    evidenceOf: (node) => byNode.get(node)?.evidence ?? [],
    has: (code) => diagnoses.some((d) => d.code === code),
    all: (code) => diagnoses.filter((d) => d.code === code),
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
  'NODE_OTHER_PRIMARY',
  'NODE_OLD_TIMELINE',
  'NODE_SLOT_LOST',
  'NODE_NOT_STREAMING',
];

/** Diagnoses with which nothing is known well enough to change a node's routing, either way. */
export const UNCLEAR: readonly DiagnosisCode[] = [
  'NODE_SUSPECT',
  'NODE_UNREACHABLE_BY_PLANE',
  'NODE_REJECTS_PROBE',
  'PRIMARY_PARTITIONED',
];

export const isLost = (s: Situation, node: string): boolean => {
  const code = s.codeOf(node);
  return code !== null && LOST.includes(code);
};

export const isUnclear = (s: Situation, node: string): boolean => {
  const code = s.codeOf(node);
  return (code !== null && UNCLEAR.includes(code)) || s.engine.isUnclear(s, node);
};

export const inMaintenance = (s: Situation, node: string): boolean => s.view.ledger.maintenance?.node === node;

/** The node that the live claim replaces by plan (mode `roll`); null when there is none. */
export const rolledNode = (s: Pick<Situation, 'claim'>): string | null =>
  s.claim?.mode === 'roll' ? s.claim.node : null;

/** Traffic is to leave it by a drain: a person has it in hand, or it is replaced by plan and its successor is not launched yet. */
export const isDrained = (s: Situation, node: string): boolean =>
  inMaintenance(s, node) || (rolledNode(s) === node && s.claim?.joiner === null);

/** Why, in words. */
export const whyDrained = (s: Situation, node: string): string =>
  inMaintenance(s, node)
    ? `${node} is in maintenance by ${s.view.ledger.maintenance?.by ?? 'a person'}`
    : `${node} is replaced by plan (${s.claim?.execution ?? 'by hand'})`;

export const nodeOf = (s: Situation, id: string): Node | undefined => s.view.nodes.find((n) => n.instance.id === id);

/** May take reads, by our own probe. */
export const isServing = (s: Situation, node: Node): boolean => s.engine.isServing(s, node);

/** Serves, or could when there is nobody better. */
export const isServingInNeed = (s: Situation, node: Node): boolean => s.engine.isServingInNeed(s, node);

/** All that EC2 has not ended, without those whose replacement is there already (unless they serve again). */
const unreplaced = (s: Situation): readonly Node[] =>
  s.view.nodes.filter((n) => !isGone(n) && (isServing(s, n) || replacementsOf(s.view, n.instance.id).length === 0));

/**
 * EC2 has stopped it, and as many as are declared run or start without it: its place is taken, though the one that was launched for it
 * may have been replaced in its turn and be forgotten.
 */
export function isPlaceTaken(s: Situation, { instance }: Node): boolean {
  if (instance.state !== 'stopped' && instance.state !== 'stopping') return false;
  const standing = unreplaced(s).filter((n) => n.instance.state === 'running' || n.instance.state === 'pending');
  return standing.length >= s.view.spec.nodes;
}

/** Instances that count as the cluster's capacity, the lost ones too whose place is not taken yet. */
export const capacity = (s: Situation): readonly Node[] => unreplaced(s).filter((n) => !isPlaceTaken(s, n));

/** The name under which Rejoin marks a DNS record as its own, in the TXT record beside it. */
export const ownerOf = (view: Pick<ClusterView, 'spec'>): string => view.spec.name;
