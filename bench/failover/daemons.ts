/** Starts the programs of the peer, each with a log file, and ends them by their process ids. */
import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { open, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

export interface Daemon {
  readonly pid: number;
  ended(): boolean;
  kill(): Promise<void>;
}

const FOLDERS = ['/usr/sbin', '/usr/local/sbin', '/usr/bin', '/usr/local/bin'];

/** @throws Error that names the packages when the program is not there. */
export function programPath(name: string): string {
  const path = FOLDERS.map((dir) => join(dir, name)).find((candidate) => existsSync(candidate));
  if (path === undefined)
    throw new Error(
      `${name} is not installed; run \`sh scripts/setup.sh bench\` (Debian packages patroni, etcd-server)`,
    );
  return path;
}

/** `user`: the unix user to become; null to stay who we are. The program dies with the benchmark. */
export async function startDaemon(
  command: readonly string[],
  options: { readonly cwd: string; readonly log: string; readonly user: string | null },
): Promise<Daemon> {
  const [name = '', ...args] = command;
  const as = options.user === null ? [] : ['--reuid', options.user, '--regid', options.user, '--init-groups'];
  const log = await open(options.log, 'a');
  try {
    const child = spawn('setpriv', [...as, '--pdeathsig', 'SIGKILL', programPath(name), ...args], {
      cwd: options.cwd,
      stdio: ['ignore', log.fd, log.fd],
      env: { PATH: process.env['PATH'], LANG: 'C.UTF-8', HOME: options.cwd, ETCD_UNSUPPORTED_ARCH: process.arch },
    });
    await new Promise<void>((resolve, reject) => {
      child.once('spawn', resolve);
      child.once('error', reject);
    });
    return daemon(child);
  } finally {
    await log.close();
  }
}

function daemon(child: ChildProcess): Daemon {
  const ended = (): boolean => child.exitCode !== null || child.signalCode !== null;
  return {
    pid: child.pid ?? 0,
    ended,
    kill: async () => {
      if (ended()) return;
      const gone = new Promise((resolve) => child.once('exit', resolve));
      child.kill('SIGKILL');
      await gone;
    },
  };
}

/** Polls until `ready` answers true. @throws Error with the end of the log after `withinSeconds`. */
export async function untilReady(
  what: string,
  ready: () => Promise<boolean>,
  withinSeconds: number,
  logFile: string | null = null,
): Promise<void> {
  const deadlineMs = Date.now() + withinSeconds * 1000;
  while (!(await ready().catch(() => false))) {
    if (Date.now() > deadlineMs) {
      const log = logFile === null ? '' : `; the end of ${logFile}:\n${(await readFile(logFile, 'utf8')).slice(-1500)}`;
      throw new Error(`${what} was not ready after ${withinSeconds} s${log}`);
    }
    await sleep(200);
  }
}
