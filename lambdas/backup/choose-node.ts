/** On which node a base backup is taken: pure. */
import type { ClusterLedger } from '../model/ledger.ts';
import type { ClusterSpec } from '../model/spec.ts';
import type { Node } from '../model/view.ts';
import { serves } from '../model/galera.ts';
import { galeraStatusOf, postgresStatusOf } from '../recovery/status.ts';

export type NodeChoice =
  | { readonly kind: 'node'; readonly node: Node; readonly history: string; readonly why: string }
  /** It passes by itself, or somebody is mending it. */
  | { readonly kind: 'wait'; readonly why: string };

/** Galera: a node under backup is desynced, and may be as far behind as it takes. The writes, and a donor, must be others. */
const LEAST_OTHERS = { galera: 2, postgres: 1 } as const;

/**
 * Never the writer, but in a cluster of one node. Not while a recovery holds the claim: it chooses its donor among these
 * nodes. Not a donor, which is not Synced. Safety rule 6: only while the others serve. `serving`: those that do, probed now.
 */
export function chooseNode(
  spec: Pick<ClusterSpec, 'nodes' | 'engine'>,
  { claim, maintenance, writer }: Pick<ClusterLedger, 'claim' | 'maintenance' | 'writer'>,
  serving: readonly Node[],
): NodeChoice {
  if (claim !== null) {
    return {
      kind: 'wait',
      why: `${claim.execution} holds the claim (${claim.mode} of ${claim.node ?? 'the cluster'})`,
    };
  }
  const whole = serving.filter(isSynced).toSorted((a, b) => (a.instance.id < b.instance.id ? -1 : 1));
  const alone = spec.nodes === 1;
  if (writer === null && !alone) return { kind: 'wait', why: 'nobody is the writer, so that none can be told from it' };
  const fit = whole.filter((n) => alone || (n.instance.id !== writer && n.instance.id !== maintenance?.node));
  const [node] = fit;
  const seen = serving.map((n) => n.instance.id).join(', ') || 'none';
  if (node === undefined) {
    return { kind: 'wait', why: `no node beside the writer is whole and out of maintenance (serving: ${seen})` };
  }
  const others = whole.filter((n) => n !== node).length;
  const least = alone ? 0 : LEAST_OTHERS[spec.engine.kind];
  if (others < least) {
    return {
      kind: 'wait',
      why: `only ${others} others serve (${seen}), expected ${least} while ${node.instance.id} is backed up`,
    };
  }
  const history = historyOf(node);
  if (history === null) return { kind: 'wait', why: `${node.instance.id} does not say which database it holds` };
  return { kind: 'node', node, history, why: alone ? 'the only node' : `not the writer, and ${others} others serve` };
}

function isSynced(node: Node): boolean {
  const galera = galeraStatusOf(node);
  return galera === null ? postgresStatusOf(node) !== null : serves(galera);
}

/** PostgreSQL's system identifier, Galera's state UUID. */
function historyOf(node: Node): string | null {
  const found = postgresStatusOf(node)?.systemId ?? galeraStatusOf(node)?.stateUuid ?? '';
  return found === '' ? null : found;
}
