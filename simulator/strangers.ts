/** What else is in the account: another team's instance behind the readers' balancer, and volumes that are not the cluster's. */
import { CLUSTER_TAG } from '../lambdas/model/spec.ts';
import type { World } from './world.ts';

export const STRANGER = 'billing';

/** Safety rule 8: none of it is ever touched. */
export function addStrangers({ aws, groups, spec }: World): void {
  const zones = spec.subnets.map((s) => s.zone);
  const volumes = [{ volumeId: aws.nextId('vol'), device: spec.dataDevice, deleteOnTermination: false }];
  const { id } = aws.addInstance({ cluster: STRANGER, zone: zones[0] ?? 'eu-west-1a', volumes });
  aws.setTarget(groups.healthy, id, spec.engine.port, 'healthy');
  zones.forEach((zone, i) => {
    const tags: Record<string, string> = i === 0 ? {} : { [CLUSTER_TAG]: STRANGER };
    const volume = { id: aws.nextId('vol'), state: 'available', zone, tags, attachedTo: null, device: null } as const;
    aws.volumes.set(volume.id, volume);
  });
}
