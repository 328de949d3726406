/**
 * The data plane of one emulated balancer: an HAProxy process whose servers come and go over its runtime API. It checks
 * nobody's health: it is told. Source: HAProxy 2.6 Management Guide, "Unix Socket commands".
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { access, mkdir, open, readFile, writeFile } from 'node:fs/promises';
import { constants } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';

export interface HaproxyOptions {
  readonly dir: string;
  readonly address: string;
  readonly port: number;
}

/** `ready`: takes new connections. `drain`: keeps those it has. */
export type ServerMode = 'ready' | 'drain';

export interface Haproxy {
  readonly pid: number;
  /** Adds the server when it is not there. */
  set(name: string, address: string, port: number, mode: ServerMode): Promise<void>;
  /** Ends all connections of the server; clients see theirs closed. */
  cut(name: string): Promise<void>;
  /** Takes the server out when its last connection has ended; answers whether it is out. */
  remove(name: string): Promise<boolean>;
  /** Open connections by server. */
  connections(): Promise<ReadonlyMap<string, number>>;
  stop(): Promise<void>;
}

const BACKEND = 'targets';
const SOCKET_PATH_LIMIT = 107; // unix(7), sun_path
const NLB_IDLE_SECONDS = 350; // NLB's TCP idle timeout

const config = (options: HaproxyOptions, socket: string): string => `global
  stats socket ${socket} mode 600 level admin
  stats timeout 1h
  maxconn 4000
  # Otherwise two proxies could share one address, each taking half of its connections.
  noreuseport

defaults
  mode tcp
  # A balancer of the fourth layer tries one target and leaves retrying to the client.
  retries 0
  timeout connect 5s
  timeout client ${NLB_IDLE_SECONDS}s
  timeout server ${NLB_IDLE_SECONDS}s

frontend listener
  bind ${options.address}:${options.port}
  default_backend ${BACKEND}

backend ${BACKEND}
  balance roundrobin
`;

async function executable(name: string): Promise<string> {
  for (const dir of ['/usr/sbin', '/usr/local/sbin', '/usr/bin', ...(process.env['PATH'] ?? '').split(':')]) {
    const path = join(dir, name);
    const found = await access(path, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (found) return path;
  }
  throw new Error(`${name} is not installed; install it, on Debian or Ubuntu: apt-get install ${name}`);
}

/** One command, one connection: the answer is everything until HAProxy closes. */
function ask(socket: string, command: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let answer = '';
    const connection = connect(socket);
    connection.setTimeout(5000, () => connection.destroy(new Error('no answer within 5 s')));
    connection.once('error', (error) => reject(new Error(`HAProxy, "${command}": ${error.message}`)));
    connection.on('data', (chunk: Buffer) => (answer += chunk.toString()));
    connection.once('end', () => resolve(answer.trim()));
    connection.end(`${command}\n`);
  });
}

const ended = (child: ChildProcess): boolean => child.exitCode !== null || child.signalCode !== null;

async function awaitSocket(child: ChildProcess, socket: string, log: string): Promise<void> {
  const deadline = Date.now() + 5000;
  for (;;) {
    if (ended(child)) {
      const words = (await readFile(log, 'utf8')).trim();
      throw new Error(`HAProxy ended with ${child.exitCode} (${log}): ${words.slice(-500)}`);
    }
    const there = await ask(socket, 'show info').then(
      () => true,
      () => false,
    );
    if (there) return;
    if (Date.now() > deadline) throw new Error(`HAProxy did not open ${socket} within 5 s; see ${log}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

async function launch(options: HaproxyOptions, socket: string): Promise<ChildProcess> {
  await mkdir(options.dir, { recursive: true });
  const file = join(options.dir, 'haproxy.cfg');
  const log = join(options.dir, 'haproxy.log');
  await writeFile(file, config(options, socket));
  const handle = await open(log, 'a');
  try {
    // setpriv: the proxy must not outlive the rehearsal when that is killed.
    const args = ['--pdeathsig', 'SIGKILL', await executable('haproxy'), '-f', file, '-db'];
    const child = spawn(await executable('setpriv'), args, { stdio: ['ignore', handle.fd, handle.fd] });
    await new Promise<void>((resolve, reject) => {
      child.once('spawn', resolve);
      child.once('error', (error) => reject(new Error(`HAProxy could not be started: ${error.message}`)));
    });
    await awaitSocket(child, socket, log);
    return child;
  } finally {
    await handle.close();
  }
}

/**
 * Starts HAProxy and waits until it listens.
 * @throws Error when the socket's path is too long, HAProxy is missing or cannot bind the address.
 */
export async function startHaproxy(options: HaproxyOptions): Promise<Haproxy> {
  const socket = join(options.dir, 'haproxy.sock');
  if (Buffer.byteLength(socket) > SOCKET_PATH_LIMIT) {
    throw new Error(
      `the socket path ${socket} has ${Buffer.byteLength(socket)} bytes; use a shorter folder, ${SOCKET_PATH_LIMIT} is the limit`,
    );
  }
  const child = await launch(options, socket);
  const known = new Set<string>();

  async function tell(command: string, expected: RegExp = /^$/): Promise<void> {
    const answer = await ask(socket, command);
    if (!expected.test(answer)) throw new Error(`HAProxy answered "${command}" with: ${answer}`);
  }
  const at = (name: string): string => `${BACKEND}/${name}`;

  return {
    pid: child.pid!,
    async set(name, address, port, mode) {
      if (!known.has(name)) {
        await tell(`add server ${at(name)} ${address}:${port}`, /registered/);
        known.add(name);
      }
      await tell(`set server ${at(name)} state ${mode}`);
    },
    async cut(name) {
      if (known.has(name)) await tell(`shutdown sessions server ${at(name)}`);
    },
    async remove(name) {
      if (!known.has(name)) return true;
      await tell(`set server ${at(name)} state maint`);
      const answer = await ask(socket, `del server ${at(name)}`);
      // "Server still has connections attached to it": asked again later.
      if (!/deleted/.test(answer)) return false;
      known.delete(name);
      return true;
    },
    async connections() {
      const [head = '', ...lines] = (await ask(socket, 'show stat')).split('\n');
      const columns = head.replace('# ', '').split(',');
      const [proxy, server, current] = ['pxname', 'svname', 'scur'].map((name) => columns.indexOf(name));
      const rows = lines.map((line) => line.split(',')).filter((row) => row[proxy!] === BACKEND);
      return new Map(
        rows.filter((row) => row[server!] !== 'BACKEND').map((row) => [row[server!]!, Number(row[current!])]),
      );
    },
    async stop() {
      if (ended(child)) return;
      const gone = new Promise((resolve) => child.once('exit', resolve));
      child.kill('SIGKILL');
      await gone;
    },
  };
}
