/** The shipper in a process of its own, which is killed. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { ChildFacts } from '../../test/support/killed-shipper.ts';

const CHILDREN = {
  galera: '../../test/support/galera/ship-child.ts',
  postgres: '../../test/support/postgres/ship-child.ts',
} as const;

export interface Shipper {
  /** Resolves when it has done so many things (begun to stream, begun or ended a put), or has ended, or after so long. */
  did(things: number, mostMs: number): Promise<void>;
  /** SIGKILL, and waits until it is gone. */
  kill(): Promise<void>;
  /** What it complained of. */
  complaints(): string;
}

export function startShipper(engine: keyof typeof CHILDREN, facts: ChildFacts): Shipper {
  const file = fileURLToPath(new URL(CHILDREN[engine], import.meta.url));
  const child = spawn(process.execPath, [file, JSON.stringify(facts)], { stdio: ['ignore', 'pipe', 'pipe'] });
  const exit = once(child, 'exit');
  let complaints = '';
  child.stderr.on('data', (chunk: Buffer) => (complaints = (complaints + chunk.toString()).slice(-20_000)));
  let lines = 0;
  let ended = false;
  let look: () => void = () => undefined;
  child.stdout.on('data', (chunk: Buffer) => {
    lines += chunk.toString().split('\n').length - 1;
    look();
  });
  child.once('exit', () => {
    ended = true;
    look();
  });
  return {
    did: (things, mostMs) =>
      new Promise((resolve) => {
        const late = setTimeout(resolve, mostMs);
        look = () => {
          if (lines < things && !ended) return;
          clearTimeout(late);
          resolve();
        };
        look();
      }),
    kill: async () => {
      child.kill('SIGKILL');
      await exit;
    },
    complaints: () => complaints,
  };
}
