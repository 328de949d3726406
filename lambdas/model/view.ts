/** Everything a decision may look at: one immutable picture of a cluster, made by observe. */
import type { GaleraStatus } from './galera.ts';
import type { ClusterLedger, FleetBrake } from './ledger.ts';
import type { PostgresStatus } from './postgres.ts';
import type { ClusterSpec } from './spec.ts';

export type InstanceState = 'pending' | 'running' | 'shutting-down' | 'terminated' | 'stopping' | 'stopped';

export interface AttachedVolume {
  readonly volumeId: string;
  readonly device: string;
  readonly deleteOnTermination: boolean;
}

export interface Instance {
  readonly id: string;
  readonly state: InstanceState;
  readonly zone: string;
  readonly subnetId: string | null;
  readonly privateIp: string | null;
  readonly launchedAtMs: number;
  readonly tags: Readonly<Record<string, string>>;
  readonly volumes: readonly AttachedVolume[];
}

/** Its own data volume, if that outlives the instance. */
export const dataVolumeOf = (instance: Instance, dataDevice: string): string | null =>
  instance.volumes.find((v) => v.device === dataDevice && !v.deleteOnTermination)?.volumeId ?? null;

/** Told apart by `engine`. */
export type NodeStatus = GaleraStatus | PostgresStatus;

/**
 * What one probe of one node found.
 * - `answered`: the database spoke.
 * - `refused`: the host answered that nobody listens (the process is gone).
 * - `silent`: TCP connected but the database said nothing within the deadline (the process hangs).
 * - `unreachable`: no answer to the connection at all (host gone, or the network between us).
 * - `rejected`: the database refused our credentials or query: it lives, and we cannot look.
 * - `skipped`: not asked, because EC2 already says that the instance is going or gone.
 */
export type Probe =
  | { readonly kind: 'answered'; readonly atMs: number; readonly tookMs: number; readonly status: NodeStatus }
  | {
      readonly kind: 'refused' | 'silent' | 'unreachable' | 'rejected';
      readonly atMs: number;
      readonly tookMs: number;
      readonly detail: string;
    }
  | { readonly kind: 'skipped'; readonly atMs: number; readonly detail: string };

export interface Node {
  readonly instance: Instance;
  readonly probe: Probe;
}

export type TargetState = 'initial' | 'healthy' | 'unhealthy' | 'unused' | 'draining' | 'unavailable';

export interface Target {
  /** Instance id. */
  readonly id: string;
  readonly port: number;
  readonly state: TargetState;
}

export interface TargetGroupView {
  readonly arn: string;
  readonly route: 'writer' | 'healthy';
  readonly drainSeconds: number;
  readonly targets: readonly Target[];
}

export interface DnsView {
  readonly zoneId: string;
  readonly name: string;
  readonly ttlSeconds: number;
  /** Values of the A record; empty when there is none. */
  readonly values: readonly string[];
  readonly recordTtlSeconds: number | null;
  /** The owner named by the TXT record beside it; null when there is none. */
  readonly owner: string | null;
  /** Set when the record could not be read: then nothing is known of it, and nothing is written to it. */
  readonly unread?: { readonly why: string; /** AWS was away, and may be back. */ readonly passing: boolean };
}

/** State of the execution that holds the claim, according to Step Functions. */
export type ExecutionState =
  'RUNNING' | 'SUCCEEDED' | 'FAILED' | 'TIMED_OUT' | 'ABORTED' | 'PENDING_REDRIVE' | 'NOT_FOUND';

export interface ClusterView {
  readonly spec: ClusterSpec;
  readonly atMs: number;
  readonly nodes: readonly Node[];
  /** Ids of instances that a target or a slot is left of, and that EC2 knows nothing of any more. */
  readonly forgotten: readonly string[];
  readonly targetGroups: readonly TargetGroupView[];
  readonly dns: readonly DnsView[];
  readonly ledger: ClusterLedger;
  readonly brake: FleetBrake;
  /** Only asked for when the ledger holds a claim. */
  readonly claimExecution: ExecutionState | null;
}
