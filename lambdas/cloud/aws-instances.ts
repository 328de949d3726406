import type { EC2Client, Filter, Instance as Ec2Instance, Tag } from '@aws-sdk/client-ec2';
import {
  DescribeInstancesCommand,
  DescribeLaunchTemplateVersionsCommand,
  RunInstancesCommand,
  StopInstancesCommand,
  TerminateInstancesCommand,
} from '@aws-sdk/client-ec2';
import { CLUSTER_TAG, INCIDENT_TAG, REPLACES_TAG } from '../model/spec.ts';
import type { Instance, InstanceState } from '../model/view.ts';
import type { Lazy } from './clients.ts';
import { aws } from './errors.ts';
import { everyPage, inBatches } from './pages.ts';
import { IDS_PER_CALL, INSTANCES_PER_PAGE } from './ports.ts';
import type { Instances, LaunchRequest } from './ports.ts';

/** EC2 instances. Errors as in `errors.ts`. */
export function awsInstances(ec2: Lazy<EC2Client>): Instances {
  const describe = (filter: Filter): Promise<readonly Instance[]> =>
    everyPage(async (token) => {
      const page = await aws('ec2:DescribeInstances', () =>
        ec2().send(
          new DescribeInstancesCommand({ Filters: [filter], MaxResults: INSTANCES_PER_PAGE, NextToken: token }),
        ),
      );
      const items = (page.Reservations ?? []).flatMap((r) => r.Instances ?? []).map(toInstance);
      return { items, next: page.NextToken };
    });

  return {
    ofCluster: (cluster) => describe({ Name: `tag:${CLUSTER_TAG}`, Values: [cluster] }),

    async ofEveryCluster() {
      const all = await describe({ Name: 'tag-key', Values: [CLUSTER_TAG] });
      return Map.groupBy(all, (i) => i.tags[CLUSTER_TAG] ?? '');
    },

    async byIds(ids) {
      const found: Instance[] = [];
      // By filter and not by InstanceIds: a single unknown id would fail the whole call.
      for (const batch of inBatches([...new Set(ids)], IDS_PER_CALL)) {
        found.push(...(await describe({ Name: 'instance-id', Values: [...batch] })));
      }
      return found;
    },

    async launch(request) {
      const answer = await aws('ec2:RunInstances', () => ec2().send(new RunInstancesCommand(runInput(request))));
      const launched = answer.Instances?.[0];
      if (launched === undefined) {
        throw new Error(`ec2:RunInstances answered no instance for client token ${request.clientToken}, expected one`);
      }
      return toInstance(launched);
    },

    async templateVersion({ id, version }) {
      const answer = await aws('ec2:DescribeLaunchTemplateVersions', () =>
        ec2().send(new DescribeLaunchTemplateVersionsCommand({ LaunchTemplateId: id, Versions: [version] })),
      );
      const number = answer.LaunchTemplateVersions?.[0]?.VersionNumber;
      if (number === undefined) {
        throw new Error(
          `ec2:DescribeLaunchTemplateVersions knows no version ${version} of launch template ${id}: create it, or name another`,
        );
      }
      return String(number);
    },

    async stop(id) {
      // Force alone still waits for a clean shutdown first; a fence must not depend on the guest.
      // https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_StopInstances.html
      const input = { InstanceIds: [id], Force: true, SkipOsShutdown: true };
      const answer = await aws('ec2:StopInstances', () => ec2().send(new StopInstancesCommand(input)));
      return toState(id, answer.StoppingInstances?.[0]?.CurrentState?.Name);
    },

    async terminate(id) {
      const answer = await aws('ec2:TerminateInstances', () =>
        ec2().send(new TerminateInstancesCommand({ InstanceIds: [id] })),
      );
      return toState(id, answer.TerminatingInstances?.[0]?.CurrentState?.Name);
    },
  };
}

function runInput(request: LaunchRequest): ConstructorParameters<typeof RunInstancesCommand>[0] {
  const marks: Tag[] = [
    { Key: CLUSTER_TAG, Value: request.cluster },
    { Key: INCIDENT_TAG, Value: request.incident },
  ];
  const replaces: Tag[] = request.replaces === null ? [] : [{ Key: REPLACES_TAG, Value: request.replaces }];
  return {
    LaunchTemplate: { LaunchTemplateId: request.launchTemplate.id, Version: request.launchTemplate.version },
    SubnetId: request.subnetId,
    MinCount: 1,
    MaxCount: 1,
    ClientToken: request.clientToken,
    TagSpecifications: [
      { ResourceType: 'instance', Tags: [...marks, ...replaces] },
      { ResourceType: 'volume', Tags: marks },
    ],
    // An empty NoDevice takes the template's device out.
    ...(request.withoutDevice === null
      ? {}
      : { BlockDeviceMappings: [{ DeviceName: request.withoutDevice, NoDevice: '' }] }),
  };
}

const STATES: readonly string[] = [
  'pending',
  'running',
  'shutting-down',
  'terminated',
  'stopping',
  'stopped',
] satisfies InstanceState[];

function toState(id: string, name: string | undefined): InstanceState {
  if (name === undefined || !STATES.includes(name)) {
    throw new Error(`EC2 says that ${id} is ${JSON.stringify(name)}, expected one of ${STATES.join(', ')}`);
  }
  return name as InstanceState;
}

export const toTags = (tags: readonly Tag[] | undefined): Readonly<Record<string, string>> =>
  Object.fromEntries((tags ?? []).flatMap((t) => (t.Key === undefined ? [] : [[t.Key, t.Value ?? '']])));

function toInstance(i: Ec2Instance): Instance {
  const id = i.InstanceId;
  if (id === undefined) throw new Error('EC2 described an instance without an InstanceId');
  return {
    id,
    state: toState(id, i.State?.Name),
    zone: i.Placement?.AvailabilityZone ?? '',
    subnetId: i.SubnetId ?? null,
    privateIp: i.PrivateIpAddress ?? null,
    launchedAtMs: i.LaunchTime?.getTime() ?? 0,
    tags: toTags(i.Tags),
    volumes: (i.BlockDeviceMappings ?? []).flatMap((m) =>
      m.Ebs?.VolumeId === undefined
        ? []
        : [
            {
              volumeId: m.Ebs.VolumeId,
              device: m.DeviceName ?? '',
              deleteOnTermination: m.Ebs.DeleteOnTermination ?? false,
            },
          ],
    ),
  };
}
