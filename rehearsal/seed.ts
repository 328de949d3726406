/**
 * The cluster that the platform team runs before Rejoin comes: hosts launched from the template, one in each zone, their
 * volumes filled, and the database started by hand with the same scripts that Rejoin uses.
 */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { EC2Client, RunInstancesCommand } from '@aws-sdk/client-ec2';
import { CLUSTER_TAG } from '../lambdas/model/spec.ts';
import type { Hosts } from './cloud/hosts.ts';
import type { AdminConfig } from './cloud/cloud.ts';
import type { Environment } from './environment.ts';
import { fillDataDir } from './host/galera-host.ts';
import { waitFor } from './wait.ts';

const run = promisify(execFile);
const SCRIPT_WITHIN_MS = 120_000;
const BOOT_WITHIN_SECONDS = 60;

/** Runs one of `nodes/galera/` on a host, as its operator would. Throws with the script's own words when it fails. */
export async function runScript(
  hosts: Hosts,
  id: string,
  script: string,
  parameters: Readonly<Record<string, string>> = {},
): Promise<string> {
  const file = fileURLToPath(new URL(`../nodes/galera/${script}.sh`, import.meta.url));
  try {
    const { stdout } = await run('/bin/sh', [file], {
      env: { ...hosts.environment(id), ...parameters },
      timeout: SCRIPT_WITHIN_MS,
    });
    return stdout;
  } catch (error) {
    const { stderr } = error as { stderr?: string };
    throw new Error(`${script}.sh on ${id}: ${(stderr ?? '').trim() || (error as Error).message}`, { cause: error });
  }
}

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

/** Fills every host's volume from the template, bootstraps the first node and joins the others to it. */
export async function startCluster(hosts: Hosts, ids: readonly string[]): Promise<void> {
  const [first, ...others] = ids;
  if (first === undefined) throw new Error('no host was launched');
  await Promise.all(ids.map((id) => fillDataDir(hosts.environment(id)['REJOIN_DATA_DIR'] ?? '')));
  const position = JSON.parse((await runScript(hosts, first, 'position')).trim().split('\n').pop() ?? '{}') as {
    stateUuid: string;
    seqno: number;
  };
  await runScript(hosts, first, 'bootstrap', {
    REJOIN_PARAM_STATE_UUID: position.stateUuid,
    REJOIN_PARAM_SEQNO: String(position.seqno),
  });
  for (const id of others) {
    await runScript(hosts, id, 'join', { REJOIN_PARAM_PEERS: hosts.ip(first), REJOIN_PARAM_DONOR: first });
  }
}
