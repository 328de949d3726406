/** Real PostgreSQL servers on loopback addresses, started and ended by the test, all of one cluster. */
import { execFile, spawn } from 'node:child_process';
import { appendFile, chmod, mkdir, mkdtemp, open, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { freeze, killAll, processesOf, signal } from '../../../rehearsal/cloud/hosts-processes.ts';
import { slotOf } from '../../../lambdas/model/postgres.ts';
import { eventually } from '../galera/hosts.ts';
import { ACCOUNTS, asServerUser, BINARIES, own, runAsServerUser, templateData } from './template.ts';

export { ACCOUNTS, BINARIES } from './template.ts';
export { eventually } from '../galera/hosts.ts';

const run = promisify(execFile);

export interface PostgresServer {
  /** Instance id: also the name of its stream, and (with `_`) of its slot. */
  readonly id: string;
  readonly address: string;
  readonly port: number;
  readonly dir: string;
  readonly dataDir: string;
  /** Starts it and waits until it answers, unless `wait` is false. */
  start(options?: { readonly wait?: boolean }): Promise<void>;
  /** Clean shutdown. */
  stop(): Promise<void>;
  /** Ends every process of the server as a power cut does. */
  kill(): Promise<void>;
  /** Stops every process (SIGSTOP), and lets them go on. */
  freeze(): Promise<void>;
  thaw(): Promise<void>;
  /** As superuser by the local socket. Rows, tab-separated. */
  sql(statement: string, options?: { readonly database?: string; readonly timeoutMs?: number }): Promise<string>;
  /** Lines for the server's own configuration file, in force at the next start or reload. */
  configure(lines: string): Promise<void>;
  /** Puts `standby.signal` there: the next start is one as a standby. Without an upstream unless it has one. */
  makeStandby(): Promise<void>;
  pid(): Promise<number>;
  log(): Promise<string>;
}

export interface ServerSet {
  /** Starts a primary at `address`, from the template's position. */
  primary(address: string, options?: ServerOptions): Promise<PostgresServer>;
  /** Starts a standby that streams from `of`, through its slot there, and waits until it streams. */
  standby(address: string, of: PostgresServer, options?: ServerOptions): Promise<PostgresServer>;
  /** Only makes the folder: a copy of the template, not started. */
  prepare(address: string, options?: ServerOptions): Promise<PostgresServer>;
  /** Ends every process of the servers and removes their folders. */
  dispose(): Promise<void>;
}

export interface ServerOptions {
  /** Lines added to the configuration. */
  readonly settings?: string;
  /** Port; 5432 unless said. */
  readonly port?: number;
}

const idOf = (address: string): string =>
  `i-${address
    .split('.')
    .map((part) => Number(part).toString(16).padStart(2, '0'))
    .join('')
    .padStart(17, '0')}`;

/** As `PostgresAdmin.follow` writes it; the password comes from the passfile. */
const conninfo = (id: string, of: PostgresServer): string =>
  `host=${of.address} port=${of.port} user=${ACCOUNTS.replication.user} application_name=${id}`;

class Server implements PostgresServer {
  readonly id: string;
  readonly address: string;
  readonly port: number;
  readonly dir: string;
  readonly dataDir: string;

  constructor(root: string, address: string, port: number) {
    this.id = idOf(address);
    this.address = address;
    this.port = port;
    this.dir = join(root, address);
    this.dataDir = join(this.dir, 'data');
  }

  async start({ wait = true }: { readonly wait?: boolean } = {}): Promise<void> {
    const log = await open(join(this.dir, 'log'), 'a');
    const [command, args] = asServerUser(`${BINARIES}/postgres`, ['-D', this.dataDir]);
    const env = { PATH: process.env['PATH'] ?? '', REJOIN_HOST_DIR: this.dir, PGPASSFILE: join(this.dir, 'passfile') };
    const child = spawn(command, args, { env, stdio: ['ignore', log.fd, log.fd], detached: true });
    child.unref();
    await log.close();
    if (!wait) return;
    await eventually(`${this.address} answers`, 30, async () => {
      if (child.exitCode !== null) throw new Error(`PostgreSQL ended with ${child.exitCode}:\n${await this.log()}`);
      return (await this.sql('SELECT 1').catch(() => '')) === '1' ? true : undefined;
    });
  }

  async stop(): Promise<void> {
    await runAsServerUser(`${BINARIES}/pg_ctl`, ['-D', this.dataDir, '-m', 'fast', '-w', '-s', 'stop']);
  }

  kill(): Promise<void> {
    return killAll([this.dir]);
  }

  async freeze(): Promise<void> {
    await freeze((await processesOf([this.dir])).map((p) => p.pid));
  }

  async thaw(): Promise<void> {
    (await processesOf([this.dir])).forEach((p) => signal(p.pid, 'SIGCONT'));
  }

  async sql(statement: string, { database = 'postgres', timeoutMs = 20_000 } = {}): Promise<string> {
    const args = ['-X', '-q', '-A', '-t', '-F', '\t', '-v', 'ON_ERROR_STOP=1', '-h', this.dir, '-p', String(this.port)];
    const { stdout } = await run('psql', [...args, '-U', 'postgres', '-d', database, '-c', statement], {
      timeout: timeoutMs,
      env: { PATH: process.env['PATH'] ?? '', HOME: this.dir, PGCONNECT_TIMEOUT: '5' },
    });
    return stdout.trim();
  }

  async configure(lines: string): Promise<void> {
    await appendFile(join(this.dataDir, 'server.conf'), `${lines}\n`);
  }

  async makeStandby(): Promise<void> {
    await writeFile(join(this.dataDir, 'standby.signal'), '');
    await own(join(this.dataDir, 'standby.signal'));
  }

  async pid(): Promise<number> {
    return Number((await readFile(join(this.dataDir, 'postmaster.pid'), 'utf8')).split('\n')[0]);
  }

  log(): Promise<string> {
    return readFile(join(this.dir, 'log'), 'utf8');
  }
}

/** An empty set of servers; they live in a folder of their own below the system's temporary one. */
export async function postgresServers(): Promise<ServerSet> {
  const root = await mkdtemp(join(tmpdir(), 'rejoin-pg-'));
  await chmod(root, 0o755);
  const servers: Server[] = [];

  const prepare = async (address: string, { settings = '', port = 5432 }: ServerOptions = {}): Promise<Server> => {
    const server = new Server(root, address, port);
    servers.push(server);
    await mkdir(server.dir);
    await run('cp', ['-a', await templateData(), server.dataDir]);
    await server.configure(
      `listen_addresses = '${address}'\nport = ${port}\nunix_socket_directories = '${server.dir}'\n${settings}`,
    );
    const passfile = join(server.dir, 'passfile');
    const { user, password } = ACCOUNTS.replication;
    await writeFile(passfile, `*:*:*:${user}:${password}\n`, { mode: 0o600 });
    await own(server.dir);
    return server;
  };

  return {
    prepare,
    primary: async (address, options) => {
      const server = await prepare(address, options);
      await server.start();
      return server;
    },
    standby: async (address, of, options) => {
      const server = await prepare(address, options);
      const slot = slotOf(server.id);
      await of.sql(`SELECT pg_create_physical_replication_slot('${slot}', true)`);
      const follows = `primary_conninfo = '${conninfo(server.id, of)}'\nprimary_slot_name = '${slot}'\n`;
      await appendFile(join(server.dataDir, 'postgresql.auto.conf'), follows);
      await server.makeStandby();
      await server.start();
      await streams(of, server);
      return server;
    },
    dispose: async () => {
      await killAll(servers.map((server) => server.dir));
      await rm(root, { recursive: true, force: true });
    },
  };
}

/** Waits until `standby` streams from `primary`, by the primary's word. */
export async function streams(primary: PostgresServer, standby: PostgresServer, seconds = 20): Promise<void> {
  const state = `SELECT state FROM pg_stat_replication WHERE application_name = '${standby.id}'`;
  await eventually(`${standby.id} streams from ${primary.id}`, seconds, async () =>
    (await primary.sql(state).catch(() => '')) === 'streaming' ? true : undefined,
  );
}
