/** Who gives a joiner its data: pure. */
import type { Node } from '../model/view.ts';
import { serves } from '../model/galera.ts';
import { galeraStatusOf } from './status.ts';

export interface Donor {
  readonly node: Node;
  readonly why: string;
}

/**
 * The donor among nodes probed now: Synced, never the writer while another Synced node can serve, then in the joiner's
 * zone (traffic between zones costs time and money), then by id so that a repeated choice is the same one. A donor is
 * desynced during the transfer, which on the writer would move the writes. Null when nobody is Synced.
 */
export function chooseDonor(nodes: readonly Node[], writer: string | null, joinerZone: string | null): Donor | null {
  const synced = nodes
    .filter((n) => n.instance.state === 'running')
    .filter((n) => {
      const status = galeraStatusOf(n);
      return status !== null && serves(status);
    })
    .toSorted((a, b) => (a.instance.id < b.instance.id ? -1 : 1));
  const others = synced.filter((n) => n.instance.id !== writer);
  const near = others.find((n) => n.instance.zone === joinerZone);
  if (near !== undefined)
    return { node: near, why: `Synced, not the writer, in the joiner's zone ${near.instance.zone}` };
  const other = others[0];
  if (other !== undefined) return { node: other, why: `Synced, not the writer, in ${other.instance.zone}` };
  const last = synced[0];
  return last === undefined ? null : { node: last, why: 'the writer, because no other node is Synced' };
}

/**
 * The donor of a base backup among nodes that serve now: a replica in the joiner's zone, then any replica, then by id; the
 * primary last, because the copying would take its disk and network from the writes. Null when nobody serves.
 */
export function choosePostgresDonor(
  serving: readonly Node[],
  primary: string | null,
  joinerZone: string | null,
): Donor | null {
  const sorted = serving.toSorted((a, b) => (a.instance.id < b.instance.id ? -1 : 1));
  const replicas = sorted.filter((n) => n.instance.id !== primary);
  const near = replicas.find((n) => n.instance.zone === joinerZone);
  if (near !== undefined) return { node: near, why: `a streaming replica in the joiner's zone ${near.instance.zone}` };
  const other = replicas[0];
  if (other !== undefined) return { node: other, why: `a streaming replica, in ${other.instance.zone}` };
  const last = sorted[0];
  return last === undefined ? null : { node: last, why: 'the primary, because no replica streams' };
}
