/** The emulated Lambda service: runs the deployed bundles, each invocation alone in a process that stays warm. */
import { randomUUID } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { CloudEvent, FunctionSpec } from './contract.ts';
import type { ArmedKill, Kills } from './kills.ts';
import { AsyncEvents } from './lambda-async.ts';
import { startContainer } from './lambda-container.ts';
import type { Container, ContainerResult, Credentials } from './lambda-container.ts';
import { openFunctionLog } from './lambda-log.ts';
import type { FunctionLog } from './lambda-log.ts';
import type { InvocationResult, InvocationSource } from './lambda-results.ts';
import { FunctionPool } from './lambda-pool.ts';
import type { Taken } from './lambda-pool.ts';

export type { InvocationResult, InvocationSource } from './lambda-results.ts';

export interface InvocationRecord {
  readonly functionName: string;
  readonly requestId: string;
  readonly source: InvocationSource;
  readonly startedAtMs: number;
  readonly durationMs: number;
  readonly coldStart: boolean;
  /** `done`, or the error's type. */
  readonly outcome: string;
}

export interface Lambdas {
  register(spec: FunctionSpec): void;
  readonly functions: readonly FunctionSpec[];
  /** Full name, ARN, or the only function whose name contains it. Throws when there is none or several. */
  find(name: string): FunctionSpec;
  /** Waits for the answer. */
  invoke(nameOrArn: string, event: unknown, source: InvocationSource): Promise<InvocationResult>;
  /**
   * Event type invocation: answered at once, run later. Throttled: tried again with backoff. Failed: twice more, after
   * one and two minutes as on AWS (times `asyncRetryScale`).
   */
  invokeAsync(nameOrArn: string, event: unknown, source: InvocationSource): void;
  /** Starts a process for the function ahead of its first invocation and waits until the bundle is loaded. */
  prewarm(name: string): Promise<void>;
  /** As reserved concurrency 0 for all, but running invocations are cut off too: the plane is off at once. */
  disableAll(): void;
  enableAll(): void;
  readonly disabled: boolean;
  /** The container that holds this session token. */
  containerOf(token: string): ContainerView | null;
  readonly running: readonly {
    readonly functionName: string;
    readonly source: InvocationSource;
    readonly sinceMs: number;
  }[];
  readonly invocations: readonly InvocationRecord[];
  /** Hears of every invocation when it begins and when it has ended, before its caller does. Answers how to end that. */
  listen(listener: InvocationListener): () => void;
  stop(): Promise<void>;
}

export interface InvocationNotice {
  readonly functionName: string;
  readonly event: unknown;
  readonly phase: 'begun' | 'ended';
  /** The answer, of one that has ended well. */
  readonly payload: string | null;
}
/** The invocation waits for it. */
export type InvocationListener = (notice: InvocationNotice) => Promise<void> | void;

/** What the gateway may know of, and do to, the container that makes a call. */
export interface ContainerView {
  readonly functionName: string;
  readonly requestId: string | null;
  nextCall(): ReturnType<ArmedKill['nextCall']>;
  kill(): void;
}

export interface LambdasOptions {
  readonly endpoint: () => string;
  readonly region: string;
  readonly account: string;
  readonly logDir: string;
  readonly kills: Kills;
  credentialsFor(roleArn: string, spec: FunctionSpec): Credentials;
  emit(event: CloudEvent): void;
  /** Puts a message into a function's failure destination, under the function's role. */
  sendTo(queueUrl: string, spec: FunctionSpec, body: string): Promise<void>;
  /** Processes of one function at most, when it reserves no concurrency of its own. */
  readonly concurrency?: number;
  readonly asyncRetryScale?: number;
}

/** A process that is killed when everything is done: its caller hears of a crash. */
const lostAnswer = (requestId: string): Extract<ContainerResult, { kind: 'failed' }> => ({
  kind: 'failed',
  error: {
    errorType: 'Runtime.ExitError',
    errorMessage: `RequestId: ${requestId} Error: Runtime exited with error: signal: sigkill`,
  },
  survives: false,
});

const DEFAULT_CONCURRENCY = 10; // of one function, on a laptop

export function createLambdas(options: LambdasOptions): Lambdas {
  mkdirSync(options.logDir, { recursive: true });
  return new EmulatedLambda(options);
}

class EmulatedLambda implements Lambdas {
  readonly invocations: InvocationRecord[] = [];
  disabled = false;
  private readonly listeners = new Set<InvocationListener>();
  private readonly options: LambdasOptions;
  private readonly pools = new Map<string, FunctionPool>();
  private readonly underWay = new Map<string, Lambdas['running'][number]>();
  private readonly asyncEvents: AsyncEvents;
  private stopped = false;

  constructor(options: LambdasOptions) {
    this.options = options;
    this.asyncEvents = new AsyncEvents({
      invoke: (nameOrArn, event, source) => this.invoke(nameOrArn, event, source),
      emit: (event) => options.emit(event),
      specOf: (nameOrArn) => this.poolOf(nameOrArn)?.spec ?? null,
      sendTo: (queueUrl, spec, body) => options.sendTo(queueUrl, spec, body),
      retryScale: options.asyncRetryScale ?? 1,
    });
  }

  get functions(): FunctionSpec[] {
    return [...this.pools.values()].map((pool) => pool.spec);
  }

  get running(): Lambdas['running'] {
    return [...this.underWay.values()];
  }

  register(spec: FunctionSpec): void {
    const { name } = spec;
    if (this.pools.has(name)) throw new Error(`function ${name} is registered already; each has one specification`);
    const start = (log: FunctionLog): Container =>
      startContainer({
        spec,
        log,
        endpoint: this.options.endpoint(),
        region: this.options.region,
        account: this.options.account,
        credentials: this.options.credentialsFor(spec.roleArn, spec),
      });
    const limit = spec.reservedConcurrency ?? this.options.concurrency ?? DEFAULT_CONCURRENCY;
    this.pools.set(
      name,
      new FunctionPool(spec, limit, openFunctionLog(join(this.options.logDir, `${name}.log`)), start),
    );
  }

  find(name: string): FunctionSpec {
    const exact = this.poolOf(name);
    if (exact !== undefined) return exact.spec;
    const like = this.functions.filter((spec) => spec.name.toLowerCase().includes(name.toLowerCase()));
    if (like.length === 1) return like[0]!;
    throw new Error(`${like.length} functions are named like ${name}; there are: ${[...this.pools.keys()].join(', ')}`);
  }

  async invoke(nameOrArn: string, event: unknown, source: InvocationSource): Promise<InvocationResult> {
    const pool = this.poolOf(nameOrArn);
    if (pool === undefined) return { kind: 'missing' };
    if (this.disabled || this.stopped) {
      return { kind: 'throttled', reason: 'ReservedFunctionConcurrentInvocationLimitExceeded' };
    }
    const taken = pool.take();
    if (taken === null) return { kind: 'throttled', reason: 'ConcurrentInvocationLimitExceeded' };
    return this.run(pool, taken, event, source);
  }

  invokeAsync(nameOrArn: string, event: unknown, source: InvocationSource): void {
    this.asyncEvents.send(nameOrArn, event, source);
  }

  async prewarm(name: string): Promise<void> {
    const pool = this.poolOf(name);
    if (pool === undefined) {
      throw new Error(`no function ${name} to warm; there are: ${[...this.pools.keys()].join(', ')}`);
    }
    await pool.prewarm();
  }

  disableAll(): void {
    this.disabled = true;
    for (const pool of this.pools.values()) pool.dropAll();
  }

  enableAll(): void {
    this.disabled = false;
  }

  containerOf(token: string): ContainerView | null {
    for (const pool of this.pools.values()) {
      const slot = pool.holding(token);
      if (slot === null) continue;
      return {
        functionName: pool.spec.name,
        requestId: slot.requestId,
        nextCall: () => slot.kill?.nextCall() ?? null,
        kill: () => slot.container.kill(),
      };
    }
    return null;
  }

  async stop(): Promise<void> {
    this.stopped = true;
    this.asyncEvents.stop();
    await Promise.all([...this.pools.values()].map((pool) => pool.stop()));
  }

  listen(listener: InvocationListener): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  private async tell(notice: InvocationNotice): Promise<void> {
    for (const listener of this.listeners) await listener(notice);
  }

  /** `name`, `name:alias` or an ARN with or without one. */
  private poolOf(nameOrArn: string): FunctionPool | undefined {
    const name = nameOrArn.startsWith('arn:') ? nameOrArn.split(':')[6] : nameOrArn.split(':')[0];
    return this.pools.get(name ?? '');
  }

  private async run(
    pool: FunctionPool,
    { slot, coldStart }: Taken,
    event: unknown,
    source: InvocationSource,
  ): Promise<InvocationResult> {
    const functionName = pool.spec.name;
    const requestId = randomUUID();
    const startedAtMs = Date.now();
    slot.requestId = requestId;
    slot.kill = this.options.kills.arm(functionName, event);
    this.underWay.set(requestId, { functionName, source, sinceMs: startedAtMs });
    pool.log.platform('platform.start', { requestId, source, pid: slot.container.pid });
    await this.tell({ functionName, event, phase: 'begun', payload: null });
    const answer = await slot.container.invoke(requestId, event);
    const result = answer.kind === 'done' && slot.kill.atEnd() ? lostAnswer(requestId) : answer;
    await this.tell({ functionName, event, phase: 'ended', payload: result.kind === 'done' ? result.payload : null });
    slot.requestId = null;
    slot.kill = null;
    this.underWay.delete(requestId);
    if (result.kind === 'done' || result.survives) pool.release(slot);
    else pool.drop(slot);
    const outcome = result.kind === 'done' ? 'done' : result.error.errorType;
    const record = {
      functionName,
      requestId,
      source,
      startedAtMs,
      durationMs: Date.now() - startedAtMs,
      coldStart,
      outcome,
    };
    this.invocations.push(record);
    pool.log.platform('platform.report', { ...record, initMs: coldStart ? slot.container.initMs : null });
    if (result.kind === 'done') return result;
    if (this.stopped) return { kind: 'failed', error: result.error };
    const { errorType, errorMessage } = result.error;
    const what = `${functionName} failed: ${errorType}: ${errorMessage}`;
    this.options.emit({ atMs: Date.now(), kind: 'lambda', what, detail: { requestId, source } });
    return { kind: 'failed', error: result.error };
  }
}
