/**
 * What the replicas say of a primary that we cannot reach. They are the witnesses: `pg_stat_wal_receiver` tells when they
 * last heard from it. https://www.postgresql.org/docs/15/monitoring-stats.html#MONITORING-PG-STAT-WAL-RECEIVER-VIEW
 */
import type { ClusterView, Node } from '../../model/view.ts';
import { hasAnswered, systemIdOf } from './status.ts';
import type { AnsweredNode } from './status.ts';

/**
 * A primary that no replica has heard from for so long is believed to be gone. Hosts ask it for a sign of life after 2 s of
 * silence (`wal_receiver_timeout = 4s`), so that an idle one is heard from more often than this.
 */
export const QUIET_AFTER_MS = 2500;

/** `heardAtMs`: when one last heard from it, by our clock, or later: its answer was under way for a moment. */
export type Opinion =
  /** None has heard from it for `QUIET_AFTER_MS`. */
  | { readonly kind: 'quiet'; readonly says: string }
  /** One has heard from it since our own probes began to fail: it is our view that is broken. */
  | { readonly kind: 'heard'; readonly says: string; readonly heardAtMs: number }
  /** None has heard since, but not for long enough yet. */
  | { readonly kind: 'tooEarly'; readonly says: string; readonly heardAtMs: number }
  /** Nobody who could know answers. */
  | { readonly kind: 'nobody'; readonly says: string };

/**
 * Replicas that follow the primary and answer us. One that had lost its stream before the primary was in doubt knows
 * nothing of it; since then, a lost stream is what a dead primary leaves behind.
 */
export function witnesses(view: ClusterView, primary: Node): readonly AnsweredNode[] {
  const systemId = systemIdOf(view);
  return view.nodes
    .filter((n) => n.instance.id !== primary.instance.id)
    .filter(hasAnswered)
    .filter(({ instance, probe: { status } }) => {
      const follows = status.inRecovery && status.followsHost === primary.instance.privateIp;
      return follows && status.systemId === systemId && view.ledger.suspicions[instance.id]?.kind !== 'broken';
    });
}

/** How long ago, when the witness was asked, it had last heard from the primary; null when it has no stream from it. */
function heardAgoMs(witness: AnsweredNode, primary: Node): number | null {
  const { receiver } = witness.probe.status;
  if (receiver === null || receiver.senderHost !== primary.instance.privateIp) return null;
  return receiver.lastMessageAgoMs;
}

/**
 * `failingSinceMs`: when the first of our failing probes began. What a witness has not heard by the time that it was asked is
 * all that counts: nothing is assumed of the time since.
 */
export function opinionOf(view: ClusterView, primary: Node, failingSinceMs: number): Opinion {
  const asked = witnesses(view, primary);
  if (asked.length === 0) {
    return { kind: 'nobody', says: 'no replica that follows it answers us either: our own view may be broken' };
  }
  const heard = asked.flatMap((w) => {
    const agoMs = heardAgoMs(w, primary);
    return agoMs !== null && agoMs < QUIET_AFTER_MS ? [{ id: w.instance.id, agoMs, atMs: w.probe.atMs - agoMs }] : [];
  });
  const names = asked.map((w) => w.instance.id).join(', ');
  const latest = heard.sort((a, b) => a.agoMs - b.agoMs)[0];
  if (latest === undefined) {
    return { kind: 'quiet', says: `${names} have not heard from it for ${QUIET_AFTER_MS / 1000} s` };
  }
  const says = `${latest.id} heard from it ${Math.round(latest.agoMs)} ms before it was asked`;
  const heardAtMs = latest.atMs;
  return heardAtMs > failingSinceMs
    ? { kind: 'heard', says: `${says}, after our probes began to fail`, heardAtMs }
    : { kind: 'tooEarly', says, heardAtMs };
}
