/** Starts moto (an emulated AWS) as a child on a free port of 127.0.0.1, one for each test file that asks. */
import { spawn } from 'node:child_process';
import { createServer } from 'node:net';
import { fileURLToPath } from 'node:url';
import { systemClock } from '../../lambdas/cloud/clock.ts';

const MOTO = process.env['REJOIN_MOTO'] ?? fileURLToPath(new URL('../../.venv/bin/moto_server', import.meta.url));
const HOST = '127.0.0.1';
const START_MS = 45_000;

export interface Moto {
  readonly endpoint: string;
  /** For any SDK client. */
  readonly config: {
    readonly endpoint: string;
    readonly region: string;
    readonly credentials: { readonly accessKeyId: string; readonly secretAccessKey: string };
  };
  stop(): Promise<void>;
}

export async function startMoto(): Promise<Moto> {
  const port = await freePort();
  const endpoint = `http://${HOST}:${port}`;
  const child = spawn(MOTO, ['-H', HOST, '-p', String(port)], {
    stdio: ['ignore', 'ignore', 'pipe'],
    // moto must not call back to a real AWS or to a colleague's gateway.
    env: { ...process.env, MOTO_PORT: String(port), AWS_ENDPOINT_URL: endpoint },
  });
  let said = '';
  child.stderr.on('data', (chunk: Buffer) => {
    said = (said + chunk.toString()).slice(-4000);
  });
  const ended = new Promise<void>((resolve) => {
    child.once('exit', () => resolve());
    child.once('error', (error) => {
      said += String(error);
      resolve();
    });
  });
  let gone = false;
  void ended.then(() => {
    gone = true;
  });
  const stop = async (): Promise<void> => {
    child.kill('SIGTERM');
    await ended;
  };
  try {
    await poll(`moto (${MOTO}) to answer on ${endpoint}`, START_MS, async () => {
      if (gone)
        throw new Error(`moto (${MOTO}) ended while starting; set REJOIN_MOTO or run scripts/setup.sh: ${said}`);
      return answers(endpoint);
    });
  } catch (error) {
    await stop();
    throw error;
  }
  const credentials = { accessKeyId: 'test', secretAccessKey: 'test' };
  return { endpoint, config: { endpoint, region: 'eu-west-1', credentials }, stop };
}

async function answers(endpoint: string): Promise<boolean> {
  try {
    return (await fetch(`${endpoint}/moto-api/data.json`)).ok;
  } catch (error) {
    // Nobody listens yet.
    if (error instanceof TypeError) return false;
    throw error;
  }
}

/** Asks until the condition holds. @throws Error naming what was waited for, when the deadline passes. */
export async function poll(what: string, deadlineMs: number, holds: () => Promise<boolean>): Promise<void> {
  const untilMs = Date.now() + deadlineMs;
  while (!(await holds())) {
    if (Date.now() > untilMs) throw new Error(`waited ${deadlineMs} ms for ${what}`);
    await systemClock.sleep(100);
  }
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, HOST, () => {
      const address = server.address();
      server.close(() => {
        if (address !== null && typeof address === 'object') resolve(address.port);
        else reject(new Error(`a listening socket has address ${String(address)}, expected a port`));
      });
    });
  });
}
