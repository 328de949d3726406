/** EC2's fence: stopped without waiting for the guest. */
import { RecoveryError } from '../model/recovery.ts';
import { mayDestroy, mustBeOurs, noteFence } from '../recovery/guard.ts';
import { describe, isLive } from '../recovery/nodes.ts';
import { isRefusal } from '../recovery/refusal.ts';
import { record } from '../recovery/step.ts';
import type { StepContext } from '../recovery/step.ts';

/**
 * Asks EC2 to stop an instance that runs; one that is on its way already is left to it. The caller has made sure that it is or
 * was the cluster's primary; that it is the cluster's (safety rule 8) is looked at here, right before the act.
 * @throws RecoveryError ClaimLost, BrakeEngaged; FenceFailed when it is not ours, or EC2 refuses.
 */
export async function stopByForce(context: StepContext, id: string, why: string): Promise<void> {
  const instance = await describe(context, id);
  if (instance === null || !isLive(instance)) return;
  mustBeOurs(instance, context.cluster);
  await record(context, `stop-${id}`, `stops ${id} by force`, why);
  await noteFence(context, id);
  // Last, so that nothing lies between the look at the ledger and the act but the call itself.
  await mayDestroy(context, `stop ${id}`);
  try {
    await context.ports.instances.stop(id);
  } catch (error) {
    if (!isRefusal(error)) throw error;
    // It has left `running` since the look: the next one tells.
    if (error.name === 'IncorrectInstanceState') return;
    throw new RecoveryError('FenceFailed', `EC2 refuses to stop ${id}: ${error.name}: ${error.message}`);
  }
}
