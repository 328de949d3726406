/**
 * When a cluster is reconciled regardless. Slots are a function of the cluster's name and the time, not of memory: clusters
 * are spread over the period, and two containers that meet ask under one name, which the queue deduplicates.
 */

/** The number of the slot that `nowMs` lies in; a new number means that a sweep is due. */
export function sweepSlot(cluster: string, sweepSeconds: number, nowMs: number): number {
  const periodMs = sweepSeconds * 1000;
  return Math.floor((nowMs + (hash(cluster) % periodMs)) / periodMs);
}

/** FNV-1a, 32 bits: spreads names evenly and never changes. */
function hash(text: string): number {
  let h = 0x811c9dc5;
  for (let i = 0; i < text.length; i += 1) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193);
  return h >>> 0;
}
