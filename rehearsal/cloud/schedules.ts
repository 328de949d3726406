/** EventBridge's schedules: invokes their Lambda targets at a fixed rate, asynchronously, as AWS does. */
import { randomUUID } from 'node:crypto';
import type { Lambdas } from './lambda.ts';

export interface ScheduleSpec {
  readonly name: string;
  /** `rate(1 minute)`, `rate(5 minutes)`, `rate(12 hours)`. */
  readonly expression: string;
  readonly functionName: string;
  /** A constant input as JSON; without it the target gets a `Scheduled Event`. */
  readonly input?: string;
}

const UNITS_MS: Readonly<Record<string, number>> = { second: 1_000, minute: 60_000, hour: 3_600_000, day: 86_400_000 };

/**
 * Milliseconds between two invocations.
 * Source: https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html. Throws on what is no rate.
 */
export function rateMs(expression: string): number {
  const [, count, unit] = /^rate\((\d+) (minute|hour|day)s?\)$/.exec(expression.trim()) ?? [];
  const each = UNITS_MS[unit ?? ''];
  if (count === undefined || each === undefined || Number(count) < 1) {
    throw new Error(
      `schedule expression ${JSON.stringify(expression)} is no rate; the rehearsal runs rate(N minutes|hours|days) only`,
    );
  }
  return Number(count) * each;
}

/** A scheduled event as EventBridge rules send it. */
export function scheduledEvent(name: string, region: string, account: string, now: Date): unknown {
  return {
    version: '0',
    id: randomUUID(),
    'detail-type': 'Scheduled Event',
    source: 'aws.events',
    account,
    time: `${now.toISOString().slice(0, 19)}Z`,
    region,
    resources: [`arn:aws:events:${region}:${account}:rule/${name}`],
    detail: {},
  };
}

export interface SchedulesOptions {
  readonly lambdas: Lambdas;
  readonly region: string;
  readonly account: string;
}

/** Runs the schedules, the first invocation of each at once. Answers how to stop. */
export function startSchedules(specs: readonly ScheduleSpec[], options: SchedulesOptions): () => void {
  const timers = specs.map((spec) => {
    const fire = (): void => {
      const event: unknown =
        spec.input === undefined
          ? scheduledEvent(spec.name, options.region, options.account, new Date())
          : JSON.parse(spec.input);
      options.lambdas.invokeAsync(spec.functionName, event, 'schedule');
    };
    const timer = setInterval(fire, rateMs(spec.expression));
    fire();
    return timer;
  });
  return () => timers.forEach((timer) => clearInterval(timer));
}
