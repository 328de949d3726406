/** One emulated instance: its record, its folder, and what can be done to its operating system. Knows no AWS API. */
import { spawn } from 'node:child_process';
import { mkdir, rm, symlink, rename } from 'node:fs/promises';
import { join } from 'node:path';
import type { InstanceState } from '../../lambdas/model/view.ts';
import { freeze, killAll, processesOf, signal, withDescendants, type HostProcess } from './hosts-processes.ts';

/** Code of each state. Source: EC2 API reference, InstanceState. */
export const STATE_CODES: Readonly<Record<InstanceState, number>> = {
  pending: 0,
  running: 16,
  'shutting-down': 32,
  terminated: 48,
  stopping: 64,
  stopped: 80,
};

/** What the rehearsal's host set-up (`rehearsal/host/<engine>-host.ts`) is told. */
export interface HostFacts {
  readonly hostDir: string;
  /** The mount point of the data volume. */
  readonly dataDir: string;
  readonly address: string;
  readonly port: number;
  readonly instanceId: string;
  readonly cluster: string;
}

/** What it answers: the environment of everything that runs on the host. */
export interface PreparedHost {
  readonly env: Readonly<Record<string, string>>;
  /** Becomes REJOIN_NODE_ENV. */
  readonly envFile: string;
}

export interface Machine {
  readonly id: string;
  readonly hostDir: string;
  readonly address: string;
  readonly zone: string;
  readonly cluster: string;
  readonly roleArn: string | null;
  state: InstanceState;
  /** Why it is in that state, as EC2 words it; null when nobody asked for it. */
  reason: { readonly code: string; readonly message: string; readonly atMs: number } | null;
  /** The operating system is up. False while an instance that EC2 calls running boots again after a power loss. */
  up: boolean;
  /** The SSM agent has registered since the last boot. */
  online: boolean;
  lastPingMs: number | null;
  /** Goes up with each transition, so that an overtaken one sees that it no longer has a say. */
  generation: number;
  prepared: PreparedHost | null;
  /** The way to AWS with the credentials of the instance's role, which a real host asks its metadata service for. Empty without a role. */
  aws: Readonly<Record<string, string>>;
}

export const environmentOf = (machine: Machine): Record<string, string> => ({
  PATH: `${machine.hostDir}/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin`,
  HOME: '/root',
  LANG: 'C.UTF-8',
  ...machine.prepared?.env,
  ...machine.aws,
  REJOIN_HOST_DIR: machine.hostDir,
  REJOIN_NODE_ENV: machine.prepared?.envFile ?? join(machine.hostDir, 'node.env'),
});

export const dataLink = (hostDir: string): string => join(hostDir, 'data');

/** Makes `data` lead to the volume, or to the bare mount point on the root disk when there is none. Atomic. */
export async function mountData(hostDir: string, volumeDir: string | null): Promise<void> {
  const bare = join(hostDir, 'unmounted');
  await mkdir(bare, { recursive: true });
  const next = `${dataLink(hostDir)}.next`;
  await rm(next, { force: true });
  await symlink(volumeDir ?? bare, next);
  await rename(next, dataLink(hostDir));
}

/** The folder of a new host, and on its PATH the systemctl that its facts name. */
export async function makeHost(
  machine: Machine,
  port: number,
  prepare: (facts: HostFacts) => Promise<PreparedHost>,
): Promise<void> {
  await mkdir(join(machine.hostDir, 'bin'), { recursive: true, mode: 0o755 });
  machine.prepared = await prepare({
    hostDir: machine.hostDir,
    dataDir: dataLink(machine.hostDir),
    address: machine.address,
    port,
    instanceId: machine.id,
    cluster: machine.cluster,
  });
  const systemctl = machine.prepared.env['REJOIN_SYSTEMCTL'];
  if (systemctl === undefined) {
    throw new Error(
      `host ${machine.id}: the prepared environment has no REJOIN_SYSTEMCTL; give the path of the systemctl stand-in`,
    );
  }
  const link = join(machine.hostDir, 'bin', 'systemctl');
  await rm(link, { force: true });
  await symlink(systemctl, link);
}

/**
 * Shuts the operating system down: the service is stopped (SIGTERM to the database, which leaves its group), for
 * `limitMs` at most. Answers when it is down or the time is over; the power is cut by the caller either way.
 */
export async function shutDown(machine: Machine, limitMs: number): Promise<void> {
  machine.online = false;
  const env = environmentOf(machine);
  const systemctl = env['REJOIN_SYSTEMCTL'];
  if (systemctl === undefined || (await processesOf([machine.hostDir])).length === 0) return;
  const child = spawn(systemctl, ['stop', env['REJOIN_SERVICE'] ?? 'mariadb'], {
    env,
    cwd: machine.hostDir,
    stdio: 'ignore',
  });
  await new Promise<void>((resolve, reject) => {
    const timer = setTimeout(resolve, limitMs);
    child.once('error', (error) => {
      clearTimeout(timer);
      reject(new Error(`host ${machine.id}: ${systemctl} stop could not be run: ${error.message}`));
    });
    child.once('exit', () => {
      clearTimeout(timer);
      resolve();
    });
  });
}

/** Cuts the power of several hosts in the same moment. What /run held is gone with it, as on any Linux. */
export async function powerOff(machines: readonly Machine[]): Promise<void> {
  for (const machine of machines) {
    machine.online = false;
    machine.up = false;
  }
  await killAll(machines.map((m) => m.hostDir));
  await Promise.all(machines.map((m) => rm(join(m.hostDir, 'run'), { recursive: true, force: true })));
}

const isDatabase = (p: HostProcess): boolean => p.name === 'mariadbd' || p.name === 'mysqld' || p.name === 'postgres';

/**
 * Sends a signal to the host's database, and on demand to what it has started (SST scripts, PostgreSQL's backends). Of
 * several processes that look like one, the database is the one that has started the others.
 */
export async function signalDatabase(
  machine: Machine,
  name: NodeJS.Signals,
  withChildren: boolean,
  isTheDatabase: (p: HostProcess) => boolean = isDatabase,
): Promise<number[]> {
  const all = await processesOf([machine.hostDir]);
  const candidates = all.filter(isTheDatabase);
  const databases = candidates.filter((p) => !candidates.some((other) => other.pid === p.parentPid));
  if (databases.length === 0) {
    throw new Error(
      `${name} to the database of ${machine.id}: no mariadbd or postgres among its ${all.length} processes (${all.map((p) => p.name).join(', ') || 'none'}); start the database first`,
    );
  }
  const chosen = withChildren ? withDescendants(all, databases) : databases;
  const pids = chosen.map((p) => p.pid);
  if (name === 'SIGSTOP') await freeze(pids);
  else for (const pid of pids) signal(pid, name);
  return pids;
}
