/** Lambda's own queue of asynchronous events: answered at once, run later, tried again. */
import type { CloudEvent } from './contract.ts';
import type { InvocationResult, InvocationSource } from './lambda.ts';

/** Lambda tries a failed asynchronous event twice more, after one and after two minutes. */
const RETRIES_MS = [60_000, 120_000];
/** And a throttled one for hours, with a growing pause (up to five minutes on AWS, kept short here). */
const THROTTLED_MS = { first: 1_000, longest: 20_000 };

export interface AsyncEventsOptions {
  invoke(nameOrArn: string, event: unknown, source: InvocationSource): Promise<InvocationResult>;
  emit(event: CloudEvent): void;
  /** Multiplies the pauses after failures. */
  readonly retryScale: number;
}

interface Attempt {
  readonly name: string;
  readonly event: unknown;
  readonly source: InvocationSource;
  readonly failures: number;
  readonly throttles: number;
}

export class AsyncEvents {
  private readonly options: AsyncEventsOptions;
  private readonly timers = new Set<NodeJS.Timeout>();
  private stopped = false;

  constructor(options: AsyncEventsOptions) {
    this.options = options;
  }

  send(name: string, event: unknown, source: InvocationSource): void {
    this.start({ name, event, source, failures: 0, throttles: 0 });
  }

  stop(): void {
    this.stopped = true;
    for (const timer of this.timers) clearTimeout(timer);
  }

  private start(attempt: Attempt): void {
    const { name, event, source } = attempt;
    this.options.invoke(name, event, source).then(
      (result) => this.finish(attempt, result),
      (error: unknown) => this.giveUp(attempt, String(error)),
    );
  }

  private finish(attempt: Attempt, result: InvocationResult): void {
    switch (result.kind) {
      case 'done':
        return;
      case 'missing':
        return this.giveUp(attempt, 'there is no such function');
      case 'throttled': {
        const waitMs = Math.min(THROTTLED_MS.first * 2 ** attempt.throttles, THROTTLED_MS.longest);
        return this.later(waitMs, { ...attempt, throttles: attempt.throttles + 1 });
      }
      case 'failed': {
        const waitMs = RETRIES_MS[attempt.failures];
        const failures = attempt.failures + 1;
        if (waitMs === undefined) return this.giveUp(attempt, `${failures} attempts failed`);
        return this.later(waitMs * this.options.retryScale, { ...attempt, failures, throttles: 0 });
      }
    }
  }

  private later(waitMs: number, attempt: Attempt): void {
    if (this.stopped) return;
    const timer = setTimeout(() => {
      this.timers.delete(timer);
      this.start(attempt);
    }, waitMs);
    this.timers.add(timer);
  }

  private giveUp({ name, event }: Attempt, why: string): void {
    const what = `${name}: an asynchronous event was given up: ${why}`;
    this.options.emit({ atMs: Date.now(), kind: 'lambda', what, detail: { event } });
  }
}
