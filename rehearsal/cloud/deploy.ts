/** The real deployment: `cdk bootstrap` and `cdk deploy` of the project's own CLI, against the gateway. */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { appendFile, mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';

const ROOT = join(import.meta.dirname, '..', '..');
const CDK = join(ROOT, 'node_modules', 'aws-cdk', 'bin', 'cdk');

export interface DeployOptions {
  readonly endpoint: string;
  readonly region: string;
  readonly account: string;
  readonly credentials: { readonly accessKeyId: string; readonly secretAccessKey: string };
  /** Folder with cdk.json. */
  readonly appDir: string;
  /** The app's command; cdk.json's when left out. */
  readonly app?: string;
  readonly context: Readonly<Record<string, string>>;
  /** The one stack to deploy. */
  readonly stackName: string;
  /** Everything that the deployment writes goes here: `cdk.out`, the CLI's home, the log. */
  readonly workDir: string;
  /** More for the app's environment. */
  readonly env?: Readonly<Record<string, string>>;
}

export interface Deployment {
  readonly assemblyDir: string;
  readonly stackName: string;
  readonly seconds: { readonly bootstrapAndSynth: number; readonly deploy: number };
}

/** Nothing of the host's AWS configuration, no telemetry, no notices: the CLI must work offline and against the gateway only. */
function cliEnvironment(options: DeployOptions): Record<string, string> {
  const home = join(options.workDir, 'home');
  return {
    PATH: `${dirname(process.execPath)}:/usr/local/bin:/usr/bin:/bin`,
    HOME: home,
    CDK_HOME: join(home, '.cdk'),
    CI: 'true',
    NO_COLOR: '1',
    CDK_DISABLE_CLI_TELEMETRY: 'true',
    CDK_DISABLE_VERSION_CHECK: 'true',
    AWS_ENDPOINT_URL: options.endpoint,
    AWS_REGION: options.region,
    AWS_DEFAULT_REGION: options.region,
    CDK_DEFAULT_REGION: options.region,
    CDK_DEFAULT_ACCOUNT: options.account,
    AWS_ACCESS_KEY_ID: options.credentials.accessKeyId,
    AWS_SECRET_ACCESS_KEY: options.credentials.secretAccessKey,
    AWS_EC2_METADATA_DISABLED: 'true',
    JSII_SILENCE_WARNING_UNTESTED_NODE_VERSION: '1',
    ...options.env,
  };
}

/** Runs the CLI; rejects with the end of its output when it fails. Ended when `signal` aborts, whose reason is thrown. */
async function cdk(options: DeployOptions, cwd: string, args: readonly string[], signal?: AbortSignal): Promise<void> {
  signal?.throwIfAborted();
  const log = join(options.workDir, 'cdk.log');
  const output: Buffer[] = [];
  const child = spawn(process.execPath, [CDK, ...args, '--no-notices', '--no-version-reporting'], {
    cwd,
    env: cliEnvironment(options),
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true, // a process group of its own: the CLI runs the app in a process that must end with it
  });
  const end = (): void => {
    if (child.pid !== undefined && child.exitCode === null) process.kill(-child.pid, 'SIGKILL');
  };
  signal?.addEventListener('abort', end, { once: true });
  child.stdout.on('data', (chunk: Buffer) => output.push(chunk));
  child.stderr.on('data', (chunk: Buffer) => output.push(chunk));
  const status = await new Promise<number | string>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, killedBy) => resolve(code ?? killedBy ?? 'unknown'));
  });
  signal?.removeEventListener('abort', end);
  signal?.throwIfAborted();
  const text = Buffer.concat(output).toString('utf8');
  await appendFile(log, `$ cdk ${args.join(' ')}\n${text}\n`);
  if (status !== 0)
    throw new Error(`cdk ${args[0]} ended with ${status}; its log is ${log}. It said at last:\n${text.slice(-3_000)}`);
}

const contextArguments = (context: Readonly<Record<string, string>>): string[] =>
  Object.entries(context).flatMap(([key, value]) => ['--context', `${key}=${value}`]);

/** Bootstraps the account. Needs nothing of the app. */
export async function bootstrap(options: DeployOptions, signal?: AbortSignal): Promise<void> {
  const elsewhere = join(options.workDir, 'bootstrap'); // no cdk.json here: the CLI would run the app first
  await mkdir(elsewhere, { recursive: true });
  await mkdir(join(options.workDir, 'home'), { recursive: true });
  await cdk(options, elsewhere, ['bootstrap', `aws://${options.account}/${options.region}`], signal);
}

/** Synthesizes the app to `<workDir>/cdk.out`. Needs nothing of the account. */
export async function synth(options: DeployOptions, signal?: AbortSignal): Promise<string> {
  const assemblyDir = join(options.workDir, 'cdk.out');
  await mkdir(join(options.workDir, 'home'), { recursive: true });
  const app = options.app === undefined ? [] : ['--app', options.app];
  await cdk(
    options,
    options.appDir,
    ['synth', '--quiet', '--output', assemblyDir, ...app, ...contextArguments(options.context)],
    signal,
  );
  const template = join(assemblyDir, `${options.stackName}.template.json`);
  if (!existsSync(template)) throw new Error(`the app has no stack ${options.stackName}: synth wrote no ${template}`);
  return assemblyDir;
}

/** Both at once; when one fails, the other is ended too, and the cause is thrown. */
async function prepare(options: DeployOptions, signal?: AbortSignal): Promise<string> {
  const abandon = new AbortController();
  const either = signal === undefined ? abandon.signal : AbortSignal.any([signal, abandon.signal]);
  let cause: unknown = null;
  const noting = (error: unknown): never => {
    cause ??= error;
    abandon.abort();
    throw error;
  };
  const [assembly] = await Promise.allSettled([
    synth(options, either).catch(noting),
    bootstrap(options, either).catch(noting),
  ]);
  if (cause !== null) throw cause as Error;
  return (assembly as PromiseFulfilledResult<string>).value;
}

/** Bootstraps and synthesizes side by side, then deploys what was synthesized. */
export async function deploy(options: DeployOptions, signal?: AbortSignal): Promise<Deployment> {
  const started = performance.now();
  const assemblyDir = await prepare(options, signal);
  const ready = performance.now();
  await cdk(
    options,
    options.workDir,
    [
      'deploy',
      options.stackName,
      '--app',
      assemblyDir,
      '--require-approval',
      'never',
      '--progress',
      'events',
      '--concurrency',
      '4',
    ],
    signal,
  );
  const seconds = (ms: number): number => Math.round(ms / 100) / 10;
  return {
    assemblyDir,
    stackName: options.stackName,
    seconds: { bootstrapAndSynth: seconds(ready - started), deploy: seconds(performance.now() - ready) },
  };
}
