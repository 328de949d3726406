/**
 * What a Galera node says of itself. Source: Galera status variables,
 * https://galeracluster.com/library/documentation/galera-status-variables.html
 */

/** `wsrep_local_state_comment`, by `wsrep_local_state` 0 to 4 (5 and up do not occur in MariaDB 10.x). */
export type GaleraState = 'Undefined' | 'Joining' | 'Donor/Desynced' | 'Joined' | 'Synced';

export interface GaleraStatus {
  readonly engine: 'galera';
  /** `wsrep_ready`: the node accepts queries. */
  readonly ready: boolean;
  readonly state: GaleraState;
  /** `wsrep_cluster_status`: whether this node is in a component that has quorum. */
  readonly component: 'Primary' | 'Non-Primary' | 'Disconnected';
  readonly clusterSize: number;
  /** `wsrep_cluster_conf_id`: number of the membership view; -1 outside a primary component. */
  readonly viewId: number;
  readonly stateUuid: string;
  /** `wsrep_last_committed`. */
  readonly seqno: number;
  /** Host part of each entry of `wsrep_incoming_addresses`: who this node believes is a member. */
  readonly members: readonly string[];
  readonly nodeName: string;
  readonly readOnly: boolean;
}

/** A position on disk, from grastate.dat or `--wsrep-recover`. `seqno` -1 means that the server did not say. */
export interface GaleraPosition {
  readonly stateUuid: string;
  readonly seqno: number;
  readonly safeToBootstrap: boolean;
  /** From gvwstate.dat or the error log when known: the last primary view this node was in. */
  readonly viewId: string | null;
}

/** May this node take traffic at all: in the primary component, ready, and not behind (a donor may lag). */
export const serves = (s: GaleraStatus): boolean => s.component === 'Primary' && s.ready && s.state === 'Synced';

/** Could it serve if there were nobody better: a donor under mariabackup answers queries, only possibly late. */
export const servesInNeed = (s: GaleraStatus): boolean =>
  s.component === 'Primary' && s.ready && (s.state === 'Synced' || s.state === 'Donor/Desynced');
