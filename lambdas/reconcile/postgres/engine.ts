/** How reconcile decides for PostgreSQL: one primary, which only a workflow makes, and replicas that stream from it. */
import { streamsFrom } from '../../model/postgres.ts';
import type { Node } from '../../model/view.ts';
import type { Engine } from '../engine.ts';
import { nodeOf } from '../situation.ts';
import type { Situation } from '../situation.ts';
import { clusterDiagnoses } from './cluster.ts';
import { diagnoseNode } from './diagnose-node.ts';
import { recover } from './recover.ts';
import { engineOf, hasAnswered, replayLag, servingPrimary, systemIdOf } from './status.ts';
import { suspicionOf } from './suspect.ts';
import { LEAVES_AFTER_MS } from './sync.ts';
import { upkeep } from './upkeep.ts';
import { decideWriter, writerTrouble } from './writer.ts';

/** The primary; or a replica that streams from it and lags at most `maxLagBytes`, also while we cannot reach the primary. */
function isServing(s: Situation, node: Node): boolean {
  if (!hasAnswered(node)) return false;
  const decision = decideWriter(s);
  const primary = decision.kind === 'move' ? decision.to : s.view.ledger.writer;
  if (node.instance.id === primary) return !node.probe.status.inRecovery;
  if (node.probe.status.systemId !== systemIdOf(s.view)) return false;
  const host = primary === null ? null : (nodeOf(s, primary)?.instance.privateIp ?? null);
  return streamsFrom(node.probe.status, host) && replayLag(s.view, node) <= engineOf(s.view).maxLagBytes;
}

/** A standby with the cluster's data, however old: stale rather than nothing. */
function isServingInNeed(s: Situation, node: Node): boolean {
  if (isServing(s, node)) return true;
  if (!hasAnswered(node) || !node.probe.status.inRecovery) return false;
  const code = s.codeOf(node.instance.id);
  return code !== 'NODE_FOREIGN_DATA' && code !== 'NODE_OLD_TIMELINE' && code !== 'NODE_STARTING';
}

/** A stream that was just lost may be back in a moment, or its primary may be lost: reads are not cut for that. */
function isUnclear(s: Situation, id: string): boolean {
  const node = nodeOf(s, id);
  if (s.codeOf(id) === null && servingPrimary(s.view) === null && node !== undefined) return hasAnswered(node);
  const noted = s.view.ledger.suspicions[id];
  const sinceMs = noted?.kind === 'broken' ? noted.sinceMs : s.view.atMs;
  return s.codeOf(id) === 'NODE_NOT_STREAMING' && s.view.atMs - sinceMs < LEAVES_AFTER_MS;
}

export const postgres: Engine = {
  diagnoseNodes: (view) => view.nodes.flatMap((n) => diagnoseNode(view, n) ?? []),
  diagnoseCluster: clusterDiagnoses,
  healthyEvidence: (s) => {
    const primary = servingPrimary(s.view)?.instance.id ?? 'nobody';
    const replicas = s.view.nodes.filter((n) => n.instance.id !== primary && isServing(s, n));
    return `${primary} is the primary, ${replicas.length} replicas stream from it, routed as they should be`;
  },
  isServing,
  isServingInNeed,
  isUnclear,
  suspectSeconds: 1,
  servingReason: 'the primary, or a replica that streams from it and lags no more than is accepted',
  decideWriter,
  writerTrouble,
  recover,
  upkeep,
  suspicionOf,
};
