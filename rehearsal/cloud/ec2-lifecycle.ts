/**
 * An instance's life after its launch. Source of states and errors: EC2 User Guide, "Instance lifecycle", and the API
 * reference's error codes.
 *
 *   pending → running → stopping → stopped → pending → …
 *                     ↘ shutting-down → terminated        (from any state)
 */
import { rm } from 'node:fs/promises';
import { DescribeInstancesCommand } from '@aws-sdk/client-ec2';
import type { Interceptor } from './contract.ts';
import { AwsFault, answeringEc2, asStrings, asText, callMotoEc2, ec2Answer, type QueryParams } from './ec2-query.ts';
import { announce, machineOf, setState, volumeDir, type HostsContext } from './hosts-context.ts';
import { powerOff, shutDown, STATE_CODES, type Machine } from './hosts-machine.ts';

/** Boots the machine: after the boot delay it is up, and its agent registers. */
export async function boot(ctx: HostsContext, machine: Machine): Promise<void> {
  const mine = ++machine.generation;
  machine.up = false;
  if (!(await ctx.wait(ctx.delays.bootMs)) || machine.generation !== mine) return;
  machine.up = true;
  setState(ctx, machine, 'running', Date.now());
  await ctx.startAgent(machine, mine);
}

/** Nothing runs on them afterwards. Listeners hear it first, so that they can tell a cut script from one that ended. */
async function cutPower(ctx: HostsContext, machines: readonly Machine[]): Promise<void> {
  for (const machine of machines) for (const listener of ctx.listeners) listener.powerOff?.(machine.id);
  await powerOff(machines);
}

interface Transition {
  readonly id: string;
  readonly previous: Machine['state'];
  readonly current: Machine['state'];
}

const answer = (action: string, set: readonly Transition[]) =>
  ec2Answer(action, {
    instancesSet: set.map(({ id, previous, current }) => ({
      instanceId: id,
      currentState: { code: String(STATE_CODES[current]), name: current },
      previousState: { code: String(STATE_CODES[previous]), name: previous },
    })),
  });

/** All of them are known before the first is touched, as with EC2: one unknown id fails the whole call. */
const machinesOf = (ctx: HostsContext, params: QueryParams): Machine[] => {
  const ids = asStrings(params['InstanceId']);
  if (ids.length === 0) throw new AwsFault('MissingParameter', 'The request must contain the parameter InstanceId');
  return [...new Set(ids)].map((id) => machineOf(ctx, id));
};

async function finishTermination(ctx: HostsContext, machine: Machine, mine: number, wasUp: boolean): Promise<void> {
  if (wasUp) await shutDown(machine, ctx.delays.shutdownMs);
  if (!(await ctx.wait(ctx.delays.powerOffMs ?? 0))) return;
  await cutPower(ctx, [machine]);
  if (machine.generation !== mine) return;
  const described = await ctx.ec2.send(new DescribeInstancesCommand({ InstanceIds: [machine.id] }));
  const mappings = described.Reservations?.[0]?.Instances?.[0]?.BlockDeviceMappings ?? [];
  // moto deletes the volumes that go with the instance and leaves the others available, in this one call.
  const response = await callMotoEc2(ctx.moto, 'TerminateInstances', { InstanceId: [machine.id] });
  if (response.status !== 200) throw new Error(`moto refused to terminate ${machine.id}: ${response.body.toString()}`);
  for (const { Ebs } of mappings) {
    if (Ebs?.DeleteOnTermination === true && Ebs.VolumeId !== undefined) {
      await rm(volumeDir(ctx, Ebs.VolumeId), { recursive: true, force: true });
    }
  }
  setState(ctx, machine, 'terminated', Date.now());
}

function terminate(ctx: HostsContext, machine: Machine): Transition {
  const previous = machine.state;
  if (previous === 'terminated' || previous === 'shutting-down') return { id: machine.id, previous, current: previous };
  const wasUp = machine.up;
  const mine = ++machine.generation;
  setState(ctx, machine, 'shutting-down', Date.now());
  ctx.inBackground(`termination of ${machine.id}`, () => finishTermination(ctx, machine, mine, wasUp));
  return { id: machine.id, previous, current: machine.state };
}

async function finishStop(ctx: HostsContext, machine: Machine, mine: number, force: boolean): Promise<void> {
  if (force) {
    if (!(await ctx.wait(ctx.delays.forceStopMs))) return;
  } else {
    await shutDown(machine, ctx.delays.shutdownMs);
    if (!(await ctx.wait(ctx.delays.powerOffMs ?? 0))) return;
  }
  if (machine.generation !== mine) return;
  await cutPower(ctx, [machine]);
  if (machine.generation !== mine) return;
  const response = await callMotoEc2(ctx.moto, 'StopInstances', { InstanceId: [machine.id] });
  if (response.status !== 200) throw new Error(`moto refused to stop ${machine.id}: ${response.body.toString()}`);
  setState(ctx, machine, 'stopped', Date.now());
}

const wrongState = (machine: Machine, verb: string): AwsFault =>
  new AwsFault(
    'IncorrectInstanceState',
    `The instance '${machine.id}' is not in a state from which it can be ${verb}.`,
  );

function stop(ctx: HostsContext, machine: Machine, force: boolean): Transition {
  const previous = machine.state;
  if (previous === 'stopped' || (previous === 'stopping' && !force)) {
    return { id: machine.id, previous, current: previous };
  }
  const mine = ++machine.generation;
  setState(ctx, machine, 'stopping', Date.now());
  ctx.inBackground(`stop of ${machine.id}`, () => finishStop(ctx, machine, mine, force));
  return { id: machine.id, previous, current: machine.state };
}

async function start(ctx: HostsContext, machine: Machine): Promise<Transition> {
  const previous = machine.state;
  if (previous === 'running' || previous === 'pending') return { id: machine.id, previous, current: previous };
  const response = await callMotoEc2(ctx.moto, 'StartInstances', { InstanceId: [machine.id] });
  if (response.status !== 200) throw new Error(`moto refused to start ${machine.id}: ${response.body.toString()}`);
  setState(ctx, machine, 'pending', Date.now());
  ctx.inBackground(`boot of ${machine.id}`, () => boot(ctx, machine));
  return { id: machine.id, previous, current: machine.state };
}

async function reboot(ctx: HostsContext, machine: Machine): Promise<void> {
  const mine = ++machine.generation;
  await shutDown(machine, ctx.delays.shutdownMs);
  if (machine.generation !== mine) return;
  await cutPower(ctx, [machine]);
  if (machine.generation === mine) await boot(ctx, machine);
}

/**
 * The power of these instances fails at the same moment, and comes back: EC2 goes on to say `running`, every process is
 * gone, the volumes stay, and the hosts boot again without starting the database.
 */
export async function losePower(ctx: HostsContext, machines: readonly Machine[]): Promise<void> {
  for (const machine of machines) {
    if (machine.state !== 'running') {
      throw new Error(`power loss of ${machine.id}: it is ${machine.state}; choose instances that are running`);
    }
    machine.generation++;
  }
  await cutPower(ctx, machines);
  for (const machine of machines) ctx.inBackground(`boot of ${machine.id}`, () => boot(ctx, machine));
}

/** A machine that has just been launched: told as `pending`, booting. */
export function beginLife(ctx: HostsContext, machine: Machine): void {
  announce(ctx, machine, Date.now());
  ctx.inBackground(`boot of ${machine.id}`, () => boot(ctx, machine));
}

export function lifecycleInterceptors(ctx: HostsContext): Interceptor[] {
  const intercept = (operation: string, handle: Parameters<typeof answeringEc2>[0]): Interceptor => ({
    service: 'ec2',
    operation,
    before: answeringEc2(handle),
  });
  return [
    intercept('TerminateInstances', async (params) => {
      const machines = machinesOf(ctx, params);
      return answer(
        'TerminateInstances',
        machines.map((machine) => terminate(ctx, machine)),
      );
    }),
    intercept('StopInstances', async (params) => {
      const machines = machinesOf(ctx, params);
      const force = asText(params['Force']) === 'true';
      const bad = machines.find((m) => m.state !== 'running' && m.state !== 'stopping' && m.state !== 'stopped');
      if (bad !== undefined) throw wrongState(bad, 'stopped');
      return answer(
        'StopInstances',
        machines.map((machine) => stop(ctx, machine, force)),
      );
    }),
    intercept('StartInstances', async (params) => {
      const machines = machinesOf(ctx, params);
      const bad = machines.find((m) => m.state !== 'stopped' && m.state !== 'running' && m.state !== 'pending');
      if (bad !== undefined) throw wrongState(bad, 'started');
      return answer('StartInstances', await Promise.all(machines.map((machine) => start(ctx, machine))));
    }),
    intercept('RebootInstances', async (params) => {
      const machines = machinesOf(ctx, params);
      const bad = machines.find((m) => m.state !== 'running');
      if (bad !== undefined) throw wrongState(bad, 'rebooted');
      for (const machine of machines) ctx.inBackground(`reboot of ${machine.id}`, () => reboot(ctx, machine));
      return ec2Answer('RebootInstances', { return: 'true' });
    }),
  ];
}
