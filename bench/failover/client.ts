/** The client process as the benchmark sees it: everything that was acknowledged so far. */
import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Acknowledgement } from './acknowledgements.ts';
import type { WriterNews, WriterOptions } from './writer.ts';

const KEPT_ERRORS = 12;

export interface BenchClient {
  /** In the order of their acknowledgement; at most 50 ms behind. */
  acknowledged(): readonly Acknowledgement[];
  /** The first errors since the last call, in the client's words. */
  takeErrors(): string[];
  kill(): void;
}

/** Starts the client; it writes from now on, and retries until the endpoint answers. */
export function startClient(options: WriterOptions): BenchClient {
  const child = fork(fileURLToPath(new URL('./writer.ts', import.meta.url)), [JSON.stringify(options)], {
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  const acknowledged: Acknowledgement[] = [];
  let errors: string[] = [];
  child.on('message', (news: WriterNews) => {
    acknowledged.push(...news.acknowledged);
    if (errors.length < KEPT_ERRORS) errors.push(...news.errors);
  });
  return {
    acknowledged: () => acknowledged,
    takeErrors: () => {
      const taken = errors.slice(0, KEPT_ERRORS);
      errors = [];
      return taken;
    },
    kill: () => void child.kill('SIGKILL'),
  };
}
