/** The peer: three hosts with Patroni and PostgreSQL, one etcd elsewhere, HAProxy in front. Real processes on loopback. */
import { execFile } from 'node:child_process';
import { chmod, mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { AddressBlock } from '../../rehearsal/addresses.ts';
import type { Cleanup } from '../../rehearsal/cleanup.ts';
import { programPath, startDaemon, untilReady, type Daemon } from './daemons.ts';
import { ask } from './databases.ts';
import type { Comeback, Fault, Node, System } from './kinds.ts';
import type { Silence } from './network.ts';
import {
  APPLICATION,
  haproxyConfig,
  PATRONI_PROFILES,
  PATRONI_SUPERUSER,
  patroniConfig,
  POSTGRES_PORT,
  REST_PORT,
  type PatroniNode,
  type PatroniProfile,
} from './patroni-config.ts';
import { freezeHost, killHost, killPostmaster, thawHost } from './processes.ts';

const run = promisify(execFile);

export interface PatroniOptions {
  readonly profile: PatroniProfile;
  readonly dir: string;
  readonly addresses: AddressBlock;
  readonly silence: Silence;
  /** Folder of PostgreSQL's programs. */
  readonly binDir: string;
  /** How long after writes are back the lost host is turned on again. */
  readonly holdSeconds: number;
  /** After how long a member that is no replica again is copied anew. */
  readonly reseedAfterSeconds: number;
}

/** Unix user of the databases: PostgreSQL refuses to run as root. */
const databaseUser = (): string | null => (process.getuid?.() === 0 ? 'postgres' : null);

/** Starts all of it and waits until there is a primary with two replicas. What it starts is handed to `cleanup`. */
export async function startPatroni(options: PatroniOptions, cleanup: Cleanup): Promise<System> {
  const timings = PATRONI_PROFILES[options.profile];
  const { dir, addresses } = options;
  await mkdir(dir, { recursive: true });
  await chmod(dir, 0o755);
  const etcd = await startEtcd(options, cleanup);
  const nodes = await Promise.all([1, 2, 3].map((n) => makeNode(options, n, etcd)));
  cleanup.add("Patroni's hosts", () => Promise.all(nodes.map((node) => killHost(node.hostDir))));
  for (const node of nodes) {
    await startNode(node);
    // The first one makes the database; the others copy it.
    if (node === nodes[0]) await untilReady(`${node.id} as the leader`, () => isLeader(node), 60, logOf(node));
  }
  await untilReady('the replicas', async () => (await Promise.all(nodes.slice(1).map(isReplica))).every(Boolean), 90);
  await createAccounts(nodes[0]);
  const writer = { host: addresses.host(9, 10), port: POSTGRES_PORT };
  const proxyDir = join(dir, 'haproxy');
  await mkdir(proxyDir, { recursive: true });
  const proxyConfig = join(proxyDir, 'haproxy.cfg');
  await writeFile(proxyConfig, haproxyConfig(writer.host, nodes, timings));
  const proxy = await startDaemon(['haproxy', '-db', '-f', proxyConfig], {
    cwd: proxyDir,
    log: join(proxyDir, 'haproxy.log'),
    user: null,
  });
  cleanup.add('HAProxy', () => proxy.kill());
  const nodeOf = (node: Node): PatroniNode => {
    const known = nodes.find((candidate) => candidate.id === node.id);
    if (known === undefined) throw new Error(`${node.id} is none of ${nodes.map((n) => n.id).join(', ')}`);
    return known;
  };
  return {
    name: `patroni-${options.profile}`,
    writer,
    application: APPLICATION,
    monitor: PATRONI_SUPERUSER,
    databasePort: POSTGRES_PORT,
    nodes: () => nodes,
    busy: () => Promise.resolve(null),
    strike: (fault, node) => strike(fault, nodeOf(node), options.silence),
    recover: (fault, node) => recover(fault, nodeOf(node), options),
    reseed: { afterMs: options.reseedAfterSeconds * 1000, copyAnew: (node) => copyAnew(nodeOf(node)) },
    story: () => [], // its words are in its hosts' logs
    settings: () => ({
      ...timings,
      synchronousMode: true,
      synchronousModeStrict: false,
      etcdMembers: 1,
      watchdog: 'off',
      reseedAfterSeconds: options.reseedAfterSeconds,
    }),
  };
}

async function startEtcd({ dir, addresses }: PatroniOptions, cleanup: Cleanup): Promise<string> {
  const cwd = join(dir, 'etcd');
  await mkdir(cwd, { recursive: true });
  const host = addresses.host(9, 1);
  const [client, peer] = [`http://${host}:2379`, `http://${host}:2380`];
  const log = join(cwd, 'etcd.log');
  const daemon: Daemon = await startDaemon(
    [
      ...['etcd', '--name', 'etcd1', '--data-dir', join(cwd, 'data'), '--log-level', 'warn'],
      ...['--listen-client-urls', client, '--advertise-client-urls', client],
      ...['--listen-peer-urls', peer, '--initial-advertise-peer-urls', peer, '--initial-cluster', `etcd1=${peer}`],
    ],
    { cwd, log, user: null },
  );
  cleanup.add('etcd', () => daemon.kill());
  await untilReady('etcd', async () => (await fetch(`${client}/health`)).ok, 20, log);
  return `${host}:2379`;
}

async function makeNode(
  { dir, addresses, profile, binDir }: PatroniOptions,
  n: number,
  etcd: string,
): Promise<PatroniNode> {
  const node = { id: `p${n}`, address: addresses.host(n, 1), hostDir: join(dir, `p${n}`) };
  await mkdir(node.hostDir, { recursive: true });
  await writeFile(join(node.hostDir, 'patroni.yml'), patroniConfig(node, PATRONI_PROFILES[profile], etcd, binDir));
  const user = databaseUser();
  if (user !== null) await run('chown', ['-R', `${user}:${user}`, node.hostDir]);
  return node;
}

const logOf = (node: PatroniNode): string => join(node.hostDir, 'patroni.log');

/** As the host's service manager does at boot. */
async function startNode(node: PatroniNode): Promise<void> {
  await startDaemon(['patroni', join(node.hostDir, 'patroni.yml')], {
    cwd: node.hostDir,
    log: logOf(node),
    user: databaseUser(),
  });
}

const restAnswers = (path: string) => async (node: PatroniNode) =>
  (await fetch(`http://${node.address}:${REST_PORT}/${path}`, { signal: AbortSignal.timeout(1500) })).ok;
const isLeader = restAnswers('primary');
const isReplica = restAnswers('replica');

async function createAccounts(primary: PatroniNode | undefined): Promise<void> {
  if (primary === undefined) throw new Error('there is no first node');
  const at = { host: primary.address, port: POSTGRES_PORT };
  const { user, password, database } = APPLICATION;
  await ask(at, PATRONI_SUPERUSER, `CREATE ROLE ${user} LOGIN PASSWORD '${password}'`, [], 20_000);
  await ask(at, PATRONI_SUPERUSER, `CREATE DATABASE ${database} OWNER ${user}`, [], 20_000);
  // Not unique: a write that is stored twice costs nothing here.
  const table = 'CREATE TABLE writes (seq bigserial PRIMARY KEY, id bigint NOT NULL, at_ms bigint NOT NULL)';
  await ask(at, APPLICATION, table, [], 20_000);
  await ask(at, APPLICATION, 'CREATE INDEX ON writes (id)', [], 20_000);
}

async function strike(fault: Fault, node: PatroniNode, silence: Silence): Promise<void> {
  switch (fault) {
    case 'host-killed':
      await silence.silence(node.address); // first, so that not even the kernel's last words get out
      return killHost(node.hostDir);
    case 'process-killed':
      return killPostmaster(join(node.hostDir, 'data'));
    case 'host-frozen':
      await freezeHost(node.hostDir);
      return;
    default:
      return fault satisfies never;
  }
}

/** Patroni replaces no host; here its owner turns it on again `holdSeconds` after writes were back. */
async function recover(fault: Fault, node: PatroniNode, { silence, holdSeconds }: PatroniOptions): Promise<Comeback> {
  if (fault === 'process-killed') return { kind: 'by-itself' }; // Patroni starts its PostgreSQL again
  await sleep(holdSeconds * 1000);
  const atMs = Date.now();
  const after = `${holdSeconds} s after writes were back`;
  if (fault === 'host-frozen') {
    await thawHost(node.hostDir);
    return { kind: 'helped', atMs, how: `SIGCONT to the same host ${after}` };
  }
  await silence.unsilence(node.address);
  await startNode(node);
  return { kind: 'helped', atMs, how: `patroni started on the same host with its old disk ${after}` };
}

/**
 * What `patronictl reinit` does, and what is left when the member's own API does not answer: Patroni that finds no data
 * copies the leader's (https://patroni.readthedocs.io/en/latest/replica_bootstrap.html).
 */
async function copyAnew(node: PatroniNode): Promise<string> {
  await killHost(node.hostDir);
  await rm(join(node.hostDir, 'data'), { recursive: true, force: true });
  await startNode(node);
  return 'patroni stopped, its data directory removed, patroni started: copied anew from the leader';
}

/** Installs what the peer needs and is not there, as `npm run setup` does for the rest. */
export async function installPeer(): Promise<void> {
  const setup = fileURLToPath(new URL('../../scripts/setup.sh', import.meta.url));
  await run('sh', [setup, 'bench']).catch((error: unknown) => {
    throw new Error(`the peer could not be installed: ${(error as { stderr?: string }).stderr ?? String(error)}`);
  });
}

/** @throws Error when one of the programs is missing. */
export async function versionsOf(binDir: string, withPeer: boolean): Promise<Readonly<Record<string, string>>> {
  const first = async (program: string, ...args: string[]): Promise<string> =>
    (await run(program, args)).stdout.split('\n')[0]?.trim() ?? '';
  return {
    postgresql: await first(join(binDir, 'postgres'), '--version'),
    haproxy: await first(programPath('haproxy'), '-v'),
    ...(withPeer
      ? {
          patroni: await first(programPath('patroni'), '--version'),
          etcd: await first(programPath('etcd'), '--version'),
        }
      : {}),
  };
}
