/** Starts moto with its Step Functions engine on, whose own calls (Lambda Invoke) go to another port of localhost. */
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const MOTO = process.env['REJOIN_MOTO'] ?? fileURLToPath(new URL('../../.venv/bin/moto_server', import.meta.url));
const START_MS = 45_000;

export interface EngineMoto {
  readonly endpoint: string;
  stop(): Promise<void>;
}

export async function startEngineMoto(enginePort: number): Promise<EngineMoto> {
  const child = spawn(MOTO, ['-H', '127.0.0.1', '-p', '0'], {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { ...process.env, MOTO_PORT: String(enginePort) },
  });
  const ended = new Promise<void>((resolve) => {
    child.once('exit', () => resolve());
    child.once('error', () => resolve());
  });
  const stop = async (): Promise<void> => {
    child.kill('SIGTERM');
    await ended;
  };
  try {
    const endpoint = await saidEndpoint(child.stderr, ended);
    const body = JSON.stringify({ stepfunctions: { execute_state_machine: true } });
    const answer = await fetch(`${endpoint}/moto-api/config`, { method: 'POST', body });
    if (!answer.ok) throw new Error(`moto answered ${answer.status} to its configuration, expected 2xx`);
    return { endpoint, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** moto says on standard error where it listens. */
function saidEndpoint(stderr: NodeJS.ReadableStream, ended: Promise<void>): Promise<string> {
  return new Promise((resolve, reject) => {
    let said = '';
    const fail = (what: string) => reject(new Error(`moto (${MOTO}) ${what}; set REJOIN_MOTO or run scripts/setup.sh: ${said}`));
    const timer = setTimeout(() => fail(`did not listen within ${START_MS} ms`), START_MS);
    void ended.then(() => fail('ended while starting'));
    stderr.on('data', (chunk: Buffer) => {
      said = (said + chunk.toString()).slice(-4000);
      const found = /Running on (http:\/\/127\.0\.0\.1:\d+)/.exec(said)?.[1];
      if (found === undefined) return;
      clearTimeout(timer);
      resolve(found);
    });
  });
}
