/** The peer: pgBackRest, as its documentation has it for a busy database with a repository on S3. */
import { execFile } from 'node:child_process';
import { access, mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { asPostgres, postgresUnixUser } from '../../rehearsal/host/postgres-template.ts';
import type { Database, Stretch } from './database.ts';
import type { Contestant } from './kinds.ts';
import type { LocalS3 } from './s3.ts';

const run = promisify(execFile);

export const PGBACKREST = 'pgbackrest';
export const PGBACKREST_SETTINGS = {
  ...{ 'archive-async': 'y', 'process-max': '2', 'compress-type': 'zst', 'compress-level': '3' },
} as const;
const STANZA = 'main';

export interface Repository {
  readonly bucket: string;
  readonly configFile: string;
  /** Runs a command of pgBackRest, as the database's user. */
  pgbackrest(command: string, ...options: readonly string[]): Promise<string>;
  /** Its command line, to be measured. */
  commandLine(command: string, ...options: readonly string[]): readonly string[];
  remove(): Promise<void>;
}

export interface PgBackRestFacts {
  readonly dir: string;
  readonly database: Database;
  readonly s3: LocalS3;
}

/** An empty repository in a bucket of its own, with its spool and configuration in a folder of its own. */
export async function makeRepository(name: string, { dir, database, s3 }: PgBackRestFacts): Promise<Repository> {
  const bucket = `pgbackrest-${name}`;
  const folder = join(dir, bucket);
  await rm(folder, { recursive: true, force: true });
  for (const part of ['spool', 'log', 'lock']) await mkdir(join(folder, part), { recursive: true });
  const configFile = join(folder, 'pgbackrest.conf');
  await writeFile(configFile, config(folder, bucket, database, s3));
  if (process.getuid?.() === 0) await run('chown', ['-R', postgresUnixUser(), folder]);
  await s3.makeBucket(bucket);
  const commandLine: Repository['commandLine'] = (command, ...options) => [
    ...asPostgres(),
    ...[PGBACKREST, `--config=${configFile}`, `--stanza=${STANZA}`, ...options, command],
  ];
  const pgbackrest: Repository['pgbackrest'] = async (command, ...options) => {
    const [first = '', ...rest] = commandLine(command, ...options);
    return (await run(first, rest, { cwd: folder, env: { PATH: process.env['PATH'] } })).stdout;
  };
  await pgbackrest('stanza-create');
  const remove = async (): Promise<void> => {
    await s3.removeBucket(bucket);
    await rm(folder, { recursive: true, force: true });
  };
  return { bucket, configFile, pgbackrest, commandLine, remove };
}

function config(folder: string, bucket: string, database: Database, s3: LocalS3): string {
  const lines = {
    ...{ 'repo1-type': 's3', 'repo1-path': '/repo', 'repo1-s3-bucket': bucket, 'repo1-s3-uri-style': 'path' },
    ...{ 'repo1-s3-endpoint': '127.0.0.1', 'repo1-storage-host': '127.0.0.1', 'repo1-storage-port': s3.port },
    ...{ 'repo1-storage-ca-file': s3.certificates.ca, 'repo1-s3-region': 'eu-west-1' },
    ...{ 'repo1-s3-key': 'bench', 'repo1-s3-key-secret': 'bench', 'repo1-retention-full': 10 },
    ...PGBACKREST_SETTINGS,
    ...{ 'spool-path': join(folder, 'spool'), 'log-path': join(folder, 'log'), 'lock-path': join(folder, 'lock') },
    ...{ 'log-level-console': 'warn', 'log-level-file': 'off', 'start-fast': 'y', 'archive-check': 'n' },
  };
  const global = Object.entries(lines).map(([key, value]) => `${key}=${value}`);
  const { dataDir, socketDir, port } = database;
  return [
    ...['[global]', ...global, '', `[${STANZA}]`],
    ...[`pg1-path=${dataDir}`, `pg1-socket-path=${socketDir}`, `pg1-port=${port}`, 'pg1-user=postgres', ''],
  ].join('\n');
}

/**
 * What PostgreSQL's archiver does, for every segment in its turn: `archive_command`, and on with the next when it has
 * succeeded. The files that say a segment is ready are left for the next round.
 */
const archiverScript = (commandLine: readonly string[]): string =>
  `set -e\nfor segment; do ${commandLine.map((word) => `'${word}'`).join(' ')} "pg_wal/$segment"; done`;

/** `archive-push` of every segment, asynchronous. */
export function archivePush(facts: PgBackRestFacts, stretch: Stretch): Contestant {
  return {
    name: 'pgbackrest',
    async prepare(round) {
      const repository = await makeRepository(`push-${round}`, facts);
      await facts.database.markReady(stretch.segments);
      const command = pushCommand(repository, stretch);
      const env = {};
      return {
        steps: [{ name: 'ship', command, env, cwd: facts.database.dataDir }],
        check: async () => {
          const archived = await facts.s3.keys(repository.bucket, 'repo/archive/');
          const missing = stretch.segments.filter((s) => !archived.some(({ key }) => key.includes(s)));
          if (missing.length > 0)
            throw new Error(`pgBackRest has not archived ${missing.length} segments: ${missing[0]} …`);
          return { kept: await facts.s3.kept(repository.bucket, 'repo/archive/') };
        },
        clear: () => repository.remove(),
      };
    },
  };
}

export const pushCommand = (repository: Repository, { segments }: Stretch): readonly string[] => {
  const [push, options] = [repository.commandLine('archive-push'), asPostgres().length];
  // Become the database's user once, not for every segment.
  return [...asPostgres(), 'sh', '-c', archiverScript(push.slice(options)), 'sh', ...segments];
};

/** @throws Error that names the package. */
export async function requirePgBackRest(): Promise<string> {
  try {
    await access(`/usr/bin/${PGBACKREST}`);
  } catch {
    throw new Error('pgbackrest is not installed; run `sh scripts/setup.sh bench` (Debian package pgbackrest)');
  }
  return (await run(PGBACKREST, ['version'])).stdout.trim();
}
