/** When a failed probe is believed: two witnesses, or two moments. */
import type { Suspicion } from './ledger.ts';
import type { Probe } from './view.ts';

/** A failure is believed when it was first seen at least this long before (safety: one failed probe triggers nothing). */
export const CONFIRM_AFTER_MS = 1500;

export type ProbeFailure = 'refused' | 'silent' | 'unreachable';

const FAILURES: readonly string[] = ['refused', 'silent', 'unreachable'] satisfies ProbeFailure[];

/**
 * How the probe failed; null when the node spoke (a rejected login is speech: the database lives) or was not asked.
 */
export const probeFailure = (probe: Probe): ProbeFailure | null =>
  FAILURES.includes(probe.kind) ? (probe.kind as ProbeFailure) : null;

/** Was the suspicion raised by failed probes, rather than by what the node or EC2 said of itself. */
export const isProbeSuspicion = (suspicion: Suspicion): boolean => FAILURES.includes(suspicion.kind);
