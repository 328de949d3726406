/**
 * A data directory that the first node of a new cluster starts from, made once and kept: roles and the application's
 * tables are there. The other nodes are made from the first, as on any PostgreSQL cluster.
 */
import { execFile } from 'node:child_process';
import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { keptTemplate } from './kept-template.ts';
import { hbaConfig, postgresConfig } from './postgres-config.ts';

const run = promisify(execFile);

export const PG_BIN = '/usr/lib/postgresql/15/bin';
const SETUP_SQL = fileURLToPath(new URL('../../nodes/postgres/setup.sql', import.meta.url));

/** The accounts of the template: the plane's and the replicas' are those of `nodes/postgres/setup.sql`. */
export const POSTGRES_ACCOUNTS = {
  probe: { user: 'rejoin', password: 'probe-rehearsal-only' },
  replication: { user: 'rejoin_replication', password: 'replication-rehearsal-only' },
  app: { user: 'app', password: 'app-rehearsal-only', database: 'app' },
} as const;

/** The user that servers run as: `postgres` when we are root (PostgreSQL refuses root), otherwise ourselves. */
export const postgresUnixUser = (): string => (process.getuid?.() === 0 ? 'postgres' : userInfo().username);

/** In front of a command line: become the servers' user, when we are root. */
export const asPostgres = (): string[] =>
  process.getuid?.() === 0
    ? ['setpriv', `--reuid=${postgresUnixUser()}`, `--regid=${postgresUnixUser()}`, '--init-groups']
    : [];

/** Runs a program of PostgreSQL as the servers' user. */
export async function runAsPostgres(
  program: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<string> {
  const [first = '', ...rest] = [...asPostgres(), join(PG_BIN, program), ...args];
  const { stdout } = await run(first, rest, { cwd: '/', env: { PATH: process.env['PATH'], LANG: 'C.UTF-8', ...env } });
  return stdout;
}

/** `id` is not unique on purpose: a write that is stored twice must be seen. */
const appSql = (): string => `
CREATE TABLE writes (seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, id bigint NOT NULL, at_ms bigint NOT NULL);
CREATE INDEX ON writes (id);
CREATE TABLE confirmations (id bigint NOT NULL, at timestamptz NOT NULL DEFAULT now());
CREATE TABLE direct (node text NOT NULL, sequence bigint NOT NULL, at_ms bigint NOT NULL);
GRANT SELECT, INSERT, DELETE ON writes, confirmations, direct TO ${POSTGRES_ACCOUNTS.app.user};
GRANT CREATE ON SCHEMA public TO ${POSTGRES_ACCOUNTS.app.user};
`;

const accountsSql = (): string =>
  [
    ...[POSTGRES_ACCOUNTS.probe, POSTGRES_ACCOUNTS.replication].map(
      (a) => `ALTER ROLE ${a.user} PASSWORD '${a.password}';`,
    ),
    `CREATE ROLE ${POSTGRES_ACCOUNTS.app.user} LOGIN PASSWORD '${POSTGRES_ACCOUNTS.app.password}';`,
    `CREATE DATABASE ${POSTGRES_ACCOUNTS.app.database};`,
  ].join('\n');

async function recipe(): Promise<string> {
  const { stdout: version } = await run(join(PG_BIN, 'postgres'), ['--version']).catch((error: unknown) => {
    throw new Error(`no PostgreSQL 15 in ${PG_BIN}; on Debian or Ubuntu: apt-get install postgresql-15`, {
      cause: error,
    });
  });
  return [version, await readFile(SETUP_SQL, 'utf8'), accountsSql(), appSql(), postgresUnixUser()].join('\n');
}

/** Made in about 2 s. Throws with the server's messages when PostgreSQL cannot be started here. */
export const postgresTemplate = keptTemplate({ engine: 'postgres', recipe, build });

/** initdb, roles, the application's database and tables; then a clean shutdown. The server is heard on its socket alone. */
async function build(work: string): Promise<void> {
  const [data, sockets] = [join(work, 'data'), join(work, 's')];
  await chmod(work, 0o755); // the server's user must get through
  await mkdir(data, { mode: 0o700 });
  await mkdir(sockets, { mode: 0o755 });
  await mkdir(join(work, 'log'));
  if (process.getuid?.() === 0) await run('chown', [postgresUnixUser(), data, sockets, join(work, 'log')]);
  const [config, hba] = [join(work, 'postgresql.conf'), join(work, 'pg_hba.conf')];
  const facts = { address: '127.0.0.1', port: 5432, socketDir: sockets, hbaFile: hba };
  await writeFile(config, `${postgresConfig(facts)}listen_addresses = ''\nfsync = off\n`);
  await writeFile(
    hba,
    hbaConfig({ replication: POSTGRES_ACCOUNTS.replication.user, plane: POSTGRES_ACCOUNTS.probe.user }),
  );
  await runAsPostgres('initdb', [
    '-D',
    data,
    '-U',
    'postgres',
    '-E',
    'UTF8',
    '--locale=C.UTF-8',
    '--data-checksums',
    '-N',
    '-A',
    'trust',
  ]);
  const log = join(work, 'log', 'build.log');
  const control = (verb: string, ...more: string[]): Promise<string> =>
    runAsPostgres('pg_ctl', [verb, '-D', data, '-w', '-t', '60', '-l', log, ...more]);
  try {
    await control('start', '-o', `-c config_file=${config}`);
    try {
      const psql = (database: string, ...more: string[]): Promise<string> =>
        runAsPostgres('psql', [
          '-X',
          '-q',
          '-h',
          sockets,
          '-U',
          'postgres',
          '-d',
          database,
          '-v',
          'ON_ERROR_STOP=1',
          ...more,
        ]);
      await psql('postgres', '-f', SETUP_SQL);
      for (const sql of accountsSql().split('\n')) await psql('postgres', '-c', sql);
      await psql(POSTGRES_ACCOUNTS.app.database, '-c', appSql());
    } finally {
      await control('stop', '-m', 'fast');
    }
  } catch (error) {
    const messages = await readFile(log, 'utf8').catch(() => '(no log)');
    const { message, stderr } = error as { message: string; stderr?: string };
    throw new Error(
      `PostgreSQL for the template: ${message} ${stderr ?? ''}; its last messages:\n${messages.split('\n').slice(-30).join('\n')}`,
      { cause: error },
    );
  }
}
