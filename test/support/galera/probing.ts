/** The Galera prober under test. */
import { galeraProber } from '../../../lambdas/engines/galera/prober.ts';
import { type Probing, probingOf } from '../probing.ts';

export { servers } from '../probing.ts';

export const DEADLINE_MS = 2000;

/** To be called once, where tests are declared. */
export const probing = (): Probing => probingOf({ make: galeraProber, deadlineMs: DEADLINE_MS, port: 3306 });
