/** What is remembered of one node between two probes, and what a new probe means. Pure. */
import type { Suspicion } from '../model/ledger.ts';
import type { EngineKind } from '../model/spec.ts';
import { CONFIRM_AFTER_MS, probeFailure } from '../model/suspicion.ts';
import type { Probe } from '../model/view.ts';
import { isPrimary, isWell, verdictOf } from './verdict.ts';

export interface NodeMemory {
  /** Null before the first probe in this container. */
  readonly verdict: string | null;
  /** When the first of the failing probes ended; with PostgreSQL when it began. */
  readonly failingSinceMs: number | null;
  readonly askedAtMs: number;
  /** Whether a reconcile was asked for since the failure is old enough to be believed. */
  readonly confirmed: boolean;
  /** It is, or was when it last answered, a PostgreSQL primary: all writes wait for it. */
  readonly primary: boolean;
}

/** `suspectedSinceMs`: what the ledger says, so that a fresh container goes on with the old clock. */
export const newMemory = (suspectedSinceMs: number | null, primary = false): NodeMemory => ({
  verdict: null,
  failingSinceMs: suspectedSinceMs,
  askedAtMs: Number.NEGATIVE_INFINITY,
  confirmed: false,
  primary,
});

/** While a node fails, a reconcile is asked for again this often at first: requests may be lost. */
export const ASK_AGAIN_MS = 5000;
/** The longer it has failed, the seldomer, down to this: a node that boots, or that a workflow seeds, fails for minutes. */
const ASK_AGAIN_AT_LEAST_MS = 60_000;
/** So often in the time that it has been failing. */
const ASK_AGAIN_SHARE = 4;
/** While a primary fails: what reconcile waits for (its replicas' silence) may come true at any moment. */
export const ASK_AGAIN_FOR_PRIMARY_MS = 500;
/** For so long. What has not been decided by then is a partition, and no hurry. */
const HURRY_MS = 8000;

export interface Reaction {
  readonly memory: NodeMemory;
  /** To be written to the ledger first; `undefined` leaves it alone. */
  readonly suspicion: Suspicion | null | undefined;
  /** Why a reconcile is asked for; null when it is not. */
  readonly ask: string | null;
}

export interface Circumstances {
  readonly engine: EngineKind;
  /** A replica too far behind its primary to take reads. */
  readonly isLagging: boolean;
}

const GALERA: Circumstances = { engine: 'galera', isLagging: false };

export function react(before: NodeMemory, probe: Probe, nowMs: number, about: Circumstances = GALERA): Reaction {
  const verdict = verdictOf(probe, about.isLagging);
  const changed = before.verdict !== verdict;
  const failure = probeFailure(probe);
  if (failure === null) {
    const recovered = before.failingSinceMs !== null;
    const news = changed && (before.verdict !== null || !isWell(probe) || about.isLagging);
    const ask = recovered ? 'answers again' : news ? 'verdict changed' : null;
    const askedAtMs = ask ? nowMs : before.askedAtMs;
    const primary = probe.kind === 'answered' ? isPrimary(probe) : before.primary;
    const memory = { verdict, failingSinceMs: null, askedAtMs, confirmed: false, primary };
    return { memory, suspicion: recovered ? null : undefined, ask };
  }
  const sinceMs = before.failingSinceMs ?? beganMs(probe, about.engine);
  const believed = nowMs - sinceMs >= CONFIRM_AFTER_MS;
  const ask = whyAsk(before, changed, believed, nowMs, sinceMs);
  return {
    memory: {
      verdict,
      failingSinceMs: sinceMs,
      askedAtMs: ask ? nowMs : before.askedAtMs,
      confirmed: before.confirmed || believed,
      primary: before.primary,
    },
    suspicion: before.failingSinceMs === null ? { sinceMs, kind: failure } : undefined,
    ask,
  };
}

/**
 * What a failed probe waited for in vain was missing from its start. With PostgreSQL the second that a silent probe takes
 * is worth counting, since a lost primary stops all writes.
 */
const beganMs = (probe: Probe, engine: EngineKind): number =>
  engine === 'postgres' && 'tookMs' in probe ? probe.atMs - probe.tookMs : probe.atMs;

function whyAsk(
  before: NodeMemory,
  changed: boolean,
  believed: boolean,
  nowMs: number,
  sinceMs: number,
): string | null {
  if (changed) return 'verdict changed';
  if (believed && !before.confirmed) return 'failed long enough to be believed';
  const hurries = before.primary && nowMs - sinceMs < HURRY_MS;
  const calmMs = Math.min(ASK_AGAIN_AT_LEAST_MS, Math.max(ASK_AGAIN_MS, (nowMs - sinceMs) / ASK_AGAIN_SHARE));
  const againMs = hurries ? ASK_AGAIN_FOR_PRIMARY_MS : calmMs;
  return nowMs - before.askedAtMs >= againMs ? 'still failing' : null;
}
