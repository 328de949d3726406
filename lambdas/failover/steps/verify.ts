/** Proves that the new primary accepts writes. */
import { loadSpec } from '../../recovery/step.ts';
import type { Step } from '../../recovery/step.ts';
import type { FailoverState } from '../state.ts';
import { verifyPrimary } from '../verify-primary.ts';
import { candidateOf } from './promote.ts';

/** @throws RecoveryError PromotionFailed (the definition goes back to Fence), ClaimLost. */
export const verify: Step<FailoverState> = async (state, context) => {
  const candidate = candidateOf(state);
  const ready = await verifyPrimary(context, await loadSpec(context), candidate);
  return ready ? { ready, outcome: `${candidate} is the primary of ${context.cluster}` } : { ready };
};
