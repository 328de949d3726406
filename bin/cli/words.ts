/** What the command line prints: pure. */
import type { HistoryRanges } from '../../lambdas/model/archive/ranges.ts';

const iso = (ms: number): string => new Date(ms).toISOString();

export function rangesTold(cluster: string, histories: readonly HistoryRanges[]): string {
  if (histories.length === 0) return `The archive has nothing of ${cluster}.`;
  return histories.map(historyTold).join('\n\n');
}

function historyTold({ place, engine, ranges, holes, unusable }: HistoryRanges): string {
  return [
    `${place.cluster}, ${engine}, history ${place.history}`,
    ...(ranges.length === 0 ? ['  no moment can be restored'] : []),
    ...ranges.map((r) => `  can be restored  ${iso(r.fromMs)} to ${iso(r.untilMs)}  (${r.bases.length} base backups)`),
    ...holes.map(
      (h) => `  HOLE             ${iso(h.fromMs)} to ${h.untilMs === null ? 'now' : iso(h.untilMs)}: ${h.sentence}`,
    ),
    ...unusable.map((u) => `  no moment        ${u.sentence}`),
  ].join('\n');
}

/** Of the machine's output or state: as much of a plan as is there. */
export function planTold(state: unknown): string | null {
  const summary = within(state, 'plan', 'summary');
  return summary === undefined ? null : `Plan: ${JSON.stringify(summary, null, 2)}`;
}

export function endTold(status: string, output: unknown, cause: string): string {
  if (status !== 'SUCCEEDED') return `${status}: ${cause}`;
  const [outcome, restoredTo] = [within(output, 'outcome'), within(output, 'answer', 'restoredTo')];
  const to = typeof restoredTo === 'string' ? `; restored to ${restoredTo}` : '';
  return `Done: ${typeof outcome === 'string' ? outcome : 'it ended'}${to}`;
}

const within = (value: unknown, ...path: readonly string[]): unknown =>
  path.reduce<unknown>((v, key) => (v as Record<string, unknown> | null | undefined)?.[key], value);
