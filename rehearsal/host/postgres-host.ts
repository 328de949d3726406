/** Makes the folder of an emulated PostgreSQL host: configuration, passfile, node.env and what the stand-ins need to know. */
import { execFile } from 'node:child_process';
import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import type { HostFacts, PreparedHost } from '../cloud/hosts-machine.ts';
import { environmentFile, SYSTEMCTL } from './node-env.ts';
import { hbaConfig, postgresConfig } from './postgres-config.ts';
import { PG_BIN, POSTGRES_ACCOUNTS, postgresTemplate, postgresUnixUser } from './postgres-template.ts';

const run = promisify(execFile);

const SOCKET_DIR_LIMIT = 90; // unix(7), sun_path: 107 bytes with "/.s.PGSQL.5432.lock"
/** On loopback a healthy server of this size shuts down in a second; past this, it hangs. */
const STOP_SECONDS = 10;

export interface PostgresHostFacts extends HostFacts {
  /**
   * Group id that this host's server runs under: it tells the hosts of one machine apart for the packet filter
   * (`partition.ts`). Null: the user's own.
   */
  readonly groupId: number | null;
}

/**
 * Writes postgresql.conf, pg_hba.conf, the passfile and node.env; makes nothing on the data volume. The data directory is
 * `main` below the volume's mount point (`facts.dataDir`).
 * @throws Error when the path of the socket's folder is too long.
 */
export async function preparePostgresHost(facts: PostgresHostFacts): Promise<PreparedHost> {
  const { hostDir } = facts;
  const socketDir = join(hostDir, 'db');
  if (Buffer.byteLength(socketDir) > SOCKET_DIR_LIMIT) {
    throw new Error(
      `the socket's folder ${socketDir} has ${Buffer.byteLength(socketDir)} bytes; use a shorter host folder, ${SOCKET_DIR_LIMIT} is the limit`,
    );
  }
  const user = postgresUnixUser();
  const { replication } = POSTGRES_ACCOUNTS;
  const [configFile, hbaFile, passfile] = ['postgresql.conf', 'pg_hba.conf', 'pgpass'].map((f) => join(hostDir, f)) as [
    string,
    string,
    string,
  ];
  await mkdir(socketDir, { recursive: true });
  await chmod(hostDir, 0o755);
  await writeFile(configFile, postgresConfig({ address: facts.address, port: facts.port, socketDir, hbaFile }));
  await writeFile(hbaFile, hbaConfig({ replication: replication.user, plane: POSTGRES_ACCOUNTS.probe.user }));
  await writeFile(passfile, `*:*:*:${replication.user}:${replication.password}\n`, { mode: 0o600 });
  if (process.getuid?.() === 0) await run('chown', [user, socketDir, passfile]);
  const env: Record<string, string> = {
    REJOIN_ENGINE: 'postgres',
    REJOIN_INSTANCE_ID: facts.instanceId,
    REJOIN_ADDRESS: facts.address,
    REJOIN_PORT: String(facts.port),
    REJOIN_CLUSTER: facts.cluster,
    REJOIN_DATA_DIR: join(facts.dataDir, 'main'),
    REJOIN_DATA_DEVICE: '',
    REJOIN_UNIX_USER: user,
    REJOIN_PG_BIN: PG_BIN,
    REJOIN_CONFIG_FILE: configFile,
    REJOIN_SOCKET: socketDir,
    REJOIN_PASSFILE: passfile,
    REJOIN_SERVICE: 'rejoin-postgres',
    REJOIN_SYSTEMCTL: SYSTEMCTL,
    REJOIN_LOG_FILE: join(hostDir, 'postgres.log'),
    REJOIN_STATE_DIR: join(hostDir, 'run'),
    REJOIN_STOP_SECONDS: String(STOP_SECONDS),
    ...(facts.groupId === null ? {} : { REJOIN_REHEARSAL_GROUP: String(facts.groupId) }),
  };
  const envFile = await environmentFile(hostDir, env);
  return { env: { ...env, REJOIN_HOST_DIR: hostDir, REJOIN_NODE_ENV: envFile }, envFile };
}

/** Makes the data directory of a host a copy of the template. `dataDir` is REJOIN_DATA_DIR; its parent must be there. */
export async function fillPostgresDataDir(dataDir: string): Promise<void> {
  const template = await postgresTemplate();
  await chmod(dirname(dataDir), 0o755);
  await run('cp', ['-a', '--sparse=always', template, dataDir]);
}
