/**
 * What RunInstances launches when a launch template and the request both say something: the request wins, property by
 * property; block devices are merged by device name, tags by key. Source: EC2 User Guide, "Launch an instance from a
 * launch template" and API reference, RunInstances. moto replaces the template's whole list of devices by the request's,
 * and ignores the template's subnet, instance profile and volume tags: so the merge happens before moto sees the call.
 */
import type { ResponseLaunchTemplateData } from '@aws-sdk/client-ec2';
import { asList, asObject, asStrings, asText, type QueryParams } from './ec2-query.ts';

export interface DeviceMapping {
  readonly device: string;
  readonly sizeGib: string;
  readonly type: string;
  readonly encrypted: boolean;
  readonly snapshotId: string | null;
  readonly deleteOnTermination: boolean;
}

export interface LaunchPlan {
  readonly imageId: string;
  readonly instanceType: string;
  readonly subnetId: string | null;
  readonly securityGroupIds: readonly string[];
  readonly profile: { readonly arn: string } | { readonly name: string } | null;
  readonly devices: readonly DeviceMapping[];
  readonly instanceTags: Readonly<Record<string, string>>;
  readonly volumeTags: Readonly<Record<string, string>>;
  readonly privateIp: string | null;
  readonly userData: string | null;
  readonly count: number;
}

type Template = ResponseLaunchTemplateData;
/** What one side says of a device; what it leaves out, the other side decides. */
type Wish = Partial<Record<'NoDevice' | 'size' | 'type' | 'encrypted' | 'snapshot' | 'delete', string>>;

const words = (value: unknown): string | undefined =>
  typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean' ? String(value) : undefined;

function defined(entries: Record<string, string | undefined>): Wish {
  return Object.fromEntries(Object.entries(entries).filter(([, value]) => value !== undefined));
}

function templateDevices(template: Template): [string, Wish][] {
  return (template.BlockDeviceMappings ?? []).map((m) => [
    m.DeviceName ?? '',
    defined({
      NoDevice: m.NoDevice,
      size: words(m.Ebs?.VolumeSize),
      type: m.Ebs?.VolumeType,
      encrypted: words(m.Ebs?.Encrypted),
      snapshot: m.Ebs?.SnapshotId,
      delete: words(m.Ebs?.DeleteOnTermination),
    }),
  ]);
}

function requestDevices(params: QueryParams): [string, Wish][] {
  return asList(params['BlockDeviceMapping']).map((item) => {
    const mapping = asObject(item);
    const ebs = asObject(mapping['Ebs']);
    return [
      asText(mapping['DeviceName']) ?? '',
      defined({
        NoDevice: asText(mapping['NoDevice']),
        size: asText(ebs['VolumeSize']),
        type: asText(ebs['VolumeType']),
        encrypted: asText(ebs['Encrypted']),
        snapshot: asText(ebs['SnapshotId']),
        delete: asText(ebs['DeleteOnTermination']),
      }),
    ];
  });
}

/** The root device goes with its instance; what else was mapped stays unless the mapping says otherwise. */
export function mergeDevices(template: Template, params: QueryParams, rootDevice: string): DeviceMapping[] {
  const merged = new Map<string, Wish>([[rootDevice, {}]]);
  for (const [device, wanted] of [...templateDevices(template), ...requestDevices(params)]) {
    merged.set(device, { ...merged.get(device), ...wanted });
  }
  return [...merged]
    .filter(([, mapping]) => mapping.NoDevice === undefined)
    .map(([device, mapping]) => ({
      device,
      sizeGib: mapping.size ?? '8',
      type: mapping.type ?? 'gp3',
      encrypted: mapping.encrypted === 'true',
      snapshotId: mapping.snapshot ?? null,
      deleteOnTermination: mapping.delete === undefined ? device === rootDevice : mapping.delete === 'true',
    }));
}

function mergeTags(template: Template, params: QueryParams, resource: 'instance' | 'volume'): Record<string, string> {
  const tags: Record<string, string> = {};
  for (const spec of template.TagSpecifications ?? []) {
    if (spec.ResourceType === resource) for (const tag of spec.Tags ?? []) tags[tag.Key ?? ''] = tag.Value ?? '';
  }
  for (const item of asList(params['TagSpecification'])) {
    const spec = asObject(item);
    if (spec['ResourceType'] !== resource) continue;
    for (const tag of asList(spec['Tag']).map(asObject)) tags[asText(tag['Key']) ?? ''] = asText(tag['Value']) ?? '';
  }
  return tags;
}

/** `Groups` of the first network interface count as the instance's security groups. */
function templateNetwork(template: Template): { subnetId: string | undefined; groups: readonly string[] } {
  const nic = (template.NetworkInterfaces ?? []).find((n) => (n.DeviceIndex ?? 0) === 0);
  return { subnetId: nic?.SubnetId, groups: template.SecurityGroupIds ?? nic?.Groups ?? [] };
}

function profileOf(template: Template, params: QueryParams): LaunchPlan['profile'] {
  const asked = asObject(params['IamInstanceProfile']);
  const arn = asText(asked['Arn']);
  const name = asText(asked['Name']);
  if (arn !== undefined) return { arn };
  if (name !== undefined) return { name };
  const own = template.IamInstanceProfile;
  if (own?.Arn !== undefined) return { arn: own.Arn };
  return own?.Name === undefined ? null : { name: own.Name };
}

/** Everything that the launch needs, from template (empty when there is none) and request. */
export function mergeLaunch(template: Template, params: QueryParams, rootDevice: string): LaunchPlan {
  const network = templateNetwork(template);
  const groups = asStrings(params['SecurityGroupId']);
  return {
    imageId: asText(params['ImageId']) ?? template.ImageId ?? '',
    instanceType: asText(params['InstanceType']) ?? template.InstanceType ?? 'm1.small',
    subnetId: asText(params['SubnetId']) ?? network.subnetId ?? null,
    securityGroupIds: groups.length > 0 ? groups : network.groups,
    profile: profileOf(template, params),
    devices: mergeDevices(template, params, rootDevice),
    instanceTags: mergeTags(template, params, 'instance'),
    volumeTags: mergeTags(template, params, 'volume'),
    privateIp: asText(params['PrivateIpAddress']) ?? null,
    userData: asText(params['UserData']) ?? template.UserData ?? null,
    count: Number(asText(params['MaxCount']) ?? '1'),
  };
}

/** The call that moto understands: nothing left for it to merge. */
export function motoLaunchParams(plan: LaunchPlan, template: { id: string; version: string } | null): QueryParams {
  const tagSpec = (resource: string, tags: Readonly<Record<string, string>>) =>
    Object.keys(tags).length === 0
      ? []
      : [{ ResourceType: resource, Tag: Object.entries(tags).map(([Key, Value]) => ({ Key, Value })) }];
  const fromTemplate: Record<string, string> =
    template === null
      ? {}
      : { 'aws:ec2launchtemplate:id': template.id, 'aws:ec2launchtemplate:version': template.version };
  return {
    ImageId: plan.imageId,
    InstanceType: plan.instanceType,
    MinCount: String(plan.count),
    MaxCount: String(plan.count),
    ...(plan.subnetId === null ? {} : { SubnetId: plan.subnetId }),
    ...(plan.privateIp === null ? {} : { PrivateIpAddress: plan.privateIp }),
    ...(plan.userData === null ? {} : { UserData: plan.userData }),
    ...(plan.securityGroupIds.length === 0 ? {} : { SecurityGroupId: [...plan.securityGroupIds] }),
    ...(plan.profile === null
      ? {}
      : { IamInstanceProfile: 'arn' in plan.profile ? { Arn: plan.profile.arn } : { Name: plan.profile.name } }),
    BlockDeviceMapping: plan.devices.map((d) => ({
      DeviceName: d.device,
      Ebs: {
        VolumeSize: d.sizeGib,
        VolumeType: d.type,
        Encrypted: String(d.encrypted),
        DeleteOnTermination: String(d.deleteOnTermination),
        ...(d.snapshotId === null ? {} : { SnapshotId: d.snapshotId }),
      },
    })),
    TagSpecification: [
      ...tagSpec('instance', { ...plan.instanceTags, ...fromTemplate }),
      ...tagSpec('volume', plan.volumeTags),
    ],
  };
}
