/** What a PostgreSQL node is suspected of. */
import type { DiagnosisCode } from '../../model/diagnosis.ts';
import type { Suspicion } from '../../model/ledger.ts';
import { probeFailure } from '../../model/suspicion.ts';
import type { Node } from '../../model/view.ts';
import type { Situation } from '../situation.ts';
import { hasAnswered, servingPrimary } from './status.ts';

/** It answers, and is no working part of the cluster. */
const BROKEN: readonly DiagnosisCode[] = [
  'PRIMARY_MISSING',
  'NODE_OTHER_PRIMARY',
  'NODE_NOT_STREAMING',
  'NODE_OLD_TIMELINE',
  'NODE_SLOT_LOST',
  'NODE_FOREIGN_DATA',
];

/**
 * Null when of nothing; `leave` when nothing can be said for now. A failed probe counts from its start: what it waited for
 * in vain was missing then.
 */
export function suspicionOf(s: Situation, node: Node): Suspicion | null | 'leave' {
  const code = s.codeOf(node.instance.id);
  const { probe } = node;
  if (code === 'NODE_STARTING') return 'leave';
  if (code === 'NODE_TERMINATED') return null;
  if (code === 'NODE_STOPPING') return { sinceMs: s.view.atMs, kind: 'stopped' };
  if (code !== null && BROKEN.includes(code)) return { sinceMs: s.view.atMs, kind: 'broken' };
  const kind = probeFailure(probe);
  if (kind !== null && 'tookMs' in probe) return { sinceMs: probe.atMs - probe.tookMs, kind };
  // Without a primary nobody streams, and a standby that was broken before is no better witness for it.
  return hasAnswered(node) && servingPrimary(s.view) === null && isBroken(s, node) ? 'leave' : null;
}

const isBroken = (s: Situation, node: Node): boolean => s.view.ledger.suspicions[node.instance.id]?.kind === 'broken';
