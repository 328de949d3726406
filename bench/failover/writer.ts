/**
 * The client of the failover benchmark, the same for every system: one connection through the writer's endpoint, one row
 * a transaction, the next try 20 ms after a failure. A process of its own, so that its clock is not disturbed by what
 * runs in the benchmark's. It has no query timeout: a connection that hangs on a lost primary hangs until the load
 * balancer ends it. A write whose outcome is unknown is looked for before it is written again.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import type { Acknowledgement } from './acknowledgements.ts';
import type { Credentials, Endpoint } from './kinds.ts';

export interface WriterOptions extends Credentials {
  readonly endpoint: Endpoint;
  readonly pauseMs: number;
}

export interface WriterNews {
  readonly acknowledged: readonly Acknowledgement[];
  readonly errors: readonly string[];
}

const RETRY_MS = 20;
const CONNECT_TIMEOUT_MS = 3000;
const NEWS_EVERY_MS = 50;
const ERRORS_A_TIME = 3;

const options = JSON.parse(process.argv[2] ?? '{}') as WriterOptions;
let acknowledged: Acknowledgement[] = [];
let errors: string[] = [];
let connection: pg.Client | null = null;

async function connected(): Promise<pg.Client> {
  if (connection !== null) return connection;
  const { endpoint, user, password, database } = options;
  const client = new pg.Client({ ...endpoint, user, password, database, connectionTimeoutMillis: CONNECT_TIMEOUT_MS });
  // A connection that breaks while idle emits an error; the next statement on it reports it.
  client.on('error', () => undefined);
  try {
    await client.connect();
  } catch (error) {
    drop(client);
    throw error;
  }
  connection = client;
  return client;
}

/** Closes the socket without the farewell that a lost server would never answer. */
function drop(client: pg.Client | null): void {
  (client as unknown as { connection?: { stream?: { destroy(): void } } } | null)?.connection?.stream?.destroy();
  connection = null;
}

const INSERT = `INSERT INTO writes (id, at_ms) VALUES ($1, $2) RETURNING host(inet_server_addr()) || '/' || extract(epoch FROM pg_postmaster_start_time()) AS server`;
const FIND = `SELECT host(inet_server_addr()) || '/' || extract(epoch FROM pg_postmaster_start_time()) AS server FROM writes WHERE id = $1`;

async function write(id: number): Promise<void> {
  for (let unknown = false; ;) {
    try {
      const client = await connected();
      const found = unknown ? await client.query<{ server: string }>(FIND, [id]) : null;
      const done =
        found !== null && found.rows.length > 0
          ? found
          : await client.query<{ server: string }>(INSERT, [id, Date.now()]);
      acknowledged.push({ id, atMs: Date.now(), server: done.rows[0]?.server ?? 'unknown' });
      return;
    } catch (error) {
      const { code, message } = error as { code?: string; message?: string };
      if (errors.length < ERRORS_A_TIME) errors.push(`${code ?? ''} ${message ?? String(error)}`.trim());
      unknown = true;
      drop(connection);
      await sleep(RETRY_MS);
    }
  }
}

setInterval(() => {
  if (acknowledged.length === 0 && errors.length === 0) return;
  process.send?.({ acknowledged, errors } satisfies WriterNews);
  [acknowledged, errors] = [[], []];
}, NEWS_EVERY_MS);
process.on('disconnect', () => process.exit(0));

for (let id = 1; ; id++) {
  await write(id);
  await sleep(options.pauseMs);
}
