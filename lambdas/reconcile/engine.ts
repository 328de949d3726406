/**
 * What differs by engine when reconcile decides. Observing, routing, applying and telling are the same for all; an engine
 * says what its nodes are, who may take traffic, what is to be recovered and what is to be kept up. All of it is pure.
 */
import type { Change, Refusal } from '../model/change.ts';
import type { Diagnosis, DiagnosisCode } from '../model/diagnosis.ts';
import type { Suspicion } from '../model/ledger.ts';
import type { ClusterView, Node } from '../model/view.ts';
import type { Situation } from './situation.ts';

export interface Wait {
  readonly seconds: number;
  readonly reason: string;
}

export type WriterDecision =
  | { readonly kind: 'keep'; readonly node: string }
  | { readonly kind: 'move'; readonly from: string | null; readonly to: string; readonly reason: string }
  /** Nobody can take the writes: the endpoints stay as they are. */
  | { readonly kind: 'nobody'; readonly refusal: Refusal }
  /** A workflow or a person decides who it will be, and until then all routing stays as it is. */
  | { readonly kind: 'wait'; readonly reason: string; readonly refusal?: Refusal };

export interface Recovery {
  readonly changes: readonly Change[];
  readonly refusals: readonly Refusal[];
  readonly waits: readonly Wait[];
  /** What an incident is about, when something has happened that is worth one. */
  readonly subject: { readonly node: string | null; readonly diagnosis: DiagnosisCode; readonly reason: string } | null;
}

export interface Upkeep {
  /** Before traffic is routed: writes may be waiting for it. */
  readonly urgent: readonly Change[];
  /** After everything that clients or a recovery wait for. */
  readonly calm: readonly Change[];
  readonly waits: readonly Wait[];
}

export interface Engine {
  /** Node by node; a node as it should be has none. The first of a node is what counts for its routing. */
  diagnoseNodes(view: ClusterView): readonly Diagnosis[];
  /** Of the cluster as a whole, beyond what holds for every engine (writer, capacity, routing, claim). */
  diagnoseCluster(s: Situation): readonly Diagnosis[];
  /** What a person reads when nothing is out of order. */
  healthyEvidence(s: Situation): string;
  /** May the node take reads, by our own probe. */
  isServing(s: Situation, node: Node): boolean;
  /** Serves, or could when there is nobody better. */
  isServingInNeed(s: Situation, node: Node): boolean;
  /** Beyond `UNCLEAR`: too little is known to change the node's routing either way. */
  isUnclear(s: Situation, node: string): boolean;
  /** How soon a node that failed one probe is looked at again. */
  readonly suspectSeconds: number;
  /** Why a node that serves is registered, in the engine's words. */
  readonly servingReason: string;
  decideWriter(s: Situation): WriterDecision;
  /** Why the ledger's writer cannot take writes; null when it can, when that is unclear, or when there is none. */
  writerTrouble(s: Situation): string | null;
  recover(s: Situation, nowMs: number): Recovery;
  /** What is kept right beside recovery; not where a workflow that holds the claim does it. */
  upkeep(s: Situation): Upkeep;
  /** What a node is suspected of from now on; null: of nothing; `leave`: what is noted stays as it is. */
  suspicionOf(s: Situation, node: Node): Suspicion | null | 'leave';
}
