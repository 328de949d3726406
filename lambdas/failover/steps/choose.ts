/** Chooses the candidate (safety rule 4), or looks for what is missing on the lost primary's volume. */
import { RecoveryError } from '../../model/recovery.ts';
import { holdClaim } from '../../recovery/guard.ts';
import { loadSpec, record } from '../../recovery/step.ts';
import type { Step } from '../../recovery/step.ts';
import { chooseCandidate } from '../choose-candidate.ts';
import { contestOf, hostsOf } from '../contest.ts';
import type { FailoverState } from '../state.ts';

/** @throws RecoveryError ClaimLost; NoCandidate, with every position, what is missing, and what a person can do. */
export const choose: Step<FailoverState> = async (state, context) => {
  const [spec, ledger] = await Promise.all([loadSpec(context), holdClaim(context)]);
  const choice = chooseCandidate(contestOf(state, spec, ledger, state.told));
  if (choice.kind === 'candidate') {
    await record(context, `choose-${state.rounds}`, `chooses ${choice.node}`, choice.why);
    return { path: 'on', candidate: choice.node };
  }
  const old = ledger.writer;
  const { ended } = await hostsOf(context, ledger);
  if (old !== null && ended.has(old) && state.volume !== null && state.revived === null) {
    const why = `${state.volume} of ${old} may hold what is missing: ${choice.why}`;
    await record(context, `revive-${state.volume}`, `launches an instance for ${state.volume}`, why);
    return { path: 'revive', joiner: null };
  }
  throw new RecoveryError('NoCandidate', choice.why);
};
