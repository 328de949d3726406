/** Hosts with a real MariaDB Galera node each, on loopback addresses, driven by the real scripts. */
import { execFile, spawn } from 'node:child_process';
import { chmod, mkdir, mkdtemp, readFile, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { killAll, processesOf } from '../../../rehearsal/cloud/hosts-processes.ts';
import { fillDataDir, prepareHostDir } from '../../../rehearsal/host/galera-host.ts';
import { PATIENCE } from '../patience.ts';

const run = promisify(execFile);
const SCRIPTS = fileURLToPath(new URL('../../../nodes/galera/', import.meta.url));
const SYSTEM_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

export interface ScriptResult {
  readonly code: number;
  /** The last line of standard output, parsed; null when the script failed. */
  readonly json: Record<string, unknown> | null;
  readonly stdout: string;
  readonly stderr: string;
}

export type Script = 'position' | 'prepare' | 'join' | 'bootstrap' | 'stop' | 'backup' | 'restore' | 'checksum';

export interface Host {
  readonly id: string;
  readonly address: string;
  readonly dir: string;
  /** Folder that the data directory (a link, as in the rehearsal) leads to. */
  readonly volume: string;
  readonly logFile: string;
  readonly env: Readonly<Record<string, string>>;
  /** Runs a script from the checkout; parameters as the SSM documents pass them (REJOIN_PARAM_…). */
  script(
    name: Script,
    parameters?: Readonly<Record<string, string>>,
    env?: Readonly<Record<string, string>>,
  ): Promise<ScriptResult>;
  /** Through the local socket, as root. Rows, tab-separated. Throws when the server does not answer within 10 s. */
  sql(statement: string): Promise<string>;
  /** Pid of the database. Throws when it does not run. */
  pid(): Promise<number>;
  log(): Promise<string>;
}

export interface HostSet {
  readonly hosts: readonly Host[];
  /** Ends every process of the hosts and removes their folders. */
  dispose(): Promise<void>;
}

/** Runs a command; answers its exit code instead of throwing. */
export async function runCommand(
  file: string,
  args: readonly string[],
  options: { readonly env: Readonly<Record<string, string>>; readonly input?: string },
): Promise<ScriptResult> {
  const child = spawn(file, args, { env: options.env, stdio: ['pipe', 'pipe', 'pipe'] });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  child.stdin.on('error', () => undefined); // a command that reads nothing may have ended by now
  child.stdin.end(options.input ?? '');
  const code = await new Promise<number>((resolve, reject) => {
    child.once('error', reject);
    // 'exit' would miss output; but a daemon that kept our pipes would hold 'close' back for ever, which a test must see.
    child.once('close', (status) => resolve(status ?? -1));
  });
  const last = stdout.trim().split('\n').at(-1) ?? '';
  return { code, json: code === 0 ? (JSON.parse(last) as Record<string, unknown>) : null, stdout, stderr };
}

/**
 * Waits until `probe` answers something else than undefined. Throws what it was waiting for after `seconds` of an idle machine
 * (PATIENCE times as long).
 */
export async function eventually<T>(what: string, seconds: number, probe: () => Promise<T | undefined>): Promise<T> {
  const patient = seconds * PATIENCE;
  for (const deadline = Date.now() + patient * 1000; ;) {
    const found = await probe();
    if (found !== undefined) return found;
    if (Date.now() > deadline) throw new Error(`waited ${patient} s in vain for: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

async function makeHost(root: string, n: number, address: string, cluster: string, filled: boolean): Promise<Host> {
  const id = `i-0000000000000${address.split('.')[1]}${n}`;
  const dir = join(root, String(n));
  const volume = join(root, `volume-${n}`);
  await mkdir(dir);
  await mkdir(volume);
  const dataDir = join(dir, 'data');
  await symlink(volume, dataDir);
  const prepared = await prepareHostDir({ hostDir: dir, dataDir, address, port: 3306, instanceId: id, cluster });
  if (filled) await fillDataDir(volume);
  const env: Record<string, string> = { PATH: SYSTEM_PATH, HOME: '/root', LANG: 'C.UTF-8', ...prepared.env };
  const logFile = join(dir, 'mariadbd.log');
  return {
    id,
    address,
    dir,
    volume,
    logFile,
    env,
    script: (name, parameters = {}, more = {}) => {
      const given = Object.fromEntries(Object.entries(parameters).map(([k, v]) => [`REJOIN_PARAM_${k}`, v]));
      return runCommand(join(SCRIPTS, `${name}.sh`), [], { env: { ...env, ...more, ...given } });
    },
    sql: async (statement) => {
      const socket = env['REJOIN_SOCKET'] ?? '';
      const args = ['--no-defaults', `--socket=${socket}`, '--skip-column-names', '--batch', `--execute=${statement}`];
      return (await run('mariadb', args, { env, timeout: 10_000 * PATIENCE })).stdout.trim();
    },
    pid: async () => {
      const found = (await processesOf([dir])).find((p) => p.name === 'mariadbd');
      if (found === undefined) throw new Error(`no mariadbd on host ${dir}`);
      return found.pid;
    },
    log: () => readFile(logFile, 'utf8'),
  };
}

/**
 * Makes hosts at 127.`octet`.0.1 and up, none of them started. `filled`: with a copy of the template data (all at one
 * position), which is what one wants but for a full state transfer.
 */
export async function makeHosts(options: {
  octet: number;
  third?: number;
  count: number;
  filled?: boolean;
}): Promise<HostSet> {
  const root = await mkdtemp(join(tmpdir(), 'rejoin-hosts-'));
  await chmod(root, 0o755);
  const hosts: Host[] = [];
  for (let n = 1; n <= options.count; n++) {
    const address = `127.${options.octet}.${options.third ?? 0}.${n}`;
    hosts.push(await makeHost(root, n, address, `test-${options.octet}`, options.filled ?? true));
  }
  return {
    hosts,
    dispose: async () => {
      await killAll(hosts.map((host) => host.dir));
      await rm(root, { recursive: true, force: true });
    },
  };
}

/** One status variable of a running node. */
export async function status(host: Host, name: string): Promise<string> {
  return (await host.sql(`SHOW GLOBAL STATUS LIKE '${name}'`)).split('\t')[1] ?? '';
}

export const synced = (host: Host, seconds = 40): Promise<true> =>
  eventually(`${host.id} Synced`, seconds, async () => {
    const rows = await host.sql(`SHOW GLOBAL STATUS LIKE 'wsrep_local_state_comment'`).catch(() => '');
    return rows.endsWith('\tSynced') ? (true as const) : undefined;
  });

/** Starts the first host as a new cluster and lets the others join it. */
export async function startCluster(hosts: readonly Host[]): Promise<void> {
  const [first, ...others] = hosts;
  if (first === undefined) throw new Error('a cluster has at least one host; none was given');
  const at = await must(first.script('position'));
  await must(first.script('bootstrap', { STATE_UUID: String(at['stateUuid']), SEQNO: String(at['seqno']) }));
  for (const host of others) {
    await must(host.script('join', { PEERS: first.address, DONOR: first.id }));
    await synced(host);
  }
}

/** The answer of a script that must succeed. */
export async function must(running: Promise<ScriptResult>): Promise<Record<string, unknown>> {
  const result = await running;
  if (result.json === null) throw new Error(`the script ended with ${result.code}:\n${result.stderr}`);
  return result.json;
}
