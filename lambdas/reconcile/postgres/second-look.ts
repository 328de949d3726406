/**
 * The replicas are asked within milliseconds, and the primary that does not answer costs a second: what they said of it
 * is old by then. So they are asked once more after it; and when their silence needs only a moment longer to mean
 * something, that moment is waited for here, for to come back through a queue takes whole seconds.
 */
import type { ClusterView, Node } from '../../model/view.ts';
import { failingSinceMs } from './diagnose-node.ts';
import { writerOf } from './status.ts';
import { QUIET_AFTER_MS, opinionOf, witnesses } from './witnesses.ts';

/** Never waited for longer than this. */
export const MOST_MS = 1000;
/** A primary that has failed for longer than this is in no hurry any more: its replicas hear from it. */
const HURRY_MS = 5000;
/** So that a silence that was just too short by rounding is not. */
const MARGIN_MS = 10;

export interface SecondLook {
  readonly waitMs: number;
  readonly ask: readonly Node[];
}

/** Whom to ask again, and after how long; null when nothing would come of it. Pure. */
export function secondLook(view: ClusterView, nowMs: number): SecondLook | null {
  const primary = writerOf(view);
  if (view.spec.engine.kind !== 'postgres' || primary === null || view.ledger.claim !== null) return null;
  if (primary.probe.kind !== 'silent' && primary.probe.kind !== 'unreachable') return null;
  const sinceMs = failingSinceMs(view, primary.instance.id);
  if (sinceMs === null || nowMs - sinceMs > HURRY_MS) return null;
  const opinion = opinionOf(view, primary, sinceMs);
  if (opinion.kind === 'quiet' || opinion.kind === 'nobody') return null;
  const waitMs = Math.max(0, opinion.heardAtMs + QUIET_AFTER_MS + MARGIN_MS - nowMs);
  return waitMs > MOST_MS ? null : { waitMs, ask: witnesses(view, primary) };
}
