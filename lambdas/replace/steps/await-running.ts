/** Waits until EC2 says running and the host's SSM agent takes commands. */
import { RecoveryError } from '../../model/recovery.ts';
import { describe } from '../../recovery/nodes.ts';
import type { Step } from '../../recovery/step.ts';
import { DEADLINES, failAfter } from '../../recovery/wait.ts';
import type { ReplaceState } from '../state.ts';

/** @throws RecoveryError LaunchFailed (the instance died while it booted), NodeNotReachable (no agent in time). */
export const awaitRunning: Step<ReplaceState> = async (state, context) => {
  const joiner = joinerOf(state);
  const instance = await describe(context, joiner);
  // Just launched, EC2 may not describe it yet: the same as pending.
  const found = instance?.state ?? 'pending';
  if (found !== 'pending' && found !== 'running') {
    throw new RecoveryError('LaunchFailed', `EC2 says that the new instance ${joiner} is ${found}; expected running`);
  }
  const online = found === 'running' ? await context.ports.hosts.online([joiner]) : [];
  if (online.includes(joiner)) return { ready: true, path: 'on' };
  failAfter(
    context.waitedMs,
    DEADLINES.bootMs,
    'NodeNotReachable',
    () => `${joiner} is ${found} and its SSM agent is not online`,
  );
  return { ready: false };
};

export function joinerOf(state: ReplaceState): string {
  if (state.joiner !== null) return state.joiner;
  throw new RecoveryError('LaunchFailed', 'the state names no joiner, expected the instance id that Launch answered');
}
