/** The data volume that the lost node leaves behind when its instance has been ended. */
import { RecoveryError } from '../../model/recovery.ts';
import { CLUSTER_TAG } from '../../model/spec.ts';
import { mayDestroy } from '../../recovery/guard.ts';
import { loadSpec, record } from '../../recovery/step.ts';
import type { StepContext } from '../../recovery/step.ts';
import type { ReplaceState } from '../state.ts';

/** Whoever has all of its data, and whether they serve at this moment. */
export interface Heir {
  readonly id: string;
  serves(): Promise<boolean>;
}

/**
 * Safety rule 8: deleted is only what EC2 named as the lost node's own data volume, tagged for the cluster, attached to
 * nobody and not given to the joiner, and only while the heir serves.
 * @throws RecoveryError ClaimLost, BrakeEngaged.
 */
export async function retireVolume(state: ReplaceState, context: StepContext, heir: Heir): Promise<void> {
  const id = state.lost?.volume ?? null;
  if (id === null || id === state.volume) return;
  const [volume] = await context.ports.volumes.byIds([id]);
  if (volume === undefined || volume.attachedTo === heir.id) return;
  const spec = await loadSpec(context);
  const proven = volume.tags[CLUSTER_TAG] === spec.name && volume.state === 'available' && volume.attachedTo === null;
  if (!proven || !(await heir.serves())) {
    const found = `${volume.state}, attached to ${volume.attachedTo ?? 'nobody'}, ${CLUSTER_TAG}=${volume.tags[CLUSTER_TAG] ?? 'absent'}`;
    await record(
      context,
      `left-${id}`,
      `leaves the volume ${id}`,
      `it is ${found}: not provably ours to delete, or ${heir.id} does not serve`,
    );
    return;
  }
  try {
    await mayDestroy(context, `delete ${id}`);
  } catch (error) {
    // The report says why; the record names what it costs money to forget.
    if (error instanceof RecoveryError && error.name === 'BrakeEngaged')
      await record(context, `left-${id}`, `leaves the volume ${id}`, `${error.message}; delete it by hand`);
    throw error;
  }
  await record(
    context,
    `delete-${id}`,
    `deletes the volume ${id}`,
    `the lost node's data; ${heir.id} has all of it and serves`,
  );
  await context.ports.volumes.delete(id);
}
