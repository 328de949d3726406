/** Whether a PostgreSQL cluster can spare a replica without acknowledging less than declared: pure. */
import type { SyncState } from '../model/quorum.ts';
import { declaredNeed } from '../model/quorum.ts';
import type { ClusterSpec } from '../model/spec.ts';

/**
 * Why not, in a sentence without its end; null when it can, and for clusters that declare no acknowledgements. What counts is
 * the last set of the ledger, and that no change of it is under way.
 */
export function missingAcknowledgements(
  { engine, nodes }: Pick<ClusterSpec, 'engine' | 'nodes'>,
  sync: SyncState | null,
  without: string | null,
): string | null {
  if (engine.kind !== 'postgres' || engine.durability !== 'quorum') return null;
  const wanted = sync?.sets.at(-1);
  const need = declaredNeed(nodes, engine.acknowledgements);
  if (sync === null || wanted === undefined) return 'the primary does not wait for any acknowledgement yet';
  if (sync.sets.length > 1) return 'the primary is being given other standbys to wait for';
  const left = wanted.standbys.filter((id) => id !== without);
  if (wanted.need >= need && left.length >= need) return null;
  return (
    `${need} acknowledgements are declared, the primary waits for ${wanted.need} of ${wanted.standbys.join(', ') || 'nobody'}` +
    (without === null ? '' : `, and without ${without} there would be ${left.length}`)
  );
}
