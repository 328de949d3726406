import { awaitCaughtUp as await_ } from '../../recovery/join.ts';
import { loadSpec } from '../../recovery/step.ts';
import type { Step } from '../../recovery/step.ts';
import type { ReplaceState } from '../state.ts';
import { joinerOf } from './await-running.ts';

/** Waits for Synced. @throws RecoveryError NodeNotReachable, JoinFailed, NotCaughtUp. */
export const awaitCaughtUp: Step<ReplaceState> = async (state, context) => {
  const joiner = joinerOf(state);
  const found = await await_(state, context, await loadSpec(context), joiner);
  return found.ready === true ? { ...found, outcome: outcomeOf(state, joiner) } : found;
};

function outcomeOf(state: ReplaceState, joiner: string): string {
  if (joiner === state.node) return `${joiner} rejoined in place`;
  return state.node === null ? `${joiner} fills a missing place` : `${joiner} has replaced ${state.node}`;
}
