/** Which engine's ways a cluster's recovery follows. */
import type { ClusterSpec } from '../model/spec.ts';
import type { RecoveryEngine } from './engine.ts';
import { galeraRecovery } from './galera.ts';
import { postgresRecovery } from './postgres.ts';

export function engineOf({ engine }: Pick<ClusterSpec, 'engine'>): RecoveryEngine {
  switch (engine.kind) {
    case 'galera':
      return galeraRecovery;
    case 'postgres':
      return postgresRecovery(engine);
  }
}
