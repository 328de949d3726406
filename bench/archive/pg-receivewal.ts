/** For reference: PostgreSQL's own receiver, which stores on a file system (here the RAM disk on which the S3 server stores). */
import { execFile } from 'node:child_process';
import { mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { asPostgres, PG_BIN, POSTGRES_ACCOUNTS, postgresUnixUser } from '../../rehearsal/host/postgres-template.ts';
import { lsnBytes } from '../../lambdas/model/lsn.ts';
import { lsnOfBytes } from '../../lambdas/model/archive/keys.ts';
import type { Database, Stretch } from './database.ts';
import type { Contestant } from './kinds.ts';

const run = promisify(execFile);

export const COMPRESSIONS = ['none', 'lz4', 'gzip:1'] as const;
export type Compression = (typeof COMPRESSIONS)[number];

const SLOT = 'bench_receivewal';

export function pgReceiveWal(
  compression: Compression,
  { ram, database }: { readonly ram: string; readonly database: Database },
  stretch: Stretch,
): Contestant {
  return {
    name: `pg_receivewal ${compression}`,
    async prepare() {
      const dir = await mkdtemp(join(ram, 'rejoin-bench-receivewal-'));
      if (process.getuid?.() === 0) await run('chown', [postgresUnixUser(), dir]);
      await database.resetSlot(SLOT, 'bench_log');
      // It ends with the first message that goes beyond this place.
      const last = lsnOfBytes(lsnBytes(stretch.end) - 1n);
      const { user, password } = POSTGRES_ACCOUNTS.replication;
      const source = ['-h', database.address, '-p', String(database.port), '-U', user, '-S', SLOT];
      const how = ['-D', dir, '--no-loop', `--endpos=${last}`, `--compress=${compression}`];
      const command = [...asPostgres(), join(PG_BIN, 'pg_receivewal'), ...source, ...how];
      return {
        steps: [{ name: 'ship', command, env: { PGPASSWORD: password }, cwd: dir }],
        check: async () => {
          const files = (await readdir(dir)).sort();
          const got = new Set(files.filter((f) => !f.endsWith('.partial')).map((f) => f.slice(0, 24)));
          const missing = stretch.segments.filter((segment) => !got.has(segment));
          if (missing.length > 0) throw new Error(`pg_receivewal has not ${missing.length} segments: ${missing[0]} …`);
          const sizes = await Promise.all(files.map(async (file) => (await stat(join(dir, file))).size));
          return { kept: { bytes: sizes.reduce((total, size) => total + size, 0), objects: files.length } };
        },
        clear: () => rm(dir, { recursive: true, force: true }),
      };
    },
  };
}
