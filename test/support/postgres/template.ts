/**
 * A PostgreSQL data directory with the roles of nodes/postgres/setup.sql, made once a machine and copied for each server:
 * all copies are one cluster (one system identifier), at one position.
 */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { appendFile, chmod, mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const run = promisify(execFile);

export const BINARIES = '/usr/lib/postgresql/15/bin';
export const SETUP_SQL = fileURLToPath(new URL('../../../nodes/postgres/setup.sql', import.meta.url));

/** Accounts of every test server; the password of the superuser `postgres` is none, by the local socket only. */
export const ACCOUNTS = {
  plane: { user: 'rejoin', password: 'plane-secret' },
  replication: { user: 'rejoin_replication', password: 'replication-secret' },
  app: { user: 'app', password: 'app-secret' },
} as const;

/** Whom servers run as: PostgreSQL refuses to run as root. */
export const unixUser = (): string | null => (process.getuid?.() === 0 ? 'postgres' : null);

/** The command, as the servers' unix user. */
export function asServerUser(command: string, args: readonly string[]): [string, string[]] {
  const user = unixUser();
  if (user === null) return [command, [...args]];
  return ['setpriv', [`--reuid=${user}`, `--regid=${user}`, '--clear-groups', command, ...args]];
}

export async function runAsServerUser(command: string, args: readonly string[]): Promise<string> {
  return (await run(...asServerUser(command, args))).stdout;
}

/** Gives files and folders to the servers' unix user. */
export async function own(...paths: readonly string[]): Promise<void> {
  const user = unixUser();
  if (user !== null) await run('chown', ['-R', `${user}:${user}`, ...paths]);
}

/** As docs/hosts.md recommends, but that a test server need not survive a power cut (`fsync`). */
const SETTINGS = `
fsync = off
wal_level = replica
wal_log_hints = on
hot_standby = on
max_wal_senders = 10
max_replication_slots = 10
wal_keep_size = 64MB
max_slot_wal_keep_size = 128MB
wal_receiver_timeout = 4s
wal_sender_timeout = 6s
wal_receiver_status_interval = 1s
wal_retrieve_retry_interval = 500ms
max_standby_streaming_delay = 5s
password_encryption = scram-sha-256
shared_buffers = 16MB
min_wal_size = 32MB
max_wal_size = 256MB
log_min_messages = info
include_if_exists = 'server.conf'
`;

const HBA = `local all all trust
host all rejoin,rejoin_replication,app 127.0.0.0/8 scram-sha-256
host replication rejoin,rejoin_replication 127.0.0.0/8 scram-sha-256
`;

async function make(into: string): Promise<void> {
  const data = join(into, 'data');
  const psql = (args: readonly string[]): Promise<string> =>
    runAsServerUser('psql', ['-X', '-q', '-v', 'ON_ERROR_STOP=1', '-h', into, '-U', 'postgres', ...args]);
  await runAsServerUser(`${BINARIES}/initdb`, [
    '-D',
    data,
    '-U',
    'postgres',
    '--no-sync',
    '-k',
    '-E',
    'UTF8',
    '--locale=C.UTF-8',
  ]);
  await appendFile(join(data, 'postgresql.conf'), SETTINGS);
  await writeFile(join(data, 'pg_hba.conf'), HBA);
  const server = ['-D', data, '-w', '-s', '-l', join(into, 'log')];
  await runAsServerUser(`${BINARIES}/pg_ctl`, [
    ...server,
    '-o',
    `-c listen_addresses= -c unix_socket_directories=${into}`,
    'start',
  ]);
  const alter = Object.values(ACCOUNTS).map(({ user, password }) => `ALTER ROLE ${user} PASSWORD '${password}';`);
  await psql(['-d', 'postgres', '-f', SETUP_SQL]);
  await psql(['-d', 'postgres', '-c', `CREATE ROLE app LOGIN; ${alter.join(' ')}`]);
  await psql(['-d', 'postgres', '-c', 'CREATE DATABASE app OWNER app']);
  await runAsServerUser(`${BINARIES}/pg_ctl`, [...server, '-m', 'fast', 'stop']);
}

/** The template's data directory; made when there is none for this setup.sql and these settings. Stopped cleanly, with no WAL to come. */
export async function templateData(): Promise<string> {
  const version = (await run(`${BINARIES}/postgres`, ['--version'])).stdout;
  const parts = [version, await readFile(SETUP_SQL, 'utf8'), SETTINGS, HBA, unixUser() ?? String(process.getuid?.())];
  const key = createHash('sha256').update(parts.join('\0')).digest('hex').slice(0, 12);
  const template = join(tmpdir(), `rejoin-pg-template-${key}`);
  if (!existsSync(template)) {
    const making = await mkdtemp(join(tmpdir(), 'rejoin-pg-making-'));
    await chmod(making, 0o755);
    await mkdir(join(making, 'x'));
    const user = unixUser();
    if (user !== null) await run('chown', [user, making, join(making, 'x')]);
    await make(join(making, 'x'));
    // Whoever is first wins; the others use that one.
    await rename(join(making, 'x'), template).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOTEMPTY' && error.code !== 'EEXIST') throw error;
    });
    await rm(making, { recursive: true, force: true });
  }
  return join(template, 'data');
}
