import type { EC2Client, Filter, Volume as Ec2Volume } from '@aws-sdk/client-ec2';
import {
  AttachVolumeCommand,
  CreateTagsCommand,
  DeleteVolumeCommand,
  DescribeVolumesCommand,
  DetachVolumeCommand,
} from '@aws-sdk/client-ec2';
import { CLUSTER_TAG } from '../model/spec.ts';
import { toTags } from './aws-instances.ts';
import type { Lazy } from './clients.ts';
import { aws, isCode } from './errors.ts';
import { everyPage, inBatches } from './pages.ts';
import type { Volume } from '../model/volume.ts';
import type { Volumes } from './ports.ts';

const IDS_PER_CALL = 100;

/** EBS volumes. Detach, attach and delete may be repeated: what is done already is no error. */
export function awsVolumes(ec2: Lazy<EC2Client>): Volumes {
  const describe = (filter: Filter): Promise<readonly Volume[]> =>
    everyPage(async (token) => {
      const page = await aws('ec2:DescribeVolumes', () =>
        ec2().send(new DescribeVolumesCommand({ Filters: [filter], MaxResults: 500, NextToken: token })),
      );
      return { items: (page.Volumes ?? []).map(toVolume), next: page.NextToken };
    });

  const byIds = async (ids: readonly string[]): Promise<readonly Volume[]> => {
    const found: Volume[] = [];
    for (const batch of inBatches([...new Set(ids)], IDS_PER_CALL)) {
      found.push(...(await describe({ Name: 'volume-id', Values: [...batch] })));
    }
    return found;
  };

  const one = async (volumeId: string): Promise<Volume> => {
    const [volume] = await byIds([volumeId]);
    if (volume === undefined) throw new Error(`EC2 knows no volume ${volumeId}: it was deleted, or the id is wrong`);
    return volume;
  };

  return {
    byIds,
    ofCluster: (cluster) => describe({ Name: `tag:${CLUSTER_TAG}`, Values: [cluster] }),

    async detach(volumeId) {
      const { attachedTo } = await one(volumeId);
      if (attachedTo === null) return;
      const input = { VolumeId: volumeId, InstanceId: attachedTo };
      try {
        await aws('ec2:DetachVolume', () => ec2().send(new DetachVolumeCommand(input)));
      } catch (error) {
        // It is being detached, or has been since the look.
        if (!isCode(error, 'IncorrectState')) throw error;
      }
    },

    async attach(volumeId, instanceId, device) {
      const now = await one(volumeId);
      if (now.attachedTo === instanceId && now.device === device) return;
      if (now.attachedTo !== null) {
        const there = `${now.attachedTo} at ${now.device ?? 'no device'}`;
        throw new Error(`${volumeId} is attached to ${there}, wanted on ${instanceId} at ${device}: detach it first`);
      }
      const input = { VolumeId: volumeId, InstanceId: instanceId, Device: device };
      try {
        await aws('ec2:AttachVolume', () => ec2().send(new AttachVolumeCommand(input)));
      } catch (error) {
        // DescribeVolumes lags behind: attached by a call whose answer was lost. To anybody else it is an error.
        if (!isCode(error, 'VolumeInUse') || (await one(volumeId)).attachedTo !== instanceId) throw error;
      }
    },

    async tag(volumeId, tags) {
      const list = Object.entries(tags).map(([Key, Value]) => ({ Key, Value }));
      await aws('ec2:CreateTags', () => ec2().send(new CreateTagsCommand({ Resources: [volumeId], Tags: list })));
    },

    async delete(volumeId) {
      try {
        await aws('ec2:DeleteVolume', () => ec2().send(new DeleteVolumeCommand({ VolumeId: volumeId })));
      } catch (error) {
        if (!isCode(error, 'InvalidVolume.NotFound')) throw error;
      }
    },
  };
}

const STATES: readonly string[] = ['creating', 'available', 'in-use', 'deleting', 'error'] satisfies Volume['state'][];

function toVolume(v: Ec2Volume): Volume {
  const id = v.VolumeId;
  if (id === undefined) throw new Error('EC2 described a volume without a VolumeId');
  const state = v.State === undefined ? '' : String(v.State);
  // `deleted` is the last thing EC2 says of a volume; to us it is one that is going.
  const known = state === 'deleted' ? 'deleting' : state;
  if (!STATES.includes(known)) {
    throw new Error(`EC2 says that ${id} is ${JSON.stringify(state)}, expected one of ${STATES.join(', ')}`);
  }
  const attachment = (v.Attachments ?? []).find((a) => a.State !== 'detached');
  return {
    id,
    state: known as Volume['state'],
    zone: v.AvailabilityZone ?? '',
    tags: toTags(v.Tags),
    attachedTo: attachment?.InstanceId ?? null,
    device: attachment?.Device ?? null,
  };
}
