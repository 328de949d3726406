import type { EngineKind } from '../../../lambdas/model/spec.ts';
import { openGalera } from './galera.ts';
import { openPostgres } from './postgres.ts';
import type { OpenSession } from './session.ts';

/** How the application connects to a database of this engine. */
export function sessionsOf(engine: EngineKind): OpenSession {
  switch (engine) {
    case 'galera':
      return openGalera;
    case 'postgres':
      return openPostgres;
  }
}
