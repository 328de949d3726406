/** The PostgreSQL prober under test. */
import { postgresProber } from '../../../lambdas/engines/postgres/prober.ts';
import type { PostgresStatus } from '../../../lambdas/model/postgres.ts';
import type { Probe } from '../../../lambdas/model/view.ts';
import { type Probing, probingOf } from '../probing.ts';

export { servers } from '../probing.ts';

export const DEADLINE_MS = 1000;

/** To be called once, where tests are declared. */
export const probing = (): Probing => probingOf({ make: postgresProber, deadlineMs: DEADLINE_MS, port: 5432 });

/** What a PostgreSQL node answered; throws with the probe when it did not. */
export function answered(probe: Probe): PostgresStatus {
  if (probe.kind === 'answered' && probe.status.engine === 'postgres') return probe.status;
  throw new Error(`expected an answer of PostgreSQL; got ${JSON.stringify(probe)}`);
}
