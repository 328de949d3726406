/** PostgreSQL with streaming replication in a rehearsal. */
import type { Hosts } from '../cloud/hosts.ts';
import type { HostFacts } from '../cloud/hosts-machine.ts';
import { fillPostgresDataDir, preparePostgresHost } from '../host/postgres-host.ts';
import { POSTGRES_ACCOUNTS, postgresTemplate, runAsPostgres } from '../host/postgres-template.ts';
import { slotOf } from '../../lambdas/model/postgres.ts';
import { waitFor } from '../wait.ts';
import type { Engine, ProbedNode } from './engine.ts';
import { comparePostgres, connected } from './postgres-compare.ts';
import { inWords, postgresProblems, postgresServes, type Declared } from './postgres-state.ts';
import { lastLine, runScript } from './scripts.ts';

const PORT = 5432;
const JOIN_WITHIN_SECONDS = 60;
const DISK_EVERY_MS = 10_000;
/** Group ids of the hosts' servers; nobody on the machine has them. See `partition.ts`. */
const FIRST_GROUP = 21_000;
export const HOSTS_AT_MOST = 60;

export interface PostgresOptions {
  readonly durability: 'quorum' | 'async';
  readonly maxLagBytes: number;
  readonly nodes: number;
}

export interface PostgresEngine extends Engine {
  /** Group id that the server of this host runs under. Throws for a host that is not there. */
  groupOf(id: string): number;
}

export const POSTGRES_GROUPS: readonly number[] = Array.from({ length: HOSTS_AT_MOST }, (_, i) => FIRST_GROUP + i);

/** Runs SQL on a host as the superuser, over its socket. Answers what psql prints, unaligned. */
async function sqlOn(hosts: Hosts, id: string, sql: string): Promise<string> {
  const env = hosts.environment(id);
  const place = ['-h', env['REJOIN_SOCKET'] ?? '', '-p', String(PORT), '-U', 'postgres', '-d', 'postgres'];
  return runAsPostgres('psql', ['-X', '-q', '-A', '-t', '-v', 'ON_ERROR_STOP=1', ...place, '-c', sql]);
}

/** Makes a host a replica; a base backup runs on by itself, and is asked for until it is there. */
async function join(hosts: Hosts, id: string, primary: string, donor: string): Promise<void> {
  const ask = async (): Promise<boolean> => {
    const answer = lastLine(
      await runScript(hosts, 'postgres', id, 'join', {
        REJOIN_PARAM_PRIMARY: primary,
        REJOIN_PARAM_PRIMARY_PORT: String(PORT),
        REJOIN_PARAM_DONOR: donor,
        REJOIN_PARAM_REPLICATION_USER: POSTGRES_ACCOUNTS.replication.user,
      }),
    ) as { joined: string };
    return answer.joined !== 'seeding';
  };
  await waitFor(`${id} to be a replica of ${primary}`, ask, JOIN_WITHIN_SECONDS);
}

/** The first host gets the template and is promoted; the others are made from it. */
async function startCluster(hosts: Hosts, ids: readonly string[]): Promise<void> {
  const [first, ...others] = ids;
  if (first === undefined) throw new Error('no host was launched');
  await fillPostgresDataDir(hosts.environment(first)['REJOIN_DATA_DIR'] ?? '');
  await runScript(hosts, 'postgres', first, 'start');
  await sqlOn(hosts, first, 'SELECT pg_promote()');
  for (const id of others)
    await sqlOn(hosts, first, `SELECT pg_create_physical_replication_slot('${slotOf(id)}', true)`);
  await Promise.all(others.map((id) => join(hosts, id, hosts.ip(first), hosts.ip(first))));
}

/** What the systemd timer of a real host does: notes the space of the data directory's file system. */
function noteDisks(hosts: Hosts, onTrouble: (what: string, error: unknown) => void): () => void {
  const look = (): void => {
    for (const host of hosts.list().filter((h) => h.up)) {
      runScript(hosts, 'postgres', host.id, 'disk').catch((error: unknown) => {
        if (hosts.get(host.id)?.up === true) onTrouble(`the disk timer of ${host.id}`, error);
      });
    }
  };
  const timer = setInterval(look, DISK_EVERY_MS);
  return () => clearInterval(timer);
}

const donorAmong = (serving: readonly ProbedNode[], writer: string): ProbedNode | undefined =>
  serving.find((n) => n.id !== writer) ?? serving[0];

export function postgresEngine(options: PostgresOptions): PostgresEngine {
  const groups = new Map<string, number>();
  const declared: Declared = options;
  const prepareHost = (facts: HostFacts): ReturnType<Engine['prepareHost']> => {
    if (!groups.has(facts.instanceId)) groups.set(facts.instanceId, FIRST_GROUP + groups.size);
    // Another group can be taken on by root alone.
    const groupId = process.getuid?.() === 0 ? (groups.get(facts.instanceId) ?? null) : null;
    return preparePostgresHost({ ...facts, groupId });
  };
  return {
    kind: 'postgres',
    title: `PostgreSQL 15, durability ${options.durability}`,
    port: PORT,
    peerPorts: [],
    probeUser: POSTGRES_ACCOUNTS.probe,
    app: POSTGRES_ACCOUNTS.app,
    directWriters: true,
    declaredLossBytes: options.durability === 'async' ? options.maxLagBytes : null,
    specification: () => ({
      kind: 'postgres',
      port: PORT,
      durability: options.durability,
      maxLagBytes: options.maxLagBytes,
      replicationUser: POSTGRES_ACCOUNTS.replication.user,
    }),
    prepareTemplate: postgresTemplate,
    prepareHost,
    startCluster,
    tend: noteDisks,
    stopDatabase: async (hosts, id) => void (await runScript(hosts, 'postgres', id, 'stop')),
    startDatabase: async (hosts, id, serving, writer) => {
      const donor = donorAmong(serving, writer);
      await join(hosts, id, hosts.ip(writer), donor?.address ?? 'none');
    },
    serves: (node, all, ledger) => postgresServes(node, all, ledger),
    problems: (nodes, ledger) => postgresProblems(nodes, ledger, declared),
    inWords,
    clusterSize: () => null,
    query: (address, sql) =>
      connected({ address }, async (client) => (await client.query<Record<string, unknown>>(sql)).rows),
    // A commit's time stamp is in microseconds, the client's clock in milliseconds.
    logPrecisionMs: 1,
    compare: comparePostgres,
    shell: ({ host, port }) =>
      `PGPASSWORD=${POSTGRES_ACCOUNTS.app.password} psql -h ${host} -p ${port} -U ${POSTGRES_ACCOUNTS.app.user} ${POSTGRES_ACCOUNTS.app.database}`,
    emulated: [
      'PostgreSQL: settings of replication as docs/hosts.md recommends; commits go to the disk; the timer that notes the disk space is the rehearsal’s',
    ],
    groupOf: (id) => {
      const group = groups.get(id);
      if (group === undefined) throw new Error(`no host ${id}; there are: ${[...groups.keys()].join(', ')}`);
      return group;
    },
  };
}
