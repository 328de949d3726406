/** Lambda's own queue of asynchronous events: answered at once, run later, tried again. */
import { randomUUID } from 'node:crypto';
import type { CloudEvent, FunctionSpec } from './contract.ts';
import type { FunctionError } from './lambda-container.ts';
import type { InvocationResult, InvocationSource } from './lambda-results.ts';

/** Lambda tries a failed asynchronous event twice more, after one and after two minutes. */
const RETRIES_MS = [60_000, 120_000];
/** And a throttled one for hours, with a growing pause (up to five minutes on AWS, kept short here). */
const THROTTLED_MS = { first: 1_000, longest: 20_000 };

export interface AsyncEventsOptions {
  invoke(nameOrArn: string, event: unknown, source: InvocationSource): Promise<InvocationResult>;
  emit(event: CloudEvent): void;
  /** Null for a function that does not exist. */
  specOf(nameOrArn: string): FunctionSpec | null;
  /** Puts a message into a function's failure destination, under the function's role. */
  sendTo(queueUrl: string, spec: FunctionSpec, body: string): Promise<void>;
  /** Multiplies the pauses after failures. */
  readonly retryScale: number;
}

interface Attempt {
  readonly name: string;
  readonly event: unknown;
  readonly source: InvocationSource;
  readonly failures: number;
  readonly throttles: number;
  readonly sentAtMs: number;
  readonly error: FunctionError | null;
}

const DEFAULTS: NonNullable<FunctionSpec['asyncEvents']> = {
  retries: RETRIES_MS.length,
  maximumAgeSeconds: 6 * 3_600,
  onFailureQueueUrl: null,
};

export class AsyncEvents {
  private readonly options: AsyncEventsOptions;
  private readonly timers = new Set<NodeJS.Timeout>();
  private stopped = false;

  constructor(options: AsyncEventsOptions) {
    this.options = options;
  }

  send(name: string, event: unknown, source: InvocationSource): void {
    this.start({ name, event, source, failures: 0, throttles: 0, sentAtMs: Date.now(), error: null });
  }

  stop(): void {
    this.stopped = true;
    for (const timer of this.timers) clearTimeout(timer);
  }

  private start(attempt: Attempt): void {
    const { name, event, source } = attempt;
    this.options.invoke(name, event, source).then(
      (result) => this.finish(attempt, result),
      (error: unknown) => this.giveUp(attempt, 'RetriesExhausted', String(error)),
    );
  }

  private finish(attempt: Attempt, result: InvocationResult): void {
    const { retries } = this.options.specOf(attempt.name)?.asyncEvents ?? DEFAULTS;
    switch (result.kind) {
      case 'done':
        return;
      case 'missing':
        return this.giveUp(attempt, 'RetriesExhausted', 'there is no such function');
      case 'throttled': {
        const waitMs = Math.min(THROTTLED_MS.first * 2 ** attempt.throttles, THROTTLED_MS.longest);
        return this.later(waitMs, { ...attempt, throttles: attempt.throttles + 1 });
      }
      case 'failed': {
        const failed = { ...attempt, failures: attempt.failures + 1, throttles: 0, error: result.error };
        const waitMs = RETRIES_MS[attempt.failures];
        if (failed.failures > retries || waitMs === undefined) {
          return this.giveUp(failed, 'RetriesExhausted', `${failed.failures} attempts failed`);
        }
        return this.later(waitMs * this.options.retryScale, failed);
      }
    }
  }

  private later(waitMs: number, attempt: Attempt): void {
    if (this.stopped) return;
    const { maximumAgeSeconds } = this.options.specOf(attempt.name)?.asyncEvents ?? DEFAULTS;
    const timer = setTimeout(() => {
      this.timers.delete(timer);
      const ageSeconds = (Date.now() - attempt.sentAtMs) / 1_000;
      if (ageSeconds <= maximumAgeSeconds) this.start(attempt);
      else this.giveUp(attempt, 'EventAgeExceeded', `it is older than ${maximumAgeSeconds} s`);
    }, waitMs);
    this.timers.add(timer);
  }

  private giveUp(attempt: Attempt, condition: string, why: string): void {
    if (this.stopped) return;
    const { name, event } = attempt;
    this.tell(`${name}: an asynchronous event was given up: ${why}`, { event });
    const spec = this.options.specOf(name);
    const queueUrl = spec?.asyncEvents?.onFailureQueueUrl ?? null;
    if (spec === null || queueUrl === null) return;
    this.options
      .sendTo(queueUrl, spec, JSON.stringify(failureRecord(spec, attempt, condition)))
      .catch((error: unknown) =>
        this.tell(`${name}: its failure destination ${queueUrl} refused: ${String(error)}`, { event }),
      );
  }

  private tell(what: string, detail: Readonly<Record<string, unknown>>): void {
    this.options.emit({ atMs: Date.now(), kind: 'lambda', what, detail });
  }
}

/** Source: https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html */
function failureRecord(spec: FunctionSpec, attempt: Attempt, condition: string): unknown {
  return {
    version: '1.0',
    timestamp: new Date().toISOString(),
    requestContext: {
      requestId: randomUUID(),
      functionArn: `${spec.name}:$LATEST`,
      condition,
      approximateInvokeCount: attempt.failures,
    },
    requestPayload: attempt.event,
    responseContext: { statusCode: 200, executedVersion: '$LATEST', functionError: 'Unhandled' },
    responsePayload: attempt.error,
  };
}
