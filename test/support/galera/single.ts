/** Single MariaDB servers on loopback addresses, with a binlog and without Galera, started and ended by the test. */
import { execFile, spawn } from 'node:child_process';
import { chmod, mkdir, mkdtemp, open, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { killAll, processesOf, signal } from '../../../rehearsal/cloud/hosts-processes.ts';
import { ACCOUNTS, unixUser } from '../../../rehearsal/host/galera-host.ts';
import { keptTemplate } from '../../../rehearsal/host/kept-template.ts';
import { PATIENCE } from '../patience.ts';
import { eventually } from './hosts.ts';

export { ACCOUNTS } from '../../../rehearsal/host/galera-host.ts';
export { eventually } from './hosts.ts';

const run = promisify(execFile);

const config = (dir: string, address: string, settings: string): string => `[mariadbd]
datadir=${dir}/data
socket=${dir}/s
pid-file=${dir}/pid
bind-address=${address}
port=3306
skip-name-resolve
performance_schema=OFF
innodb_buffer_pool_size=64M
innodb_log_file_size=96M
innodb_flush_log_at_trx_commit=2
innodb_buffer_pool_dump_at_shutdown=OFF
innodb_buffer_pool_load_at_startup=OFF
binlog_format=ROW
log_bin=binlog
log_slave_updates=ON
server_id=1
max_allowed_packet=256M
${settings}
`;

const userOption = (): readonly string[] => (process.getuid?.() === 0 ? [`--user=${unixUser()}`] : []);

async function own(...paths: readonly string[]): Promise<void> {
  if (process.getuid?.() === 0) await run('chown', ['-R', unixUser(), ...paths]);
}

const template = keptTemplate({
  engine: 'mariadb-single',
  recipe: async () => (await run('mariadbd', ['--version'])).stdout,
  build: async (work) => {
    await chmod(work, 0o755);
    await mkdir(join(work, 'data'));
    await own(join(work, 'data'));
    await writeFile(join(work, 'my.cnf'), config(work, '127.0.0.1', 'skip-log-bin'));
    await run('mariadb-install-db', [
      ...[`--defaults-file=${join(work, 'my.cnf')}`, ...userOption(), '--skip-test-db'],
      ...['--auth-root-authentication-method=socket', '--auth-root-socket-user=root'],
    ]);
  },
});

export interface SingleServer {
  readonly id: string;
  readonly address: string;
  readonly dataDir: string;
  start(): Promise<void>;
  /** Clean shutdown. */
  stop(): Promise<void>;
  kill(): Promise<void>;
  /** As root by the local socket. Rows, tab-separated. */
  sql(statement: string): Promise<string>;
  /** The names of its binlog files, in order. */
  binlogs(): Promise<readonly string[]>;
  dispose(): Promise<void>;
}

/** The plane's account, with what docs/hosts.md gives it, and a database `app`. */
const ACCOUNTS_SQL = `CREATE USER '${ACCOUNTS.probe.user}'@'%' IDENTIFIED BY '${ACCOUNTS.probe.password}';
GRANT REPLICATION SLAVE, BINLOG MONITOR ON *.* TO '${ACCOUNTS.probe.user}'@'%'; CREATE DATABASE app`;

class Server implements SingleServer {
  readonly id: string;
  readonly address: string;
  readonly #dir: string;

  constructor(dir: string, address: string) {
    this.#dir = dir;
    this.address = address;
    this.id = `i-${address
      .split('.')
      .map((n) => Number(n).toString(16).padStart(2, '0'))
      .join('')
      .padStart(17, '0')}`;
  }

  get dataDir(): string {
    return join(this.#dir, 'data');
  }

  async start(): Promise<void> {
    const log = await open(join(this.#dir, 'log'), 'a');
    const args = [`--defaults-file=${join(this.#dir, 'my.cnf')}`, ...userOption()];
    const child = spawn('mariadbd', args, {
      env: { PATH: process.env['PATH'] ?? '', REJOIN_HOST_DIR: this.#dir },
      ...{ stdio: ['ignore', log.fd, log.fd], detached: true },
    });
    child.unref();
    await log.close();
    await eventually(`${this.address} answers`, 30, async () => {
      if (child.exitCode !== null) throw new Error(`MariaDB ended:\n${await readFile(join(this.#dir, 'log'), 'utf8')}`);
      return (await this.sql('SELECT 1').catch(() => '')) === '1' ? true : undefined;
    });
  }

  async stop(): Promise<void> {
    for (const { pid, name } of await processesOf([this.#dir])) if (name === 'mariadbd') signal(pid, 'SIGTERM');
    await eventually(`${this.address} is down`, 30, async () =>
      (await processesOf([this.#dir])).length === 0 ? true : undefined,
    );
  }

  kill(): Promise<void> {
    return killAll([this.#dir]);
  }

  async sql(statement: string): Promise<string> {
    const args = ['--no-defaults', `--socket=${join(this.#dir, 's')}`, '--skip-column-names', '--batch', '--database='];
    const { stdout } = await run('mariadb', [...args, `--execute=${statement}`], { timeout: 60_000 * PATIENCE });
    return stdout.trim();
  }

  async binlogs(): Promise<readonly string[]> {
    return (await readdir(this.dataDir)).filter((name) => /^binlog\.\d+$/.test(name)).sort();
  }

  async dispose(): Promise<void> {
    await this.kill();
    await rm(this.#dir, { recursive: true, force: true });
  }
}

/** A new server, started, with the accounts. `settings`: lines of its configuration. */
export async function singleServer(address: string, settings = ''): Promise<SingleServer> {
  const dir = await mkdtemp(join(tmpdir(), 'rejoin-mdb-'));
  await chmod(dir, 0o755);
  await run('cp', ['-a', '--sparse=always', await template(), join(dir, 'data')]);
  await writeFile(join(dir, 'my.cnf'), config(dir, address, settings));
  await own(dir);
  const server = new Server(dir, address);
  await server.start();
  await server.sql(ACCOUNTS_SQL);
  return server;
}
