/** How long to wait: pure. */
import { RecoveryError } from '../model/recovery.ts';
import type { RecoveryErrorName } from '../model/recovery.ts';

const LONGEST_SECONDS = 15;

/**
 * Seconds until a waiting step is asked again: 1 at first, then a tenth of the time already waited, at most 15. A quick
 * thing is seen at once, and a state transfer of hours stays far below the 25,000 events that an execution may have.
 * https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html
 */
export const pollSeconds = (waitedMs: number, longestSeconds = LONGEST_SECONDS): number =>
  Math.min(longestSeconds, Math.max(1, Math.floor(waitedMs / 10_000)));

export const MINUTES = 60_000;

/**
 * How long each kind of waiting may last, ms. Of a script: longer than its document lets it run (lib/capabilities/host-documents.ts)
 * and Run Command tries to deliver it, so that the step sees how it ended.
 */
export const DEADLINES = {
  /** EC2 has been seen to take minutes to force-stop an instance on failing hardware. */
  fenceMs: 15 * MINUTES,
  bootMs: 10 * MINUTES,
  attachMs: 5 * MINUTES,
  /** User data, formatting or mounting. */
  prepareMs: 15 * MINUTES,
  joinMs: 20 * MINUTES,
  /** Until somebody can give a joiner its data. */
  donorMs: 12 * MINUTES,
  /** Includes crash recovery of a data directory (`--wsrep-recover`). */
  positionMs: 20 * MINUTES,
  bootstrapMs: 25 * MINUTES,
  /** A full state transfer: 700 GB at 100 MB/s. That the process is dead, or its instance gone, is seen within a minute. */
  caughtUpMs: 120 * MINUTES,
  routeMs: 5 * MINUTES,
  retireMs: 5 * MINUTES,
  /** Beyond the longest drain that an endpoint declares: reconcile has to see the claim, and the balancers to do it. */
  drainMs: 10 * MINUTES,
  /** A clean shutdown: a checkpoint, and with PostgreSQL its standbys have everything. */
  stopMs: 12 * MINUTES,
} as const;

/** Throws the error of that name once the step has waited for too long. */
export function failAfter(waitedMs: number, deadlineMs: number, name: RecoveryErrorName, sentence: () => string): void {
  if (waitedMs <= deadlineMs) return;
  throw new RecoveryError(
    name,
    `${sentence()} after ${Math.round(waitedMs / 1000)} s (at most ${deadlineMs / 1000} s)`,
  );
}

/** `4 min 10 s`. */
export function duration(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000));
  return seconds < 60 ? `${seconds} s` : `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
}
