/** Volumes outlive their instance and keep their files; the agent registers with the host's own role. */
import { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import {
  AttachVolumeCommand,
  CreateVolumeCommand,
  DeleteVolumeCommand,
  DescribeVolumesCommand,
  DetachVolumeCommand,
  RunInstancesCommand,
  StopInstancesCommand,
  TerminateInstancesCommand,
} from '@aws-sdk/client-ec2';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startFleet, startMiniCloud, until, type Fleet, type MiniCloud } from './hosts-harness.ts';

let cloud: MiniCloud;
let fleet: Fleet;
const asked: string[] = [];
let refuseAgents = false;

beforeAll(async () => {
  cloud = await startMiniCloud();
  cloud.use({
    service: 'ssm',
    operation: 'UpdateInstanceInformation',
    before: () =>
      refuseAgents
        ? {
            status: 400,
            headers: { 'content-type': 'application/x-amz-json-1.1' },
            body: Buffer.from('{"__type":"AccessDeniedException","message":"not authorized"}'),
          }
        : undefined,
  });
  fleet = await startFleet(
    cloud,
    { octet: 209, third: 16 },
    {
      agent: {
        endpoint: cloud.config.endpoint,
        region: cloud.config.region,
        credentialsFor: (roleArn, session) => {
          asked.push(`${roleArn} ${session}`);
          return { accessKeyId: 'ASIAHOSTROLE00000000', secretAccessKey: 's', sessionToken: 't' };
        },
      },
    },
  );
});

afterAll(async () => {
  await fleet.hosts.stop();
  expect(fleet.hosts.failures()).toEqual([]);
  await cloud.stop();
});

const volumeOf = async (id: string): Promise<string> => {
  const instance = await fleet.describe(id);
  return instance.BlockDeviceMappings!.find((m) => m.DeviceName === '/dev/sdf')!.Ebs!.VolumeId!;
};
const describeVolume = async (id: string) =>
  (await fleet.ec2.send(new DescribeVolumesCommand({ VolumeIds: [id] }))).Volumes![0]!;
const terminated = (id: string) => until('terminated', () => fleet.hosts.get(id)?.state === 'terminated');
const launchWithoutData = async (subnet: number): Promise<string> => {
  const launched = await fleet.ec2.send(
    new RunInstancesCommand({
      MinCount: 1,
      MaxCount: 1,
      LaunchTemplate: { LaunchTemplateId: fleet.launchTemplateId },
      SubnetId: fleet.subnets[subnet]!,
      BlockDeviceMappings: [{ DeviceName: '/dev/sdf', NoDevice: '' }],
    }),
  );
  const id = launched.Instances![0]!.InstanceId!;
  await until('online', () => fleet.hosts.get(id)?.online);
  return id;
};

describe('a data volume', () => {
  it('is empty when fresh, and presented as the host data directory', async () => {
    const id = await fleet.launch();
    const { hostDir } = fleet.hosts.get(id)!;
    expect(readdirSync(join(hostDir, 'data'))).toEqual([]);
    expect(readlinkSync(join(hostDir, 'data'))).toBe(fleet.hosts.volumePath(await volumeOf(id)));
  });

  it('survives its instance and carries its files to another one', async () => {
    const lost = await fleet.launch();
    const joiner = await launchWithoutData(0);
    await fleet.startDatabase(lost);
    const volume = await volumeOf(lost);
    const attach = { VolumeId: volume, InstanceId: joiner, Device: '/dev/sdf' };
    expect(readdirSync(join(fleet.hosts.get(joiner)!.hostDir, 'data'))).toEqual([]);
    await expect(fleet.ec2.send(new AttachVolumeCommand(attach))).rejects.toMatchObject({ name: 'VolumeInUse' });
    await fleet.ec2.send(new TerminateInstancesCommand({ InstanceIds: [lost] }));
    await terminated(lost);
    await fleet.ec2.send(new AttachVolumeCommand(attach));
    expect(await describeVolume(volume)).toMatchObject({ State: 'in-use', Attachments: [{ InstanceId: joiner }] });
    const mapping = (await fleet.describe(joiner)).BlockDeviceMappings!.find((m) => m.DeviceName === '/dev/sdf');
    expect(mapping!.Ebs).toMatchObject({ VolumeId: volume, DeleteOnTermination: false });
    await fleet.startDatabase(joiner);
    const table = readFileSync(join(fleet.hosts.get(joiner)!.hostDir, 'data', 'table'), 'utf8');
    expect(table).toBe(`started on ${fleet.hosts.ip(lost)}\nstarted on ${fleet.hosts.ip(joiner)}\n`);
  });

  it('is refused across zones, on a taken device, and on an instance that is going', async () => {
    const [here, there] = [await fleet.launch(0), await fleet.launch(1)];
    const { VolumeId } = await fleet.ec2.send(new CreateVolumeCommand({ AvailabilityZone: 'eu-west-1a', Size: 1 }));
    const attach = (InstanceId: string, Device: string) =>
      fleet.ec2.send(new AttachVolumeCommand({ VolumeId, InstanceId, Device }));
    await expect(attach(there, '/dev/sdh')).rejects.toMatchObject({ name: 'InvalidVolume.ZoneMismatch' });
    await expect(attach(here, '/dev/sdf')).rejects.toMatchObject({ name: 'InvalidParameterValue' });
    await fleet.ec2.send(new TerminateInstancesCommand({ InstanceIds: [here] }));
    await expect(attach(here, '/dev/sdh')).rejects.toMatchObject({ name: 'IncorrectState' });
  });

  it('cannot be detached while the database has it open, is when the host lets go, and at once by force', async () => {
    const id = await fleet.launch();
    await fleet.startDatabase(id);
    const volume = await volumeOf(id);
    const answer = await fleet.ec2.send(new DetachVolumeCommand({ VolumeId: volume }));
    expect(answer.State).toBe('busy');
    expect((await describeVolume(volume)).State).toBe('in-use');
    await fleet.hosts.crash(id);
    await until('detached', async () => (await describeVolume(volume)).State === 'available');
    expect(readdirSync(join(fleet.hosts.get(id)!.hostDir, 'data'))).toEqual([]);
    await expect(fleet.ec2.send(new DetachVolumeCommand({ VolumeId: volume }))).rejects.toMatchObject({
      name: 'IncorrectState',
    });

    await fleet.ec2.send(new AttachVolumeCommand({ VolumeId: volume, InstanceId: id, Device: '/dev/sdf' }));
    await fleet.startDatabase(id);
    await fleet.ec2.send(new DetachVolumeCommand({ VolumeId: volume, Force: true }));
    expect((await describeVolume(volume)).State).toBe('available');
    await until('the writer is gone', async () => (await fleet.hosts.processes(id)).length === 0);
  });

  it('is detached from a stopped instance, and deleted with its files when nobody has it', async () => {
    const id = await fleet.launch();
    const volume = await volumeOf(id);
    await expect(fleet.ec2.send(new DeleteVolumeCommand({ VolumeId: volume }))).rejects.toMatchObject({
      name: 'VolumeInUse',
    });
    await fleet.ec2.send(new StopInstancesCommand({ InstanceIds: [id] }));
    await until('stopped', () => fleet.hosts.get(id)!.state === 'stopped');
    await fleet.ec2.send(new DetachVolumeCommand({ VolumeId: volume, InstanceId: id }));
    await fleet.ec2.send(new DeleteVolumeCommand({ VolumeId: volume }));
    expect(existsSync(fleet.hosts.volumePath(volume))).toBe(false);
    await expect(fleet.ec2.send(new DetachVolumeCommand({ VolumeId: volume }))).rejects.toMatchObject({
      name: 'InvalidVolume.NotFound',
    });
  });
});

describe('the SSM agent', () => {
  it('registers with the credentials of the role in the template', async () => {
    const id = await fleet.launch();
    expect(asked).toContain(`arn:aws:iam::123456789012:role/db-host ${id}`);
    const call = cloud.requests.find(
      (r) => r.operation === 'UpdateInstanceInformation' && r.params['InstanceId'] === id,
    );
    expect(call).toMatchObject({ service: 'ssm', accessKeyId: 'ASIAHOSTROLE00000000' });
  });

  it('stays offline while its role is refused, says so once, and comes online when it is allowed', async () => {
    refuseAgents = true;
    const launched = await fleet.ec2.send(
      new RunInstancesCommand({
        MinCount: 1,
        MaxCount: 1,
        LaunchTemplate: { LaunchTemplateId: fleet.launchTemplateId },
        SubnetId: fleet.subnets[0]!,
      }),
    );
    const id = launched.Instances![0]!.InstanceId!;
    const refusals = () => cloud.events.filter((e) => e.what.includes(`${id} was refused: 400`));
    const calls = () =>
      cloud.requests.filter((r) => r.operation === 'UpdateInstanceInformation' && r.params['InstanceId'] === id);
    await until('asked twice', () => calls().length >= 2);
    expect(refusals()).toHaveLength(1);
    expect(refusals()[0]!.what).toContain('AccessDeniedException');
    expect(fleet.hosts.get(id)).toMatchObject({ state: 'running', online: false });
    refuseAgents = false;
    await until('online', () => fleet.hosts.get(id)!.online);
  });
});
