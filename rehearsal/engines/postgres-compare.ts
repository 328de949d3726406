/** What every PostgreSQL node holds at the end, compared with what was acknowledged and with each other. */
import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { POSTGRES_ACCOUNTS } from '../host/postgres-template.ts';
import { account } from '../report.ts';
import type { Comparison, Journaled, ProbedNode } from './engine.ts';

const PORT = 5432;
const CATCH_UP_WITHIN_MS = 20_000;
const LOOK_EVERY_MS = 50;

const TABLES = {
  writes: 'SELECT seq, id, at_ms FROM writes ORDER BY seq',
  confirmations: 'SELECT id, at FROM confirmations ORDER BY at, id',
  direct: 'SELECT node, sequence, at_ms FROM direct ORDER BY node, sequence, at_ms',
} as const;

interface Content {
  readonly id: string;
  readonly ids: readonly number[];
  readonly direct: ReadonlySet<string>;
  /** By table. */
  readonly digests: Readonly<Record<string, string>>;
}

export async function connected<T>(
  node: Pick<ProbedNode, 'address'>,
  use: (client: pg.Client) => Promise<T>,
): Promise<T> {
  const client = new pg.Client({ host: node.address, port: PORT, ...POSTGRES_ACCOUNTS.app });
  client.on('error', () => undefined); // told by the query that it breaks
  await client.connect();
  try {
    return await use(client);
  } finally {
    await client.end();
  }
}

const scalar = async (client: pg.Client, sql: string, values: unknown[] = []): Promise<unknown> =>
  Object.values(((await client.query(sql, values)).rows[0] ?? {}) as Record<string, unknown>)[0];

/** Throws when the replica has not replayed the log up to there in time. */
async function awaitReplay(client: pg.Client, node: ProbedNode, lsn: string): Promise<void> {
  const deadline = Date.now() + CATCH_UP_WITHIN_MS;
  while (
    (await scalar(client, 'SELECT NOT pg_is_in_recovery() OR pg_last_wal_replay_lsn() >= $1::pg_lsn', [lsn])) !== true
  ) {
    if (Date.now() > deadline) {
      throw new Error(
        `${node.id} has not replayed the primary's log up to ${lsn} within ${CATCH_UP_WITHIN_MS / 1000} s`,
      );
    }
    await sleep(LOOK_EVERY_MS);
  }
}

async function contentOf(node: ProbedNode, lsn: string): Promise<Content> {
  return connected(node, async (client) => {
    await awaitReplay(client, node, lsn);
    const digests: Record<string, string> = {};
    const rows: Record<string, readonly Record<string, unknown>[]> = {};
    for (const [table, sql] of Object.entries(TABLES)) {
      const found = (await client.query(sql)).rows as Record<string, unknown>[];
      rows[table] = found;
      digests[table] = createHash('sha256').update(JSON.stringify(found)).digest('hex');
    }
    return {
      id: node.id,
      ids: (rows['writes'] ?? []).map((row) => Number(row['id'])),
      direct: new Set((rows['direct'] ?? []).map((row) => `${String(row['node'])}/${String(row['sequence'])}`)),
      digests,
    };
  });
}

/** Throws when there is no primary among the nodes: then nothing can be said. */
export async function comparePostgres(
  journal: Journaled,
  nodes: readonly ProbedNode[],
  writer: string | null,
): Promise<Comparison> {
  const primary = nodes.find((n) => n.id === writer);
  if (primary === undefined) {
    throw new Error(
      `the primary ${writer ?? '(none in the ledger)'} is not among the nodes that serve: ${nodes.map((n) => n.id).join(', ') || 'none'}`,
    );
  }
  const lsn = String(await connected(primary, (client) => scalar(client, 'SELECT pg_current_wal_flush_lsn()')));
  const contents = await Promise.all(nodes.map((n) => contentOf(n, lsn)));
  const reference = contents.find((c) => c.id === primary.id);
  return {
    accounting: account(
      journal.acknowledged,
      contents.map((c) => c.ids),
    ),
    rows: new Map(contents.map((c) => [c.id, c.ids.length])),
    directLost: journal.direct
      .map((d) => `${d.node}/${d.sequence}`)
      .filter((key) => reference?.direct.has(key) !== true),
    differences: contents.flatMap((c) =>
      Object.keys(TABLES)
        .filter((table) => c.digests[table] !== reference?.digests[table])
        .map((table) => `${table} on ${c.id} is not as on ${primary.id}`),
    ),
  };
}
