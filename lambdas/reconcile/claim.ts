/** Whether the ledger's claim is alive, and which nodes the workflow that holds it is working on. */
import { INCIDENT_TAG } from '../model/spec.ts';
import type { Claim, RecoveryMode } from '../model/ledger.ts';
import type { ClusterView, ExecutionState, Instance } from '../model/view.ts';

/** DescribeExecution is eventually consistent: "not found" is believed of a claim only when it is older than this. */
export const NOT_FOUND_BELIEVED_AFTER_MS = 60_000;

const ENDED: readonly ExecutionState[] = ['SUCCEEDED', 'FAILED', 'TIMED_OUT', 'ABORTED'];

/** The claim's workflow has ended without letting go (safety rule 5: a claim ends with its workflow, not by a clock). */
export function isOrphaned(view: Pick<ClusterView, 'ledger' | 'claimExecution' | 'atMs'>): boolean {
  const { claim } = view.ledger;
  if (claim === null || view.claimExecution === null) return false;
  if (view.claimExecution === 'NOT_FOUND') return view.atMs - claim.claimedAtMs > NOT_FOUND_BELIEVED_AFTER_MS;
  return ENDED.includes(view.claimExecution);
}

/** The claim, when a workflow still stands behind it. */
export const liveClaim = (view: Pick<ClusterView, 'ledger' | 'claimExecution' | 'atMs'>): Claim | null =>
  isOrphaned(view) ? null : view.ledger.claim;

/** Workflows that have the whole cluster in their hands. */
const WHOLE_CLUSTER: readonly RecoveryMode[] = ['bootstrap', 'failover', 'switchover'];

/**
 * Is the node in the hands of the workflow that holds the claim, so that its silence is expected: the joiner (also
 * before the claim names it: its tag names the incident), the node that is started again or replaced by plan, and all of
 * them when the workflow is about the cluster.
 */
export function isUnderClaim(claim: Claim | null, instance: Instance): boolean {
  if (claim === null) return false;
  // Nobody that it is about can answer, and the cluster is whole without it.
  if (claim.mode === 'retire') return claim.node === instance.id;
  if (WHOLE_CLUSTER.includes(claim.mode) || claim.joiner === instance.id) return true;
  if ((claim.mode === 'rejoin' || claim.mode === 'roll') && claim.node === instance.id) return true;
  return instance.id !== claim.node && instance.tags[INCIDENT_TAG] === claim.incident;
}
