/** What the archive's slot keeps on a node's disk, and whether it has lost what it should keep. */
import type { Instance, Node } from '../view.ts';
import { lagBytes } from '../lsn.ts';
import { ARCHIVE_SLOT } from '../postgres.ts';
import type { PostgresStatus } from '../postgres.ts';

export interface KeptForArchive {
  readonly node: Instance['id'];
  /** Log between what is archived and where the node is. */
  readonly retainedBytes: number;
  /**
   * The server has removed log that is not archived (`wal_status` lost, https://www.postgresql.org/docs/15/view-pg-replication-slots.html):
   * unless another node has it, the archive has a gap.
   */
  readonly lost: boolean;
}

/** The archive's slot on one node; null when it has none. */
export function keptForArchive(node: string, status: PostgresStatus): KeptForArchive | null {
  const slot = status.slots.find((s) => s.name === ARCHIVE_SLOT);
  if (slot === undefined) return null;
  return {
    node,
    retainedBytes: slot.restartLsn === null ? 0 : lagBytes(status.lsn, slot.restartLsn),
    lost: slot.walStatus === 'lost',
  };
}

/** On every node that answered as PostgreSQL: for the metric `SlotRetainedBytes` (the most of them) and its alarm. */
export const allKeptForArchive = (nodes: readonly Node[]): readonly KeptForArchive[] =>
  nodes.flatMap(({ instance, probe }) =>
    probe.kind === 'answered' && probe.status.engine === 'postgres'
      ? (keptForArchive(instance.id, probe.status) ?? [])
      : [],
  );
