/** What a probe comes down to, as a small value that can be compared with the last one. */
import { serves } from '../model/galera.ts';
import type { Probe } from '../model/view.ts';

/** Positions move all the time and are left out; what decides routing and recovery is in. */
export function verdictOf(probe: Probe): string {
  if (probe.kind !== 'answered') return probe.kind;
  const { ready, state, component, clusterSize, members, readOnly } = probe.status;
  const mode = readOnly ? 'read-only' : 'writable';
  const readiness = ready ? 'ready' : 'not ready';
  return [component, state, readiness, mode, clusterSize, [...members].sort().join(' ')].join(', ');
}

/** Nothing to ask a reconcile for when this is the first that a fresh container sees of the node. */
export const isWell = (probe: Probe): boolean =>
  probe.kind === 'answered' && serves(probe.status) && !probe.status.readOnly;
