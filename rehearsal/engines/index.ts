import type { EngineKind } from '../../lambdas/model/spec.ts';
import type { Engine } from './engine.ts';
import { galeraEngine } from './galera.ts';
import { postgresEngine } from './postgres.ts';

export const ENGINES: readonly EngineKind[] = ['galera', 'postgres'];

/** Nodes of the rehearsed cluster. */
export const NODES = 3;
/** As `Engine.postgres` declares unless said. */
const MAX_LAG_BYTES = 16 * 1024 * 1024;

/** What is said of PostgreSQL means nothing to Galera, and is not looked at there. */
export interface EngineOptions {
  readonly durability: 'quorum' | 'async';
  readonly maxLagBytes?: number;
}

export function engineFor(kind: EngineKind, options: EngineOptions): Engine {
  switch (kind) {
    case 'galera':
      return galeraEngine();
    case 'postgres':
      return postgresEngine({ maxLagBytes: MAX_LAG_BYTES, ...options, nodes: NODES });
  }
}
