/** Starts and stops the client process, and answers its figures. */
import { fork, type ChildProcess } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import type { DirectAcknowledgement } from './direct.ts';
import { acknowledgementIn, completeLines, directIn, readingOn, type Acknowledgement } from './journal.ts';
import type { ClientFigures, ClientOptions, DirectNode, FromClient, ToClient } from './messages.ts';

const STOP_WITHIN_MS = 5000;

export interface Client {
  /** The latest figures; at most 200 ms old. */
  figures(): ClientFigures;
  /** Forgets errors and outages so far: the scenario starts here. */
  reset(): void;
  /** Which nodes there are, for the writers that go straight to each of them. */
  nodes(nodes: readonly DirectNode[]): void;
  /** What was acknowledged so far; the last few may not be in it yet. */
  acknowledged(): Promise<readonly Acknowledgement[]>;
  /** What was acknowledged since the last call, and to the direct writers; the last few may come with the next. */
  news(): Promise<Omit<Journal, 'figures'>>;
  /** Ends the client; answers its last figures and everything that was acknowledged. */
  stop(): Promise<Journal>;
  /** Ends the process whatever it does. */
  kill(): void;
}

export interface Journal {
  readonly figures: ClientFigures;
  /** Rows acknowledged through the writer endpoint, in order. */
  readonly acknowledged: readonly Acknowledgement[];
  /** By nodes, to the direct writers; in the order in which they came. */
  readonly direct: readonly DirectAcknowledgement[];
}

const NOTHING_YET: ClientFigures = {
  writesAcknowledged: 0,
  writeErrors: 0,
  connectErrors: 0,
  readsAnswered: 0,
  readErrors: 0,
  writeOutageMs: 0,
  outageBeganAtMs: null,
  lastAcknowledgedAtMs: null,
  direct: {},
  errors: [],
};

const linesOf = async (file: string): Promise<string[]> =>
  (await readFile(file, 'utf8')).split('\n').filter((line) => line !== '');

/** What the worker has left behind. Throws when a file is missing: then nothing is proven. */
async function journalOf(options: ClientOptions): Promise<Omit<Journal, 'figures'>> {
  const lines = options.directJournal === null ? [] : await linesOf(options.directJournal);
  return {
    acknowledged: (await linesOf(options.journal)).map(acknowledgementIn),
    direct: lines.map(directIn),
  };
}

/** Starts the client; it writes from now on, and retries until the endpoint answers. */
export function startClient(options: ClientOptions): Client {
  const child: ChildProcess = fork(fileURLToPath(new URL('./worker.ts', import.meta.url)), [JSON.stringify(options)], {
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  const readOn = readingOn(options.journal);
  const readDirectOn = readingOn(options.directJournal);
  let latest = NOTHING_YET;
  child.on('message', (message: FromClient) => {
    latest = message.figures;
  });
  // After `kill` there is nobody to tell.
  const send = (message: ToClient): boolean => child.connected && child.send(message);
  return {
    figures: () => latest,
    reset: () => void send({ kind: 'reset' }),
    nodes: (nodes) => void send({ kind: 'nodes', nodes }),
    kill: () => void child.kill('SIGKILL'),
    acknowledged: async () => completeLines(await readFile(options.journal, 'utf8')).map(acknowledgementIn),
    news: async () => ({
      acknowledged: (await readOn()).map(acknowledgementIn),
      direct: (await readDirectOn()).map(directIn),
    }),
    stop: async () => {
      const ended = new Promise<void>((resolve, reject) => {
        const timer = setTimeout(() => {
          child.kill('SIGKILL');
          reject(new Error(`the client process ${child.pid} did not stop within ${STOP_WITHIN_MS} ms`));
        }, STOP_WITHIN_MS);
        child.once('exit', () => {
          clearTimeout(timer);
          resolve();
        });
      });
      send({ kind: 'stop' });
      await ended;
      return { figures: latest, ...(await journalOf(options)) };
    },
  };
}
