/**
 * Retires an instance that an earlier workflow fenced and did not come to retire (docs/decisions/0019). What an undisturbed replacement does
 * as its last step, under stricter conditions: it was Rejoin that stopped the instance, nobody has started it since, and all the
 * nodes that are declared serve without it.
 */
import { isAsFenced } from '../../model/fence.ts';
import type { Instance } from '../../model/view.ts';
import type { ClusterSpec } from '../../model/spec.ts';
import { RecoveryError } from '../../model/recovery.ts';
import { givingWay } from '../../recovery/give-way.ts';
import { holdClaim, mayDestroy, mustBeOurs, othersServe } from '../../recovery/guard.ts';
import { describe } from '../../recovery/nodes.ts';
import { isRefusal } from '../../recovery/refusal.ts';
import { loadSpec, record } from '../../recovery/step.ts';
import type { Step, StepContext } from '../../recovery/step.ts';
import { DEADLINES } from '../../recovery/wait.ts';
import type { ReplaceState } from '../state.ts';
import { retireVolume } from './retire-volume.ts';

/**
 * Gives way to a failover: nothing about it is urgent.
 * @throws RecoveryError ClaimLost, BrakeEngaged, QuorumAtRisk: reported, and tried again while the cluster is whole. GivesWay.
 */
export const retireLeftOver: Step<ReplaceState> = givingWay(async (state, context) => {
  const node = state.node ?? '';
  const spec = await loadSpec(context);
  const instance = await describe(context, node);
  if (instance === null || instance.state === 'terminated') {
    await retireVolume(state, context, { id: spec.name, serves: () => isWhole(context, spec, node) });
    return { ready: true, outcome: `${node}, which was left over, is retired` };
  }
  if (instance.state === 'shutting-down') {
    if (context.waitedMs <= DEADLINES.retireMs) return { ready: false };
    return leave(context, node, `EC2 says ${instance.state} for long: expected terminated`);
  }
  const why = await terminate(context, spec, instance);
  return why === null ? { ready: false } : leave(context, node, why);
});

/** Null when EC2 has been told to; else why it is left to people. */
async function terminate(context: StepContext, spec: ClusterSpec, instance: Instance): Promise<string | null> {
  const { id, state } = instance;
  const act = `terminate ${id}`;
  mustBeOurs(instance, spec.name);
  if (state !== 'stopped' || !isAsFenced(await holdClaim(context), instance)) {
    return `it is ${state}, and it is not proven that Rejoin stopped it and nobody has started it since`;
  }
  await othersServe(context, spec, id, act, spec.nodes);
  const why = `an earlier workflow fenced it; all ${spec.nodes} nodes of ${spec.name} serve without it`;
  await record(context, `terminate-${id}`, `terminates ${id}`, why);
  // Last, so that nothing lies between the look at the ledger and the act but the call itself.
  await mayDestroy(context, act);
  try {
    await context.ports.instances.terminate(id);
    return null;
  } catch (error) {
    if (!isRefusal(error)) throw error;
    return `EC2 refuses to terminate it: ${error.name}: ${error.message}`;
  }
}

/** From then on it is a person's, and reconcile tells so. */
async function leave(context: StepContext, node: string, why: string): Promise<Partial<ReplaceState>> {
  await record(context, `left-${node}`, `leaves ${node}`, why);
  await context.ports.ledger.forgetFence(context.cluster, node);
  return { ready: true, outcome: `${node} is left over: ${why}` };
}

async function isWhole(context: StepContext, spec: ClusterSpec, node: string): Promise<boolean> {
  try {
    await othersServe(context, spec, node, `delete the volume of ${node}`, spec.nodes);
    return true;
  } catch (error) {
    if (error instanceof RecoveryError && error.name === 'QuorumAtRisk') return false;
    throw error;
  }
}
