/**
 * The application's connection to PostgreSQL. An answer counts as an acknowledgement only when no warning came with it: a
 * wait for standbys that is cut short commits on the primary alone, and says so in a warning (SQLSTATE 01000, "canceling
 * wait for synchronous replication").
 */
import pg from 'pg';
import { now, ReadOnly, type Login, type Server, type Session } from './session.ts';

/** `read_only_sql_transaction`: an INSERT on a standby. https://www.postgresql.org/docs/15/errcodes-appendix.html */
const READ_ONLY = '25006';

/** @throws the driver's error when nobody answers in time, or the login is refused. */
export async function openPostgres(server: Server, login: Login, timeoutMs: number): Promise<Session> {
  const client = new pg.Client({ ...server, ...login, connectionTimeoutMillis: timeoutMs });
  let warning: string | null = null;
  client.on('notice', (notice) => (warning = notice.message ?? 'a warning without words'));
  // A connection that breaks while idle emits an error; the next statement on it reports it.
  client.on('error', () => undefined);
  const stream = (): { destroy(): void } =>
    (client as unknown as { connection: { stream: { destroy(): void } } }).connection.stream;
  try {
    await client.connect();
  } catch (error) {
    stream().destroy();
    throw error;
  }
  const acknowledged = async (sql: string, values: unknown[]): Promise<void> => {
    warning = null;
    await client.query(sql, values).catch((error: unknown) => {
      if ((error as { code?: string }).code === READ_ONLY) throw new ReadOnly((error as Error).message);
      throw error;
    });
    if (warning !== null) throw new Error(`committed with a warning, so not acknowledged: ${String(warning)}`);
  };
  return {
    insert: (id) => acknowledged('INSERT INTO writes (id, at_ms) VALUES ($1, $2)', [id, now()]),
    arrived: async (id) => {
      const { rows } = await client.query<{ n: string }>('SELECT count(*) AS n FROM writes WHERE id = $1', [id]);
      if (Number(rows[0]?.n) === 0) return false;
      // Seen is not yet safe: the row may lie on this node alone. What is acknowledged after it takes it along.
      await acknowledged('INSERT INTO confirmations (id) VALUES ($1)', [id]);
      return true;
    },
    insertDirect: (node, sequence) =>
      acknowledged('INSERT INTO direct (node, sequence, at_ms) VALUES ($1, $2, $3)', [node, sequence, now()]),
    read: async () => void (await client.query('SELECT max(id) FROM writes')),
    end: () => client.end(),
    destroy: () => stream().destroy(),
  };
}
