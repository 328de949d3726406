/** What a sequence of acknowledged writes says about a fault. Pure. */
import type { Gap } from './kinds.ts';

export interface Acknowledgement {
  readonly id: number;
  readonly atMs: number;
  /** Address and start time of the server that acknowledged it. */
  readonly server: string;
}

/** Stretches of at least `fromMs` between two acknowledgements, of those that end after `sinceMs`. In order. */
export function gapsSince(acks: readonly Acknowledgement[], sinceMs: number, atLeastMs: number): Gap[] {
  const gaps: Gap[] = [];
  for (let i = acks.length - 1; i > 0; i--) {
    const [before, after] = [acks[i - 1], acks[i]];
    if (before === undefined || after === undefined || after.atMs <= sinceMs) break;
    if (after.atMs - before.atMs >= atLeastMs) gaps.push({ fromMs: before.atMs, toMs: after.atMs });
  }
  return gaps.reverse();
}

/** The longest of them, in milliseconds; 0 when fewer than two writes were acknowledged. */
export const longestMs = (gaps: readonly Gap[]): number =>
  gaps.reduce((longest, gap) => Math.max(longest, gap.toMs - gap.fromMs), 0);

/**
 * The server that writes after the fault, once it has written without a pause of `pauseMs` for `steadyMs`; else null.
 * The one that was struck is told apart from itself after a restart by its start time.
 */
export function successorOf(
  acks: readonly Acknowledgement[],
  struck: string,
  steadyMs: number,
  pauseMs: number,
  nowMs: number,
): string | null {
  const last = acks.at(-1);
  if (last === undefined || last.server === struck || nowMs - last.atMs > pauseMs) return null;
  let next = last;
  for (let i = acks.length - 2; i >= 0; i--) {
    const ack = acks[i];
    if (ack === undefined || ack.server !== last.server || next.atMs - ack.atMs > pauseMs) return null;
    if (nowMs - ack.atMs >= steadyMs) return last.server;
    next = ack;
  }
  return null;
}

/** Acknowledged ids that are not stored. */
export function missing(acks: readonly Acknowledgement[], stored: ReadonlySet<number>): number[] {
  return acks.filter((ack) => !stored.has(ack.id)).map((ack) => ack.id);
}
