/** The hosts that the platform team runs before Rejoin comes: launched from the template, one in each zone. */
import { EC2Client, RunInstancesCommand } from '@aws-sdk/client-ec2';
import { CLUSTER_TAG } from '../lambdas/model/spec.ts';
import type { Hosts } from './cloud/hosts.ts';
import type { AdminConfig } from './cloud/cloud.ts';
import type { Environment } from './environment.ts';
import { waitFor } from './wait.ts';

const BOOT_WITHIN_SECONDS = 60;

/** Launches one host in each subnet and waits until they have booted. Answers instance ids in the subnets' order. */
export async function launchHosts(
  config: AdminConfig,
  environment: Environment,
  hosts: Hosts,
  cluster: string,
): Promise<string[]> {
  const ec2 = new EC2Client(config);
  const tags = [{ Key: CLUSTER_TAG, Value: cluster }];
  const ids = await Promise.all(
    environment.subnets.map(async (subnet) => {
      const answer = await ec2.send(
        new RunInstancesCommand({
          MinCount: 1,
          MaxCount: 1,
          SubnetId: subnet.id,
          LaunchTemplate: { LaunchTemplateId: environment.launchTemplateId },
          TagSpecifications: [
            { ResourceType: 'instance', Tags: [...tags, { Key: 'Name', Value: `${cluster}-${subnet.zone}` }] },
            { ResourceType: 'volume', Tags: tags },
          ],
        }),
      );
      const id = answer.Instances?.[0]?.InstanceId;
      if (id === undefined)
        throw new Error('RunInstances answered without an instance; see the log of the emulated AWS');
      return id;
    }),
  );
  await waitFor('the hosts to boot', () => ids.every((id) => hosts.get(id)?.up === true), BOOT_WITHIN_SECONDS);
  return ids;
}
