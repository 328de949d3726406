/** From which node the log is read. Pure. */
import type { DbTarget } from '../../../cloud/ports.ts';
import { comparePosition } from '../../../model/lsn.ts';
import type { PostgresStatus } from '../../../model/postgres.ts';

export interface AnsweringNode {
  readonly target: DbTarget;
  readonly status: PostgresStatus;
}

/**
 * The ledger's writer while it answers as a primary: only its log has all that was acknowledged. Else the most advanced of the
 * others, by timeline and then LSN, among those of the same database as the writer's last known one. In the order in which they
 * are to be tried.
 */
export function sources(nodes: readonly AnsweringNode[], writer: string | null): readonly AnsweringNode[] {
  const rank = (node: AnsweringNode): number => (isWriter(node, writer) ? 1 : 0);
  const ordered = [...nodes].sort((a, b) => rank(b) - rank(a) || comparePosition(b.status, a.status));
  const [first] = ordered;
  const mine = ordered.find((n) => n.target.instanceId === writer) ?? first;
  return ordered.filter((n) => n.status.systemId === mine?.status.systemId);
}

/** Has it all that clients were told is committed. */
export const isWriter = ({ target, status }: AnsweringNode, writer: string | null): boolean =>
  target.instanceId === writer && !status.inRecovery;
