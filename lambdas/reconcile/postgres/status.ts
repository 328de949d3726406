/** PostgreSQL nodes that answered, and what they say of each other. Pure. */
import { lagBytes } from '../../model/lsn.ts';
import type { Lsn } from '../../model/lsn.ts';
import { slotOf } from '../../model/postgres.ts';
import type { AttachedStandby, PostgresStatus } from '../../model/postgres.ts';
import type { PostgresEngine } from '../../model/spec.ts';
import type { ClusterView, Node, Probe } from '../../model/view.ts';

export type AnsweredNode = Node & {
  readonly probe: Extract<Probe, { readonly kind: 'answered' }> & { readonly status: PostgresStatus };
};

export const hasAnswered = (node: Node): node is AnsweredNode =>
  node.probe.kind === 'answered' && node.probe.status.engine === 'postgres' && node.instance.state === 'running';

/** Throws for another engine: only PostgreSQL's decisions ask. */
export function engineOf(view: Pick<ClusterView, 'spec'>): PostgresEngine {
  const { engine } = view.spec;
  if (engine.kind === 'postgres') return engine;
  throw new Error(`cluster ${view.spec.name} is ${engine.kind}, and PostgreSQL's decisions were asked for`);
}

export const isPrimary = (node: Node): node is AnsweredNode => hasAnswered(node) && !node.probe.status.inRecovery;

/** The ledger's writer, when EC2 describes it. */
export const writerOf = (view: ClusterView): Node | null =>
  view.nodes.find((n) => n.instance.id === view.ledger.writer) ?? null;

/** The ledger's writer, when it answers as the primary that it should be. */
export function servingPrimary(view: ClusterView): AnsweredNode | null {
  const writer = writerOf(view);
  return writer !== null && isPrimary(writer) ? writer : null;
}

/** What the node says of its own streams: the standby as the primary sees it. */
export const attached = (primary: AnsweredNode, id: string): AttachedStandby | null =>
  primary.probe.status.standbys.find((a) => a.node === id) ?? null;

/** By the primary's word; a base backup under way is no standby's stream. */
export const isStreaming = (primary: AnsweredNode, id: string): boolean => attached(primary, id)?.state === 'streaming';

export const isSlotLost = (primary: AnsweredNode, id: string): boolean =>
  primary.probe.status.slots.some((slot) => slot.name === slotOf(id) && slot.walStatus === 'lost');

/**
 * The system identifier that the cluster's nodes have in common: the primary's; without one, what more than half of those
 * that answer say. Null when nobody can tell.
 */
export function systemIdOf(view: ClusterView): string | null {
  const primary = servingPrimary(view);
  if (primary !== null) return primary.probe.status.systemId;
  const ids = view.nodes.filter(hasAnswered).map((n) => n.probe.status.systemId);
  return ids.find((id) => ids.filter((other) => other === id).length * 2 > ids.length) ?? null;
}

/** Where the cluster's log is known to have come to: the primary's word, else the furthest of those that answer. */
function furthest(view: ClusterView, timeline: number): Lsn | null {
  const primary = servingPrimary(view);
  if (primary !== null) return primary.probe.status.lsn;
  const systemId = systemIdOf(view);
  const others = view.nodes
    .filter(hasAnswered)
    .filter((n) => n.probe.status.systemId === systemId && n.probe.status.timeline === timeline);
  return others.reduce<Lsn | null>(
    (most, n) => (most === null || lagBytes(n.probe.status.lsn, most) > 0 ? n.probe.status.lsn : most),
    null,
  );
}

/** How many bytes of log its readers do not see yet. */
export function replayLag(view: ClusterView, node: AnsweredNode): number {
  const { replayLsn, lsn, timeline } = node.probe.status;
  const ahead = furthest(view, timeline);
  return ahead === null ? 0 : lagBytes(ahead, replayLsn ?? lsn);
}
