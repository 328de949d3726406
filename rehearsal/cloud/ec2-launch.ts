/** RunInstances: the launch template merged in, the client token honoured, and a host for every instance. */
import { createHash } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import {
  DescribeImagesCommand,
  DescribeInstancesCommand,
  DescribeLaunchTemplateVersionsCommand,
  type Instance as Ec2Instance,
  type ResponseLaunchTemplateData,
} from '@aws-sdk/client-ec2';
import type { AwsResponse, Interceptor } from './contract.ts';
import { overlayReservation } from './ec2-describe.ts';
import { beginLife } from './ec2-lifecycle.ts';
import { mergeLaunch, motoLaunchParams, type LaunchPlan } from './ec2-merge.ts';
import { answeringEc2, asObject, asText, AwsFault, callMotoEc2, type QueryParams } from './ec2-query.ts';
import { buildXml, childrenOf, find, parseXml, rootOf, textOf } from './ec2-xml.ts';
import { volumeData, type HostsContext } from './hosts-context.ts';
import { makeHost, mountData, type Machine } from './hosts-machine.ts';

interface TemplateVersion {
  readonly id: string;
  readonly version: string;
  readonly data: ResponseLaunchTemplateData;
}

async function templateOf(ctx: HostsContext, params: QueryParams): Promise<TemplateVersion | null> {
  const asked = asObject(params['LaunchTemplate']);
  const id = asText(asked['LaunchTemplateId']);
  const name = asText(asked['LaunchTemplateName']);
  if (id === undefined && name === undefined) return null;
  const wanted = asText(asked['Version']) ?? '$Default';
  const answer = await ctx.ec2
    .send(
      new DescribeLaunchTemplateVersionsCommand({
        ...(id === undefined ? { LaunchTemplateName: name } : { LaunchTemplateId: id }),
        Versions: [wanted],
      }),
    )
    .catch((error: unknown) => {
      const { name: code, message } = error as Error;
      throw new AwsFault(code, message);
    });
  const version = answer.LaunchTemplateVersions?.[0];
  if (version === undefined) {
    throw new AwsFault(
      'InvalidLaunchTemplateId.VersionNotFound',
      `Could not find launch template version ${wanted} of ${id ?? name}`,
    );
  }
  return {
    id: version.LaunchTemplateId ?? id ?? '',
    version: String(version.VersionNumber ?? ''),
    data: version.LaunchTemplateData ?? {},
  };
}

/** The image's root device; moto's default for an image that it does not know. */
async function rootDeviceOf(ctx: HostsContext, imageId: string): Promise<string> {
  if (imageId === '') return '/dev/sda1';
  const { Images } = await ctx.ec2.send(
    new DescribeImagesCommand({ Filters: [{ Name: 'image-id', Values: [imageId] }] }),
  );
  return Images?.[0]?.RootDeviceName ?? '/dev/sda1';
}

/** The record and the folder of one launched instance. */
async function machineFor(ctx: HostsContext, instance: Ec2Instance, plan: LaunchPlan): Promise<Machine> {
  const id = instance.InstanceId ?? '';
  const machine: Machine = {
    id,
    hostDir: join(ctx.rootDir, 'instances', id),
    address: instance.PrivateIpAddress ?? '',
    zone: instance.Placement?.AvailabilityZone ?? '',
    cluster: plan.instanceTags[ctx.clusterTag] ?? 'unnamed',
    roleArn: plan.profile === null ? null : await ctx.roleOf(plan.profile),
    state: 'pending',
    reason: null,
    up: false,
    online: false,
    lastPingMs: null,
    generation: 0,
    prepared: null,
    aws: {},
  };
  await mkdir(machine.hostDir, { recursive: true, mode: 0o755 });
  let mounted: string | null = null;
  for (const mapping of instance.BlockDeviceMappings ?? []) {
    const volumeId = mapping.Ebs?.VolumeId;
    if (volumeId === undefined || mapping.DeviceName === instance.RootDeviceName) continue;
    await mkdir(volumeData(ctx, volumeId), { recursive: true, mode: 0o755 });
    if (mapping.DeviceName === ctx.dataDevice) mounted = volumeData(ctx, volumeId);
  }
  await mountData(machine.hostDir, mounted);
  await makeHost(machine, ctx.databasePort, (facts) => ctx.prepareHost(facts));
  return machine;
}

async function launch(ctx: HostsContext, params: QueryParams): Promise<AwsResponse> {
  const template = await templateOf(ctx, params);
  const imageId = asText(params['ImageId']) ?? template?.data.ImageId ?? '';
  const plan = mergeLaunch(template?.data ?? {}, params, await rootDeviceOf(ctx, imageId));
  const token = asText(params['ClientToken']);
  const response = await callMotoEc2(ctx.moto, 'RunInstances', {
    ...motoLaunchParams(plan, template),
    ...(token === undefined ? {} : { ClientToken: token }),
  });
  if (response.status !== 200) return response;
  const root = childrenOf(rootOf(parseXml(response.body)));
  const set = find(root, 'instancesSet');
  const ids = set === undefined ? [] : childrenOf(set).map((item) => textOf(childrenOf(item), 'instanceId'));
  const described = await ctx.ec2.send(new DescribeInstancesCommand({ InstanceIds: ids }));
  for (const instance of (described.Reservations ?? []).flatMap((r) => r.Instances ?? [])) {
    const machine = await machineFor(ctx, instance, plan);
    ctx.machines.set(machine.id, machine);
    beginLife(ctx, machine);
  }
  return response;
}

/** moto's answer under the states of this moment: an earlier reservation that is answered again tells how it is now. */
function current(ctx: HostsContext, response: AwsResponse): AwsResponse {
  if (response.status !== 200) return response;
  const document = parseXml(response.body);
  overlayReservation(ctx, childrenOf(rootOf(document)), []);
  return { ...response, body: buildXml(document) };
}

export function launchInterceptor(ctx: HostsContext): Interceptor {
  // EC2 remembers a token for as long as its instance is described; a rehearsal is shorter than that.
  const tokens = new Map<string, { readonly digest: string; readonly launched: Promise<AwsResponse> }>();

  async function once(token: string, params: QueryParams): Promise<AwsResponse> {
    const digest = createHash('sha256').update(JSON.stringify(params)).digest('hex');
    const before = tokens.get(token);
    if (before !== undefined && before.digest !== digest) {
      throw new AwsFault(
        'IdempotentParameterMismatch',
        `The client token '${token}' was used before with other parameters; use a new token for another launch`,
      );
    }
    if (before !== undefined) return before.launched;
    const launched = launch(ctx, params);
    tokens.set(token, { digest, launched });
    // A launch that failed has used no token up.
    const forget = (): boolean => tokens.delete(token);
    const response = await launched.catch((error: unknown) => {
      forget();
      throw error;
    });
    if (response.status !== 200) forget();
    return response;
  }

  return {
    service: 'ec2',
    operation: 'RunInstances',
    before: answeringEc2(async (params) => {
      const token = asText(params['ClientToken']);
      return current(ctx, token === undefined ? await launch(ctx, params) : await once(token, params));
    }),
  };
}
