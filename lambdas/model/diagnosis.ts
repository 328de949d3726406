/** What reconcile believes is the case, named before anything acts. */
export const DIAGNOSES = [
  'HEALTHY',
  'NODE_SUSPECT', // one failed probe: looked at again, never acted upon
  'NODE_TERMINATED', // EC2: shutting-down or terminated
  'NODE_STOPPING', // EC2: stopping or stopped
  'NODE_STARTING', // pending, or running and not yet joined, under a claim
  'NODE_CRASHED', // refused twice: the instance lives, the process is gone
  'NODE_UNRESPONSIVE', // silent or unreachable twice, and its peers have cast it out (or it holds a silent socket)
  'NODE_UNREACHABLE_BY_PLANE', // we cannot reach it, its peers can: our view is broken, wait
  'NODE_REJECTS_PROBE', // alive, but our credentials or grants are wrong
  'NODE_NOT_SYNCED', // donor, joining, joined
  'NODE_READ_ONLY', // synced, but read_only is on
  'NODE_PARTITIONED', // answers, but outside the primary component that others are in
  'NODE_IN_MAINTENANCE',
  'WRITER_LOST', // the node that writes are routed to can no longer take them
  'WRITER_UNSET',
  'QUORUM_LOST', // nobody reachable is in a primary component, some node answers or may live
  'CLUSTER_DOWN', // no node runs the database
  'CAPACITY_MISSING',
  'CAPACITY_SURPLUS',
  'ROUTING_DRIFT', // endpoints differ from what they should be
  'FOREIGN_TARGET',
  'FOREIGN_RECORD',
  // PostgreSQL
  'PRIMARY_PARTITIONED', // we cannot reach it, replicas hear from it: our view is broken, wait
  'PRIMARY_MISSING', // no node is the primary (the ledger's writer is a standby, or was never promoted)
  'NODE_OTHER_PRIMARY', // it says that it is the primary, and the ledger's writer is another node
  'NODE_NOT_STREAMING', // a replica without a stream from the primary
  'NODE_LAGGING', // a replica further behind than maxLagBytes
  'NODE_OLD_TIMELINE', // its history has left the cluster's: rewind or rebuild
  'NODE_SLOT_LOST', // the WAL it needs is gone from the primary: rebuild
  'NODE_FOREIGN_DATA', // another system identifier: not a copy of this database
  'DISK_NEARLY_FULL',
  'DURABILITY_DEGRADED', // fewer acknowledgements than declared
  'NO_CANDIDATE', // the primary is lost, and nobody may take its place
  'CLAIM_ORPHANED', // the ledger's claim belongs to an execution that has ended
] as const;

export type DiagnosisCode = (typeof DIAGNOSES)[number];

export interface Diagnosis {
  readonly code: DiagnosisCode;
  /** Instance id, for a diagnosis of one node. */
  readonly node?: string;
  /** Sentences: what was seen, and by whom. */
  readonly evidence: readonly string[];
}
