/** Makes the candidate the primary. */
import { RecoveryError } from '../../model/recovery.ts';
import { holdClaim } from '../../recovery/guard.ts';
import { loadSpec } from '../../recovery/step.ts';
import type { Step } from '../../recovery/step.ts';
import { makePrimary } from '../make-primary.ts';
import type { FailoverState } from '../state.ts';

/** @throws RecoveryError PromotionFailed (the definition goes back to Fence), ClaimLost, BrakeEngaged. */
export const promote: Step<FailoverState> = async (state, context) => {
  const candidate = candidateOf(state);
  const [spec, { writer }, instances] = await Promise.all([
    loadSpec(context),
    holdClaim(context),
    context.ports.instances.ofCluster(context.cluster),
  ]);
  // Found as the primary after a failed try: everything that comes before a promotion has been done.
  if (state.path === 'promote' && writer === candidate) return { path: 'on' };
  if (state.fenced === null) {
    throw new RecoveryError(
      'FenceFailed',
      `nothing on the state proves a fence: expected Fence's proof before ${candidate} is promoted`,
    );
  }
  const why = `${state.fenced}; ${candidate} is the most advanced that is left`;
  await makePrimary(context, { spec, instances, candidate, told: state.told, why });
  return { path: 'on' };
};

export function candidateOf({ candidate }: Pick<FailoverState, 'candidate'>): string {
  if (candidate !== null) return candidate;
  throw new RecoveryError('NoCandidate', 'the state names no candidate, expected the instance id that Choose answered');
}
