/** Where a joiner's data come from when no volume survives: pure. */
import type { LogPosition } from '../model/archive/keys.ts';
import { positionText } from '../model/archive/chain.ts';
import { compareLsn } from '../model/lsn.ts';
import type { ClusterSpec } from '../model/spec.ts';
import type { KeptLog } from '../recovery/engine.ts';
import type { ReplaceState } from './state.ts';

/**
 * The archive before a peer, which has clients to serve. Not with Galera: what is restored joins without a whole transfer only
 * where a donor still has every write set since the base backup (docs/decisions/0015).
 */
export const withoutVolume = ({ engine, archive }: Pick<ClusterSpec, 'engine' | 'archive'>): ReplaceState['seed'] =>
  engine.kind === 'postgres' && archive !== undefined ? 'archive' : 'peer';

/**
 * Why a joiner whose log ends there could not follow, in words; null when it could. `from` is where a record begins, so that all
 * records before it are whole when the archive reaches it.
 */
export function reachesKeptLog(end: LogPosition, { timeline, from }: KeptLog): string | null {
  const ends = `its log ends at ${positionText(end)}`;
  if (end.engine !== 'postgres' || end.timeline !== timeline)
    return `${ends}, and the primary is on timeline ${timeline}`;
  if (from === null || compareLsn(end.lsn, from) >= 0) return null;
  return `${ends}, and the primary keeps its log for it from ${timeline}/${from} on`;
}
