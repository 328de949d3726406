/** The emulated Lambda service: runs the deployed bundles, each invocation alone in a process that stays warm. */
import { randomUUID } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { CloudEvent, FunctionSpec } from './contract.ts';
import type { ArmedKill, Kills } from './kills.ts';
import { startContainer } from './lambda-container.ts';
import type { Container, Credentials, FunctionError } from './lambda-container.ts';
import { openFunctionLog } from './lambda-log.ts';
import type { FunctionLog } from './lambda-log.ts';

/** Who asked for an invocation. */
export type InvocationSource = 'api' | 'engine' | 'mapping' | 'schedule';

export type InvocationResult =
  | { readonly kind: 'done'; readonly payload: string }
  /** The function threw, timed out or died: `x-amz-function-error: Unhandled`. */
  | { readonly kind: 'failed'; readonly error: FunctionError }
  | { readonly kind: 'throttled'; readonly reason: string }
  | { readonly kind: 'missing' };

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
  readonly running: readonly { readonly functionName: string; readonly source: InvocationSource; readonly sinceMs: number }[];
  readonly invocations: readonly InvocationRecord[];
  stop(): Promise<void>;
}

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
  /** Processes of one function at most, when it reserves no concurrency of its own. */
  readonly concurrency?: number;
  readonly asyncRetryScale?: number;
}

interface Slot {
  readonly container: Container;
  readonly functionName: string;
  requestId: string | null;
  kill: ArmedKill | null;
}

interface Pool {
  readonly spec: FunctionSpec;
  readonly log: FunctionLog;
  readonly slots: Set<Slot>;
  /** Last in, first out, as Lambda prefers the warmest. */
  readonly idle: Slot[];
}

const DEFAULT_CONCURRENCY = 10;
const ASYNC_RETRIES_MS = [60_000, 120_000];
const THROTTLE_BACKOFF_MS = { first: 1_000, longest: 20_000 };

export function createLambdas(options: LambdasOptions): Lambdas {
  const pools = new Map<string, Pool>();
  const slots = new Map<string, Slot>();
  const running = new Map<string, Lambdas['running'][number]>();
  const invocations: InvocationRecord[] = [];
  const timers = new Set<NodeJS.Timeout>();
  let disabled = false;
  let stopped = false;
  mkdirSync(options.logDir, { recursive: true });

  const poolOf = (nameOrArn: string): Pool | undefined => {
    const plain = nameOrArn.startsWith('arn:') ? nameOrArn.split(':')[6] : nameOrArn.split(':')[0];
    return pools.get(plain ?? '');
  };

  const limitOf = (pool: Pool): number => pool.spec.reservedConcurrency ?? options.concurrency ?? DEFAULT_CONCURRENCY;

  function startSlot(pool: Pool): Slot {
    const { spec, log } = pool;
    const container = startContainer({
      spec,
      log,
      endpoint: options.endpoint(),
      region: options.region,
      account: options.account,
      credentials: options.credentialsFor(spec.roleArn, spec),
    });
    const slot: Slot = { container, functionName: spec.name, requestId: null, kill: null };
    pool.slots.add(slot);
    slots.set(container.token, slot);
    return slot;
  }

  function drop(pool: Pool, slot: Slot): void {
    pool.slots.delete(slot);
    slots.delete(slot.container.token);
    const at = pool.idle.indexOf(slot);
    if (at >= 0) pool.idle.splice(at, 1);
    slot.container.kill();
  }

  /** A warm process, or a new one while the function's concurrency allows; null when it does not. */
  function take(pool: Pool): { slot: Slot; coldStart: boolean } | null {
    for (let slot = pool.idle.pop(); slot !== undefined; slot = pool.idle.pop()) {
      if (slot.container.alive) return { slot, coldStart: false };
      drop(pool, slot);
    }
    return pool.slots.size < limitOf(pool) ? { slot: startSlot(pool), coldStart: true } : null;
  }

  async function run(pool: Pool, slot: Slot, coldStart: boolean, event: unknown, source: InvocationSource): Promise<InvocationResult> {
    const { spec, log } = pool;
    const requestId = randomUUID();
    const startedAtMs = Date.now();
    slot.requestId = requestId;
    slot.kill = options.kills.arm(spec.name, event);
    running.set(requestId, { functionName: spec.name, source, sinceMs: startedAtMs });
    log.platform('platform.start', { requestId, source, pid: slot.container.pid });
    const result = await slot.container.invoke(requestId, event);
    const durationMs = Date.now() - startedAtMs;
    slot.requestId = null;
    slot.kill = null;
    running.delete(requestId);
    const outcome = result.kind === 'done' ? 'done' : result.error.errorType;
    const initMs = coldStart ? slot.container.initMs : null;
    log.platform('platform.report', { requestId, durationMs, outcome, ...(initMs === null ? {} : { initMs: Math.round(initMs) }) });
    invocations.push({ functionName: spec.name, requestId, source, startedAtMs, durationMs, coldStart, outcome });
    if (result.kind === 'done' || result.survives) pool.idle.push(slot);
    else drop(pool, slot);
    if (result.kind === 'done') return result;
    tell('lambda', `${spec.name} failed: ${result.error.errorType}: ${result.error.errorMessage}`, { requestId, source });
    return { kind: 'failed', error: result.error };
  }

  function tell(kind: string, what: string, detail: Record<string, unknown>): void {
    options.emit({ atMs: Date.now(), kind, what, detail });
  }

  async function invoke(nameOrArn: string, event: unknown, source: InvocationSource): Promise<InvocationResult> {
    const pool = poolOf(nameOrArn);
    if (pool === undefined) return { kind: 'missing' };
    if (disabled || stopped) return { kind: 'throttled', reason: 'ReservedFunctionConcurrentInvocationLimitExceeded' };
    const taken = take(pool);
    if (taken === null) return { kind: 'throttled', reason: 'ConcurrentInvocationLimitExceeded' };
    return run(pool, taken.slot, taken.coldStart, event, source);
  }

  function later(delayMs: number, action: () => void): void {
    if (stopped) return;
    const timer = setTimeout(() => {
      timers.delete(timer);
      action();
    }, delayMs);
    timers.add(timer);
  }

  function invokeAsync(nameOrArn: string, event: unknown, source: InvocationSource, failures = 0, throttles = 0): void {
    void invoke(nameOrArn, event, source).then((result) => {
      if (result.kind === 'throttled') {
        const waitMs = Math.min(THROTTLE_BACKOFF_MS.first * 2 ** throttles, THROTTLE_BACKOFF_MS.longest);
        later(waitMs, () => invokeAsync(nameOrArn, event, source, failures, throttles + 1));
      } else if (result.kind === 'failed') {
        const waitMs = ASYNC_RETRIES_MS[failures];
        if (waitMs === undefined) tell('lambda', `${nameOrArn}: an asynchronous event was given up after ${failures + 1} attempts`, { event });
        else later(waitMs * (options.asyncRetryScale ?? 1), () => invokeAsync(nameOrArn, event, source, failures + 1, 0));
      } else if (result.kind === 'missing') {
        tell('lambda', `${nameOrArn} does not exist: its asynchronous event is lost`, { event });
      }
    });
  }

  return {
    register(spec) {
      if (pools.has(spec.name)) throw new Error(`function ${spec.name} is registered already; each has one specification`);
      pools.set(spec.name, { spec, log: openFunctionLog(join(options.logDir, `${spec.name}.log`)), slots: new Set(), idle: [] });
    },
    get functions() {
      return [...pools.values()].map((pool) => pool.spec);
    },
    find(name) {
      const exact = poolOf(name);
      if (exact !== undefined) return exact.spec;
      const like = [...pools.values()].filter((pool) => pool.spec.name.toLowerCase().includes(name.toLowerCase()));
      if (like.length === 1) return like[0]!.spec;
      throw new Error(`${like.length} functions are named like ${name}; there are: ${[...pools.keys()].join(', ')}`);
    },
    invoke,
    invokeAsync: (nameOrArn, event, source) => invokeAsync(nameOrArn, event, source),
    async prewarm(name) {
      const pool = poolOf(name);
      if (pool === undefined) throw new Error(`no function ${name} to warm; there are: ${[...pools.keys()].join(', ')}`);
      if (pool.slots.size > 0) return;
      const slot = startSlot(pool);
      await slot.container.initialised;
      if (slot.container.alive) pool.idle.push(slot);
      else drop(pool, slot);
    },
    disableAll() {
      disabled = true;
      for (const pool of pools.values()) for (const slot of [...pool.slots]) drop(pool, slot);
    },
    enableAll() {
      disabled = false;
    },
    get disabled() {
      return disabled;
    },
    containerOf(token) {
      const slot = slots.get(token);
      if (slot === undefined) return null;
      return {
        functionName: slot.functionName,
        requestId: slot.requestId,
        nextCall: () => slot.kill?.nextCall() ?? null,
        kill: () => slot.container.kill(),
      };
    },
    get running() {
      return [...running.values()];
    },
    invocations,
    async stop() {
      stopped = true;
      for (const timer of timers) clearTimeout(timer);
      const all = [...pools.values()].flatMap((pool) => [...pool.slots]);
      await Promise.all(all.map((slot) => slot.container.stop()));
      await Promise.all([...pools.values()].map((pool) => pool.log.close()));
    },
  };
}
