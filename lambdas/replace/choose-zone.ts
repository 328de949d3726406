/** Where a replacement is launched: pure. */
import type { ClusterSpec } from '../model/spec.ts';
import type { Instance } from '../model/view.ts';

type Subnet = ClusterSpec['subnets'][number];

/**
 * The cluster's subnets in the order in which to try them: those in the preferred zone (the lost node's, where its
 * volume is), then the zones with the fewest live nodes, so that the loss of a zone costs least. Ties go by zone and id.
 */
export function chooseSubnets(
  subnets: readonly Subnet[],
  live: readonly Instance[],
  preferredZone: string | null,
): readonly Subnet[] {
  const count = (zone: string): number => live.filter((i) => i.zone === zone).length;
  const rank = (s: Subnet): number => (s.zone === preferredZone ? -1 : count(s.zone));
  return subnets.toSorted((a, b) => rank(a) - rank(b) || a.zone.localeCompare(b.zone) || a.id.localeCompare(b.id));
}
