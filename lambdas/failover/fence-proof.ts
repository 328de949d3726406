/** Whether the old primary is proven unable to acknowledge a write (safety rule 3): pure. */
import type { QuorumSet, SyncState } from '../model/quorum.ts';
import { covers, mustCover } from '../model/quorum.ts';
import type { PostgresEngine } from '../model/spec.ts';

export interface FenceView {
  readonly durability: PostgresEngine['durability'];
  /** Every set of standbys whose acknowledgements the old primary may be waiting for. */
  readonly sync: SyncState | null;
  /** The ledger's writer: nobody else can be the primary. Null: there has never been one. */
  readonly old: string | null;
  /** Instances that are stopped or terminated according to EC2, or that it does not know any more. */
  readonly ended: ReadonlySet<string>;
  /** Standbys without upstream, by their own word. */
  readonly detached: ReadonlySet<string>;
  /** Nodes that answer as primaries, beside the old one: whatever they are, they receive nothing from it. */
  readonly otherPrimaries: ReadonlySet<string>;
  /** Every instance of the cluster that EC2 has not ended. */
  readonly live: ReadonlySet<string>;
}

/**
 * The proof in words, or null. Any one of:
 *
 *   EC2 has ended the old primary                             a database without a host
 *   the old primary says that it is a standby, and detached   hosts start PostgreSQL as a standby: it does not become a primary by itself
 *   quorum: of every set that may be in force, n − k + 1      it reaches fewer than k, and waits for ever (docs/decisions/0010)
 *     are detached, or ended
 *   there was never a primary, and all live nodes are detached
 */
export function fenceProof(view: FenceView): string | null {
  const { old, ended, detached, live, sync } = view;
  if (old === null) {
    return [...live].every((id) => detached.has(id))
      ? 'the cluster has no writer, and every live node is a standby'
      : null;
  }
  if (ended.has(old)) return `EC2 has ended ${old}`;
  if (detached.has(old)) return `${old} is a standby itself, without upstream`;
  if (view.durability !== 'quorum' || sync === null) return null;
  const cutOff = new Set([...detached, ...ended, ...view.otherPrimaries]);
  return covers(sync, cutOff)
    ? `of the standbys that ${old} waits for, ${sync.sets.map((s) => counted(s, cutOff)).join('; ')}`
    : null;
}

const counted = (set: QuorumSet, cutOff: ReadonlySet<string>): string => {
  const there = set.standbys.filter((id) => cutOff.has(id)).length;
  return `${there} of ${set.standbys.length} are cut off (${mustCover(set)} suffice, for it waits for ${set.need})`;
};
