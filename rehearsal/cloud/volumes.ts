/**
 * EBS volumes: a folder each, whose `data` is the file system. moto holds the records; here are the states and errors
 * that it does not check, and the mounting. Source: EC2 API reference, AttachVolume, DetachVolume, DeleteVolume.
 */
import { mkdir, rm } from 'node:fs/promises';
import { DescribeVolumesCommand, type Volume as Ec2Volume } from '@aws-sdk/client-ec2';
import type { AwsResponse, Interceptor } from './contract.ts';
import { answeringEc2, asText, AwsFault, callMotoEc2, ec2Answer, type QueryParams } from './ec2-query.ts';
import { childrenOf, parseXml, rootOf, textOf } from './ec2-xml.ts';
import { machineOf, volumeData, volumeDir, type HostsContext } from './hosts-context.ts';
import { mountData, type Machine } from './hosts-machine.ts';
import { holdsOpen, processesOf, signal } from './hosts-processes.ts';

async function volumeOf(ctx: HostsContext, params: QueryParams): Promise<Ec2Volume & { VolumeId: string }> {
  const id = asText(params['VolumeId']) ?? '';
  const { Volumes } = await ctx.ec2.send(
    new DescribeVolumesCommand({ Filters: [{ Name: 'volume-id', Values: [id] }] }),
  );
  const volume = Volumes?.[0];
  if (volume === undefined) throw new AwsFault('InvalidVolume.NotFound', `The volume '${id}' does not exist.`);
  return { ...volume, VolumeId: id };
}

async function isDeviceTaken(ctx: HostsContext, instanceId: string, device: string): Promise<boolean> {
  const { Volumes } = await ctx.ec2.send(
    new DescribeVolumesCommand({
      Filters: [
        { Name: 'attachment.instance-id', Values: [instanceId] },
        { Name: 'attachment.device', Values: [device] },
      ],
    }),
  );
  return (Volumes ?? []).length > 0;
}

async function attach(ctx: HostsContext, params: QueryParams): Promise<AwsResponse> {
  const volume = await volumeOf(ctx, params);
  const machine = machineOf(ctx, asText(params['InstanceId']) ?? '');
  const device = asText(params['Device']) ?? '';
  if (volume.State !== 'available') {
    throw new AwsFault('VolumeInUse', `${volume.VolumeId} is already attached to an instance`);
  }
  if (machine.state !== 'running' && machine.state !== 'stopped') {
    throw new AwsFault('IncorrectState', `Instance '${machine.id}' is not 'running'.`);
  }
  if (volume.AvailabilityZone !== machine.zone) {
    throw new AwsFault(
      'InvalidVolume.ZoneMismatch',
      `The volume '${volume.VolumeId}' is not in the same availability zone as instance '${machine.id}'`,
    );
  }
  if (await isDeviceTaken(ctx, machine.id, device)) {
    throw new AwsFault(
      'InvalidParameterValue',
      `Invalid value '${device}' for unixDevice. Attachment point ${device} is already in use`,
    );
  }
  const response = await callMotoEc2(ctx.moto, 'AttachVolume', params);
  if (response.status === 200 && device === ctx.dataDevice) {
    await mkdir(volumeData(ctx, volume.VolumeId), { recursive: true, mode: 0o755 });
    await mountData(machine.hostDir, volumeData(ctx, volume.VolumeId));
  }
  ctx.emit('instance', `${volume.VolumeId} attached to ${machine.id} as ${device}`, { volumeId: volume.VolumeId });
  return response;
}

/** The mount goes before moto's record: a volume that EC2 calls available is with nobody. */
async function unplug(ctx: HostsContext, machine: Machine, volumeId: string, device: string): Promise<AwsResponse> {
  if (device === ctx.dataDevice) await mountData(machine.hostDir, null);
  const response = await callMotoEc2(ctx.moto, 'DetachVolume', {
    VolumeId: volumeId,
    InstanceId: machine.id,
    Device: device,
  });
  if (response.status !== 200) {
    if (device === ctx.dataDevice) await mountData(machine.hostDir, volumeData(ctx, volumeId));
    return response;
  }
  ctx.emit('instance', `${volumeId} detached from ${machine.id}`, { volumeId });
  return response;
}

const isBusy = async (ctx: HostsContext, machine: Machine, volumeId: string): Promise<boolean> =>
  holdsOpen(await processesOf([machine.hostDir]), volumeDir(ctx, volumeId));

/** The detachment that EC2 calls busy: it comes about when the host has let go of the volume. */
async function unplugWhenFree(ctx: HostsContext, machine: Machine, volumeId: string, device: string): Promise<void> {
  while (await isBusy(ctx, machine, volumeId)) if (!(await ctx.wait(100))) return;
  await unplug(ctx, machine, volumeId, device);
}

async function detach(ctx: HostsContext, params: QueryParams, pending: Set<string>): Promise<AwsResponse> {
  const volume = await volumeOf(ctx, params);
  const attachment = volume.Attachments?.[0];
  if (attachment?.InstanceId === undefined) {
    throw new AwsFault('IncorrectState', `Volume '${volume.VolumeId}' is in the 'available' state.`);
  }
  const asked = asText(params['InstanceId']);
  if (asked !== undefined && asked !== attachment.InstanceId) {
    throw new AwsFault('InvalidAttachment.NotFound', `The volume '${volume.VolumeId}' is not attached to '${asked}'.`);
  }
  const machine = machineOf(ctx, attachment.InstanceId);
  const device = attachment.Device ?? '';
  if (machine.state === 'shutting-down' || machine.state === 'terminated') {
    throw new AwsFault('IncorrectState', `Instance '${machine.id}' is '${machine.state}'; its volumes follow it.`);
  }
  const id = volume.VolumeId;
  if (await isBusy(ctx, machine, id)) {
    if (asText(params['Force']) !== 'true') {
      if (!pending.has(id)) {
        pending.add(id);
        ctx.inBackground(`detachment of ${id}`, () =>
          unplugWhenFree(ctx, machine, id, device).finally(() => pending.delete(id)),
        );
      }
      return ec2Answer('DetachVolume', { volumeId: id, instanceId: machine.id, device, status: 'busy' });
    }
    // The device vanishes under the file system: whoever wrote to it is done for.
    for (const p of await processesOf([machine.hostDir])) {
      if (await holdsOpen([p], volumeDir(ctx, id))) signal(p.pid, 'SIGKILL');
    }
  }
  return unplug(ctx, machine, id, device);
}

async function remove(ctx: HostsContext, params: QueryParams): Promise<AwsResponse> {
  const volume = await volumeOf(ctx, params);
  const holder = volume.Attachments?.[0]?.InstanceId;
  if (holder !== undefined) {
    throw new AwsFault('VolumeInUse', `Volume ${volume.VolumeId} is currently attached to ${holder}`);
  }
  const response = await callMotoEc2(ctx.moto, 'DeleteVolume', params);
  if (response.status === 200) await rm(volumeDir(ctx, volume.VolumeId), { recursive: true, force: true });
  return response;
}

export function volumeInterceptors(ctx: HostsContext): Interceptor[] {
  const pending = new Set<string>();
  return [
    {
      service: 'ec2',
      operation: 'CreateVolume',
      async after(_request, response) {
        if (response.status !== 200) return undefined;
        const id = textOf(childrenOf(rootOf(parseXml(response.body))), 'volumeId');
        await mkdir(volumeData(ctx, id), { recursive: true, mode: 0o755 });
        return undefined;
      },
    },
    { service: 'ec2', operation: 'AttachVolume', before: answeringEc2((params) => attach(ctx, params)) },
    { service: 'ec2', operation: 'DetachVolume', before: answeringEc2((params) => detach(ctx, params, pending)) },
    { service: 'ec2', operation: 'DeleteVolume', before: answeringEc2((params) => remove(ctx, params)) },
  ];
}
