/**
 * RunInstances asks for every resource that takes part in the launch, for the tagging, and for passing the host's role.
 * https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ExamplePolicies_EC2.html#iam-example-runinstances
 * https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/permissions-for-launch-templates.html
 */
import { context, merge, requestTags } from '../context.ts';
import type { Context } from '../context.ts';
import type { LaunchTemplate } from '../facts.ts';
import { ec2TagKeys, tagSpecifications } from './ec2.ts';
import { CannotTell, arn, listOf, need, object, stringsOf } from './need.ts';
import type { Call, Mapper, Need } from './need.ts';

/** What the call and its launch template come to. */
interface Launch {
  readonly template: LaunchTemplate | null;
  readonly image: string;
  readonly subnet: string | null;
  readonly securityGroups: readonly string[];
  readonly networkInterfaces: readonly string[];
  readonly keyName: string | null;
  readonly profile: string | null;
  readonly instanceType: string | null;
  readonly snapshots: readonly string[];
  readonly tags: ReadonlyMap<string, Readonly<Record<string, string>>>;
  /** Resource types whose value the call gives itself. */
  readonly overridden: ReadonlySet<string>;
}

const word = (value: unknown): string | null => (typeof value === 'string' && value !== '' ? value : null);

async function templateOf(call: Call): Promise<LaunchTemplate | null> {
  const named = object(call.params['LaunchTemplate']);
  const id = word(named['LaunchTemplateId']);
  const name = word(named['LaunchTemplateName']);
  if (id === null && name === null) return null;
  const version = word(named['Version']) ?? '$Default';
  return call.facts.launchTemplate({ id: id ?? undefined, name: name ?? undefined, version });
}

async function launchOf(call: Call): Promise<Launch> {
  const { params } = call;
  const template = await templateOf(call);
  const data = template?.data ?? {};
  const own = listOf(params['NetworkInterface'] ?? params['NetworkInterfaces']).map(object);
  const nics = own.length > 0 ? own : (data.NetworkInterfaces ?? []).map((nic) => object(nic));
  const ownGroups = [...stringsOf(params['SecurityGroupId'] ?? params['SecurityGroupIds'])];
  const ownProfile = object(params['IamInstanceProfile']);
  const image = word(params['ImageId']) ?? data.ImageId ?? null;
  if (image === null)
    throw new CannotTell('ec2:RunInstances names no image, neither itself nor by its launch template');
  const groups = [
    ...(ownGroups.length > 0 ? ownGroups : (data.SecurityGroupIds ?? [])),
    ...nics.flatMap((nic) => stringsOf(nic['SecurityGroupId'] ?? nic['Groups'])),
  ];
  const devices = [
    ...listOf(params['BlockDeviceMapping'] ?? params['BlockDeviceMappings']),
    ...(data.BlockDeviceMappings ?? []),
  ];
  const overridden = {
    image: params['ImageId'],
    subnet: params['SubnetId'],
    'security-group': ownGroups[0],
    'key-pair': params['KeyName'],
    'network-interface': own[0],
  };
  return {
    template,
    image,
    subnet: word(params['SubnetId']) ?? nics.map((nic) => word(nic['SubnetId'])).find((id) => id !== null) ?? null,
    securityGroups: [...new Set(groups)],
    networkInterfaces: nics.flatMap((nic) => word(nic['NetworkInterfaceId']) ?? []),
    keyName: word(params['KeyName']) ?? data.KeyName ?? null,
    profile:
      word(ownProfile['Arn']) ??
      word(ownProfile['Name']) ??
      data.IamInstanceProfile?.Arn ??
      data.IamInstanceProfile?.Name ??
      null,
    instanceType: word(params['InstanceType']) ?? data.InstanceType ?? null,
    snapshots: devices.flatMap((device) => word(object(object(device)['Ebs'])['SnapshotId']) ?? []),
    tags: tagSpecifications(data.TagSpecifications, params['TagSpecification'] ?? params['TagSpecifications']),
    overridden: new Set(Object.entries(overridden).flatMap(([type, value]) => (value === undefined ? [] : [type]))),
  };
}

const NO_TAGS = {};

export const runInstances: Mapper = async (call) => {
  const { place } = call;
  const launch = await launchOf(call);
  const profile = launch.profile === null ? null : await call.facts.profileRoles(launch.profile);
  const templateArn = launch.template === null ? undefined : arn(place, 'ec2', `launch-template/${launch.template.id}`);

  const about = (type: string): Context =>
    merge(
      context({
        'ec2:Region': place.region,
        'ec2:LaunchTemplate': templateArn,
        'ec2:IsLaunchTemplateResource': String(launch.template !== null && !launch.overridden.has(type)),
      }),
      // Tags of the request are seen on the resource that they are for, and on no other.
      requestTags(launch.tags.get(type) ?? NO_TAGS),
    );
  const made = (type: string, more: Context = context({})): Need =>
    need('ec2:RunInstances', arn(place, 'ec2', `${type}/*`), { context: merge(about(type), more) });
  const used = (type: string, id: string): Need =>
    need('ec2:RunInstances', arn(place, 'ec2', `${type}/${id}`), { context: about(type), lazy: ec2TagKeys(call, id) });
  // Images and snapshots belong to no account in ARNs.
  const shared = (type: string, id: string): Need =>
    need('ec2:RunInstances', `arn:${place.partition}:ec2:${place.region}::${type}/${id}`, {
      context: about(type),
      lazy: ec2TagKeys(call, id),
    });
  const instance = context({
    'ec2:InstanceProfile': profile?.arn,
    ...(launch.instanceType === null ? {} : { 'ec2:InstanceType': launch.instanceType }),
  });

  return [
    made('instance', instance),
    ...imageNeeds(call, launch.image, shared),
    // A VPC's default subnet and group take part as well when none is named; which ones, EC2 decides.
    launch.subnet === null ? made('subnet') : used('subnet', launch.subnet),
    ...(launch.securityGroups.length === 0
      ? [made('security-group')]
      : launch.securityGroups.map((id) => used('security-group', id))),
    ...(launch.networkInterfaces.length === 0
      ? [made('network-interface')]
      : launch.networkInterfaces.map((id) => used('network-interface', id))),
    made('volume'),
    ...launch.snapshots.map((id) => shared('snapshot', id)),
    ...(launch.template === null ? [] : [used('launch-template', launch.template.id)]),
    ...(launch.keyName === null
      ? []
      : [need('ec2:RunInstances', arn(place, 'ec2', `key-pair/${launch.keyName}`), { context: about('key-pair') })]),
    ...tagNeeds(call, launch),
    ...(profile?.roleArns ?? []).map((role) =>
      need('iam:PassRole', role, { context: context({ 'iam:PassedToService': 'ec2.amazonaws.com' }) }),
    ),
  ];
};

/** An image by an SSM parameter is read from there with the caller's permissions. */
function imageNeeds(call: Call, image: string, shared: (type: string, id: string) => Need): Need[] {
  const { partition, region, account } = call.place;
  const parameter = /^resolve:ssm:([^:]+)/.exec(image)?.[1];
  if (parameter === undefined) return [shared('image', image)];
  const owner = parameter.startsWith('/aws/') ? '' : account; // AWS's public parameters belong to nobody's account
  return [
    shared('image', '*'),
    need('ssm:GetParameters', `arn:${partition}:ssm:${region}:${owner}:parameter/${parameter.replace(/^\//, '')}`),
  ];
}

/** "ec2:CreateTags" for what is tagged on creation, with what creates it. */
const tagNeeds = (call: Call, launch: Launch): Need[] =>
  [...launch.tags]
    .filter(([, tags]) => Object.keys(tags).length > 0)
    .map(([type, tags]) =>
      need('ec2:CreateTags', arn(call.place, 'ec2', `${type}/*`), {
        context: merge(
          context({ 'ec2:CreateAction': 'RunInstances', 'ec2:Region': call.place.region }),
          requestTags(tags),
        ),
      }),
    );
