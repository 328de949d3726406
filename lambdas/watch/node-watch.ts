/** What is remembered of one node between two probes, and what a new probe means. Pure. */
import type { Suspicion } from '../model/ledger.ts';
import { CONFIRM_AFTER_MS, probeFailure } from '../model/suspicion.ts';
import type { Probe } from '../model/view.ts';
import { isWell, verdictOf } from './verdict.ts';

export interface NodeMemory {
  /** Null before the first probe in this container. */
  readonly verdict: string | null;
  /** When the first of the failing probes ended. */
  readonly failingSinceMs: number | null;
  readonly askedAtMs: number;
  /** Whether a reconcile was asked for since the failure is old enough to be believed. */
  readonly confirmed: boolean;
}

/** `suspectedSinceMs`: what the ledger says, so that a fresh container goes on with the old clock. */
export const newMemory = (suspectedSinceMs: number | null): NodeMemory => ({
  verdict: null,
  failingSinceMs: suspectedSinceMs,
  askedAtMs: Number.NEGATIVE_INFINITY,
  confirmed: false,
});

/** While a node fails, a reconcile is asked for again this often: requests may be lost. */
export const ASK_AGAIN_MS = 5000;

export interface Reaction {
  readonly memory: NodeMemory;
  /** To be written to the ledger first; `undefined` leaves it alone. */
  readonly suspicion: Suspicion | null | undefined;
  /** Why a reconcile is asked for; null when it is not. */
  readonly ask: string | null;
}

export function react(before: NodeMemory, probe: Probe, nowMs: number): Reaction {
  const verdict = verdictOf(probe);
  const changed = before.verdict !== verdict;
  const failure = probeFailure(probe);
  if (failure === null) {
    const recovered = before.failingSinceMs !== null;
    const news = changed && (before.verdict !== null || !isWell(probe));
    const ask = recovered ? 'answers again' : news ? 'verdict changed' : null;
    const memory = { verdict, failingSinceMs: null, askedAtMs: ask ? nowMs : before.askedAtMs, confirmed: false };
    return { memory, suspicion: recovered ? null : undefined, ask };
  }
  const sinceMs = before.failingSinceMs ?? probe.atMs;
  const believed = nowMs - sinceMs >= CONFIRM_AFTER_MS;
  const ask = whyAsk(before, changed, believed, nowMs);
  return {
    memory: {
      verdict,
      failingSinceMs: sinceMs,
      askedAtMs: ask ? nowMs : before.askedAtMs,
      confirmed: before.confirmed || believed,
    },
    suspicion: before.failingSinceMs === null ? { sinceMs, kind: failure } : undefined,
    ask,
  };
}

function whyAsk(before: NodeMemory, changed: boolean, believed: boolean, nowMs: number): string | null {
  if (changed) return 'verdict changed';
  if (believed && !before.confirmed) return 'failed long enough to be believed';
  return nowMs - before.askedAtMs >= ASK_AGAIN_MS ? 'still failing' : null;
}
