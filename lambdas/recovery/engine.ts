/** What the recovery workflows do differently by engine. Everything else is shared. */
import type { Lsn } from '../model/lsn.ts';
import type { ClusterSpec, EngineKind } from '../model/spec.ts';
import type { Node } from '../model/view.ts';
import type { Donor } from './choose-donor.ts';
import type { StepContext } from './step.ts';

/** What the words of a node are measured against. */
export interface Reference {
  /** The ledger's writer; always null for Galera, whose nodes say themselves whether they serve. */
  readonly writer: string | null;
  /** That node, probed now; null when EC2 does not know it. */
  readonly primary: Node | null;
}

export interface JoinPlan {
  /** The other live nodes, probed now. */
  readonly others: readonly Node[];
  readonly reference: Reference;
  readonly donor: Donor;
}

/** What a joiner's copy out of the archive has to be, so that it can follow from there. */
export interface KeptLog {
  /** The database's own identifier, as the archive names its folders. */
  readonly history: string;
  readonly timeline: number;
  /** From where on its log is kept for the joiner; null: nobody can tell. */
  readonly from: Lsn | null;
}

export interface RecoveryEngine {
  readonly kind: EngineKind;
  /** Looks at what `nodes` (probed now) are to be measured against. */
  reference(context: StepContext, spec: ClusterSpec, nodes: readonly Node[]): Promise<Reference>;
  /** Does the node serve, or would it with nobody better. */
  isServing(node: Node, reference: Reference): boolean;
  /** Is it a working part of the cluster: serving, or catching up by itself. */
  isMember(node: Node, reference: Reference): boolean;
  /** May a joiner be put into service. */
  hasCaughtUp(node: Node, reference: Reference): boolean;
  /** What `hasCaughtUp` expects, in words. */
  readonly expected: string;
  /** How far a joiner is by its own status, in words of which each is told once; null when it did not answer. */
  progress(node: Node, reference: Reference): string | null;
  /** Are these the words of a joiner that had caught up. */
  isWhole(progress: string | null): boolean;
  /** Who gives a joiner its data; null when nobody can. `writer` is the ledger's. */
  chooseDonor(
    others: readonly Node[],
    reference: Reference,
    writer: string | null,
    joinerZone: string | null,
  ): Donor | null;
  /** Why there is no donor, in words. */
  readonly noDonor: string;
  /** What must be ready elsewhere before the join script starts. Fit to be repeated. */
  beforeJoin(context: StepContext, spec: ClusterSpec, joiner: string, plan: JoinPlan): Promise<void>;
  /**
   * Has the cluster keep its log for a joiner, before it is looked how far the archive reaches. Null: nobody does at this moment,
   * or joiners of this engine are not seeded from the archive. Fit to be repeated.
   */
  keepLog(context: StepContext, spec: ClusterSpec, joiner: string): Promise<KeptLog | null>;
  joinParameters(plan: JoinPlan): Readonly<Record<string, string>>;
  /** What an exit code of the join script asks for (docs/hosts.md). */
  joinFailure(exitCode: number): JoinFailure;
  /** Since when, and where, a joiner that runs does not get on; null while it does. */
  standstill(node: Node, reference: Reference, before: Standstill | null): Standstill | null;
  /** What a standstill that lasts is: no use in its data, or (when nobody serves any more) nobody to join. */
  readonly standstillMeans: 'SeedFailed' | 'NoDonor';
}

/**
 * - `failed`: the joiner cannot be used as it is.
 * - `again`: it passes; the same script may succeed soon.
 * - `useless`: not with the data that is there.
 * - `foreign`: the data there is another database's, and a person has to say what it is.
 */
export type JoinFailure = 'failed' | 'again' | 'useless' | 'foreign';

/** A joiner that runs and does not get on. */
export interface Standstill {
  readonly sinceMs: number;
  /** Its position, which would change if it still replayed what it has. */
  readonly at: string;
}

/** Host scripts are named alike for each engine. */
export const scriptOf = (spec: ClusterSpec, name: 'prepare' | 'join' | 'stop' | 'position' | 'restore'): string =>
  `${spec.engine.kind}-${name}`;
