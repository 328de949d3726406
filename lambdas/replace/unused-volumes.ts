/**
 * Data volumes of the cluster that nobody uses: what is left of nodes that were lost together, of instances that were taken back, of
 * nodes that nobody missed. Whose data they hold cannot be proven, so that they are never deleted (safety rule 8); they cost money, so
 * that people are told.
 */
import type { Volume } from '../cloud/ports.ts';
import { CLUSTER_TAG } from '../model/spec.ts';
import { record } from '../recovery/step.ts';
import type { StepContext } from '../recovery/step.ts';
import { UNUSABLE_TAG } from './choose-volume.ts';

/** Pure. Drills of restores tag theirs for a cluster of their own. */
export const unusedVolumes = (volumes: readonly Volume[], cluster: string): readonly Volume[] =>
  volumes.filter((v) => v.tags[CLUSTER_TAG] === cluster && v.state === 'available' && v.attachedTo === null);

/** Each is on the record, and with it in the message that tells how the replacement ended; `known` are told of otherwise. */
export async function tellOfUnused(context: StepContext, known: readonly (string | null)[]): Promise<void> {
  const { ports, cluster } = context;
  for (const { id, zone, tags } of unusedVolumes(await ports.volumes.ofCluster(cluster), cluster)) {
    if (known.includes(id)) continue;
    const marked = tags[UNUSABLE_TAG] === undefined ? '' : `, and is marked ${UNUSABLE_TAG}`;
    await record(
      context,
      `unused-${id}`,
      `leaves the volume ${id}`,
      `it is attached to nobody in ${zone}${marked}: delete it when nothing on it is needed any more`,
    );
  }
}
