import { RecoveryError } from '../../model/recovery.ts';
import { join } from '../../recovery/join.ts';
import { loadSpec } from '../../recovery/step.ts';
import type { Step } from '../../recovery/step.ts';
import type { ReplaceState } from '../state.ts';
import { joinerOf } from './await-running.ts';

/** Starts the joiner. @throws RecoveryError ClaimLost, NoDonor, JoinFailed, SeedFailed (the definition goes on to Reseed). */
export const joinCluster: Step<ReplaceState> = async (state, context) => {
  try {
    return await join(state, context, await loadSpec(context), joinerOf(state));
  } catch (error) {
    // Another database's data that we have put there ourselves are nobody's loss.
    if (state.seed === 'archive' && error instanceof RecoveryError && error.name === 'PositionsDisagree')
      throw new RecoveryError('SeedFailed', error.message);
    throw error;
  }
};
