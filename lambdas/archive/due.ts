/** What the minute asks for: pure. Nothing is remembered but in the bucket and in names of executions. */
import type { ArchiveSpec } from '../model/spec.ts';

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
/** A drill is started in the first minutes of its turn: one of them is sure to come. */
const DRILL_WINDOW_MS = 5 * MINUTE_MS;

/** Once an hour the whole archive is looked at, each cluster in a minute of its own. */
export function isAudit(cluster: string, nowMs: number): boolean {
  const own = [...cluster].reduce((hash, letter) => (hash * 31 + letter.charCodeAt(0)) % 60, 7);
  return Math.floor(nowMs / MINUTE_MS) % 60 === own;
}

/** `20261120T140000Z`. */
const stamp = (ms: number): string => `${new Date(ms).toISOString().slice(0, 19).replaceAll(/[-:]/g, '')}Z`;

/**
 * Name of the execution that is due, null when none is. The same for each minute of an hour, so that a doubled trigger
 * starts one; another in the next hour, since a failed execution's name is used up.
 */
export function backupDue(
  cluster: string,
  newestEndedMs: number | null,
  { baseBackupSeconds }: ArchiveSpec,
  nowMs: number,
): string | null {
  const dueMs = newestEndedMs === null ? 0 : newestEndedMs + baseBackupSeconds * 1000;
  if (nowMs < dueMs) return null;
  return `${cluster}-backup-${stamp(dueMs)}-${Math.floor((nowMs - dueMs) / HOUR_MS)}`;
}

/** Each turn begins at a multiple of the period. Null: none is due, or nothing can be restored yet. */
export function drillDue(
  cluster: string,
  isRestorable: boolean,
  { drillSeconds }: ArchiveSpec,
  nowMs: number,
): string | null {
  if (drillSeconds === undefined || !isRestorable) return null;
  const turnMs = Math.floor(nowMs / (drillSeconds * 1000)) * drillSeconds * 1000;
  return nowMs - turnMs < DRILL_WINDOW_MS ? `${cluster}-drill-${stamp(turnMs)}` : null;
}
