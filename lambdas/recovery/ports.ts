/** What the recovery workflows need of the outside world. */
import type {
  Clock,
  HostCommands,
  Instances,
  Ledger,
  Log,
  Metrics,
  Notifications,
  PostgresAdmin,
  Prober,
  ReconcileRequests,
  Secrets,
  Specs,
  TargetGroups,
  Volumes,
} from '../cloud/ports.ts';

export interface RecoveryPorts {
  readonly clock: Clock;
  readonly specs: Specs;
  readonly instances: Instances;
  readonly volumes: Volumes;
  readonly targetGroups: TargetGroups;
  readonly ledger: Ledger;
  readonly requests: ReconcileRequests;
  readonly hosts: HostCommands;
  readonly secrets: Secrets;
  readonly prober: Prober;
  readonly admin: PostgresAdmin;
  readonly notifications: Notifications;
  readonly log: Log;
  readonly metrics: Metrics;
}
