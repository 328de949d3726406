/** Whose acknowledgements a new primary waits for, and who follows it: pure. */
import { comparePosition } from '../model/lsn.ts';
import type { QuorumSet, SyncState } from '../model/quorum.ts';
import { declaredNeed } from '../model/quorum.ts';
import type { ClusterSpec } from '../model/spec.ts';
import type { Told } from './state.ts';

/**
 * The standbys that can stream from `candidate`: on its timeline, and not beyond it. One that has more, or another history,
 * is left to be rejoined. Sorted by id.
 */
export function followersOf(candidate: string, told: Readonly<Record<string, Told>>): readonly string[] {
  const chosen = told[candidate];
  if (chosen === undefined) return [];
  return Object.entries(told)
    .filter(([id, at]) => id !== candidate && at.systemId === chosen.systemId)
    .filter(([, at]) => at.timeline === chosen.timeline && comparePosition(at, chosen) <= 0)
    .map(([id]) => id)
    .sort();
}

/** As many acknowledgements as declared, or as there are followers; none when the cluster is asynchronous. */
export function quorumOf(spec: ClusterSpec, followers: readonly string[]): QuorumSet {
  if (spec.engine.kind !== 'postgres' || spec.engine.durability === 'async') return { need: 0, standbys: [] };
  const need = Math.min(declaredNeed(spec.nodes, spec.engine.acknowledgements), followers.length);
  return { need, standbys: need === 0 ? [] : followers };
}

/** Why fewer acknowledgements than declared are waited for; null when as many are. */
export function degraded(spec: ClusterSpec, { need, standbys }: QuorumSet): string | null {
  if (spec.engine.kind !== 'postgres' || spec.engine.durability === 'async') return null;
  const declared = declaredNeed(spec.nodes, spec.engine.acknowledgements);
  if (need >= declared) return null;
  return `DURABILITY_DEGRADED: commits wait for ${need} of ${standbys.length} standbys, ${declared} are declared`;
}

/**
 * What the ledger is to hold before the primary has `set`: every set before it too, for they may be in force elsewhere, and their
 * commits are dropped by nobody but reconcile, when the new set's standbys have them. Null: the ledger stays empty (asynchronous).
 */
export function withSet(sync: SyncState | null, set: QuorumSet): SyncState | null {
  if (sync === null) return set.need === 0 ? null : { sets: [set], barrierLsn: null };
  const last = sync.sets.at(-1);
  if (last !== undefined && sameSet(last, set)) return sync;
  return { sets: [...sync.sets, set], barrierLsn: null };
}

const sameSet = (a: QuorumSet, b: QuorumSet): boolean =>
  a.need === b.need && a.standbys.length === b.standbys.length && a.standbys.every((id) => b.standbys.includes(id));
