/** EC2, but for RunInstances. https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonec2.html */
import { context, merge, requestTags, tagContext } from '../context.ts';
import { CannotTell, arn, ids, listOf, need, object, onEverything, tagsOf, text } from './need.ts';
import type { Call, Extras, LazyKeys, Mapper, Need } from './need.ts';

const EC2_TAGS = ['ec2:ResourceTag/', 'aws:ResourceTag/'] as const;

/** Tags of an existing EC2 resource, as both keys that policies may ask for. */
export const ec2TagKeys = (call: Call, id: string): LazyKeys => ({
  prefixes: EC2_TAGS.map((prefix) => prefix.toLowerCase()),
  read: async () => tagContext(await call.facts.ec2Tags(id), ...EC2_TAGS),
});

/** A need on one EC2 resource, such as `instance` `i-1`. */
export const onResource = (call: Call, action: string, type: string, id: string, extras: Extras = {}): Need =>
  need(`ec2:${action}`, arn(call.place, 'ec2', `${type}/${id}`), {
    ...extras,
    context: merge(context({ 'ec2:Region': call.place.region }), extras.context ?? context({})),
    lazy: ec2TagKeys(call, id),
  });

const onInstances =
  (action: string): Mapper =>
  (call) =>
    ids(call, 'InstanceId', 'InstanceIds').map((id) => onResource(call, action, 'instance', id));

/** Ids say what they are: `i-`, `vol-`, … Source: EC2 User Guide, resource IDs. */
const TYPES: Readonly<Record<string, string>> = {
  i: 'instance',
  vol: 'volume',
  subnet: 'subnet',
  sg: 'security-group',
  eni: 'network-interface',
  lt: 'launch-template',
  vpc: 'vpc',
  snap: 'snapshot',
  ami: 'image',
};

export function typeOf(id: string): string {
  const type = TYPES[id.slice(0, id.indexOf('-'))];
  if (type === undefined) throw new CannotTell(`the rehearsal does not know what kind of EC2 resource ${id} is`);
  return type;
}

const tagging =
  (action: string): Mapper =>
  (call) => {
    const tags = tagsOf(call.params['Tag'] ?? call.params['Tags']);
    // Only a creating action that tags in the same call sets ec2:CreateAction.
    const asked = merge(requestTags(tags), context({ 'ec2:CreateAction': undefined }));
    return ids(call, 'ResourceId', 'Resources').map((id) =>
      onResource(call, action, typeOf(id), id, { context: asked }),
    );
  };

export const ec2: Readonly<Record<string, Mapper>> = {
  ...onEverything(
    'ec2',
    'DescribeAvailabilityZones',
    'DescribeImages',
    'DescribeInstanceStatus',
    'DescribeInstances',
    'DescribeInstanceTypes',
    'DescribeLaunchTemplateVersions',
    'DescribeLaunchTemplates',
    'DescribeNetworkInterfaces',
    'DescribeSecurityGroups',
    'DescribeSnapshots',
    'DescribeSubnets',
    'DescribeTags',
    'DescribeVolumeStatus',
    'DescribeVolumes',
    'DescribeVpcs',
  ),
  StartInstances: onInstances('StartInstances'),
  StopInstances: onInstances('StopInstances'),
  RebootInstances: onInstances('RebootInstances'),
  TerminateInstances: onInstances('TerminateInstances'),
  AttachVolume: (call) => [
    onResource(call, 'AttachVolume', 'instance', text(call, 'InstanceId')),
    onResource(call, 'AttachVolume', 'volume', text(call, 'VolumeId')),
  ],
  async DetachVolume(call) {
    const volume = text(call, 'VolumeId');
    const named = call.params['InstanceId'];
    const instances = typeof named === 'string' && named !== '' ? [named] : await call.facts.attachedTo(volume);
    return [
      onResource(call, 'DetachVolume', 'volume', volume),
      ...instances.map((id) => onResource(call, 'DetachVolume', 'instance', id)),
    ];
  },
  DeleteVolume: (call) => [onResource(call, 'DeleteVolume', 'volume', text(call, 'VolumeId'))],
  CreateTags: tagging('CreateTags'),
  DeleteTags: tagging('DeleteTags'),
};

/** Tags that a creating call asks for, by resource type. Later specifications add to earlier ones. */
export function tagSpecifications(...sources: readonly unknown[]): Map<string, Readonly<Record<string, string>>> {
  const found = new Map<string, Readonly<Record<string, string>>>();
  for (const item of sources.flatMap(listOf)) {
    const { ResourceType: type, Tag, Tags } = object(item);
    if (typeof type !== 'string')
      throw new CannotTell(`a tag specification is ${JSON.stringify(item)}, expected a ResourceType`);
    found.set(type, { ...found.get(type), ...tagsOf(Tag ?? Tags) });
  }
  return found;
}
