/** The emulated EC2: hosts with real processes behind DescribeInstances, RunInstances and the like. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  DescribeInstancesCommand,
  DescribeInstanceStatusCommand,
  DescribeVolumesCommand,
  RebootInstancesCommand,
  RunInstancesCommand,
  StartInstancesCommand,
  StopInstancesCommand,
  TerminateInstancesCommand,
  type RunInstancesCommandInput,
} from '@aws-sdk/client-ec2';
import { DescribeInstanceInformationCommand, SSMClient } from '@aws-sdk/client-ssm';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  listens,
  PORT,
  startFleet,
  startMiniCloud,
  toyHost,
  until,
  type Fleet,
  type MiniCloud,
} from './hosts-harness.ts';

let cloud: MiniCloud;
let fleet: Fleet;
const stopDelays = new Map<string, string>();

beforeAll(async () => {
  cloud = await startMiniCloud();
  fleet = await startFleet(
    cloud,
    { octet: 208, third: 16 },
    {
      prepareHost: (facts) => toyHost(facts, { TOY_STOP_MS: stopDelays.get('next') ?? '0' }),
    },
  );
});

afterAll(async () => {
  await fleet.hosts.stop();
  await fleet.hosts.stop();
  expect(fleet.hosts.failures()).toEqual([]);
  await cloud.stop();
});

const request = (changes: Partial<RunInstancesCommandInput> = {}): RunInstancesCommandInput => ({
  MinCount: 1,
  MaxCount: 1,
  LaunchTemplate: { LaunchTemplateId: fleet.launchTemplateId },
  SubnetId: fleet.subnets[0]!,
  ...changes,
});

const dataVolume = async (id: string): Promise<string> => {
  const instance = await fleet.describe(id);
  return instance.BlockDeviceMappings!.find((m) => m.DeviceName === '/dev/sdf')!.Ebs!.VolumeId!;
};

const stateOf = async (id: string): Promise<string> => (await fleet.describe(id)).State!.Name!;

describe('a launch', () => {
  it('is pending first, then running, and every state is told', async () => {
    const launched = await fleet.ec2.send(new RunInstancesCommand(request()));
    const instance = launched.Instances![0]!;
    expect(instance.State).toEqual({ Code: 0, Name: 'pending' });
    const id = instance.InstanceId!;
    expect(await stateOf(id)).toBe('pending');
    await until('running', async () => (await stateOf(id)) === 'running');
    expect(fleet.stateChanges.filter((c) => c.id === id).map((c) => c.state)).toEqual(['pending', 'running']);
  });

  it('merges template and request: subnet, tags by key, devices by name, profile', async () => {
    const launched = await fleet.ec2.send(
      new RunInstancesCommand(
        request({
          SubnetId: fleet.subnets[1]!,
          BlockDeviceMappings: [{ DeviceName: '/dev/sdf', Ebs: { VolumeSize: 50 } }],
          TagSpecifications: [
            { ResourceType: 'instance', Tags: [{ Key: 'rejoin:cluster', Value: 'orders' }] },
            { ResourceType: 'volume', Tags: [{ Key: 'rejoin:cluster', Value: 'orders' }] },
          ],
        }),
      ),
    );
    const id = launched.Instances![0]!.InstanceId!;
    const instance = await fleet.describe(id);
    const tags = Object.fromEntries(instance.Tags!.map((t): [string, string] => [t.Key!, t.Value!]));
    expect(tags).toMatchObject({
      team: 'db',
      'rejoin:cluster': 'orders',
      'aws:ec2launchtemplate:id': fleet.launchTemplateId,
    });
    expect(instance.Placement!.AvailabilityZone).toBe('eu-west-1b');
    expect(instance.PrivateIpAddress).toMatch(/^127\.208\.32\.\d+$/);
    expect(Number(instance.PrivateIpAddress!.split('.')[3])).toBeGreaterThan(3);
    expect(instance.IamInstanceProfile?.Arn).toContain('instance-profile/db-host');
    const devices = instance.BlockDeviceMappings!.map((m) => [m.DeviceName, m.Ebs!.DeleteOnTermination]);
    expect(Object.fromEntries(devices)).toEqual({ '/dev/sda1': true, '/dev/sdf': false, '/dev/sdg': true });
    const { Volumes } = await fleet.ec2.send(new DescribeVolumesCommand({ VolumeIds: [await dataVolume(id)] }));
    expect(Volumes![0]).toMatchObject({ Size: 50, State: 'in-use', AvailabilityZone: 'eu-west-1b' });
    expect(Volumes![0]!.Attachments![0]).toMatchObject({ InstanceId: id, Device: '/dev/sdf', State: 'attached' });
    expect(Object.fromEntries(Volumes![0]!.Tags!.map((t) => [t.Key, t.Value]))).toEqual({
      team: 'db',
      'rejoin:cluster': 'orders',
    });
    expect(readFileSync(join(fleet.hosts.get(id)!.hostDir, 'node.env'), 'utf8')).toContain("REJOIN_CLUSTER='orders'");
  });

  it('leaves a device out that the request gives up with NoDevice', async () => {
    const launched = await fleet.ec2.send(
      new RunInstancesCommand(request({ BlockDeviceMappings: [{ DeviceName: '/dev/sdf', NoDevice: '' }] })),
    );
    const instance = await fleet.describe(launched.Instances![0]!.InstanceId!);
    expect(instance.BlockDeviceMappings!.map((m) => m.DeviceName)).toEqual(['/dev/sda1', '/dev/sdg']);
  });

  it('answers the same instance for the same client token, at once or later, and refuses other parameters', async () => {
    const once = request({ ClientToken: 'orders-1' });
    const answers = await Promise.all([1, 2, 3].map(() => fleet.ec2.send(new RunInstancesCommand(once))));
    const ids = new Set(answers.map((a) => a.Instances![0]!.InstanceId!));
    expect(ids.size).toBe(1);
    const [id] = ids;
    await until('running', async () => (await stateOf(id!)) === 'running');
    const later = await fleet.ec2.send(new RunInstancesCommand(once));
    expect(later.Instances![0]).toMatchObject({ InstanceId: id, State: { Name: 'running' } });
    const other = fleet.ec2.send(new RunInstancesCommand({ ...once, SubnetId: fleet.subnets[1]! }));
    await expect(other).rejects.toMatchObject({ name: 'IdempotentParameterMismatch' });
  });

  it('forgets a client token whose launch failed', async () => {
    const bad = request({ ClientToken: 'orders-2', LaunchTemplate: { LaunchTemplateId: 'lt-00000000' } });
    await expect(fleet.ec2.send(new RunInstancesCommand(bad))).rejects.toMatchObject({
      name: expect.stringContaining('LaunchTemplate') as string,
    });
    const good = await fleet.ec2.send(new RunInstancesCommand(request({ ClientToken: 'orders-2' })));
    expect(good.Instances).toHaveLength(1);
  });

  it('gives every instance an address of its own', () => {
    const addresses = fleet.hosts.list().map((h) => h.address);
    expect(new Set(addresses).size).toBe(addresses.length);
  });
});

describe('DescribeInstances', () => {
  it('filters by the state that the machine is in, together with tags', async () => {
    const stopped = await fleet.launch();
    await fleet.ec2.send(new StopInstancesCommand({ InstanceIds: [stopped] }));
    await until('stopped', async () => (await stateOf(stopped)) === 'stopped');
    const find = async (...states: string[]): Promise<string[]> => {
      const found = await fleet.ec2.send(
        new DescribeInstancesCommand({
          Filters: [
            { Name: 'tag:rejoin:cluster', Values: ['orders'] },
            { Name: 'instance-state-name', Values: states },
          ],
        }),
      );
      return found.Reservations!.flatMap((r) => r.Instances!.map((i) => i.InstanceId!));
    };
    expect(await find('stopped')).toEqual([stopped]);
    expect(await find('stop*')).toEqual([stopped]);
    expect(await find('running', 'pending')).not.toContain(stopped);
    expect((await find('stopped', 'running')).length).toBeGreaterThan(1);
  });

  it('names an unknown id as EC2 does', async () => {
    const unknown = fleet.ec2.send(new DescribeInstancesCommand({ InstanceIds: ['i-00000000'] }));
    await expect(unknown).rejects.toMatchObject({ name: 'InvalidInstanceID.NotFound' });
    const gone = fleet.ec2.send(new TerminateInstancesCommand({ InstanceIds: ['i-00000000'] }));
    await expect(gone).rejects.toMatchObject({ name: 'InvalidInstanceID.NotFound' });
  });
});

describe('the end of an instance', () => {
  it('shuts the database down cleanly, then deletes what goes with it and frees the rest', async () => {
    const id = await fleet.launch();
    await fleet.startDatabase(id);
    const before = await fleet.describe(id);
    const [keeps, goes] = ['/dev/sdf', '/dev/sdg'].map(
      (d) => before.BlockDeviceMappings!.find((m) => m.DeviceName === d)!.Ebs!.VolumeId!,
    );
    const { TerminatingInstances } = await fleet.ec2.send(new TerminateInstancesCommand({ InstanceIds: [id] }));
    expect(TerminatingInstances![0]).toMatchObject({
      CurrentState: { Code: 32, Name: 'shutting-down' },
      PreviousState: { Code: 16, Name: 'running' },
    });
    await until('terminated', async () => (await stateOf(id)) === 'terminated');
    expect(await fleet.hosts.processes(id)).toEqual([]);
    expect(existsSync(join(fleet.hosts.volumePath(keeps!), 'clean-shutdown'))).toBe(true);
    const { Volumes } = await fleet.ec2.send(new DescribeVolumesCommand({}));
    expect(Volumes!.find((v) => v.VolumeId === keeps)).toMatchObject({ State: 'available', Attachments: [] });
    expect(Volumes!.find((v) => v.VolumeId === goes)).toBeUndefined();
    expect(existsSync(fleet.hosts.volumePath(goes!))).toBe(false);
    const after = await fleet.describe(id);
    expect(after.PrivateIpAddress).toBeUndefined();
    expect(after.StateReason?.Code).toBe('Client.UserInitiatedShutdown');
    const states = fleet.stateChanges.filter((c) => c.id === id).map((c) => c.state);
    expect(states).toEqual(['pending', 'running', 'shutting-down', 'terminated']);
    const again = await fleet.ec2.send(new TerminateInstancesCommand({ InstanceIds: [id] }));
    expect(again.TerminatingInstances![0]!.CurrentState!.Name).toBe('terminated');
  });

  it('keeps the volume attached while the instance is still shutting down', async () => {
    stopDelays.set('next', '400');
    const id = await fleet.launch();
    stopDelays.delete('next');
    await fleet.startDatabase(id);
    const volume = await dataVolume(id);
    await fleet.ec2.send(new TerminateInstancesCommand({ InstanceIds: [id] }));
    const { Volumes } = await fleet.ec2.send(new DescribeVolumesCommand({ VolumeIds: [volume] }));
    expect(Volumes![0]!.State).toBe('in-use');
    expect(await stateOf(id)).toBe('shutting-down');
    expect(await listens(fleet.hosts.ip(id), PORT)).toBe(true);
    await until('terminated', async () => (await stateOf(id)) === 'terminated');
  });

  it('cuts the power under a forced stop, without a clean shutdown', async () => {
    const id = await fleet.launch();
    await fleet.startDatabase(id);
    const volume = await dataVolume(id);
    await fleet.hosts.freeze(id);
    await fleet.ec2.send(new StopInstancesCommand({ InstanceIds: [id], Force: true }));
    expect(await stateOf(id)).toBe('stopping');
    await until('stopped', async () => (await stateOf(id)) === 'stopped');
    expect(await fleet.hosts.processes(id)).toEqual([]);
    expect(existsSync(join(fleet.hosts.volumePath(volume), 'clean-shutdown'))).toBe(false);
  });

  it('cuts the power when a clean shutdown takes longer than it may', async () => {
    stopDelays.set('next', '60000');
    const id = await fleet.launch();
    stopDelays.delete('next');
    await fleet.startDatabase(id);
    const volume = await dataVolume(id);
    await fleet.ec2.send(new StopInstancesCommand({ InstanceIds: [id] }));
    await until('stopped', async () => (await stateOf(id)) === 'stopped');
    expect(await fleet.hosts.processes(id)).toEqual([]);
    expect(existsSync(join(fleet.hosts.volumePath(volume), 'clean-shutdown'))).toBe(false);
  });

  it('lets a termination overtake a boot', async () => {
    const launched = await fleet.ec2.send(new RunInstancesCommand(request()));
    const id = launched.Instances![0]!.InstanceId!;
    await fleet.ec2.send(new TerminateInstancesCommand({ InstanceIds: [id] }));
    await until('terminated', async () => (await stateOf(id)) === 'terminated');
    const states = fleet.stateChanges.filter((c) => c.id === id).map((c) => c.state);
    expect(states).toEqual(['pending', 'shutting-down', 'terminated']);
  });
});

describe('a stopped instance', () => {
  it('starts again with its address, its volume and no database', async () => {
    const id = await fleet.launch();
    const address = fleet.hosts.ip(id);
    await fleet.startDatabase(id);
    await fleet.ec2.send(new StopInstancesCommand({ InstanceIds: [id] }));
    await until('stopped', async () => (await stateOf(id)) === 'stopped');
    const { StartingInstances } = await fleet.ec2.send(new StartInstancesCommand({ InstanceIds: [id] }));
    expect(StartingInstances![0]!.CurrentState!.Name).toBe('pending');
    await until('online', () => fleet.hosts.get(id)!.online);
    expect(fleet.hosts.ip(id)).toBe(address);
    expect(await listens(address, PORT)).toBe(false);
    await fleet.startDatabase(id);
    const table = readFileSync(join(fleet.hosts.volumePath(await dataVolume(id)), 'table'), 'utf8');
    expect(table).toBe(`started on ${address}\n`.repeat(2));
  });

  it('cannot be rebooted; a terminated one cannot be stopped or started', async () => {
    const id = await fleet.launch();
    await fleet.ec2.send(new StopInstancesCommand({ InstanceIds: [id] }));
    await until('stopped', async () => (await stateOf(id)) === 'stopped');
    const wrong = { name: 'IncorrectInstanceState' };
    await expect(fleet.ec2.send(new RebootInstancesCommand({ InstanceIds: [id] }))).rejects.toMatchObject(wrong);
    await fleet.ec2.send(new TerminateInstancesCommand({ InstanceIds: [id] }));
    await until('terminated', async () => (await stateOf(id)) === 'terminated');
    await expect(fleet.ec2.send(new StopInstancesCommand({ InstanceIds: [id] }))).rejects.toMatchObject(wrong);
    await expect(fleet.ec2.send(new StartInstancesCommand({ InstanceIds: [id] }))).rejects.toMatchObject(wrong);
  });
});

describe('faults', () => {
  it('freezes a database that TCP still reaches, and thaws it', async () => {
    const id = await fleet.launch();
    await fleet.startDatabase(id);
    const pids = await fleet.hosts.freeze(id);
    expect(pids).toHaveLength(1);
    expect(readFileSync(`/proc/${pids[0]}/stat`, 'latin1')).toMatch(/\) T /);
    expect(await listens(fleet.hosts.ip(id), PORT)).toBe(true);
    expect(await stateOf(id)).toBe('running');
    await fleet.hosts.thaw(id);
    expect(readFileSync(`/proc/${pids[0]}/stat`, 'latin1')).not.toMatch(/\) T /);
  });

  it('crashes the database and leaves the host', async () => {
    const id = await fleet.launch();
    await fleet.startDatabase(id);
    await fleet.hosts.crash(id);
    await until('gone', async () => (await fleet.hosts.processes(id)).length === 0);
    expect(fleet.hosts.get(id)).toMatchObject({ state: 'running', online: true });
    await expect(fleet.hosts.crash(id)).rejects.toThrow(/start the database first/);
  });

  it('loses the power of several hosts at once; they boot by themselves, EC2 sees nothing', async () => {
    const ids = [await fleet.launch(0), await fleet.launch(1)];
    for (const id of ids) {
      await fleet.startDatabase(id);
      writeFileSync(join(fleet.hosts.get(id)!.hostDir, 'run', 'of-this-boot'), '');
    }
    await fleet.hosts.powerLoss(ids);
    expect(ids.map((id) => fleet.hosts.get(id)!.online)).toEqual([false, false]);
    const { InstanceStatuses } = await fleet.ec2.send(new DescribeInstanceStatusCommand({ InstanceIds: ids }));
    expect(InstanceStatuses!.map((s) => [s.InstanceState!.Name, s.InstanceStatus!.Status])).toEqual([
      ['running', 'impaired'],
      ['running', 'impaired'],
    ]);
    for (const id of ids) {
      expect(await fleet.hosts.processes(id)).toEqual([]);
      await until('booted', () => fleet.hosts.get(id)!.online);
      expect(existsSync(join(fleet.hosts.get(id)!.hostDir, 'run'))).toBe(false);
      expect(existsSync(join(fleet.hosts.volumePath(await dataVolume(id)), 'table'))).toBe(true);
      expect(fleet.stateChanges.filter((c) => c.id === id).map((c) => c.state)).toEqual(['pending', 'running']);
    }
  });

  it('shows the SSM agents of hosts that are up as online, others as lost', async () => {
    const ssm = new SSMClient(cloud.config);
    const id = await fleet.launch();
    const status = async (): Promise<string | undefined> => {
      const filter = { Filters: [{ Key: 'InstanceIds', Values: [id] }] };
      const { InstanceInformationList } = await ssm.send(new DescribeInstanceInformationCommand(filter));
      return InstanceInformationList![0]?.PingStatus;
    };
    expect(await status()).toBe('Online');
    await fleet.ec2.send(new StopInstancesCommand({ InstanceIds: [id] }));
    expect(await status()).toBe('ConnectionLost');
  });
});
