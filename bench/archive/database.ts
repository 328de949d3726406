/**
 * The PostgreSQL whose log is shipped: one server, with a stretch of log that a slot holds back, so that
 * every contestant reads the same bytes in every round.
 */
import { execFile } from 'node:child_process';
import { chmod, cp, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { lsnOfBytes } from '../../lambdas/model/archive/keys.ts';
import { lsnBytes } from '../../lambdas/model/lsn.ts';
import type { AddressBlock } from '../../rehearsal/addresses.ts';
import type { Cleanup } from '../../rehearsal/cleanup.ts';
import { hbaConfig, postgresConfig } from '../../rehearsal/host/postgres-config.ts';
import {
  asPostgres,
  PG_BIN,
  POSTGRES_ACCOUNTS,
  postgresTemplate,
  postgresUnixUser,
  runAsPostgres,
} from '../../rehearsal/host/postgres-template.ts';

const run = promisify(execFile);

export const SEGMENT_BYTES = 16 * 2 ** 20;
/**
 * Where log that is held back begins, each a slot of which every round's is a copy: before the base backups, from where a restore
 * needs it, and after them, from where it is measured (a backup leaves segments that are empty but for their beginning).
 */
export type Beginning = 'bench_base' | 'bench_log';
const PORT = 5432;
/** Of the log to be written, for each row of the table that is written to: 1 GB of log goes over a database of 450 MB. */
const LOG_BYTES_A_ROW = 400;
/** And for each small transaction between two large ones. */
const LOG_BYTES_A_TRANSACTION = 1_000_000;
/** A large transaction updates one row in so many: some on each page. */
const ONE_IN = 20;

export interface Stretch {
  /** First byte and the one after the last, both at segments' borders but for the start's header. */
  readonly start: string;
  readonly end: string;
  readonly bytes: number;
  /** File names, in order. */
  readonly segments: readonly string[];
}

export interface Database {
  readonly address: string;
  readonly port: number;
  readonly dataDir: string;
  readonly socketDir: string;
  readonly systemIdentifier: string;
  readonly pid: number;
  sql(statement: string): Promise<string>;
  /** The log from here on is held back. */
  holdLog(beginning: Beginning): Promise<void>;
  /** Writes until there is so much log since `bench_log`, and ends the segment. */
  writeLog(bytes: number): Promise<void>;
  /** What there is from that beginning on, when all is written. */
  stretch(from: Beginning): Promise<Stretch>;
  /** Marks these segments, and no others, as ready to be archived. */
  markReady(segments: readonly string[]): Promise<void>;
  /** Drops the slot of that name and makes it anew, at that beginning. */
  resetSlot(name: string, beginning: Beginning): Promise<void>;
  stop(): Promise<void>;
}

const settings = (): string => `
shared_buffers = 256MB
max_wal_size = 1GB
checkpoint_timeout = 1h
autovacuum = off
fsync = off
synchronous_commit = off
max_slot_wal_keep_size = -1
wal_keep_size = 0
wal_sender_timeout = 60s
archive_mode = off
log_min_messages = warning
`;

/** Several rows in each transaction, at random: full pages after each checkpoint, as a busy database writes. */
const writer = (rows: number): string => `
\\set a random(1, ${rows})
\\set b random(1, ${rows})
\\set c random(1, ${rows})
BEGIN;
UPDATE ledger SET balance = balance + :b % 100, note = md5(:c::text) WHERE id = :a;
UPDATE ledger SET balance = balance - :b % 100 WHERE id = :b;
INSERT INTO moves (from_id, to_id, note) VALUES (:a, :b, md5(:a::text) || md5(:b::text));
COMMIT;
`;

const tables = (rows: number): string => `
CREATE TABLE moves (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, from_id int, to_id int, at timestamptz DEFAULT now(), note text);
CREATE TABLE ledger (id int, balance bigint, name text, note text) WITH (fillfactor = 90);
INSERT INTO ledger SELECT i, i * 7 % 100000, 'customer ' || i || ' of branch ' || i % 97, md5(i::text) || md5((i * 3)::text) FROM generate_series(1, ${rows}) AS i;
ALTER TABLE ledger ADD PRIMARY KEY (id);
`;

/** `logBytes`: how much log is going to be written; the tables are as large as suits it. */
export async function startDatabase(
  dir: string,
  logBytes: number,
  addresses: AddressBlock,
  cleanup: Cleanup,
): Promise<Database> {
  const rows = Math.ceil(logBytes / LOG_BYTES_A_ROW);
  const [dataDir, socketDir, logFile] = [join(dir, 'data'), join(dir, 's'), join(dir, 'log', 'postgres.log')];
  const [config, hba, script] = [join(dir, 'postgresql.conf'), join(dir, 'pg_hba.conf'), join(dir, 'writer.sql')];
  const address = addresses.host(1, 1);
  await mkdir(join(dir, 'log'), { recursive: true });
  await mkdir(socketDir);
  await cp(await postgresTemplate(), dataDir, { recursive: true });
  await writeFile(config, postgresConfig({ address, port: PORT, socketDir, hbaFile: hba }) + settings());
  await writeFile(
    hba,
    hbaConfig({ replication: POSTGRES_ACCOUNTS.replication.user, plane: POSTGRES_ACCOUNTS.probe.user }),
  );
  await writeFile(script, writer(rows));
  if (process.getuid?.() === 0) await run('chown', ['-R', postgresUnixUser(), dir]);
  await chmod(dir, 0o755);
  await chmod(dataDir, 0o700);
  const control = (verb: string, ...more: string[]): Promise<string> =>
    runAsPostgres('pg_ctl', [verb, '-D', dataDir, '-w', '-t', '120', '-l', logFile, ...more]);
  let up = true;
  const stop = async (): Promise<void> => {
    if (up) await control('stop', '-m', 'immediate');
    up = false;
  };
  cleanup.add('PostgreSQL', stop);
  await control('start', '-o', `-c config_file=${config}`).catch(async (error: unknown) => {
    up = false;
    throw new Error(`PostgreSQL did not start: ${await readFile(logFile, 'utf8')}`, { cause: error });
  });
  const pid = Number((await readFile(join(dataDir, 'postmaster.pid'), 'utf8')).split('\n')[0]);
  const { database } = POSTGRES_ACCOUNTS.app;
  const at = ['-X', '-q', '-A', '-t', '-h', socketDir, '-p', String(PORT), '-U', 'postgres', '-d', database];
  const sql = async (statement: string): Promise<string> =>
    (await runAsPostgres('psql', [...at, '-v', 'ON_ERROR_STOP=1', '-c', statement])).trim();
  for (const statement of tables(rows).trim().split('\n')) await sql(statement);
  await sql('VACUUM ANALYZE');
  const systemIdentifier = await sql('SELECT system_identifier FROM pg_control_system()');
  const server = { address, port: PORT, dataDir, socketDir, systemIdentifier, pid, sql, stop };
  return { ...server, ...logOf(server, script) };
}

/** As the server marks segments for its archiver, which is off here: these are to be archived, and no others. */
async function markReady(dataDir: string, segments: readonly string[]): Promise<void> {
  const folder = join(dataDir, 'pg_wal', 'archive_status');
  const others = (await readdir(folder)).filter((name) => name.endsWith('.ready'));
  await Promise.all(others.map((name) => rm(join(folder, name))));
  const files = segments.map((name) => join(folder, `${name}.ready`));
  await Promise.all(files.map((file) => writeFile(file, '')));
  if (process.getuid?.() === 0) await run('chown', [postgresUnixUser(), ...files]);
}

type Server = Pick<Database, 'sql' | 'dataDir' | 'socketDir'>;

function logOf(
  { sql, dataDir, socketDir }: Server,
  script: string,
): Pick<Database, 'holdLog' | 'writeLog' | 'stretch' | 'markReady' | 'resetSlot'> {
  const written = async (): Promise<number> =>
    Number(
      await sql(`SELECT pg_current_wal_lsn() - restart_lsn FROM pg_replication_slots WHERE slot_name = 'bench_log'`),
    );
  const pgbench = (transactions: number): Promise<unknown> => {
    const [first = '', ...rest] = [...asPostgres(), join(PG_BIN, 'pgbench')];
    const at = ['-h', socketDir, '-p', String(PORT), '-U', 'postgres', POSTGRES_ACCOUNTS.app.database];
    return run(first, [...rest, '-n', '-c', '2', '-t', String(transactions), '-f', script, ...at], {
      cwd: '/',
      env: { PATH: process.env['PATH'] },
    });
  };
  return {
    async holdLog(beginning) {
      await sql('SELECT pg_switch_wal()');
      await sql('CHECKPOINT');
      await sql(`SELECT pg_create_physical_replication_slot('${beginning}', true)`);
    },
    async writeLog(bytes) {
      for (let turn = 0; (await written()) < bytes; turn += 1) {
        await sql('CHECKPOINT'); // full pages again
        await pgbench(Math.ceil(bytes / LOG_BYTES_A_TRANSACTION));
        const set = `balance = balance + ${turn}, note = md5((id + ${turn})::text)`;
        await sql(`UPDATE ledger SET ${set} WHERE id % ${ONE_IN} = ${turn % ONE_IN}`);
      }
      await sql('CHECKPOINT');
      await sql('SELECT pg_switch_wal()');
    },
    async stretch(from) {
      const slot = `FROM pg_replication_slots WHERE slot_name = '${from}'`;
      const [start = '', now = ''] = (await sql(`SELECT restart_lsn, pg_current_wal_lsn() ${slot}`)).split('|');
      // An idle server still writes a few records of its own behind the end.
      const border = (lsnBytes(now) / BigInt(SEGMENT_BYTES)) * BigInt(SEGMENT_BYTES);
      const end = lsnOfBytes(border);
      const size = Number(border - lsnBytes(start));
      const named = `SELECT pg_walfile_name('${start}'), pg_walfile_name('${lsnOfBytes(border - 1n)}')`;
      const [first = '', last = ''] = (await sql(named)).split('|');
      const files = (await readdir(join(dataDir, 'pg_wal'))).filter((name) => /^[0-9A-F]{24}$/.test(name));
      const segments = files.filter((name) => name >= first && name <= last).sort();
      if (segments.length !== Math.ceil(size / SEGMENT_BYTES))
        throw new Error(`${segments.length} segments from ${first} to ${last} for ${size} bytes of log`);
      return { start, end, bytes: size, segments };
    },
    markReady: (segments) => markReady(dataDir, segments),
    async resetSlot(name, beginning) {
      await sql(
        `SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = '${name}' AND NOT active`,
      );
      await sql(`SELECT pg_copy_physical_replication_slot('${beginning}', '${name}')`);
    },
  };
}
