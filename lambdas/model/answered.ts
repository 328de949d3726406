/**
 * When a question is answered already (docs/decisions/0017-a-look-answers-what-was-sent-before-it.md). A signal or a request says: look at this
 * cluster, once, after I was sent. A look that began later answers it, whatever it is about, for its cause came before it.
 */

/**
 * How far the clocks of SQS and of a function may lie apart, milliseconds. AWS keeps both to its time service, far below this;
 * and what EC2 describes may be as late, so that a look right after an event may not see it yet.
 */
export const CLOCKS_APART_MS = 2000;

/** SQS keeps a message for 14 days at most. What claims to be older is no time in milliseconds. */
const OLDEST_MS = 14 * 24 * 3600 * 1000;

/** The attributes of a record that Lambda got from SQS, as far as they matter here. */
export interface SentRecord {
  readonly attributes?: { readonly SentTimestamp?: string };
}

/** When SQS took the message, milliseconds since 1970; null when the record does not say, or nothing that can be true. */
export function sentAtMs({ attributes }: SentRecord, nowMs: number): number | null {
  const text = attributes?.SentTimestamp ?? '';
  const ms = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  return ms >= nowMs - OLDEST_MS && ms <= nowMs + CLOCKS_APART_MS ? ms : null;
}

/** Whether what was sent then is answered by what began then. Null (nobody knows): it is not. */
export const isAnswered = (sentMs: number | null, beganMs: number | null): boolean =>
  sentMs !== null && beganMs !== null && sentMs + CLOCKS_APART_MS < beganMs;

/** Whether a message has waited for so long that a look or a request may have answered it: there is a backlog. */
export const hasWaited = (sentMs: number | null, nowMs: number): boolean => isAnswered(sentMs, nowMs);
