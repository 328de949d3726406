/** Which node starts the new primary component: pure. Safety rule 4. */
import type { RecoveryErrorName } from '../model/recovery.ts';
import type { Position } from './state.ts';

/** Of a data directory that never was part of a cluster. */
export const NO_UUID = '00000000-0000-0000-0000-000000000000';

export interface Situation {
  /** Every node of the cluster, given up or not. */
  readonly nodes: readonly string[];
  readonly positions: readonly Position[];
  readonly giveUp: readonly string[];
  /** Nodes whose probe, or whose own server, says that they are in a primary component. */
  readonly primary: readonly string[];
  readonly writer: string | null;
}

export type Choice =
  | {
      readonly kind: 'chosen';
      readonly position: Position;
      readonly remaining: readonly string[];
      readonly why: string;
    }
  | { readonly kind: 'refused'; readonly error: RecoveryErrorName; readonly why: string };

/**
 * | found                                             | answer                        |
 * | ------------------------------------------------- | ----------------------------- |
 * | some node is in a primary component               | refused PrimaryComponentExists |
 * | a node gave no position and is not given up       | refused NodeDidNotAnswer      |
 * | positions of different state UUIDs                | refused PositionsDisagree     |
 * | no node ever was in a cluster                     | refused BootstrapFailed       |
 * | otherwise                                         | the highest seqno             |
 *
 * One state UUID is one history, and only a primary component adds to it: the highest seqno of *all* nodes therefore
 * has every acknowledged transaction. Equal ones go by newest view, `safe_to_bootstrap`, the ledger's writer, lowest id.
 * https://galeracluster.com/library/documentation/crash-recovery.html
 */
export function chooseNode(s: Situation): Choice {
  if (s.primary.length > 0) {
    return refused(
      'PrimaryComponentExists',
      `${s.primary.join(', ')} is in a primary component: a second one would split the data; join the others to it`,
    );
  }
  const silent = s.nodes.filter((n) => !s.giveUp.includes(n) && !s.positions.some((p) => p.node === n && says(p)));
  if (silent.length > 0) {
    return refused(
      'NodeDidNotAnswer',
      `no position is known of ${silent.join(', ')}: it may hold the newest transactions. Bring it up, or accept their loss with "giveUp": ${JSON.stringify(silent)} in the execution's input`,
    );
  }
  const candidates = s.positions.filter((p) => !s.giveUp.includes(p.node) && p.stateUuid !== NO_UUID);
  const uuids = [...new Set(candidates.map((p) => p.stateUuid))];
  if (uuids.length > 1) {
    const found = candidates.map((p) => `${p.node}: ${p.stateUuid}:${p.seqno}`).join('; ');
    return refused(
      'PositionsDisagree',
      `the nodes have different histories (${found}): expected one state UUID. Decide whose is right and give up the others`,
    );
  }
  const [best] = candidates.toSorted((a, b) => compare(a, b, s.writer));
  if (best === undefined)
    return refused('BootstrapFailed', 'no node has ever been part of a cluster: there is nothing to bootstrap from');
  const remaining = s.nodes.filter((n) => n !== best.node && !s.giveUp.includes(n));
  const why = `the most advanced of ${candidates.map((p) => `${p.node} at ${p.seqno}`).join(', ')}, all of ${best.stateUuid}`;
  return { kind: 'chosen', position: best, remaining, why };
}

const refused = (error: RecoveryErrorName, why: string): Choice => ({ kind: 'refused', error, why });

/** A seqno of -1 with a history is a position that even recovery could not tell. */
const says = (p: Position): boolean => p.seqno >= 0 || p.stateUuid === NO_UUID;

function compare(a: Position, b: Position, writer: string | null): number {
  const [viewA, viewB] = [viewNumber(a), viewNumber(b)];
  const byView = viewA === null || viewB === null ? 0 : viewB - viewA;
  return (
    b.seqno - a.seqno ||
    byView ||
    Number(b.safeToBootstrap) - Number(a.safeToBootstrap) ||
    Number(b.node === writer) - Number(a.node === writer) ||
    (a.node < b.node ? -1 : 1)
  );
}

/** gvwstate.dat: `view_id: <type> <uuid> <number>`; the number grows with every view. */
function viewNumber(p: Position): number | null {
  const last = /(\d+)\s*$/.exec(p.viewId ?? '')?.[1];
  return last === undefined ? null : Number(last);
}
