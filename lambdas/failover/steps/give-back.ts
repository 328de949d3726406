/** How a failover ends that promotes nobody. */
import type { Step } from '../../recovery/step.ts';
import { attachAgain } from '../attach-again.ts';
import type { FailoverState } from '../state.ts';

/** The old primary is back before anybody was promoted. @throws RecoveryError ClaimLost. */
export const giveBack: Step<FailoverState> = async (state, context) => {
  const words = await attachAgain(context);
  return { outcome: `nothing to do: ${state.node ?? 'the primary'} serves again; ${words}` };
};

/**
 * Before giving up. With a primary, the standbys follow it; with none everything stays detached and the writer unchanged: nobody
 * acknowledges anything, which is safe, and the next try begins there.
 */
export const leaveSafe: Step<FailoverState> = async (_, context) => {
  const { claim } = (await context.ports.ledger.read(context.cluster)).cluster;
  if (claim?.execution === context.execution) await attachAgain(context);
  return { command: null };
};
