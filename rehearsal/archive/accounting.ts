/** What a restored database holds, compared with what the client had written by then. Pure. */
import type { Acknowledgement } from '../client/journal.ts';

/** The figures of one restore, for the report. */
export interface RestoreFigures {
  /** As it was asked for. */
  readonly target: string;
  /** Where the restore says that it stopped; null when it says nothing. */
  readonly restoredTo: string | null;
  readonly rowsExpected: number;
  /** Acknowledged by the target, and not there. */
  readonly rowsMissing: number;
  /** Begun after the target, and there; or there twice. */
  readonly rowsExtra: number;
  /** From the start of the workflow to its end. */
  readonly durationMs: number;
}

/** A moment of the client's clock. `precisionMs`: the engine's log tells moments apart no finer. */
export interface Moment {
  readonly atMs: number;
  readonly precisionMs: number;
  /** What is later may be there too: asked for was the latest, and the moment is what is demanded of it at least. */
  readonly atLeast?: true;
}

/**
 * The moment that a log of this precision takes `atMs` for. A transaction that lies within the same unit as the target may be
 * in or not: the log does not tell, and so nothing is demanded of it.
 */
const unit = (ms: number, precisionMs: number): number => Math.floor(ms / precisionMs);

const before = (acknowledgedAtMs: number, until: Moment): boolean =>
  unit(acknowledgedAtMs, until.precisionMs) < unit(until.atMs, until.precisionMs);

const after = (beganAtMs: number, until: Moment): boolean =>
  until.atLeast !== true && unit(beganAtMs, until.precisionMs) > unit(until.atMs, until.precisionMs);

/**
 * Rows that must be there and are not, and rows that must not be there and are. `found`: ids on the restored node, one that is
 * stored twice twice.
 */
export function accountRestored(
  journal: readonly Acknowledgement[],
  found: readonly number[],
  until: Moment,
): Pick<RestoreFigures, 'rowsExpected' | 'rowsMissing' | 'rowsExtra'> {
  const there = new Set(found);
  const expected = journal.filter((a) => before(a.acknowledgedAtMs, until));
  const tooLate = journal.filter((a) => after(a.beganAtMs, until));
  return {
    rowsExpected: expected.length,
    rowsMissing: expected.filter((a) => !there.has(a.id)).length,
    rowsExtra: tooLate.filter((a) => there.has(a.id)).length + (found.length - there.size),
  };
}

/**
 * A moment between two writes, at which nothing was under way: the middle of the longest pause of the client since `sinceMs`.
 * Throws when it never paused.
 */
export function betweenWrites(journal: readonly Acknowledgement[], sinceMs: number): number {
  let best: { readonly atMs: number; readonly pauseMs: number } | null = null;
  for (const [i, next] of journal.entries()) {
    const last = journal[i - 1];
    if (last === undefined || last.acknowledgedAtMs < sinceMs) continue;
    const pauseMs = next.beganAtMs - last.acknowledgedAtMs;
    if (pauseMs >= 2 && (best === null || pauseMs > best.pauseMs)) {
      best = { atMs: last.acknowledgedAtMs + Math.floor(pauseMs / 2), pauseMs };
    }
  }
  if (best !== null) return best.atMs;
  throw new Error(`the client has not paused between two of ${journal.length} writes; expected a pause after each`);
}
