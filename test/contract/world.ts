/**
 * What a contract suite needs: the ports under test, and hands outside the ports that set the scene. Made once over the
 * fakes and once over the AWS adapters; a suite must not know which. Tests share one world: each uses names of its own.
 */
import type {
  ArchiveBucket,
  DnsZones,
  HostCommands,
  Instances,
  Leases,
  Ledger,
  Notifications,
  ReconcileRequests,
  Secrets,
  Specs,
  TargetGroups,
  Volumes,
  Workflows,
} from '../../lambdas/cloud/ports.ts';
import type { ExecutionState } from '../../lambdas/model/view.ts';

export interface World {
  readonly instances: Instances;
  readonly volumes: Volumes;
  readonly targetGroups: TargetGroups;
  readonly dns: DnsZones;
  readonly ledger: Ledger;
  readonly workflows: Workflows;
  readonly requests: ReconcileRequests;
  readonly hosts: HostCommands;
  readonly secrets: Secrets;
  readonly specs: Specs;
  readonly notifications: Notifications;
  readonly bucket: ArchiveBucket;
  readonly leases: Leases;

  readonly subnet: { readonly id: string; readonly zone: string };
  readonly template: { readonly id: string; readonly version: string };

  /** A running instance with these tags; answers its id. */
  addInstance(tags: Readonly<Record<string, string>>): Promise<string>;
  addTargetGroup(): Promise<string>;
  addZone(name: string): Promise<string>;
  /** An A record that somebody else made. */
  addForeignRecord(zoneId: string, name: string, value: string): Promise<void>;
  addSpec(cluster: string, json: string): Promise<void>;
  /** Answers the ARN. */
  addSecret(user: string, password: string): Promise<string>;
  changeSecret(arn: string, user: string, password: string): Promise<void>;
  endExecution(arn: string, state: ExecutionState): Promise<void>;
  nowMs(): number;
  /** Lets time pass for caches and leases. */
  passMinutes(minutes: number): Promise<void>;
  /** Takes what arrived on `reconcile.fifo` and on `signals` (delayed ones too). */
  takeRequests(): Promise<readonly { readonly cluster: string; readonly cause: string }[]>;
  takeDelayed(): Promise<readonly { readonly cluster: string; readonly cause: string }[]>;
  takePublished(): Promise<readonly { readonly subject: string; readonly body: string }[]>;
  stop(): Promise<void>;
}

let counter = 0;

/** A cluster name that no other test uses. */
export const aCluster = (): string => {
  counter += 1;
  return `cluster-${counter}`;
};
