/**
 * When to come back, named so that many wishes become one. Every reconcile that waits asks to come back, and while a node
 * fails the watch starts one every few seconds: without this, each would begin a chain of its own that never ends. Wishes
 * are put off to the end of a slot of time and carry the slot's name, which the FIFO queue deduplicates (5 minutes). So the time that
 * a slot is counted from must not lie before what was asked under its name has been looked into: a function whose clock is behind
 * takes SQS's time of the request that it serves.
 */
const SHORT_SLOT_SECONDS = 1;
const LONG_SLOT_SECONDS = 10;
/** Waits from here on can do with the longer slot. */
const LONG_FROM_SECONDS = 10;
/** SQS delays a message by 15 minutes at most; what has to wait longer looks again on the way. */
const MAX_DELAY_SECONDS = 900;

export interface Due {
  readonly delaySeconds: number;
  readonly cause: string;
}

export function due(cluster: string, seconds: number, nowMs: number): Due {
  const wanted = Math.min(Math.max(seconds, 0), MAX_DELAY_SECONDS - LONG_SLOT_SECONDS);
  const slotMs = (wanted >= LONG_FROM_SECONDS ? LONG_SLOT_SECONDS : SHORT_SLOT_SECONDS) * 1000;
  const slot = Math.ceil((nowMs + wanted * 1000) / slotMs);
  const delaySeconds = Math.ceil((slot * slotMs - nowMs) / 1000);
  return { delaySeconds, cause: `due-${cluster}-${slot * slotMs}` };
}
