/**
 * A data directory that every node of a new cluster starts from, made once and kept: accounts are there, and because all
 * copies share one state UUID and position, the nodes of a new cluster need no state transfer to join each other.
 */
import { execFile, spawn } from 'node:child_process';
import { chmod, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { galeraConfig } from './galera-config.ts';
import { keptTemplate } from './kept-template.ts';

const run = promisify(execFile);

/** The accounts of the template. `probe` may look, and read the log for the archive; `app` owns the database `app`. */
export const ACCOUNTS = {
  probe: { user: 'rejoin_probe', password: 'probe-rehearsal-only' },
  app: { user: 'app', password: 'app-rehearsal-only', database: 'app' },
} as const;

/** The user that database processes run as: `mysql` when we are root (MariaDB refuses root), otherwise ourselves. */
export const unixUser = (): string => (process.getuid?.() === 0 ? 'mysql' : userInfo().username);

/** USAGE is enough for SHOW GLOBAL STATUS and SHOW GLOBAL VARIABLES; the two privileges are the archive's. See docs/hosts.md. */
const accountsSql = (): string => {
  const self = userInfo().username;
  // root@localhost is there already; another user needs an account of its own name for the scripts.
  const scripts =
    self === 'root'
      ? ''
      : `CREATE USER '${self}'@'localhost' IDENTIFIED VIA unix_socket; GRANT ALL ON *.* TO '${self}'@'localhost';`;
  // The donor's server runs mariadb-backup as its own unix user (wsrep_sst_auth).
  const transfer =
    unixUser() === self
      ? ''
      : `CREATE USER '${unixUser()}'@'localhost' IDENTIFIED VIA unix_socket;
GRANT RELOAD, PROCESS, LOCK TABLES, BINLOG MONITOR ON *.* TO '${unixUser()}'@'localhost';`;
  return `
CREATE USER '${ACCOUNTS.probe.user}'@'%' IDENTIFIED BY '${ACCOUNTS.probe.password}' WITH MAX_USER_CONNECTIONS 20;
GRANT REPLICATION SLAVE, BINLOG MONITOR ON *.* TO '${ACCOUNTS.probe.user}'@'%';
CREATE DATABASE ${ACCOUNTS.app.database};
CREATE USER '${ACCOUNTS.app.user}'@'%' IDENTIFIED BY '${ACCOUNTS.app.password}';
GRANT ALL ON ${ACCOUNTS.app.database}.* TO '${ACCOUNTS.app.user}'@'%';
${scripts}
${transfer}`;
};

/** A port of 127.0.0.1 that is free now. */
async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  const { port } = server.address() as { port: number };
  await new Promise<void>((resolve) => server.close(() => resolve()));
  return port;
}

async function recipe(): Promise<string> {
  const { stdout: version } = await run('mariadbd', ['--version']);
  const config = galeraConfig({
    ...{ address: 'A', port: 0, dataDir: 'D', socket: 'S', pidFile: 'P', includeDir: 'I' },
    unixUser: unixUser(),
  });
  return JSON.stringify([version, accountsSql(), config]);
}

/** Made in about 4 s. Throws with the server's messages when MariaDB cannot be started here. */
export const templateDataDir = keptTemplate({ engine: 'galera', recipe, build });

async function build(work: string): Promise<void> {
  const data = join(work, 'data');
  const user = unixUser();
  const asRoot = process.getuid?.() === 0;
  await chmod(work, 0o755); // the database's user must get through
  await mkdir(data, { mode: 0o755 });
  await mkdir(join(work, 'include'));
  if (asRoot) await run('chown', [user, data]);
  const userOption = asRoot ? [`--user=${user}`] : [];
  const defaults = join(work, 'my.cnf');
  const socket = join(data, 's');
  const config = galeraConfig({
    address: '127.0.0.1',
    port: await freePort(),
    dataDir: data,
    socket,
    pidFile: join(data, 'pid'),
    includeDir: join(work, 'include'),
    unixUser: user,
  }).replace(/gmcast[^;]*;ist[^;]*;/, `gmcast.listen_addr=tcp://127.0.0.1:${await freePort()};`);
  await writeFile(defaults, config);
  await run('mariadb-install-db', [
    `--defaults-file=${defaults}`,
    ...userOption,
    '--auth-root-authentication-method=socket',
    '--auth-root-socket-user=root',
    '--skip-test-db',
    '--wsrep-on=OFF',
  ]);
  await createAccounts(defaults, userOption, socket, join(work, 'build.log'));
  // What belongs to the one server that made it.
  await Promise.all(
    ['galera.cache', 'pid', 's', 'ib_buffer_pool', 'gvwstate.dat'].map((f) => rm(join(data, f), { force: true })),
  );
}

/** Runs the server as a one-node cluster, so that the copy carries a state UUID, and shuts it down cleanly. */
async function createAccounts(defaults: string, userOption: string[], socket: string, logFile: string): Promise<void> {
  const server = spawn(
    'sh',
    [
      '-c',
      'log=$1; shift; exec mariadbd "$@" >"$log" 2>&1',
      'sh',
      logFile,
      `--defaults-file=${defaults}`,
      ...userOption,
      '--wsrep-new-cluster',
      '--wsrep-cluster-address=gcomm://',
      '--wsrep-cluster-name=template',
    ],
    { stdio: 'ignore' },
  );
  const ended = new Promise<number | null>((resolve, reject) => {
    server.once('error', reject);
    server.once('exit', resolve);
  });
  const account = async (): Promise<void> => {
    for (const deadline = Date.now() + 60_000; ;) {
      if (server.exitCode !== null) throw new Error('it ended by itself');
      const ready = (await readFile(logFile, 'utf8').catch(() => '')).includes('ready for connections');
      if (ready) break;
      if (Date.now() > deadline) throw new Error('it was not ready after 60 s');
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    await run('mariadb', ['--no-defaults', `--socket=${socket}`, '-e', accountsSql()]);
  };
  try {
    await account();
  } catch (error) {
    server.kill('SIGKILL');
    await ended;
    const log = await readFile(logFile, 'utf8').catch(() => '(no log)');
    throw new Error(
      `MariaDB for the template: ${(error as Error).message}; its last messages:\n${log.split('\n').slice(-30).join('\n')}`,
      { cause: error },
    );
  }
  server.kill('SIGTERM');
  const code = await ended;
  if (code !== 0)
    throw new Error(`MariaDB for the template ended with ${code} instead of 0; see its messages in ${logFile}`);
}
