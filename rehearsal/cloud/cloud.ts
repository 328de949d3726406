/** One emulated AWS account: moto, the gateway before it, and the services that the gateway adds. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { SendMessageCommand, SQSClient } from '@aws-sdk/client-sqs';
import type { Authorizer, CloudEvent, Delays, FunctionSpec, Interceptor } from './contract.ts';
import { deploy } from './deploy.ts';
import type { Deployment } from './deploy.ts';
import { createEvents } from './events.ts';
import type { Events } from './events.ts';
import { createFaults, seededRandom } from './faults.ts';
import type { Faults } from './faults.ts';
import { ADMIN_ACCESS_KEY_ID, MAPPING_TOKEN_PREFIX, startGateway } from './gateway.ts';
import type { Gateway } from './gateway.ts';
import { createKills } from './kills.ts';
import type { Kills } from './kills.ts';
import { invokeApi } from './lambda-api.ts';
import type { Credentials } from './lambda-container.ts';
import { createLambdas } from './lambda.ts';
import type { Lambdas } from './lambda.ts';
import { startMoto } from './moto.ts';
import type { Moto } from './moto.ts';
import { startPoller } from './pollers.ts';
import type { Poller } from './pollers.ts';
import { s3Interceptors } from './s3.ts';
import { startSchedules } from './schedules.ts';
import { readStack } from './stack.ts';
import type { DeployedStack } from './stack.ts';
import { wakePollers } from './wakes.ts';

/** An account like any other, unless `CloudOptions.account` says otherwise. */
const ACCOUNT = '123456789012';

export interface CloudOptions {
  /** For logs, the assembly, the CLI's home. Made when missing. */
  readonly workDir: string;
  readonly account?: string;
  readonly region?: string;
  readonly delays?: Partial<Delays>;
  /** Keys of a role's credentials; without it all functions call as the administrator, unchecked. */
  credentialsFor?(roleArn: string): Credentials;
  /** For faults of a probability below 1. */
  readonly seed?: number;
  /** See `PollersOptions`. */
  readonly redeliverAfterMs?: number;
  readonly asyncRetryScale?: number;
}

export interface AdminConfig {
  readonly endpoint: string;
  readonly region: string;
  readonly credentials: { readonly accessKeyId: string; readonly secretAccessKey: string };
}

export interface AppToDeploy {
  readonly appDir: string;
  readonly app?: string;
  readonly context: Readonly<Record<string, string>>;
  readonly stackName: string;
  readonly env?: Readonly<Record<string, string>>;
}

export interface Cloud {
  readonly endpoint: string;
  readonly region: string;
  readonly account: string;
  readonly delays: Delays;
  /** Straight to moto, past the gateway: for those who answer in AWS's place. */
  readonly moto: { readonly endpoint: string; readonly region: string; readonly pid: number };
  /** For SDK clients of the platform team. */
  readonly adminConfig: AdminConfig;
  readonly gateway: Gateway;
  readonly calls: Gateway['calls'];
  readonly lambdas: Lambdas;
  readonly events: Events;
  readonly faults: Faults;
  readonly kills: Kills;
  readonly pollers: readonly Poller[];
  /** What departs from AWS, for the report. */
  readonly emulated: readonly string[];
  use(interceptor: Interceptor): () => void;
  setAuthorizer(authorizer: Authorizer | null): void;
  /** Runs the CDK CLI: bootstrap, synth, deploy. Attaches nothing yet. */
  deploy(app: AppToDeploy, signal?: AbortSignal): Promise<Deployment>;
  /** Reads the deployed stack and registers its functions; nothing runs before `run`. */
  attach(assemblyDir: string, stackName: string): Promise<DeployedStack>;
  /** Starts mappings (their functions must be registered) and, unless told otherwise, schedules. */
  run(stack: Pick<DeployedStack, 'mappings' | 'schedules'>, options?: { readonly schedules?: boolean }): void;
  onEvent(listener: (event: CloudEvent) => void): () => void;
  emit(event: CloudEvent): void;
  /** Resolves when no event is on its way, queues look empty and no function but a scheduled one runs. Throws after the deadline. */
  whenQuiet(deadlineMs: number): Promise<void>;
  /** Ends everything, by process id; may be called again. */
  stop(): Promise<void>;
}

/** An event takes a tenth of a second to the queue; a small Linux image boots in 10 to 40 s, here in less. */
export const DEFAULT_DELAYS: Delays = { eventMs: 300, bootMs: 5_000, shutdownMs: 10_000, forceStopMs: 2_000 };
const REDELIVER_AFTER_MS = 5_000;
const POLL_MS = 500;
const QUIET_POLL_MS = 50;

/** Starts the account: empty, nothing deployed. */
export async function startCloud(options: CloudOptions): Promise<Cloud> {
  await mkdir(join(options.workDir, 'logs'), { recursive: true });
  const cloud = new EmulatedCloud(options);
  try {
    await cloud.start();
    return cloud;
  } catch (error) {
    await cloud.stop();
    throw error;
  }
}

class EmulatedCloud implements Cloud {
  readonly account: string;
  readonly region: string;
  readonly delays: Delays;
  readonly faults: Faults;
  readonly kills = createKills();
  readonly lambdas: Lambdas;
  readonly pollers: Poller[] = [];
  gateway!: Gateway;
  events!: Events;
  private readonly options: CloudOptions;
  private readonly listeners = new Set<(event: CloudEvent) => void>();
  private readonly stopSchedules: (() => void)[] = [];
  private readonly scheduled = new Set<string>();
  private readonly wakes = wakePollers(() => this.pollers);
  /** Aborted by `stop`: a deployment under way is ended. */
  private readonly ending = new AbortController();
  private motoProcess: Moto | null = null;
  private stopping: Promise<void> | null = null;

  constructor(options: CloudOptions) {
    this.options = options;
    this.account = options.account ?? ACCOUNT;
    this.region = options.region ?? 'eu-west-1';
    this.delays = { ...DEFAULT_DELAYS, ...options.delays };
    this.faults = createFaults(seededRandom(options.seed ?? 1));
    this.lambdas = createLambdas({
      endpoint: () => this.gateway.endpoint,
      region: this.region,
      account: this.account,
      logDir: join(options.workDir, 'logs'),
      kills: this.kills,
      credentialsFor: (roleArn) => this.credentialsFor(roleArn),
      emit: (event) => this.emit(event),
      sendTo: (queueUrl, spec, body) => this.sendAs(spec, queueUrl, body),
      ...(options.asyncRetryScale === undefined ? {} : { asyncRetryScale: options.asyncRetryScale }),
    });
  }

  async start(): Promise<void> {
    this.gateway = await startGateway({
      faults: this.faults,
      containerOf: (token) => this.lambdas.containerOf(token),
      emit: (event) => this.emit(event),
    });
    this.events = createEvents({
      adminConfig: this.adminConfig,
      delayMs: this.delays.eventMs,
      onTimeline: (event) => this.emit(event),
    });
    this.motoProcess = await startMoto({
      gatewayPort: this.gateway.port,
      account: this.account,
      logFile: join(this.options.workDir, 'logs', 'moto.log'),
    });
    this.gateway.forwardTo(this.motoProcess.endpoint);
    this.use(invokeApi(this.lambdas));
    for (const interceptor of s3Interceptors()) this.use(interceptor);
    for (const interceptor of this.wakes.interceptors) this.use(interceptor);
  }

  get endpoint(): string {
    return this.gateway.endpoint;
  }
  get calls(): Gateway['calls'] {
    return this.gateway.calls;
  }
  get moto(): Cloud['moto'] {
    if (this.motoProcess === null) throw new Error('moto has not started; startCloud() must have resolved first');
    return { endpoint: this.motoProcess.endpoint, region: this.region, pid: this.motoProcess.pid };
  }
  get adminConfig(): AdminConfig {
    const credentials = { accessKeyId: ADMIN_ACCESS_KEY_ID, secretAccessKey: 'rehearsal' };
    return { endpoint: this.gateway.endpoint, region: this.region, credentials };
  }
  get emulated(): string[] {
    return [
      'AWS APIs: moto holds the state of the account; calls are not throttled unless told to be, and are consistent at once',
      'Lambda: each execution environment is a Node process on this machine; between invocations it is not frozen',
      `SQS mappings: a failed message comes back after ${this.redeliverAfterMs / 1000} s, or its visibility timeout if shorter`,
      `EventBridge: events reach their queue after ${this.delays.eventMs} ms; schedules are fired by the rehearsal`,
      'S3: moto holds objects and versions in memory; bodies are verified; Object Lock and lifecycle rules are not emulated',
      'Step Functions: moto runs the definitions; its calls are made under the name of the state machine',
    ];
  }

  use(interceptor: Interceptor): () => void {
    return this.gateway.use(interceptor);
  }

  setAuthorizer(authorizer: Authorizer | null): void {
    this.gateway.setAuthorizer(authorizer);
  }

  deploy(app: AppToDeploy, signal?: AbortSignal): Promise<Deployment> {
    const either = signal === undefined ? this.ending.signal : AbortSignal.any([signal, this.ending.signal]);
    return deploy({ ...app, ...this.adminConfig, account: this.account, workDir: this.options.workDir }, either);
  }

  async attach(assemblyDir: string, stackName: string): Promise<DeployedStack> {
    const stack = await readStack({ adminConfig: this.adminConfig, account: this.account, assemblyDir, stackName });
    for (const spec of stack.functions) this.lambdas.register(spec);
    return stack;
  }

  run(stack: Pick<DeployedStack, 'mappings' | 'schedules'>, options: { readonly schedules?: boolean } = {}): void {
    for (const mapping of stack.mappings) {
      this.pollers.push(
        startPoller(mapping, {
          endpoint: this.endpoint,
          region: this.region,
          lambdas: this.lambdas,
          credentialsFor: (functionName) => this.credentialsFor(this.lambdas.find(functionName).roleArn),
          emit: (event) => this.emit(event),
          redeliverAfterMs: this.redeliverAfterMs,
          pollMs: POLL_MS,
        }),
      );
    }
    if (options.schedules === false) return;
    for (const { functionName } of stack.schedules) this.scheduled.add(functionName);
    this.stopSchedules.push(
      startSchedules(stack.schedules, { lambdas: this.lambdas, region: this.region, account: this.account }),
    );
  }

  onEvent(listener: (event: CloudEvent) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  emit(event: CloudEvent): void {
    for (const listener of this.listeners) listener(event);
  }

  async whenQuiet(deadlineMs: number): Promise<void> {
    const until = performance.now() + deadlineMs;
    for (const poller of this.pollers) poller.wake();
    for (;;) {
      const busy = this.busyWith();
      if (busy === null) return;
      if (performance.now() > until) throw new Error(`not quiet within ${deadlineMs} ms: ${busy}`);
      await new Promise((resolve) => setTimeout(resolve, QUIET_POLL_MS));
    }
  }

  stop(): Promise<void> {
    this.stopping ??= this.end();
    return this.stopping;
  }

  private get redeliverAfterMs(): number {
    return this.options.redeliverAfterMs ?? REDELIVER_AFTER_MS;
  }

  private credentialsFor(roleArn: string): Credentials {
    return this.options.credentialsFor?.(roleArn) ?? this.adminConfig.credentials;
  }

  /** As Lambda's own machinery, with what the function's role allows. */
  private async sendAs(spec: FunctionSpec, queueUrl: string, body: string): Promise<void> {
    const credentials = { ...this.credentialsFor(spec.roleArn), sessionToken: MAPPING_TOKEN_PREFIX + spec.name };
    const sqs = new SQSClient({ endpoint: this.endpoint, region: this.region, credentials });
    try {
      await sqs.send(new SendMessageCommand({ QueueUrl: queueUrl, MessageBody: body }));
    } finally {
      sqs.destroy();
    }
  }

  private busyWith(): string | null {
    if (this.events.pending > 0) return `${this.events.pending} events on their way`;
    const poller = this.pollers.find((candidate) => !candidate.idle);
    if (poller !== undefined) return `queue ${poller.spec.queueArn}, ${poller.batchesInFlight} batches in flight`;
    // One that a schedule started may start itself again, for as long as it likes.
    const running = this.lambdas.running.find((invocation) => !this.scheduled.has(invocation.functionName));
    return running === undefined ? null : `${running.functionName} runs`;
  }

  private async end(): Promise<void> {
    for (const stop of this.stopSchedules) stop();
    this.ending.abort(new Error('the emulated AWS is being stopped'));
    this.wakes.stop();
    // Pollers wait for their batches, which end when the functions' processes do.
    await Promise.all([...this.pollers.map((poller) => poller.stop()), this.lambdas.stop(), this.events?.stop()]);
    await this.motoProcess?.stop();
    await this.gateway?.stop();
  }
}
