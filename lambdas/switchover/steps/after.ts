/** What follows the promotion: verified, routed, and the old primary is a replica. */
import { writerRouted } from '../../failover/route-writer.ts';
import { verifyPrimary } from '../../failover/verify-primary.ts';
import { join } from '../../recovery/join.ts';
import { loadSpec, record } from '../../recovery/step.ts';
import type { Step } from '../../recovery/step.ts';
import type { SwitchoverState } from '../state.ts';
import { candidateOf, oldOf } from './checkpoint.ts';

/** @throws RecoveryError PromotionFailed, ClaimLost. */
export const verify: Step<SwitchoverState> = async (state, context) => {
  const candidate = candidateOf(state);
  const ready = await verifyPrimary(context, await loadSpec(context), candidate);
  return ready
    ? { ready, outcome: `${candidate} is the primary of ${context.cluster}, ${oldOf(state)} was` }
    : { ready };
};

/** @throws RecoveryError NotRouted: the definition goes on, and the report says so. */
export const route: Step<SwitchoverState> = async (state, context) => ({
  ready: await writerRouted(context, await loadSpec(context), candidateOf(state)),
});

/**
 * Starts the old primary as a replica of the new one.
 * @throws RecoveryError JoinFailed and what else a join raises: then it is reconcile's to rejoin, and the report says so.
 */
export const follow: Step<SwitchoverState> = async (state, context) => {
  const old = oldOf(state);
  const changed = await join(state, context, await loadSpec(context), old);
  if (changed.ready === true)
    await record(context, `follows-${old}`, `${old} is a replica`, `it follows ${candidateOf(state)}`);
  return changed;
};
