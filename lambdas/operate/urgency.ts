/** Whom to look at first when many clusters have waited for a person. Pure. */
import type { ClusterSpec } from '../model/spec.ts';
import type { Instance } from '../model/view.ts';

/**
 * Names of clusters, those first that have lost most of their nodes, and among them those that are nearest to the loss of a
 * majority of what is declared. A cluster whose specification cannot be read comes last: nothing can be done for it before a person mends it.
 */
export function mostUrgentFirst(
  clusters: readonly { readonly cluster: string; readonly spec: ClusterSpec | null }[],
  instances: ReadonlyMap<string, readonly Instance[]>,
): readonly string[] {
  const ranked = clusters.map(({ cluster, spec }) => {
    const running = (instances.get(cluster) ?? []).filter((i) => i.state === 'running').length;
    if (spec === null) return { cluster, lost: Number.NEGATIVE_INFINITY, beyondMajority: 0 };
    return { cluster, lost: spec.nodes - running, beyondMajority: running - spec.nodes / 2 };
  });
  return ranked
    .sort((a, b) => b.lost - a.lost || a.beyondMajority - b.beyondMajority || (a.cluster < b.cluster ? -1 : 1))
    .map((r) => r.cluster);
}
