/** Hosts with a real PostgreSQL server each, on loopback addresses, driven by the real scripts. */
import { execFile } from 'node:child_process';
import { chmod, mkdir, mkdtemp, readFile, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { freeze, killAll, processesOf } from '../../rehearsal/cloud/hosts-processes.ts';
import { fillPostgresDataDir, preparePostgresHost } from '../../rehearsal/host/postgres-host.ts';
import { POSTGRES_ACCOUNTS } from '../../rehearsal/host/postgres-template.ts';
import { slotOf } from '../../lambdas/model/postgres.ts';
import { eventually, must, runCommand, type ScriptResult } from '../support/galera/hosts.ts';
import { PATIENCE } from '../support/patience.ts';

export { eventually, must, runCommand, type ScriptResult } from '../support/galera/hosts.ts';

const run = promisify(execFile);
export const SCRIPTS = fileURLToPath(new URL('../../nodes/postgres/', import.meta.url));
const SYSTEM_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

export type Script = 'position' | 'prepare' | 'start' | 'stop' | 'join' | 'disk' | 'backup' | 'restore' | 'checksum';
type Values = Readonly<Record<string, string>>;

export interface Host {
  readonly id: string;
  readonly slot: string;
  readonly address: string;
  readonly dir: string;
  /** What stands for the volume's mount point. */
  readonly volume: string;
  readonly data: string;
  readonly env: Values;
  /** Runs a script from the checkout; parameters as the SSM documents pass them (REJOIN_PARAM_…). */
  script(name: Script, parameters?: Values, env?: Values): Promise<ScriptResult>;
  /** postgres-join, as a replica of `primary`; asked again while it answers "seeding", unless `env` says how long it may take. */
  join(primary: Host, donor?: Host | null, env?: Values): Promise<ScriptResult>;
  /** Through the local socket, as superuser. Rows, tab-separated. Throws when the server does not answer for long. */
  sql(statement: string): Promise<string>;
  /** Pid of the server. Throws when it does not run. */
  pid(): Promise<number>;
  log(): Promise<string>;
  /** Ends every process of the host as a power cut does. */
  kill(): Promise<void>;
  /** Stops every process of the host (SIGSTOP). */
  freeze(): Promise<void>;
}

export interface HostSet {
  readonly hosts: readonly Host[];
  /** Ends every process of the hosts and removes their folders. */
  dispose(): Promise<void>;
}

/** What `ask` answers in the end, a minute of an idle machine at most: a base backup may outlast one command. `once`: its first answer. */
export async function joined(ask: () => Promise<ScriptResult>, once = false): Promise<ScriptResult> {
  return eventually('the replica was made', 60, async () => {
    const result = await ask();
    return once || result.json?.['joined'] !== 'seeding' ? result : undefined;
  });
}

async function makeHost(root: string, n: number, address: string, filled: boolean): Promise<Host> {
  const id = `i-0000000000000${address.split('.')[1]}${n}`;
  const [dir, volume] = [join(root, String(n)), join(root, `volume-${n}`)];
  await mkdir(dir);
  await mkdir(volume);
  await symlink(volume, join(dir, 'data'));
  const facts = { hostDir: dir, dataDir: join(dir, 'data'), address, port: 5432, instanceId: id, cluster: 'test' };
  const prepared = await preparePostgresHost({ ...facts, groupId: null });
  const data = join(volume, 'main');
  if (filled) await fillPostgresDataDir(data);
  const env: Record<string, string> = { PATH: SYSTEM_PATH, HOME: '/root', LANG: 'C.UTF-8', ...prepared.env };
  const script: Host['script'] = (name, parameters = {}, more = {}) => {
    const given = Object.fromEntries(Object.entries(parameters).map(([k, v]) => [`REJOIN_PARAM_${k}`, v]));
    return runCommand(join(SCRIPTS, `${name}.sh`), [], { env: { ...env, ...more, ...given } });
  };
  return {
    id,
    slot: slotOf(id),
    address,
    dir,
    volume,
    data,
    env,
    script,
    join: (primary, donor = null, more = {}) =>
      joined(() => script('join', joinParameters(primary, donor), more), 'REJOIN_JOIN_SECONDS' in more),
    sql: async (statement) => {
      const args = [
        '-X',
        '-q',
        '-A',
        '-t',
        '-F',
        '\t',
        '-v',
        'ON_ERROR_STOP=1',
        '-h',
        join(dir, 'db'),
        '-U',
        'postgres',
      ];
      const options = { timeout: 10_000 * PATIENCE, env: { PATH: SYSTEM_PATH, PGCONNECT_TIMEOUT: '5' } };
      return (await run('psql', [...args, '-d', 'postgres', '-c', statement], options)).stdout.trim();
    },
    pid: async () => {
      const pid = Number((await readFile(join(data, 'postmaster.pid'), 'utf8')).split('\n')[0]);
      if (!(await processesOf([dir])).some((p) => p.pid === pid)) throw new Error(`no server on host ${dir}`);
      return pid;
    },
    log: () => readFile(join(dir, 'postgres.log'), 'utf8'),
    kill: () => killAll([dir]),
    freeze: async () => freeze((await processesOf([dir])).map((p) => p.pid)),
  };
}

export const joinParameters = (primary: Host, donor: Host | null): Values => ({
  PRIMARY: primary.address,
  PRIMARY_PORT: '5432',
  DONOR: donor?.address ?? 'none',
  REPLICATION_USER: POSTGRES_ACCOUNTS.replication.user,
});

/** Makes hosts at 127.85.`third`.1 and up, none of them started. `filled`: with a copy of the template data. */
export async function makeHosts(options: { third: number; count: number; filled?: boolean }): Promise<HostSet> {
  const root = await mkdtemp(join(tmpdir(), 'rejoin-pgh-'));
  await chmod(root, 0o755);
  const hosts: Host[] = [];
  for (let n = 1; n <= options.count; n++)
    hosts.push(await makeHost(root, n, `127.85.${options.third}.${n}`, options.filled ?? true));
  return {
    hosts,
    dispose: async () => {
      await killAll(hosts.map((host) => host.dir));
      await rm(root, { recursive: true, force: true });
    },
  };
}

/** A primary out of a host that is down, as docs/hosts.md makes the first one, with a slot for each of the others. */
export async function promote(host: Host, others: readonly Host[]): Promise<void> {
  await must(host.script('start'));
  await host.sql('SELECT pg_promote()');
  await makeSlots(host, others);
}

export async function makeSlots(primary: Host, others: readonly Host[]): Promise<void> {
  for (const { slot } of others)
    await primary.sql(
      `SELECT pg_create_physical_replication_slot('${slot}', true) WHERE NOT EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = '${slot}')`,
    );
}

/** The first becomes the primary, the others its replicas. */
export async function startCluster(hosts: readonly Host[]): Promise<void> {
  const [first, ...others] = hosts;
  if (first === undefined) throw new Error('a cluster has at least one host; none was given');
  await promote(first, others);
  for (const host of others) await must(host.join(first));
}

/** Waits until `host` has the same rows as `primary` in table t. Answers how many. */
export async function sameRows(primary: Host, host: Host, seconds = 20): Promise<number> {
  const rows = "SELECT count(*), md5(string_agg(id::text, ',' ORDER BY id)) FROM t";
  const wanted = await primary.sql(rows);
  await eventually(`${host.id} has ${wanted}`, seconds, async () =>
    (await host.sql(rows).catch((error: Error) => error.message)) === wanted ? true : undefined,
  );
  return Number(wanted.split('\t')[0]);
}
