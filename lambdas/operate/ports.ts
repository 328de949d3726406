/** What a person's requests need of the outside world. */
import type { Clock, HostCommands, Instances, Ledger, Log, ReconcileRequests, Specs } from '../cloud/ports.ts';

export interface OperatePorts {
  readonly clock: Clock;
  readonly specs: Specs;
  readonly instances: Instances;
  readonly ledger: Ledger;
  readonly requests: ReconcileRequests;
  /** Hosts say where their databases are: this function has no way to a database. */
  readonly hosts: HostCommands;
  readonly log: Log;
  /** Answers another value each time. */
  readonly unique: () => string;
}
