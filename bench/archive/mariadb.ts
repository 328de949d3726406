/** The MariaDB whose binlogs are shipped: one server, that writes them once and keeps them. */
import { execFile, spawn } from 'node:child_process';
import { chmod, mkdir, open, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Cleanup } from '../../rehearsal/cleanup.ts';
import { ACCOUNTS, unixUser } from '../../rehearsal/host/galera-template.ts';
import { untilReady } from '../failover/daemons.ts';

const run = promisify(execFile);

const PORT = 3306;
/** Rows that one call writes, in transactions of some rows each: about 12 MB of binlog. */
const TRANSACTIONS_A_CALL = 2000;

export interface MariaDb {
  readonly address: string;
  readonly port: number;
  readonly pid: number;
  readonly account: { readonly user: string; readonly password: string };
  sql(statement: string): Promise<string>;
  /** Writes until there is so much binlog, and closes the file. Answers the files, all of them closed, and their bytes. */
  writeLog(bytes: number): Promise<Binlogs>;
}

export interface Binlogs {
  readonly files: readonly string[];
  readonly bytes: number;
  /** The server's position at the end. */
  readonly gtid: string;
}

const config = (dir: string, address: string): string => `[mariadbd]
datadir=${dir}/data
socket=${dir}/s
pid-file=${dir}/pid
bind-address=${address}
port=${PORT}
skip-name-resolve
performance_schema=OFF
innodb_buffer_pool_size=128M
innodb_flush_log_at_trx_commit=2
sync_binlog=0
binlog_format=ROW
log_bin=binlog
max_binlog_size=128M
log_slave_updates=ON
server_id=1
`;

/** Some rows a transaction, with text as applications write it, and an update of as many. */
const TABLES = [
  `GRANT REPLICATION SLAVE, BINLOG MONITOR ON *.* TO '${ACCOUNTS.probe.user}'@'%' IDENTIFIED BY '${ACCOUNTS.probe.password}'`,
  'CREATE DATABASE app',
  'CREATE TABLE app.moves (id INT AUTO_INCREMENT PRIMARY KEY, balance BIGINT, name VARCHAR(100), note VARCHAR(200))',
  `CREATE PROCEDURE app.work(transactions INT)
BEGIN
  WHILE transactions > 0 DO
    START TRANSACTION;
    INSERT INTO app.moves (balance, name, note) SELECT seq * 7, CONCAT('customer ', seq, ' of branch ', seq % 97), CONCAT(MD5(RAND()), MD5(seq)) FROM seq_1_to_10;
    UPDATE app.moves SET balance = balance + transactions, note = MD5(RAND()) WHERE id > CAST(LAST_INSERT_ID() AS SIGNED) - 20 AND id <= LAST_INSERT_ID();
    COMMIT;
    SET transactions = transactions - 1;
  END WHILE;
END`,
];

export async function startMariaDb(dir: string, address: string, cleanup: Cleanup): Promise<MariaDb> {
  const defaults = join(dir, 'my.cnf');
  const logFile = join(dir, 'log');
  const root = process.getuid?.() === 0;
  const user = root ? [`--user=${unixUser()}`] : [];
  await mkdir(join(dir, 'data'), { recursive: true });
  await chmod(dir, 0o755);
  await writeFile(defaults, config(dir, address));
  if (root) await run('chown', ['-R', unixUser(), dir]);
  const auth = ['--auth-root-authentication-method=socket', '--auth-root-socket-user=root'];
  await run('mariadb-install-db', [`--defaults-file=${defaults}`, ...user, '--skip-test-db', ...auth]);
  const log = await open(logFile, 'a');
  const child = spawn('setpriv', ['--pdeathsig', 'SIGKILL', 'mariadbd', `--defaults-file=${defaults}`, ...user], {
    stdio: ['ignore', log.fd, log.fd],
  });
  const ended = new Promise((resolve) => child.once('exit', resolve));
  cleanup.add('MariaDB', async () => {
    child.kill('SIGKILL');
    await ended;
    await log.close();
  });
  const sql = async (statement: string): Promise<string> => {
    const how = ['--no-defaults', `--socket=${join(dir, 's')}`, '--skip-column-names', '--batch', '--database='];
    return (await run('mariadb', [...how, `--execute=${statement}`])).stdout.trim();
  };
  await untilReady('MariaDB', async () => (await sql('SELECT 1')) === '1', 60, logFile);
  for (const statement of TABLES) await sql(`DELIMITER $$\n${statement} $$`);
  const pid = Number((await readFile(join(dir, 'pid'), 'utf8')).trim());
  const files = async (): Promise<string[]> => {
    const rows = (await sql('SHOW BINARY LOGS')).split('\n');
    return rows.map((row) => row.split('\t')[0] ?? '');
  };
  const bytesOf = async (names: readonly string[]): Promise<number> => {
    const sizes = await Promise.all(names.map(async (name) => (await stat(join(dir, 'data', name))).size));
    return sizes.reduce((total, size) => total + size, 0);
  };
  return {
    ...{ address, port: PORT, pid, account: ACCOUNTS.probe, sql },
    async writeLog(bytes) {
      while ((await bytesOf(await files())) < bytes) await sql(`CALL app.work(${TRANSACTIONS_A_CALL})`);
      await sql('FLUSH BINARY LOGS');
      const closed = (await files()).slice(0, -1);
      return { files: closed, bytes: await bytesOf(closed), gtid: await sql('SELECT @@gtid_binlog_pos') };
    },
  };
}
