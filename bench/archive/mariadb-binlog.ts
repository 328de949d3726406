/** The tool that people use: mariadb-binlog as a replica that writes the files it is sent, plain or through zstd. No S3. */
import { mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { PEERS } from './figures.ts';
import type { Contestant } from './kinds.ts';
import type { Binlogs, MariaDb } from './mariadb.ts';

/** Each binlog's file is a pipe, from which one zstd writes the next file. $1 folder, $2 how many; the rest: the command. */
const THROUGH_ZSTD = `set -e
cd "$1"
shift
names=$1
shift
for name in $names; do mkfifo "$name"; done
for name in $names; do zstd -3 -q -c <"$name" >"$name.zst"; done &
"$@"
wait`;

export function mariadbBinlog(ram: string, server: MariaDb, binlogs: Binlogs, compressed: boolean): Contestant {
  return {
    name: compressed ? PEERS.binlog : 'mariadb-binlog',
    async prepare() {
      const dir = await mkdtemp(join(ram, 'rejoin-bench-binlog-'));
      const { user, password } = server.account;
      const source = [`--host=${server.address}`, `--port=${server.port}`, `--user=${user}`];
      const how = ['--no-defaults', '--read-from-remote-server', '--raw', `--result-file=${dir}/`];
      const receive = ['mariadb-binlog', ...how, ...source, ...binlogs.files];
      const through = ['sh', '-c', THROUGH_ZSTD, 'sh', dir, binlogs.files.join(' '), ...receive];
      return {
        steps: [{ name: 'ship', command: compressed ? through : receive, env: { MYSQL_PWD: password }, cwd: dir }],
        check: async () => {
          const suffix = compressed ? '.zst' : '';
          const there = new Set(await readdir(dir));
          const missing = binlogs.files.filter((name) => !there.has(name + suffix));
          if (missing.length > 0) throw new Error(`mariadb-binlog has not written ${missing.join(', ')}`);
          const stored = binlogs.files.map((name) => join(dir, name + suffix));
          const sizes = await Promise.all(stored.map(async (file) => (await stat(file)).size));
          const bytes = sizes.reduce((total, size) => total + size, 0);
          if (!compressed && bytes !== binlogs.bytes)
            throw new Error(`mariadb-binlog has written ${bytes} bytes; expected ${binlogs.bytes}`);
          return { kept: { bytes, objects: sizes.length } };
        },
        clear: () => rm(dir, { recursive: true, force: true }),
      };
    },
  };
}
