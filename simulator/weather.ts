/** How badly things go, as chances per call, message or invocation. All zero once the faults have stopped. */
export interface Weather {
  /** A Lambda dies before or after the effect of a call. */
  readonly kill: number;
  /** AWS fails on its side (5xx) through all of the SDK's attempts, and did nothing. Throttling is not by chance: `simulator/aws/`. */
  readonly fails: number;
  /** How often others of the account ask AWS, as a share of what it takes, when there is no storm of theirs. */
  readonly others: number;
  /** AWS did it, and the caller does not learn of it. */
  readonly lostReply: number;
  /** A call's answer takes seconds. */
  readonly pause: number;
  /** A Describe answers what was so some seconds ago. */
  readonly stale: number;
  readonly eventLost: number;
  readonly eventDoubled: number;
  readonly eventMalformed: number;
  /** An invocation runs twice, side by side. */
  readonly invokedTwice: number;
  /** RunInstances has no room, or the instance dies while it boots. */
  readonly launchFails: number;
  readonly bootMaxMs: number;
  readonly scriptFails: number;
  /** How far the clocks of invocations are off, at most. */
  readonly skewMs: number;
  /** How long EC2 still describes what has been terminated: "usually less than one hour" (EC2 API reference, DescribeInstances). */
  readonly forgetsMs: number;
}

export const CALM: Weather = {
  kill: 0,
  fails: 0,
  others: 0.05,
  lostReply: 0,
  pause: 0,
  stale: 0,
  eventLost: 0,
  eventDoubled: 0,
  eventMalformed: 0,
  invokedTwice: 0,
  launchFails: 0,
  bootMaxMs: 30_000,
  scriptFails: 0,
  skewMs: 300,
  forgetsMs: 3_600_000,
};

/** What the product allows for (`lambdas/model/answered.ts`), less what an invocation rounds. */
const FAR_APART_MS = 1900;

/** What reconcile leaves to others of what an account may ask (lambdas/cloud/pace.ts). */
const LEFT_TO_OTHERS = 0.1;

/** Each night has weather of its own: most chances are zero in some of them. */
export function weatherOf(chance: (p: number) => boolean, next: () => number): Weather {
  const some = (high: number): number => (chance(0.35) ? 0 : next() * high);
  return {
    kill: some(0.02),
    fails: some(0.06),
    others: some(LEFT_TO_OTHERS),
    lostReply: some(0.02),
    pause: chance(0.25) ? 0.08 : some(0.02),
    stale: some(0.3),
    eventLost: chance(0.1) ? 1 : some(0.4),
    eventDoubled: some(0.3),
    eventMalformed: some(0.2),
    invokedTwice: chance(0.25) ? 0.5 : some(0.1),
    launchFails: some(0.3),
    bootMaxMs: chance(0.2) ? 240_000 : 40_000,
    scriptFails: some(0.15),
    skewMs: chance(0.25) ? FAR_APART_MS : 300,
    forgetsMs: chance(0.25) ? 60_000 + next() * 600_000 : CALM.forgetsMs,
  };
}
