import { join } from '../../recovery/join.ts';
import { loadSpec } from '../../recovery/step.ts';
import type { Step } from '../../recovery/step.ts';
import type { ReplaceState } from '../state.ts';
import { joinerOf } from './await-running.ts';

/** Starts the joiner. @throws RecoveryError ClaimLost, NoDonor, JoinFailed (the definition goes on to Reseed). */
export const joinCluster: Step<ReplaceState> = async (state, context) =>
  join(state, context, await loadSpec(context), joinerOf(state));
