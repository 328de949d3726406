/** What failover and switchover need of the outside world. */
import type { RecoveryPorts } from '../recovery/ports.ts';

/** `RecoveryPorts`, whose `admin` changes PostgreSQL nodes and whose `prober` speaks to them. */
export type FailoverPorts = RecoveryPorts;
