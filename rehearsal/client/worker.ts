/**
 * An application, as plain as they come: it writes one transaction after another through the writer endpoint and reads
 * through the other, and remembers every id that the database acknowledged. A process of its own, so that its clock is
 * not disturbed by the emulated AWS.
 *
 * It has no query timeout: a connection that hangs on a lost writer hangs until the load balancer ends it. When the
 * outcome of a write is unknown (the connection broke before the answer), it asks whether the row is there, after
 * `wsrep_sync_wait` has brought the node up to date, and only then writes again.
 */
import { writeFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import mysql from 'mysql2/promise';
import type { ClientFigures, ClientOptions, FromClient, ToClient } from './messages.ts';

const options = JSON.parse(process.argv[2] ?? '{}') as ClientOptions;
const RETRY_MS = 20;
const CONNECT_TIMEOUT_MS = 3000;
const KEPT_ERRORS = 12;

const acknowledged: number[] = [];
const figures = {
  writesAcknowledged: 0,
  writeErrors: 0,
  connectErrors: 0,
  readsAnswered: 0,
  readErrors: 0,
  writeOutageMs: 0,
  outageBeganAtMs: null as number | null,
  lastAcknowledgedAtMs: null as number | null,
  errors: [] as string[],
};
let stopping = false;

const snapshot = (): ClientFigures => ({ ...figures, errors: [...figures.errors] });
const tell = (message: FromClient): void => void process.send?.(message);

function note(what: string, error: unknown): void {
  if (figures.errors.length >= KEPT_ERRORS) return;
  const { code, message } = error as { code?: string; message?: string };
  figures.errors.push(`${new Date().toISOString()} ${what}: ${code ?? ''} ${message ?? String(error)}`.trim());
}

/** One connection at a time, opened anew when it is old or broken. */
class Link {
  private connection: mysql.Connection | null = null;
  private openedAtMs = 0;
  private readonly endpoint: { readonly host: string; readonly port: number };
  private readonly name: string;

  constructor(name: string, endpoint: { readonly host: string; readonly port: number }) {
    this.name = name;
    this.endpoint = endpoint;
  }

  async get(): Promise<mysql.Connection> {
    if (this.connection !== null && Date.now() - this.openedAtMs > options.maxLifetimeMs) {
      const old = this.connection;
      this.connection = null;
      await old.end().catch(() => old.destroy());
    }
    while (this.connection === null) {
      try {
        const opened = await mysql.createConnection({
          ...this.endpoint,
          user: options.user,
          password: options.password,
          database: options.database,
          connectTimeout: CONNECT_TIMEOUT_MS,
        });
        // An idle connection that breaks emits an error; the next statement on it reports it.
        opened.on('error', () => undefined);
        this.connection = opened;
        this.openedAtMs = Date.now();
      } catch (error) {
        figures.connectErrors += 1;
        note(`${this.name}: connect`, error);
        if (stopping) throw error;
        await sleep(RETRY_MS);
      }
    }
    return this.connection;
  }

  drop(): void {
    this.connection?.destroy();
    this.connection = null;
  }
}

function acknowledge(id: number): void {
  const now = Date.now();
  if (figures.lastAcknowledgedAtMs !== null && now - figures.lastAcknowledgedAtMs > figures.writeOutageMs) {
    figures.writeOutageMs = now - figures.lastAcknowledgedAtMs;
    figures.outageBeganAtMs = figures.lastAcknowledgedAtMs;
  }
  figures.lastAcknowledgedAtMs = now;
  figures.writesAcknowledged += 1;
  acknowledged.push(id);
}

async function arrived(connection: mysql.Connection, id: number): Promise<boolean> {
  await connection.query('SET SESSION wsrep_sync_wait = 1');
  const [rows] = await connection.query<mysql.RowDataPacket[]>('SELECT COUNT(*) AS n FROM writes WHERE id = ?', [id]);
  await connection.query('SET SESSION wsrep_sync_wait = 0');
  return Number(rows[0]?.['n']) > 0;
}

async function write(link: Link, id: number): Promise<void> {
  let unknown = false;
  for (;;) {
    try {
      const connection = await link.get();
      if (!unknown || !(await arrived(connection, id))) {
        await connection.query('INSERT INTO writes (id, at_ms) VALUES (?, ?)', [id, Date.now()]);
      }
      acknowledge(id);
      return;
    } catch (error) {
      if (stopping) throw error;
      figures.writeErrors += 1;
      note(`write ${id}`, error);
      unknown = true;
      link.drop();
      await sleep(RETRY_MS);
    }
  }
}

async function writeOn(): Promise<void> {
  const link = new Link('writer', options.writer);
  for (let id = 1; !stopping; id++) {
    await write(link, id).catch((error: unknown) => {
      if (!stopping) throw error;
    });
    await sleep(options.pauseMs);
  }
  link.drop();
}

async function readOn(): Promise<void> {
  const link = new Link('reader', options.reader);
  while (!stopping) {
    try {
      const connection = await link.get();
      await connection.query('SELECT MAX(id) FROM writes');
      figures.readsAnswered += 1;
    } catch (error) {
      if (stopping) break;
      figures.readErrors += 1;
      note('read', error);
      link.drop();
    }
    await sleep(options.pauseMs);
  }
  link.drop();
}

async function stop(): Promise<void> {
  stopping = true;
  await writeFile(options.journal, `${acknowledged.join('\n')}\n`);
  tell({ kind: 'stopped', figures: snapshot() });
  process.exit(0);
}

process.on('message', (message: ToClient) => {
  if (message.kind === 'stop') void stop();
  else
    Object.assign(figures, {
      writeErrors: 0,
      connectErrors: 0,
      readErrors: 0,
      writeOutageMs: 0,
      outageBeganAtMs: null,
      errors: [],
    });
});
process.on('disconnect', () => process.exit(0));
setInterval(() => tell({ kind: 'figures', figures: snapshot() }), 200).unref();
await Promise.all([writeOn(), readOn()]);
