/** MariaDB Galera in a rehearsal. */
import mysql from 'mysql2/promise';
import { serves, type GaleraStatus } from '../../lambdas/model/galera.ts';
import type { Probe } from '../../lambdas/model/view.ts';
import type { Hosts } from '../cloud/hosts.ts';
import { ACCOUNTS, fillDataDir, prepareHostDir, templateDataDir } from '../host/galera-host.ts';
import { account } from '../report.ts';
import type { Comparison, Engine, ProbedNode } from './engine.ts';
import { lastLine, runScript } from './scripts.ts';

const PORT = 3306;

const connect = (host: string): Promise<mysql.Connection> =>
  mysql.createConnection({ host, port: PORT, ...ACCOUNTS.app });

const statusOf = (probe: Probe): GaleraStatus | null =>
  probe.kind === 'answered' && probe.status.engine === 'galera' ? probe.status : null;

/** `id` is not unique on purpose: a write that is stored twice must be seen. */
async function createTable(host: string): Promise<void> {
  const connection = await connect(host);
  try {
    await connection.query(
      'CREATE TABLE IF NOT EXISTS writes (seq BIGINT AUTO_INCREMENT PRIMARY KEY, id BIGINT NOT NULL, at_ms BIGINT NOT NULL, KEY (id)) ENGINE=InnoDB',
    );
  } finally {
    await connection.end();
  }
}

async function query(host: string, sql: string): Promise<readonly Record<string, unknown>[]> {
  const connection = await connect(host);
  try {
    const [rows] = await connection.query(sql);
    return Array.isArray(rows) ? (rows as Record<string, unknown>[]) : [];
  } finally {
    await connection.end();
  }
}

/** Ids on one node, after it has applied everything that the cluster had committed (`wsrep_sync_wait`). */
async function idsOn(node: ProbedNode): Promise<number[]> {
  const connection = await connect(node.address);
  try {
    await connection.query('SET SESSION wsrep_sync_wait = 1');
    const [rows] = await connection.query<mysql.RowDataPacket[]>('SELECT id FROM writes');
    return rows.map((row) => Number(row['id']));
  } finally {
    await connection.end();
  }
}

/** Fills every host's volume from the template, bootstraps the first node and joins the others to it. */
async function startCluster(hosts: Hosts, ids: readonly string[]): Promise<void> {
  const [first, ...others] = ids;
  if (first === undefined) throw new Error('no host was launched');
  await Promise.all(ids.map((id) => fillDataDir(hosts.environment(id)['REJOIN_DATA_DIR'] ?? '')));
  const position = lastLine(await runScript(hosts, 'galera', first, 'position')) as {
    stateUuid: string;
    seqno: number;
  };
  await runScript(hosts, 'galera', first, 'bootstrap', {
    REJOIN_PARAM_STATE_UUID: position.stateUuid,
    REJOIN_PARAM_SEQNO: String(position.seqno),
  });
  for (const id of others) {
    await runScript(hosts, 'galera', id, 'join', { REJOIN_PARAM_PEERS: hosts.ip(first), REJOIN_PARAM_DONOR: first });
  }
  await createTable(hosts.ip(first));
}

async function compare(acknowledged: readonly number[], nodes: readonly ProbedNode[]): Promise<Comparison> {
  const perNode = await Promise.all(nodes.map(idsOn));
  return {
    accounting: account(acknowledged, perNode),
    rows: new Map(nodes.map((node, i) => [node.id, perNode[i]?.length ?? 0])),
    directLost: [],
    differences: [],
  };
}

export const galeraEngine = (): Engine => ({
  kind: 'galera',
  title: 'MariaDB Galera',
  port: PORT,
  peerPorts: [4567, 4568, 4444],
  probeUser: ACCOUNTS.probe,
  app: ACCOUNTS.app,
  directWriters: false,
  declaredLossBytes: null,
  specification: () => ({ kind: 'galera', port: PORT }),
  prepareTemplate: templateDataDir,
  prepareHost: (facts) => prepareHostDir(facts),
  startCluster,
  tend: () => () => undefined,
  stopDatabase: async (hosts, id) => void (await runScript(hosts, 'galera', id, 'stop')),
  startDatabase: async (hosts, id, serving) =>
    void (await runScript(hosts, 'galera', id, 'join', {
      REJOIN_PARAM_PEERS: serving.map((n) => n.address).join(','),
      REJOIN_PARAM_DONOR: 'any',
    })),
  serves: ({ probe }) => {
    const status = statusOf(probe);
    return status !== null && serves(status);
  },
  problems: () => [],
  inWords: (probe) => {
    const status = statusOf(probe);
    return status === null ? probe.kind : `${status.state}, ${status.component}, ${status.clusterSize} members`;
  },
  clusterSize: (probe) => statusOf(probe)?.clusterSize ?? null,
  query,
  // A binlog event's time stamp is in whole seconds.
  logPrecisionMs: 1000,
  compare: (journal, nodes) => compare(journal.acknowledged, nodes),
  shell: ({ host, port }) =>
    `mariadb --skip-ssl -h ${host} -P ${port} -u ${ACCOUNTS.app.user} -p${ACCOUNTS.app.password} ${ACCOUNTS.app.database}`,
  emulated: ['Galera: default timeouts; two periods are shortened as docs/hosts.md recommends (docs/decisions/0007)'],
});
