/** The emulated NLB: real connections through HAProxy, steered by registrations, health and drains. */
import { connect, type Socket } from 'node:net';
import { StopInstancesCommand, TerminateInstancesCommand } from '@aws-sdk/client-ec2';
import {
  CreateTargetGroupCommand,
  DeregisterTargetsCommand,
  DescribeTargetGroupAttributesCommand,
  DescribeTargetHealthCommand,
  ElasticLoadBalancingV2Client,
  ModifyTargetGroupAttributesCommand,
  RegisterTargetsCommand,
} from '@aws-sdk/client-elastic-load-balancing-v2';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createBalancers, type Balancer, type Balancers } from '../../rehearsal/cloud/balancers.ts';
import { PORT, startFleet, startMiniCloud, until, type Fleet, type MiniCloud } from './hosts-harness.ts';

let cloud: MiniCloud;
let fleet: Fleet;
let balancers: Balancers;
let elb: ElasticLoadBalancingV2Client;
const BALANCER_ADDRESS = '127.209.200.1';
let ports = 4000;

beforeAll(async () => {
  cloud = await startMiniCloud();
  fleet = await startFleet(cloud, { octet: 209, third: 64 });
  balancers = createBalancers({
    moto: cloud.moto,
    use: (i) => cloud.use(i),
    onEvent: (e) => cloud.onEvent(e),
    hosts: fleet.hosts,
    rootDir: cloud.rootDir,
  });
  elb = new ElasticLoadBalancingV2Client(cloud.config);
});

afterAll(async () => {
  await balancers.stop();
  await balancers.stop();
  await fleet.hosts.stop();
  expect(balancers.failures()).toEqual([]);
  expect(fleet.hosts.failures()).toEqual([]);
  await cloud.stop();
});

interface Group {
  readonly arn: string;
  readonly balancer: Balancer;
}

async function makeGroup(attributes: Record<string, string> = {}, withBalancer = true): Promise<Group> {
  const port = ++ports;
  const name = `tg-${port}`;
  const made = await elb.send(
    new CreateTargetGroupCommand({
      Name: name,
      Protocol: 'TCP',
      Port: PORT,
      VpcId: fleet.vpcId,
      TargetType: 'instance',
      HealthCheckProtocol: 'TCP',
      HealthCheckIntervalSeconds: 5,
      HealthCheckTimeoutSeconds: 2,
      HealthyThresholdCount: 2,
      UnhealthyThresholdCount: 2,
    }),
  );
  const arn = made.TargetGroups![0]!.TargetGroupArn!;
  if (Object.keys(attributes).length > 0) {
    await elb.send(
      new ModifyTargetGroupAttributesCommand({
        TargetGroupArn: arn,
        Attributes: Object.entries(attributes).map(([Key, Value]) => ({ Key, Value })),
      }),
    );
  }
  if (!withBalancer) return { arn, balancer: undefined as unknown as Balancer };
  const balancer = await balancers.createBalancer({
    name,
    address: BALANCER_ADDRESS,
    port,
    targetGroupArn: arn,
  });
  return { arn, balancer };
}

async function databases(count: number): Promise<string[]> {
  const ids = await Promise.all(Array.from({ length: count }, (_, i) => fleet.launch(i % 2)));
  for (const id of ids) await fleet.startDatabase(id);
  return ids;
}

const targets = (ids: readonly string[]) => ids.map((Id) => ({ Id, Port: PORT }));
const register = (group: Group, ...ids: string[]) =>
  elb.send(new RegisterTargetsCommand({ TargetGroupArn: group.arn, Targets: targets(ids) }));
const deregister = (group: Group, ...ids: string[]) =>
  elb.send(new DeregisterTargetsCommand({ TargetGroupArn: group.arn, Targets: targets(ids) }));

async function health(group: Group): Promise<Record<string, string>> {
  const { TargetHealthDescriptions } = await elb.send(new DescribeTargetHealthCommand({ TargetGroupArn: group.arn }));
  return Object.fromEntries(
    TargetHealthDescriptions!.map(({ Target, TargetHealth }) => [
      Target!.Id!,
      `${TargetHealth!.State}${TargetHealth!.Reason === undefined ? '' : ` ${TargetHealth!.Reason}`}`,
    ]),
  );
}

async function allHealthy(group: Group, ...ids: string[]): Promise<void> {
  await register(group, ...ids);
  await until('healthy', async () => {
    const now = await health(group);
    return ids.every((id) => now[id] === 'healthy');
  });
}

interface Client {
  readonly socket: Socket;
  /** The address that greeted, once it has. */
  greeting(): string | undefined;
  closed(): boolean;
}

function dial(group: Group): Client {
  let text = '';
  let closed = false;
  const socket = connect(group.balancer.port, group.balancer.address);
  socket.on('data', (chunk: Buffer) => (text += chunk.toString()));
  socket.on('error', () => (closed = true));
  socket.on('close', () => (closed = true));
  socket.on('end', () => (closed = true));
  return { socket, greeting: () => /hello from (\S+)\n/.exec(text)?.[1], closed: () => closed };
}

/** A connection that a database has greeted: by whom. */
async function greeted(group: Group): Promise<Client & { readonly by: string }> {
  const client = dial(group);
  const by = await until('a greeting', () => client.greeting(), 5000);
  return { ...client, by };
}

const reached = async (group: Group, times: number): Promise<Set<string>> => {
  const seen = new Set<string>();
  for (let i = 0; i < times; i++) {
    const client = await greeted(group);
    seen.add(client.by);
    client.socket.destroy();
  }
  return seen;
};

describe('a balancer', () => {
  it('does not share its address with another: the second is refused', async () => {
    const { arn, balancer } = await makeGroup();
    const second = balancers.createBalancer({ ...balancer, name: 'second', targetGroupArn: arn });
    await expect(second).rejects.toThrow(/HAProxy ended with 1.*cannot bind socket/s);
  });
});

describe('registration', () => {
  it('makes a target healthy after its first passed check, and traffic goes to every healthy one', async () => {
    const [a, b] = await databases(2);
    const group = await makeGroup();
    await allHealthy(group, a!, b!);
    expect(await reached(group, 6)).toEqual(new Set([fleet.hosts.ip(a!), fleet.hosts.ip(b!)]));
    await register(group, a!);
    expect(await health(group)).toEqual({ [a!]: 'healthy', [b!]: 'healthy' });
  });

  it('refuses an instance that does not run, and knows no group that is not there', async () => {
    const group = await makeGroup({}, false);
    await expect(register(group, 'i-0123456789abcdef0')).rejects.toMatchObject({ name: 'InvalidTargetException' });
    const nowhere = { ...group, arn: group.arn.replace(/[0-9a-f]+$/, '0000000000000000') };
    await expect(health(nowhere)).rejects.toMatchObject({ name: 'TargetGroupNotFoundException' });
  });

  it('shows targets of a group without a balancer as unused, and unknown targets as not registered', async () => {
    const [a] = await databases(1);
    const group = await makeGroup({}, false);
    await register(group, a!);
    expect(await health(group)).toEqual({ [a!]: 'unused Target.NotInUse' });
    const other = await elb.send(
      new DescribeTargetHealthCommand({ TargetGroupArn: group.arn, Targets: [{ Id: 'i-00000001', Port: PORT }] }),
    );
    expect(other.TargetHealthDescriptions![0]!.TargetHealth!.Reason).toBe('Target.NotRegistered');
  });
});

describe('attributes', () => {
  it('start as a Network Load Balancer has them, keep what is written, and refuse nonsense', async () => {
    const { arn } = await makeGroup({}, false);
    const read = async (): Promise<Record<string, string>> => {
      const { Attributes } = await elb.send(new DescribeTargetGroupAttributesCommand({ TargetGroupArn: arn }));
      return Object.fromEntries(Attributes!.map((a) => [a.Key!, a.Value!]));
    };
    expect(await read()).toMatchObject({
      'deregistration_delay.timeout_seconds': '300',
      'deregistration_delay.connection_termination.enabled': 'false',
      'target_health_state.unhealthy.connection_termination.enabled': 'true',
    });
    const write = (Key: string, Value: string) =>
      elb.send(new ModifyTargetGroupAttributesCommand({ TargetGroupArn: arn, Attributes: [{ Key, Value }] }));
    await write('deregistration_delay.timeout_seconds', '0');
    expect((await read())['deregistration_delay.timeout_seconds']).toBe('0');
    const wrong = { name: 'InvalidConfigurationRequestException' };
    await expect(write('deregistration_delay.timeout_seconds', '4000')).rejects.toMatchObject(wrong);
    await expect(write('deregistration.delay', '1')).rejects.toMatchObject(wrong);
  });
});

describe('deregistration', () => {
  it('ends a connection that hangs on a frozen server, at once with a delay of 0', async () => {
    const [frozen, other] = await databases(2);
    const group = await makeGroup({
      'deregistration_delay.timeout_seconds': '0',
      'deregistration_delay.connection_termination.enabled': 'true',
    });
    await allHealthy(group, frozen!);
    const client = await greeted(group);
    await fleet.hosts.freeze(frozen!);
    client.socket.write('SELECT 1');
    await allHealthy(group, other!);
    expect(client.closed()).toBe(false);
    const startMs = Date.now();
    await deregister(group, frozen!);
    await until('the connection is cut', () => client.closed(), 2000);
    expect(Date.now() - startMs).toBeLessThan(1000);
    expect(await health(group)).toEqual({ [other!]: 'healthy' });
    expect(await reached(group, 3)).toEqual(new Set([fleet.hosts.ip(other!)]));
    await fleet.hosts.thaw(frozen!);
  });

  it('drains: no new connections, old ones go on until the delay is over', async () => {
    const [leaving, staying] = await databases(2);
    const group = await makeGroup({
      'deregistration_delay.timeout_seconds': '2',
      'deregistration_delay.connection_termination.enabled': 'true',
    });
    await allHealthy(group, leaving!);
    const client = await greeted(group);
    await allHealthy(group, staying!);
    const startMs = Date.now();
    await deregister(group, leaving!);
    expect((await health(group))[leaving!]).toBe('draining Target.DeregistrationInProgress');
    expect(await reached(group, 4)).toEqual(new Set([fleet.hosts.ip(staying!)]));
    client.socket.write('still here\n');
    await new Promise<void>((resolve) => client.socket.once('data', () => resolve()));
    expect(client.closed()).toBe(false);
    await until('the connection is cut', () => client.closed(), 5000);
    expect(Date.now() - startMs).toBeGreaterThanOrEqual(1900);
    expect(await health(group)).toEqual({ [staying!]: 'healthy' });
  });

  it('without connection termination lets connections live past the delay', async () => {
    const [leaving, staying] = await databases(2);
    const group = await makeGroup({ 'deregistration_delay.timeout_seconds': '0' });
    await allHealthy(group, leaving!);
    const client = await greeted(group);
    await allHealthy(group, staying!);
    await deregister(group, leaving!);
    await until('left', async () => (await health(group))[leaving!] === undefined);
    client.socket.write('ping\n');
    await new Promise<void>((resolve) => client.socket.once('data', () => resolve()));
    expect(client.closed()).toBe(false);
    client.socket.destroy();
    const key = `${leaving}_${PORT}`;
    await until('the server is gone', async () => !(await group.balancer.connections()).has(key));
  });

  it('is undone by registering again while it drains', async () => {
    const [a] = await databases(1);
    const group = await makeGroup({
      'deregistration_delay.timeout_seconds': '1',
      'deregistration_delay.connection_termination.enabled': 'true',
    });
    await allHealthy(group, a!);
    const client = await greeted(group);
    await deregister(group, a!);
    await allHealthy(group, a!);
    // A second group with the same delay shows that the first one's delay is over.
    const witness = await makeGroup({ 'deregistration_delay.timeout_seconds': '1' });
    await allHealthy(witness, a!);
    await deregister(witness, a!);
    await until('the delay is over', async () => Object.keys(await health(witness)).length === 0);
    expect(await health(group)).toEqual({ [a!]: 'healthy' });
    expect(client.closed()).toBe(false);
    client.socket.destroy();
  });

  it('happens by itself when the instance terminates', async () => {
    const [a] = await databases(1);
    const group = await makeGroup({ 'deregistration_delay.timeout_seconds': '0' });
    await allHealthy(group, a!);
    await fleet.ec2.send(new TerminateInstancesCommand({ InstanceIds: [a!] }));
    await until('gone', async () => Object.keys(await health(group)).length === 0);
  });
});

describe.concurrent('health', () => {
  it('is lost after two failed checks, which ends connections; then traffic goes to the healthy only', async () => {
    const [a, b] = await databases(2);
    const group = await makeGroup();
    await allHealthy(group, a!, b!);
    await fleet.hosts.crash(a!);
    await until('unhealthy', async () => (await health(group))[a!] === 'unhealthy Target.FailedHealthChecks', 15_000);
    expect(await reached(group, 4)).toEqual(new Set([fleet.hosts.ip(b!)]));
  });

  it('is kept by a frozen process, whose port still accepts connections', async () => {
    const [a] = await databases(1);
    const group = await makeGroup();
    await allHealthy(group, a!);
    await fleet.hosts.freeze(a!);
    const checks = cloud.events.length;
    // Two intervals of 5 s pass while a second group's target, which refuses, turns unhealthy.
    const [witness] = await databases(1);
    const other = await makeGroup();
    await allHealthy(other, witness!);
    await fleet.hosts.crash(witness!);
    await until(
      'the witness is unhealthy',
      async () => (await health(other))[witness!]?.startsWith('unhealthy'),
      15_000,
    );
    expect(await health(group)).toEqual({ [a!]: 'healthy' });
    expect(cloud.events.length).toBeGreaterThan(checks);
    await fleet.hosts.thaw(a!);
  });

  it('of nobody makes the balancer fail open: it sends to all', async () => {
    const [a] = await databases(1);
    const group = await makeGroup();
    await allHealthy(group, a!);
    await fleet.hosts.crash(a!);
    await until('unhealthy', async () => (await health(group))[a!]?.startsWith('unhealthy'), 15_000);
    await fleet.startDatabase(a!);
    expect((await health(group))[a!]).toBe('unhealthy Target.FailedHealthChecks');
    expect(await reached(group, 1)).toEqual(new Set([fleet.hosts.ip(a!)]));
  });

  it('of a stopped instance is unused', async () => {
    const [a, b] = await databases(2);
    const group = await makeGroup();
    await allHealthy(group, a!, b!);
    await fleet.ec2.send(new StopInstancesCommand({ InstanceIds: [a!] }));
    await until('unused', async () => (await health(group))[a!] === 'unused Target.InvalidState');
    expect(await reached(group, 3)).toEqual(new Set([fleet.hosts.ip(b!)]));
  });
});
