/** What the servers themselves say, asked the same way of every system. */
import pg from 'pg';
import type { Credentials, Endpoint, Node, System } from './kinds.ts';

const DEADLINE_MS = 500;

/** Runs one statement on a connection of its own, within half a second unless said. */
export async function ask<Row extends pg.QueryResultRow>(
  endpoint: Endpoint,
  { user, password, database }: Credentials,
  sql: string,
  values: readonly unknown[] = [],
  deadlineMs = DEADLINE_MS,
): Promise<Row[]> {
  const limits = { connectionTimeoutMillis: deadlineMs, query_timeout: deadlineMs };
  const client = new pg.Client({ ...endpoint, user, password, database, ...limits });
  client.on('error', () => undefined);
  try {
    await client.connect();
    return (await client.query<Row>(sql, [...values])).rows;
  } finally {
    // A frozen server never answers the farewell: it is not waited for.
    void client.end().catch(() => undefined);
  }
}

export type Answer =
  | { readonly role: 'primary'; readonly streaming: number; readonly synchronous: number; readonly address: string }
  | { readonly role: 'replica'; readonly receives: boolean }
  | { readonly role: 'silent'; readonly why: string };

const ROLE = `SELECT pg_is_in_recovery() AS standby, (SELECT count(*)::int FROM pg_stat_replication WHERE state = 'streaming') AS streaming, (SELECT count(*)::int FROM pg_stat_replication WHERE state = 'streaming' AND sync_state IN ('sync', 'quorum')) AS synchronous, EXISTS (SELECT FROM pg_stat_wal_receiver WHERE status = 'streaming') AS receives`;

async function roleOf(system: System, node: Node): Promise<Answer> {
  try {
    const [row] = await ask<{ standby: boolean; streaming: number; synchronous: number; receives: boolean }>(
      { host: node.address, port: system.databasePort },
      system.monitor,
      ROLE,
    );
    if (row === undefined) return { role: 'silent', why: 'no row' };
    const { standby, streaming, synchronous, receives } = row;
    return standby ? { role: 'replica', receives } : { role: 'primary', streaming, synchronous, address: node.address };
  } catch (error) {
    return { role: 'silent', why: error instanceof Error ? error.message : String(error) };
  }
}

export type Wholeness =
  | { readonly whole: true; readonly primary: Node }
  | { readonly whole: false; readonly why: string; readonly strays: readonly Node[] };

/** Three nodes: one primary with two streaming replicas, at least one of which acknowledges its commits. */
export async function wholeness(system: System): Promise<Wholeness> {
  const nodes = system.nodes();
  const answers = await Promise.all(nodes.map((node) => roleOf(system, node)));
  const words = nodes.map((node, i) => `${node.id} ${JSON.stringify(answers[i])}`).join(', ');
  const primaries = nodes.filter((_, i) => answers[i]?.role === 'primary');
  const replicas = answers.filter((answer) => answer.role === 'replica');
  const [primary] = primaries;
  const answer = answers.find((candidate) => candidate.role === 'primary');
  const whole = primaries.length === 1 && replicas.length === 2 && answer?.streaming === 2 && answer.synchronous >= 1;
  return whole && primary !== undefined
    ? { whole, primary }
    : { whole: false, why: words, strays: straysOf(nodes, answers) };
}

/** Members that do not follow the one primary; nobody when there is not one, since then nobody can be followed. */
export function straysOf(nodes: readonly Node[], answers: readonly Answer[]): Node[] {
  if (answers.filter((answer) => answer.role === 'primary').length !== 1) return [];
  return nodes.filter((_, i) => {
    const answer = answers[i];
    return answer?.role !== 'primary' && !(answer?.role === 'replica' && answer.receives);
  });
}

/** Ids that the writer's endpoint has stored, from `firstId` on. */
export async function storedIds(system: System, firstId: number): Promise<Set<number>> {
  const sql = 'SELECT id FROM writes WHERE id >= $1';
  const rows = await ask<{ id: string }>(system.writer, system.application, sql, [firstId], 20_000);
  return new Set(rows.map((row) => Number(row.id)));
}
