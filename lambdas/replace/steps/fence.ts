/** Makes sure that the lost node cannot come back: EC2 says stopped or terminated, and nothing less is proof. */
import { RecoveryError } from '../../model/recovery.ts';
import { explain } from '../../recovery/finish.ts';
import { mayDestroy, mustBeOurs, noteFence, othersServe } from '../../recovery/guard.ts';
import { describe } from '../../recovery/nodes.ts';
import { isRefusal } from '../../recovery/refusal.ts';
import { serves } from '../../recovery/serving.ts';
import { loadSpec, record } from '../../recovery/step.ts';
import type { Step, StepContext } from '../../recovery/step.ts';
import { DEADLINES, failAfter } from '../../recovery/wait.ts';
import type { ReplaceState } from '../state.ts';

/**
 * @throws RecoveryError FenceFailed (not ours, or EC2 does not get it down), ClaimLost, BrakeEngaged, QuorumAtRisk.
 */
export const fence: Step<ReplaceState> = async (state, context) => {
  if (state.node === null) return { path: 'on' };
  const fresh: Partial<ReplaceState> = {
    ...(await noteFailedRejoin(state, context)),
    path: 'on',
    joiner: null,
    donor: null,
    command: null,
    error: null,
    outcome: null,
    progress: null,
    refusedSinceMs: null,
    standstill: null,
  };
  const instance = await describe(context, state.node);
  if (instance === null || instance.state === 'terminated' || instance.state === 'stopped') {
    const proof = instance === null ? 'EC2 does not know it any more' : `EC2 says ${instance.state}`;
    await record(context, 'fenced', `${state.node} is fenced`, `${proof} at ${new Date(context.nowMs).toISOString()}`);
    return fresh;
  }
  failAfter(
    context.waitedMs,
    DEADLINES.fenceMs,
    'FenceFailed',
    () => `EC2 still says ${instance.state} of ${instance.id}; expected stopped or terminated`,
  );
  if (instance.state === 'running') {
    const spec = await loadSpec(context);
    mustBeOurs(instance, spec.name);
    if (await serves(context, spec, instance)) {
      return { ...fresh, path: 'finished', outcome: `nothing to do: ${instance.id} serves again` };
    }
    const act = `stop ${instance.id}`;
    await othersServe(context, spec, instance.id, act);
    await noteFence(context, instance.id);
    // Last, so that nothing lies between the look at the ledger and the act but the call itself.
    await mayDestroy(context, act);
    await record(
      context,
      'stop',
      `stops ${instance.id} by force`,
      `EC2 says running, its database does not serve: ${state.reason}`,
    );
    await stop(context, instance.id);
  }
  return { ...fresh, ready: false };
};

async function stop({ ports }: StepContext, id: string): Promise<void> {
  try {
    await ports.instances.stop(id);
  } catch (error) {
    if (!isRefusal(error)) throw error;
    // It has left `running` since the look: the next one tells.
    if (error.name === 'IncorrectInstanceState') return;
    throw new RecoveryError('FenceFailed', `EC2 refuses to stop ${id}: ${error.name}: ${error.message}`);
  }
}

/** Reached from a failed rejoin in place: from here on the node is replaced. */
async function noteFailedRejoin(state: ReplaceState, context: StepContext): Promise<Partial<ReplaceState>> {
  if (state.error === undefined || state.error === null) return {};
  const { name, sentence } = explain(state.error);
  await record(context, 'rejoin-failed', `replaces ${state.node ?? ''} instead`, `${name}: ${sentence}`);
  return { mode: 'replace' };
}
