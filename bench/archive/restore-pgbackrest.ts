/** The peer's restore: pgBackRest fetches the base backup, then PostgreSQL replays what `archive-get` brings, to the end. */
import { execFile } from 'node:child_process';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { hbaConfig, postgresConfig } from '../../rehearsal/host/postgres-config.ts';
import { asPostgres, PG_BIN, POSTGRES_ACCOUNTS, postgresUnixUser } from '../../rehearsal/host/postgres-template.ts';
import type { Contestant, Prepared } from './kinds.ts';
import type { Repository } from './pgbackrest.ts';
import { ending, expectContent, RESTORED_SETTINGS } from './restored.ts';

const run = promisify(execFile);

const PORT = '5432';

/** Starts the server, which pg_ctl waits for until it answers, and waits until it has left recovery. Arguments as of `ending`, then: configuration file, log. */
const REPLAY = `set -e
"${PG_BIN}/pg_ctl" start -s -w -t 900 -D "$3" -l "$6" -o "-c config_file=$5"
until [ "$("${PG_BIN}/psql" -XAtq -h "$1" -p "$2" -U postgres -d postgres -c 'SELECT NOT pg_is_in_recovery()' 2>/dev/null)" = t ]; do
  kill -0 "$(head -n 1 "$3/postmaster.pid")" || { tail "$6"; exit 1; }
  sleep 0.1
done
${ending([])}`;

export interface RestoreFacts {
  readonly dir: string;
  readonly address: string;
  /** What the database holds at the end of its log. */
  readonly content: string;
}

export function pgBackRestRestore({ dir, address, content }: RestoreFacts, repository: Repository): Contestant {
  return {
    name: 'pgbackrest',
    async prepare(round): Promise<Prepared> {
      const folder = join(dir, `pgbackrest-restored-${round}`);
      const file = (name: string): string => join(folder, name);
      const [data, socketDir, hbaFile, config] = [
        file('data'),
        file('s'),
        file('pg_hba.conf'),
        file('postgresql.conf'),
      ];
      await mkdir(data, { recursive: true, mode: 0o700 });
      await mkdir(socketDir);
      await writeFile(config, postgresConfig({ address, port: Number(PORT), socketDir, hbaFile }) + RESTORED_SETTINGS);
      await writeFile(
        hbaFile,
        hbaConfig({ replication: POSTGRES_ACCOUNTS.replication.user, plane: POSTGRES_ACCOUNTS.probe.user }),
      );
      // The queue of an earlier round must not be this one's.
      await rm(join(dir, repository.bucket, 'spool', 'archive'), { recursive: true, force: true });
      if (process.getuid?.() === 0) await run('chown', ['-R', postgresUnixUser(), folder]);
      const restore = repository.commandLine('restore', `--pg1-path=${data}`);
      const args = [socketDir, PORT, data, file('content'), config, file('log')];
      const replay = [...asPostgres(), 'sh', '-c', REPLAY, 'sh', ...args];
      return {
        steps: [
          { name: 'restore', command: restore, env: {}, cwd: folder },
          { name: 'replay', command: replay, env: {}, cwd: folder },
        ],
        check: async () => {
          await expectContent(file('content'), content);
          return { kept: null };
        },
        clear: () => rm(folder, { recursive: true, force: true }),
      };
    },
  };
}
