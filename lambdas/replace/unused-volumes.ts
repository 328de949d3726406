/** Tells of the data volumes that nobody uses. */
import { leavesVolume, unusedVolumes, whyLeft } from '../model/volume.ts';
import { record } from '../recovery/step.ts';
import type { StepContext } from '../recovery/step.ts';

/** Each is on the record, and with it in the message that tells how the replacement ended; `known` are told of otherwise. */
export async function tellOfUnused(context: StepContext, known: readonly (string | null)[]): Promise<void> {
  const { ports, cluster } = context;
  for (const volume of unusedVolumes(await ports.volumes.ofCluster(cluster), cluster)) {
    if (known.includes(volume.id)) continue;
    await record(context, `unused-${volume.id}`, leavesVolume(volume.id), whyLeft(volume));
  }
}
