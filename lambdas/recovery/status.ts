/** What a node said of itself, by engine. */
import type { GaleraStatus } from '../model/galera.ts';
import type { PostgresStatus } from '../model/postgres.ts';
import type { Node } from '../model/view.ts';

/** Null when the node did not answer, or is of another engine. */
export const galeraStatusOf = ({ probe }: Node): GaleraStatus | null =>
  probe.kind === 'answered' && probe.status.engine === 'galera' ? probe.status : null;

/** Null when the node did not answer, or is of another engine. */
export const postgresStatusOf = ({ probe }: Node): PostgresStatus | null =>
  probe.kind === 'answered' && probe.status.engine === 'postgres' ? probe.status : null;
