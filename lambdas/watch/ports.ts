/** The outside world as the watch needs it, and its settings. */
import type {
  Clock,
  Instances,
  Ledger,
  Log,
  Metrics,
  Prober,
  ReconcileRequests,
  Secrets,
  Specs,
} from '../cloud/ports.ts';

export interface WatchPorts {
  readonly clock: Clock;
  readonly specs: Specs;
  readonly instances: Instances;
  readonly ledger: Ledger;
  readonly secrets: Secrets;
  readonly prober: Prober;
  readonly requests: ReconcileRequests;
  readonly log: Log;
  readonly metrics: Metrics;
}

export interface WatchConfig {
  readonly probeIntervalMs: number;
  readonly sweepSeconds: number;
  /** Makes causes unique across containers. */
  readonly containerId: string;
}
