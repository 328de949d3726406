/** Starts and stops the client process, and answers its figures. */
import { fork, type ChildProcess } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import type { DirectAcknowledgement } from './direct.ts';
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
  /** Ends the client; answers its last figures and everything that was acknowledged. */
  stop(): Promise<Journal>;
  /** Ends the process whatever it does. */
  kill(): void;
}

/** One row that was acknowledged through the writer endpoint. Times by the client's clock, in milliseconds since the epoch. */
export interface Acknowledgement {
  readonly id: number;
  readonly beganAtMs: number;
  readonly acknowledgedAtMs: number;
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

function acknowledgementIn(line: string): Acknowledgement {
  const [id = 0, beganAtMs = 0, acknowledgedAtMs = 0] = line.split(' ').map(Number);
  return { id, beganAtMs, acknowledgedAtMs };
}

/** What the worker has left behind. Throws when a file is missing: then nothing is proven. */
async function journalOf(options: ClientOptions): Promise<Omit<Journal, 'figures'>> {
  const lines = options.directJournal === null ? [] : await linesOf(options.directJournal);
  return {
    acknowledged: (await linesOf(options.journal)).map(acknowledgementIn),
    direct: lines.map((line) => {
      const [node = '', ...numbers] = line.split(' ');
      const [sequence = 0, beganAtMs = 0, acknowledgedAtMs = 0] = numbers.map(Number);
      return { node, sequence, beganAtMs, acknowledgedAtMs };
    }),
  };
}

/** Starts the client; it writes from now on, and retries until the endpoint answers. */
export function startClient(options: ClientOptions): Client {
  const child: ChildProcess = fork(fileURLToPath(new URL('./worker.ts', import.meta.url)), [JSON.stringify(options)], {
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
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
    acknowledged: async () => {
      const text = await readFile(options.journal, 'utf8');
      // The last line may be written at this moment.
      return text
        .slice(0, text.lastIndexOf('\n') + 1)
        .split('\n')
        .filter((line) => line !== '')
        .map(acknowledgementIn);
    },
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
