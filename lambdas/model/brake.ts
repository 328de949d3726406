/**
 * Safety rule 7, the fleet brake: when many nodes of several clusters fail within minutes, the cause is more likely
 * something that they share (a zone, a bad image, our own mistake) than the nodes, and replacing them would make it worse.
 */
import type { FleetFailure } from './ledger.ts';

export const BRAKE_WINDOW_MS = 10 * 60 * 1000;
/** Below this many failed nodes the brake never engages, however small the fleet. */
export const BRAKE_MIN_NODES = 4;
/** Share of the fleet's nodes. */
export const BRAKE_SHARE = 0.3;
/** A single cluster that is down is that cluster's trouble. */
export const BRAKE_MIN_CLUSTERS = 2;

/**
 * The reason to engage the brake, or null. `failures` may reach further back than the window; a node counts once.
 * `fleetNodes` is the sum of the specified nodes of all clusters. Trouble that was known when a person released the brake
 * (`releasedAtMs`) does not engage it again: without this, the nodes that the release was for would freeze themselves anew.
 */
export function brakeReason(
  failures: readonly FleetFailure[],
  fleetNodes: number,
  nowMs: number,
  releasedAtMs: number | null = null,
): string | null {
  const isNews = (f: FleetFailure): boolean => releasedAtMs === null || (f.knownSinceMs ?? f.atMs) > releasedAtMs;
  const recent = failures.filter((f) => nowMs - f.atMs <= BRAKE_WINDOW_MS && isNews(f));
  const nodes = new Set(recent.map((f) => `${f.cluster}/${f.node}`));
  const clusters = new Set(recent.map((f) => f.cluster));
  const threshold = Math.max(BRAKE_MIN_NODES, Math.ceil(fleetNodes * BRAKE_SHARE));
  if (nodes.size < threshold || clusters.size < BRAKE_MIN_CLUSTERS) return null;
  return (
    `${nodes.size} of ${fleetNodes} nodes in ${clusters.size} clusters (${[...clusters].sort().join(', ')}) ` +
    `failed within ${BRAKE_WINDOW_MS / 60_000} minutes; the brake engages at ${threshold}`
  );
}
