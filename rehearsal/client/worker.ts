/**
 * An application, as plain as they come: it writes one transaction after another through the writer endpoint and reads
 * through the other, and remembers every id that the database acknowledged. A process of its own, so that its clock is
 * not disturbed by the emulated AWS.
 *
 * It has no query timeout: a connection that hangs on a lost writer hangs until the load balancer ends it. When the
 * outcome of a write is unknown (the connection broke before the answer), it asks whether the row is there (`arrived`),
 * and only then writes again.
 */
import { once } from 'node:events';
import { createWriteStream, type WriteStream } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { startDirectWriters, type DirectAcknowledgement, type DirectWriters } from './direct.ts';
import type { ClientFigures, ClientOptions, FromClient, ToClient } from './messages.ts';
import { sessionsOf } from './sessions/index.ts';
import type { Server, Session } from './sessions/session.ts';

const options = JSON.parse(process.argv[2] ?? '{}') as ClientOptions;
const open = sessionsOf(options.engine);
const login = { user: options.user, password: options.password, database: options.database };
const RETRY_MS = 20;
const CONNECT_TIMEOUT_MS = 3000;
const KEPT_ERRORS = 12;

/** Written as they come, so that they can be read while the client writes on. */
const journal = createWriteStream(options.journal);
const directJournal = options.directJournal === null ? null : createWriteStream(options.directJournal);
const directCounts: Record<string, number> = {};
const direct: DirectWriters | null =
  directJournal === null ? null : startDirectWriters(open, login, (a) => noteDirect(directJournal, a));
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

function snapshot(): ClientFigures {
  return { ...figures, errors: [...figures.errors], direct: { ...directCounts } };
}

function noteDirect(to: WriteStream, { node, sequence, beganAtMs, acknowledgedAtMs }: DirectAcknowledgement): void {
  if (stopping) return;
  directCounts[node] = (directCounts[node] ?? 0) + 1;
  to.write(`${[node, sequence, beganAtMs, acknowledgedAtMs].join(' ')}\n`);
}

const tell = (message: FromClient): void => void process.send?.(message);

function note(what: string, error: unknown): void {
  if (figures.errors.length >= KEPT_ERRORS) return;
  const { code, message } = error as { code?: string; message?: string };
  figures.errors.push(`${new Date().toISOString()} ${what}: ${code ?? ''} ${message ?? String(error)}`.trim());
}

/** One connection at a time, opened anew when it is old or broken. */
class Link {
  private session: Session | null = null;
  private openedAtMs = 0;
  private readonly endpoint: Server;
  private readonly name: string;

  constructor(name: string, endpoint: Server) {
    this.name = name;
    this.endpoint = endpoint;
  }

  async get(): Promise<Session> {
    if (this.session !== null && Date.now() - this.openedAtMs > options.maxLifetimeMs) {
      const old = this.session;
      this.session = null;
      await old.end().catch(() => old.destroy());
    }
    while (this.session === null) {
      try {
        this.session = await open(this.endpoint, login, CONNECT_TIMEOUT_MS);
        this.openedAtMs = Date.now();
      } catch (error) {
        figures.connectErrors += 1;
        note(`${this.name}: connect`, error);
        if (stopping) throw error;
        await sleep(RETRY_MS);
      }
    }
    return this.session;
  }

  drop(): void {
    this.session?.destroy();
    this.session = null;
  }
}

function acknowledge(id: number, beganAtMs: number): void {
  if (stopping) return; // the journal is closed: nobody is told of this one
  const now = Date.now();
  if (figures.lastAcknowledgedAtMs !== null && now - figures.lastAcknowledgedAtMs > figures.writeOutageMs) {
    figures.writeOutageMs = now - figures.lastAcknowledgedAtMs;
    figures.outageBeganAtMs = figures.lastAcknowledgedAtMs;
  }
  figures.lastAcknowledgedAtMs = now;
  figures.writesAcknowledged += 1;
  journal.write(`${id} ${beganAtMs} ${now}\n`);
}

async function write(link: Link, id: number): Promise<void> {
  let unknown = false;
  const beganAtMs = Date.now();
  for (;;) {
    try {
      const session = await link.get();
      if (!unknown || !(await session.arrived(id))) await session.insert(id);
      acknowledge(id, beganAtMs);
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
      const session = await link.get();
      await session.read();
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
  for (const stream of [journal, directJournal]) {
    stream?.end();
    if (stream !== null) await once(stream, 'finish');
  }
  tell({ kind: 'stopped', figures: snapshot() });
  process.exit(0);
}

function reset(): void {
  Object.assign(figures, {
    writeErrors: 0,
    connectErrors: 0,
    readErrors: 0,
    writeOutageMs: 0,
    outageBeganAtMs: null,
    errors: [],
  });
}

process.on('message', (message: ToClient) => {
  switch (message.kind) {
    case 'stop':
      return void stop();
    case 'reset':
      return reset();
    case 'nodes':
      return direct?.write(message.nodes);
  }
});
process.on('disconnect', () => process.exit(0));
setInterval(() => tell({ kind: 'figures', figures: snapshot() }), 200).unref();
await Promise.all([writeOn(), readOn()]);
