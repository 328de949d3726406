/** The process that holds the emulated account's state: moto's server, behind the gateway. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, existsSync, openSync, readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';

const ROOT = join(import.meta.dirname, '..', '..');
const LAUNCHER = join(import.meta.dirname, 'moto_launch.py');
const START_DEADLINE_MS = 90_000;

/** Prefix of the access key ids that moto's Step Functions engine signs with; the state machine's name follows. */
export const ENGINE_KEY_PREFIX = 'ENGINE-';

export interface Moto {
  /** Where moto itself answers, past the gateway. */
  readonly endpoint: string;
  readonly port: number;
  readonly pid: number;
  /** Ends the process; may be called again. */
  stop(): Promise<void>;
}

export interface MotoOptions {
  /** The port that moto's own calls (Step Functions tasks) go to. */
  readonly gatewayPort: number;
  /** Its number; moto's own unless given. */
  readonly account?: string;
  readonly logFile: string;
}

/** The moto_server to use: `$REJOIN_MOTO`, or the one of the project's virtual environment. Throws when there is none. */
export function motoServer(env: NodeJS.ProcessEnv = process.env): string {
  const path = env['REJOIN_MOTO'] ?? join(ROOT, '.venv', 'bin', 'moto_server');
  if (!existsSync(path)) {
    throw new Error(
      `no moto_server at ${path}; run scripts/setup.sh, or set REJOIN_MOTO to a moto_server of version 5.2.1`,
    );
  }
  return path;
}

/** The Python that `script` runs with, from its first line. */
function interpreterOf(script: string): string {
  const first = /^#!(\S+)\n/.exec(readFileSync(script, 'utf8'))?.[1];
  if (first === undefined) {
    throw new Error(
      `${script} does not begin with #! and the path of a Python; give REJOIN_MOTO a moto_server that pip has installed`,
    );
  }
  return first;
}

/** A port that nobody listens on now. Another process can take it before moto does: the start is then tried again. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

/** Starts moto and waits until it answers, with execution of state machines turned on. */
export async function startMoto(options: MotoOptions): Promise<Moto> {
  const python = interpreterOf(motoServer());
  for (let attempt = 1; ; attempt++) {
    const moto = await launch(python, await freePort(), options);
    try {
      await turnOnStepFunctions(moto);
      return moto;
    } catch (error) {
      await moto.stop();
      if (attempt >= 3) throw error;
    }
  }
}

async function launch(
  python: string,
  port: number,
  options: MotoOptions,
): Promise<Moto & { readonly exited: AbortSignal }> {
  const log = openSync(options.logFile, 'a');
  const child = spawn(python, [LAUNCHER, '-H', '127.0.0.1', '-p', String(port)], {
    stdio: ['pipe', log, log],
    env: {
      PATH: '/usr/bin:/bin',
      MOTO_PORT: String(options.gatewayPort),
      ...(options.account !== undefined && { MOTO_ACCOUNT_ID: options.account }),
      // Roles of hosts carry AWS's own policies, which moto otherwise does not know.
      MOTO_IAM_LOAD_MANAGED_POLICIES: 'true',
      // Never the host's credentials or proxies: boto3 inside moto would look for them.
      AWS_EC2_METADATA_DISABLED: 'true',
      NO_PROXY: '*',
      PYTHONUNBUFFERED: '1',
      PYTHONWARNINGS: 'ignore',
    },
  });
  closeSync(log);
  const exited = new AbortController();
  const exit = new Promise<void>((resolve) => {
    child.once('exit', () => resolve());
    child.once('error', () => resolve());
  }).then(() => exited.abort());
  return {
    endpoint: `http://127.0.0.1:${port}`,
    port,
    pid: child.pid ?? -1,
    exited: exited.signal,
    async stop() {
      if (exited.signal.aborted) return;
      child.kill('SIGKILL'); // it holds nothing but memory, and would wait for open connections
      await exit;
    },
  };
}

async function turnOnStepFunctions(moto: Moto & { readonly exited: AbortSignal }): Promise<void> {
  const deadlineMs = performance.now() + START_DEADLINE_MS;
  for (;;) {
    if (moto.exited.aborted) throw new Error(`moto ended while it started on port ${moto.port}; its log says why`);
    const answer = await fetch(`${moto.endpoint}/moto-api/config`, {
      method: 'POST',
      body: JSON.stringify({ stepfunctions: { execute_state_machine: true } }),
      headers: { 'content-type': 'application/json' },
    }).catch((error: unknown) => error as Error);
    if (answer instanceof Response && answer.ok) return;
    if (performance.now() > deadlineMs) {
      const last =
        answer instanceof Response
          ? `status ${answer.status}`
          : String(answer.cause instanceof Error ? answer.cause.message : answer);
      throw new Error(
        `moto did not answer on ${moto.endpoint} within ${START_DEADLINE_MS} ms (last: ${last}); see its log`,
      );
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
