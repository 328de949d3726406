/** One execution environment of a function: a process that runs the bundle, one invocation at a time. */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import type { FunctionSpec } from './contract.ts';
import type { FunctionLog } from './lambda-log.ts';

const BOOTSTRAP = join(import.meta.dirname, 'lambda-bootstrap.mjs');
/** Lambda gives a function's start-up this long. */
const INIT_DEADLINE_MS = 10_000;

export interface FunctionError {
  readonly errorType: string;
  readonly errorMessage: string;
  readonly trace?: readonly string[];
}

export type ContainerResult =
  | { readonly kind: 'done'; readonly payload: string }
  /** `survives`: the handler threw, and the process can take the next invocation. */
  | { readonly kind: 'failed'; readonly error: FunctionError; readonly survives: boolean };

export interface Credentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

export interface ContainerOptions {
  readonly spec: FunctionSpec;
  readonly endpoint: string;
  readonly region: string;
  readonly account: string;
  readonly credentials: Credentials;
  readonly log: FunctionLog;
}

export interface Container {
  /** Session token of this container's credentials: by it the gateway tells whose call it is. */
  readonly token: string;
  readonly pid: number | undefined;
  readonly alive: boolean;
  /** Settled when the bundle is loaded, or has failed to. */
  readonly initialised: Promise<void>;
  readonly initMs: number | null;
  invoke(requestId: string, event: unknown): Promise<ContainerResult>;
  /** At once, as a crash or an out-of-memory does. */
  kill(): void;
  /** Kills it and waits until it is gone. */
  stop(): Promise<void>;
}

type FromChild =
  | { readonly type: 'ready'; readonly initMs: number }
  | { readonly type: 'init-failed'; readonly error: FunctionError }
  | { readonly type: 'done'; readonly requestId: string; readonly payload: string }
  | { readonly type: 'failed'; readonly requestId: string | null; readonly error: FunctionError };

/** What Lambda puts into a function's environment, and nothing of ours: a function must not depend on the host's. */
function environmentOf(options: ContainerOptions, token: string): Record<string, string> {
  const { spec } = options;
  return {
    PATH: '/usr/local/bin:/usr/bin:/bin',
    LANG: 'en_US.UTF-8',
    TZ: ':UTC',
    HOME: '/tmp',
    AWS_EXECUTION_ENV: 'AWS_Lambda_nodejs24.x',
    NODE_OPTIONS: '--enable-source-maps',
    ...spec.environment,
    LAMBDA_TASK_ROOT: spec.codeDir,
    _HANDLER: spec.handler,
    AWS_LAMBDA_FUNCTION_NAME: spec.name,
    AWS_LAMBDA_FUNCTION_VERSION: '$LATEST',
    AWS_LAMBDA_FUNCTION_MEMORY_SIZE: String(spec.memoryMb),
    AWS_LAMBDA_INITIALIZATION_TYPE: 'on-demand',
    AWS_LAMBDA_LOG_GROUP_NAME: `/aws/lambda/${spec.name}`,
    AWS_LAMBDA_LOG_STREAM_NAME: token,
    AWS_REGION: options.region,
    AWS_DEFAULT_REGION: options.region,
    AWS_ENDPOINT_URL: options.endpoint,
    AWS_ACCESS_KEY_ID: options.credentials.accessKeyId,
    AWS_SECRET_ACCESS_KEY: options.credentials.secretAccessKey,
    AWS_SESSION_TOKEN: token,
  };
}

const exitError = (requestId: string, how: string): FunctionError => ({
  errorType: 'Runtime.ExitError',
  errorMessage: `RequestId: ${requestId} Error: Runtime exited with error: ${how}`,
});

/** Starts the process; it loads the bundle at once. */
export function startContainer(options: ContainerOptions): Container {
  const { spec, log } = options;
  const token = `container-${randomUUID()}`;
  const child: ChildProcess = spawn(process.execPath, [`--max-old-space-size=${spec.memoryMb}`, BOOTSTRAP], {
    env: environmentOf(options, token),
    cwd: spec.codeDir,
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  });
  log.attach(child.stdout!, child.stderr!);

  let alive = true;
  let initMs: number | null = null;
  let initError: FunctionError | null = null;
  let exitedHow = 'unknown';
  let settle: ((result: ContainerResult) => void) | null = null;
  const initialised = Promise.withResolvers<void>();
  const exited = Promise.withResolvers<void>();
  const initTimer = setTimeout(() => {
    initError = {
      errorType: 'Sandbox.Timedout',
      errorMessage: `Init phase timed out after ${INIT_DEADLINE_MS / 1000} seconds`,
    };
    child.kill('SIGKILL');
  }, INIT_DEADLINE_MS);

  const finish = (result: ContainerResult): void => {
    settle?.(result);
    settle = null;
  };
  const over = (how: string): void => {
    alive = false;
    exitedHow = how;
    clearTimeout(initTimer);
    initialised.resolve();
    exited.resolve();
  };
  child.once('error', (error) => over(error.message));
  child.once('exit', (code, signal) =>
    over(signal === null ? `exit status ${code}` : `signal: ${signal.toLowerCase()}`),
  );
  child.on('message', (raw) => {
    const message = raw as FromChild;
    switch (message.type) {
      case 'ready':
        initMs = message.initMs;
        clearTimeout(initTimer);
        initialised.resolve();
        return;
      case 'init-failed':
        initError = message.error;
        return;
      case 'done':
        finish({ kind: 'done', payload: message.payload });
        return;
      case 'failed':
        finish({
          kind: 'failed',
          error: message.error,
          survives: message.error.errorType !== 'Runtime.UnhandledPromiseRejection',
        });
    }
  });

  const kill = (): void => void child.kill('SIGKILL');
  return {
    token,
    pid: child.pid,
    get alive() {
      return alive;
    },
    initialised: initialised.promise,
    get initMs() {
      return initMs;
    },
    async invoke(requestId, event) {
      await initialised.promise;
      const died = (): ContainerResult => ({
        kind: 'failed',
        error: initError ?? exitError(requestId, exitedHow),
        survives: false,
      });
      if (!alive) return died();
      const answer = new Promise<ContainerResult>((resolve) => (settle = resolve));
      void exited.promise.then(() => finish(died()));
      const timeoutMs = spec.timeoutSeconds * 1000;
      const timer = setTimeout(() => {
        const errorMessage = `${new Date().toISOString()} ${requestId} Task timed out after ${spec.timeoutSeconds.toFixed(2)} seconds`;
        finish({ kind: 'failed', error: { errorType: 'Sandbox.Timedout', errorMessage }, survives: false });
        kill();
      }, timeoutMs);
      const functionArn = `arn:aws:lambda:${options.region}:${options.account}:function:${spec.name}`;
      child.send({ requestId, event, deadlineMs: Date.now() + timeoutMs, functionArn }, (error) => {
        if (error !== null) kill(); // the channel is gone: the exit that follows answers the caller
      });
      return answer.finally(() => clearTimeout(timer));
    },
    kill,
    async stop() {
      kill();
      await exited.promise;
    },
  };
}
