/** What the capabilities see of EC2: instances and their volumes. Part of `ports.ts`, which they import. */
import type { ClusterSpec } from '../model/spec.ts';
import type { Instance, InstanceState } from '../model/view.ts';
import type { Volume } from '../model/volume.ts';

export interface LaunchRequest {
  readonly cluster: string;
  readonly incident: string;
  readonly replaces: string | null;
  readonly launchTemplate: ClusterSpec['launchTemplate'];
  readonly subnetId: string;
  /** 64 characters at most; the same token never launches twice (EC2 RunInstances, ClientToken). */
  readonly clientToken: string;
  /** A device of the template to leave out, because a surviving volume takes its place. */
  readonly withoutDevice: string | null;
}

/** How many instances one call lists at most. */
export const INSTANCES_PER_PAGE = 1000;
/** How many ids one call asks for at most: EC2 takes up to 200 values in one filter; staying well below keeps requests small. */
export const IDS_PER_CALL = 100;

export interface Instances {
  /** All instances tagged for the cluster that EC2 still describes, the terminated too. Every page is read. */
  ofCluster(cluster: string): Promise<readonly Instance[]>;
  /** The same for all clusters: one call for `INSTANCES_PER_PAGE`. A cluster without any is missing. */
  ofEveryCluster(): Promise<ReadonlyMap<string, readonly Instance[]>>;
  /** One call for `IDS_PER_CALL`; ids that EC2 does not know are missing from the answer, never an error. */
  byIds(ids: readonly string[]): Promise<readonly Instance[]>;
  /** Answers the new instance, or the one that this client token launched before. */
  launch(request: LaunchRequest): Promise<Instance>;
  /** The version number that `$Latest`, `$Default` or a number means now. Throws when the template or version does not exist. */
  templateVersion(launchTemplate: ClusterSpec['launchTemplate']): Promise<string>;
  /** Stops without waiting for the guest (`Force`), which is what fencing needs. Refused by IAM for untagged ones. */
  stop(id: string): Promise<InstanceState>;
  terminate(id: string): Promise<InstanceState>;
}

export interface Volumes {
  byIds(ids: readonly string[]): Promise<readonly Volume[]>;
  ofCluster(cluster: string): Promise<readonly Volume[]>;
  detach(volumeId: string): Promise<void>;
  attach(volumeId: string, instanceId: string, device: string): Promise<void>;
  tag(volumeId: string, tags: Readonly<Record<string, string>>): Promise<void>;
  delete(volumeId: string): Promise<void>;
}
