import type { Clock } from './ports.ts';

/**
 * Reads, or answers what was read before, if that is no older than the caller allows (0 unless said: never). Whoever asks
 * while it is read waits for the same answer. A failure is not kept.
 */
export function keptFor<T>(
  read: () => Promise<T>,
  clock: Clock,
): (options?: { readonly maxAgeMs?: number }) => Promise<T> {
  let last: { readonly atMs: number; readonly answer: Promise<T> } | null = null;
  return ({ maxAgeMs = 0 } = {}) => {
    if (last !== null && clock.nowMs() - last.atMs < maxAgeMs) return last.answer;
    const mine = { atMs: clock.nowMs(), answer: read() };
    last = mine;
    mine.answer.catch(() => {
      if (last === mine) last = null;
    });
    return mine.answer;
  };
}
