/** What a probe comes down to, as a small value that can be compared with the last one. */
import { serves } from '../model/galera.ts';
import type { GaleraStatus } from '../model/galera.ts';
import { isNearlyFull } from '../model/postgres.ts';
import type { PostgresStatus } from '../model/postgres.ts';
import type { Probe } from '../model/view.ts';

/** Positions move all the time and are left out; what decides routing and recovery is in. */
export function verdictOf(probe: Probe, isLagging = false): string {
  if (probe.kind !== 'answered') return probe.kind;
  const { status } = probe;
  switch (status.engine) {
    case 'galera':
      return ofGalera(status);
    case 'postgres':
      return ofPostgres(status, isLagging);
  }
}

function ofGalera({ ready, state, component, clusterSize, members, readOnly }: GaleraStatus): string {
  const mode = readOnly ? 'read-only' : 'writable';
  const readiness = ready ? 'ready' : 'not ready';
  return [component, state, readiness, mode, clusterSize, [...members].sort().join(' ')].join(', ');
}

function ofPostgres(status: PostgresStatus, isLagging: boolean): string {
  const { inRecovery, systemId, timeline, receiver, followsHost, synchronousStandbyNames, disk } = status;
  const streams = status.standbys.map((s) => `${s.node} ${s.state}`).sort();
  const lost = status.slots.filter((s) => s.walStatus === 'lost').map((s) => `${s.name} lost`);
  const own = inRecovery
    ? ['standby', `follows ${followsHost ?? 'nobody'}`, receiver === null ? 'no stream' : receiver.status]
    : ['primary', `waits for ${synchronousStandbyNames || 'nobody'}`, ...streams, ...lost.sort()];
  return [
    ...own,
    `timeline ${timeline}`,
    systemId,
    ...(isLagging ? ['lagging'] : []),
    ...(disk !== null && isNearlyFull(disk) ? ['disk nearly full'] : []),
  ].join(', ');
}

/** Nothing to ask a reconcile for when this is the first that a fresh container sees of the node. */
export function isWell(probe: Probe): boolean {
  if (probe.kind !== 'answered') return false;
  const { status } = probe;
  switch (status.engine) {
    case 'galera':
      return serves(status) && !status.readOnly;
    case 'postgres':
      return (
        (!status.inRecovery || status.receiver?.status === 'streaming') && !(status.disk && isNearlyFull(status.disk))
      );
  }
}

/** Does the node say that it is a PostgreSQL primary. */
export const isPrimary = (probe: Probe): boolean =>
  probe.kind === 'answered' && probe.status.engine === 'postgres' && !probe.status.inRecovery;
