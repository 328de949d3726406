/** Starts and stops the client process, and answers its figures. */
import { fork, type ChildProcess } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import type { ClientFigures, ClientOptions, FromClient, ToClient } from './messages.ts';

const STOP_WITHIN_MS = 5000;

export interface Client {
  /** The latest figures; at most 200 ms old. */
  figures(): ClientFigures;
  /** Forgets errors and outages so far: the scenario starts here. */
  reset(): void;
  /** Ends the client; answers its last figures and every acknowledged id. */
  stop(): Promise<{ readonly figures: ClientFigures; readonly acknowledged: readonly number[] }>;
  /** Ends the process whatever it does. */
  kill(): void;
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
  errors: [],
};

/** Starts the client; it writes from now on, and retries until the endpoint answers. */
export function startClient(options: ClientOptions): Client {
  const child: ChildProcess = fork(fileURLToPath(new URL('./worker.ts', import.meta.url)), [JSON.stringify(options)], {
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  let latest = NOTHING_YET;
  child.on('message', (message: FromClient) => {
    latest = message.figures;
  });
  const send = (message: ToClient): boolean => child.send(message);
  return {
    figures: () => latest,
    reset: () => void send({ kind: 'reset' }),
    kill: () => void child.kill('SIGKILL'),
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
      const lines = (await readFile(options.journal, 'utf8')).split('\n').filter((line) => line !== '');
      return { figures: latest, acknowledged: lines.map(Number) };
    },
  };
}
