/**
 * The emulated EC2: every instance that is launched is a host, a folder with real processes on its own loopback address.
 *
 *   <root>/instances/<id>/   node.env, configuration, logs, bin/, data -> the mounted volume
 *   <root>/volumes/<id>/data what is on the volume; it outlives its instance
 */
import { chmod, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { EC2Client } from '@aws-sdk/client-ec2';
import { GetInstanceProfileCommand, IAMClient } from '@aws-sdk/client-iam';
import { CLUSTER_TAG } from '../../lambdas/model/spec.ts';
import type { InstanceState } from '../../lambdas/model/view.ts';
import type { CloudEvent, Delays, Interceptor } from './contract.ts';
import { describeInterceptors } from './ec2-describe.ts';
import { launchInterceptor } from './ec2-launch.ts';
import { lifecycleInterceptors, losePower } from './ec2-lifecycle.ts';
import type { MotoEndpoint } from './ec2-query.ts';
import { agentInterceptors, runAgent, type AgentOptions } from './hosts-agent.ts';
import { backgroundWork, machineOf, volumeData, type HostsContext, type HostsListener } from './hosts-context.ts';
import { environmentOf, signalDatabase, type HostFacts, type Machine, type PreparedHost } from './hosts-machine.ts';
import { killAll, processesOf, type HostProcess } from './hosts-processes.ts';
import { volumeInterceptors } from './volumes.ts';

export interface HostsOptions {
  readonly moto: MotoEndpoint;
  use(interceptor: Interceptor): void;
  onEvent(event: CloudEvent): void;
  /** To EventBridge; the caller adds the delay. */
  readonly events: { emitStateChange(instanceId: string, state: InstanceState): void | Promise<void> };
  readonly delays: Delays;
  /** Becomes readable by everybody (the database runs as its own user); nothing outside it is written. */
  readonly rootDir: string;
  /** `prepareHostDir` of `rehearsal/host/galera-host.ts`, or another database's. */
  prepareHost(facts: HostFacts): Promise<PreparedHost>;
  /** Null: hosts are online without asking (no gateway). */
  readonly agent: AgentOptions | null;
  readonly dataDevice?: string;
  readonly databasePort?: number;
  /** Which process of a host is the database; `mariadbd` or `mysqld` by default. */
  isDatabase?(process: HostProcess): boolean;
}

export interface HostView {
  readonly id: string;
  readonly state: InstanceState;
  readonly up: boolean;
  readonly online: boolean;
  readonly address: string;
  readonly zone: string;
  readonly cluster: string;
  readonly hostDir: string;
}

export interface Hosts {
  list(): readonly HostView[];
  /** Undefined for an instance that was never launched here. */
  get(id: string): HostView | undefined;
  /** Address on loopback. Throws for an unknown instance, as all that follow. */
  ip(id: string): string;
  /** What scripts on the host run with: REJOIN_NODE_ENV, REJOIN_HOST_DIR, PATH with the systemctl stand-in, … */
  environment(id: string): Readonly<Record<string, string>>;
  processes(id: string): Promise<readonly HostProcess[]>;
  /** Where the files of a volume are. */
  volumePath(volumeId: string): string;
  /** SIGSTOP to the database and its children: EC2 and TCP still say that all is well. Answers the pids. */
  freeze(id: string): Promise<readonly number[]>;
  thaw(id: string): Promise<readonly number[]>;
  /** kill -9 of the database process alone. */
  crash(id: string): Promise<readonly number[]>;
  /** All processes of these hosts are gone at once; they boot again by themselves, without starting the database. */
  powerLoss(ids: readonly string[]): Promise<void>;
  listen(listener: HostsListener): void;
  /** What went wrong after a call was answered. Empty unless the rehearsal itself is at fault. */
  failures(): readonly Error[];
  /** Ends every process of every host. Can be called twice. Files stay. */
  stop(): Promise<void>;
}

const view = (m: Machine): HostView => ({
  id: m.id,
  state: m.state,
  up: m.up,
  online: m.online,
  address: m.address,
  zone: m.zone,
  cluster: m.cluster,
  hostDir: m.hostDir,
});

/** The role inside an instance profile, from moto's IAM; the answer is kept, profiles do not change in a rehearsal. */
function roleLookup(moto: MotoEndpoint): HostsContext['roleOf'] & { close(): void } {
  const iam = new IAMClient(clientConfig(moto));
  const known = new Map<string, string | null>();
  const lookup = async (profile: Parameters<HostsContext['roleOf']>[0]): Promise<string | null> => {
    const name = 'name' in profile ? profile.name : (profile.arn.split('/').pop() ?? '');
    const before = known.get(name);
    if (before !== undefined) return before;
    const { InstanceProfile } = await iam.send(new GetInstanceProfileCommand({ InstanceProfileName: name }));
    const arn = InstanceProfile?.Roles?.[0]?.Arn ?? null;
    known.set(name, arn);
    return arn;
  };
  return Object.assign(lookup, { close: () => iam.destroy() });
}

/** For SDK clients that talk to moto itself. */
export const clientConfig = (moto: MotoEndpoint) => ({
  endpoint: moto.endpoint,
  region: moto.region,
  credentials: { accessKeyId: 'REJOINADMIN', secretAccessKey: 'unchecked' },
});

/** Plugs the emulated EC2 and the SSM agents into the gateway. */
export async function createHosts(options: HostsOptions): Promise<Hosts> {
  await mkdir(join(options.rootDir, 'instances'), { recursive: true });
  await mkdir(join(options.rootDir, 'volumes'), { recursive: true });
  await chmod(options.rootDir, 0o755);
  const emit: HostsContext['emit'] = (kind, what, detail) =>
    options.onEvent({ atMs: Date.now(), kind, what, ...(detail === undefined ? {} : { detail }) });
  const work = backgroundWork((what, error) => emit('fault', `${what} failed: ${error.message}`));
  const ec2 = new EC2Client(clientConfig(options.moto));
  const roleOf = roleLookup(options.moto);
  const ctx: HostsContext = {
    moto: options.moto,
    ec2,
    machines: new Map(),
    delays: options.delays,
    rootDir: options.rootDir,
    dataDevice: options.dataDevice ?? '/dev/sdf',
    databasePort: options.databasePort ?? 3306,
    clusterTag: CLUSTER_TAG,
    prepareHost: (facts) => options.prepareHost(facts),
    startAgent: (machine, generation) => runAgent(ctx, options.agent, machine, generation),
    roleOf,
    listeners: [],
    emit,
    emitStateChange: (id, state) => options.events.emitStateChange(id, state),
    inBackground: (what, task) => work.inBackground(what, task),
    wait: (ms) => work.wait(ms),
  };
  for (const interceptor of [
    launchInterceptor(ctx),
    ...lifecycleInterceptors(ctx),
    ...describeInterceptors(ctx),
    ...volumeInterceptors(ctx),
    ...agentInterceptors(ctx),
  ]) {
    options.use(interceptor);
  }
  let stopping: Promise<void> | undefined;
  const stop = async (): Promise<void> => {
    // First the waiting ends (nothing boots any more), then the processes.
    await Promise.all([work.stop(), killAll([...ctx.machines.values()].map((m) => m.hostDir))]);
    await killAll([...ctx.machines.values()].map((m) => m.hostDir));
    ec2.destroy();
    roleOf.close();
  };
  return { ...verbs(ctx, options), failures: () => work.failures(), stop: () => (stopping ??= stop()) };
}

function verbs(ctx: HostsContext, options: HostsOptions): Omit<Hosts, 'stop' | 'failures'> {
  const strike = async (id: string, signalName: NodeJS.Signals, children: boolean): Promise<readonly number[]> => {
    const machine = machineOf(ctx, id);
    const pids = await signalDatabase(machine, signalName, children, options.isDatabase?.bind(options));
    ctx.emit('fault', `${signalName} to the database of ${id}`, { instanceId: id, pids });
    return pids;
  };
  return {
    list: () => [...ctx.machines.values()].map(view),
    get: (id) => {
      const machine = ctx.machines.get(id);
      return machine === undefined ? undefined : view(machine);
    },
    ip: (id) => machineOf(ctx, id).address,
    environment: (id) => environmentOf(machineOf(ctx, id)),
    processes: (id) => processesOf([machineOf(ctx, id).hostDir]),
    volumePath: (volumeId) => volumeData(ctx, volumeId),
    freeze: (id) => strike(id, 'SIGSTOP', true),
    thaw: (id) => strike(id, 'SIGCONT', true),
    crash: (id) => strike(id, 'SIGKILL', false),
    powerLoss: async (ids) => {
      ctx.emit('fault', `power loss: ${ids.join(', ')}`, { instanceIds: ids });
      await losePower(
        ctx,
        ids.map((id) => machineOf(ctx, id)),
      );
    },
    listen: (listener) => void ctx.listeners.push(listener),
  };
}
