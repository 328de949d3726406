/** What the archive's slots hold back on the nodes' disks: nobody else looks at a slot that nothing takes from any more. */
import type { Instances, Prober, Secrets } from '../cloud/ports.ts';
import { allKeptForArchive } from '../model/archive/slots.ts';
import type { ClusterSpec } from '../model/spec.ts';
import { databaseOf } from '../recovery/nodes.ts';

export interface SlotPorts {
  readonly instances: Instances;
  readonly secrets: Secrets;
  readonly prober: Prober;
}

/** The most bytes on one node; null: the engine has no slots, or no node with one answers. */
export const retainedBytes =
  ({ instances, secrets, prober }: SlotPorts) =>
  async (spec: ClusterSpec): Promise<number | null> => {
    if (spec.engine.kind !== 'postgres') return null;
    const credentials = await secrets.credentials(spec.credentialsSecretArn);
    const live = (await instances.ofCluster(spec.name)).filter((i) => i.state === 'running' && i.privateIp !== null);
    const nodes = await Promise.all(
      live.map(async (instance) => ({ instance, probe: await prober.probe(databaseOf(spec, instance), credentials) })),
    );
    const kept = allKeptForArchive(nodes).map((k) => k.retainedBytes);
    return kept.length === 0 ? null : Math.max(...kept);
  };
