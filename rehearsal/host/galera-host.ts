/** Makes the folder of an emulated database host: configuration, node.env and what scripts and stand-ins need to know. */
import { execFile } from 'node:child_process';
import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { galeraConfig } from './galera-config.ts';
import { templateDataDir, unixUser } from './galera-template.ts';
import { environmentFile, SYSTEMCTL } from './node-env.ts';

export { ACCOUNTS, templateDataDir, unixUser } from './galera-template.ts';

const run = promisify(execFile);

export { SYSTEMCTL } from './node-env.ts';

export interface HostDirFacts {
  readonly hostDir: string;
  /** The mount point of the data volume; may be a symbolic link that changes with the volume. */
  readonly dataDir: string;
  readonly address: string;
  readonly port: number;
  readonly instanceId: string;
  readonly cluster: string;
  /** `mysql` when we are root, otherwise ourselves, unless said. */
  readonly unixUser?: string;
  /** Limits of the scripts in seconds, where the defaults for real hosts are longer than one wants to wait. */
  readonly stopSeconds?: number;
  readonly joinSeconds?: number;
}

export interface PreparedHostDir {
  /** Environment of every script on this host, beside PATH. */
  readonly env: Record<string, string>;
  readonly envFile: string;
}

const SERVICE = 'mariadb';
/** On loopback a healthy server of this size shuts down in a second; past this, it hangs. */
const STOP_SECONDS = 10;

/**
 * Writes my.cnf, the folder for the scripts' own configuration and node.env; makes nothing in the data directory.
 * `hostDir` and the folders above it must be passable for the database's unix user (mode 755), and the socket path
 * `<hostDir>/mariadb.sock` at most 107 bytes long (unix(7)).
 * @throws Error when the socket path is too long.
 */
export async function prepareHostDir(facts: HostDirFacts): Promise<PreparedHostDir> {
  const { hostDir } = facts;
  const socket = join(hostDir, 'db', 'mariadb.sock');
  if (Buffer.byteLength(socket) > 107) {
    throw new Error(
      `the socket path ${socket} has ${Buffer.byteLength(socket)} bytes; use a shorter host folder, 107 is the limit`,
    );
  }
  const user = facts.unixUser ?? unixUser();
  const includeDir = join(hostDir, 'conf.d');
  const defaultsFile = join(hostDir, 'my.cnf');
  await mkdir(includeDir, { recursive: true });
  await mkdir(join(hostDir, 'db'), { recursive: true });
  await chmod(hostDir, 0o755);
  if (process.getuid?.() === 0) await run('chown', [user, join(hostDir, 'db')]);
  await writeFile(
    defaultsFile,
    galeraConfig({
      address: facts.address,
      port: facts.port,
      dataDir: facts.dataDir,
      socket,
      pidFile: join(hostDir, 'db', 'mariadbd.pid'),
      includeDir,
      unixUser: user,
    }),
  );
  const env: Record<string, string> = {
    REJOIN_INSTANCE_ID: facts.instanceId,
    REJOIN_ADDRESS: facts.address,
    REJOIN_PORT: String(facts.port),
    REJOIN_CLUSTER: facts.cluster,
    REJOIN_DATA_DIR: facts.dataDir,
    REJOIN_DATA_DEVICE: '',
    REJOIN_UNIX_USER: user,
    REJOIN_CONFIG_FILE: join(includeDir, '99-rejoin.cnf'),
    REJOIN_DEFAULTS_FILE: defaultsFile,
    REJOIN_SOCKET: socket,
    REJOIN_SERVICE: SERVICE,
    REJOIN_SYSTEMCTL: SYSTEMCTL,
    REJOIN_LOG_FILE: join(hostDir, 'mariadbd.log'),
    REJOIN_STATE_DIR: join(hostDir, 'run'),
    REJOIN_STOP_SECONDS: String(facts.stopSeconds ?? STOP_SECONDS),
    ...(facts.joinSeconds === undefined ? {} : { REJOIN_JOIN_SECONDS: String(facts.joinSeconds) }),
  };
  const envFile = await environmentFile(hostDir, env);
  return { env: { ...env, REJOIN_HOST_DIR: hostDir, REJOIN_NODE_ENV: envFile }, envFile };
}

/** Fills an empty data directory (or a volume's folder) with a copy of the template. */
export async function fillDataDir(dataDir: string): Promise<void> {
  const template = await templateDataDir();
  await mkdir(dataDir, { recursive: true });
  // Sparse: the log files of a new server are mostly zeros.
  await run('cp', ['-a', '--sparse=always', `${template}/.`, dataDir]);
}
