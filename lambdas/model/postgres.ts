/**
 * What a PostgreSQL node says of itself. Sources: https://www.postgresql.org/docs/15/monitoring-stats.html (pg_stat_replication,
 * pg_stat_wal_receiver) and https://www.postgresql.org/docs/15/view-pg-replication-slots.html
 */
import type { Lsn } from './lsn.ts';

/** The WAL receiver of a standby (`pg_stat_wal_receiver`): its own account of its upstream. */
export interface WalReceiver {
  /** `streaming`, `waiting`, `starting`, `restarting`, `stopping`. */
  readonly status: string;
  /** Address of the upstream it is connected to. */
  readonly senderHost: string | null;
  readonly slot: string | null;
  /** Since the last message of any kind from the upstream, by the standby's own clock. */
  readonly lastMessageAgoMs: number | null;
  readonly timeline: number;
}

/** One standby as its primary sees it (`pg_stat_replication`). */
export interface AttachedStandby {
  /** `application_name`: the instance id. */
  readonly node: string;
  /** `startup`, `catchup`, `streaming`, `backup`, `stopping`. */
  readonly state: string;
  /** `async`, `potential`, `sync`, `quorum`. */
  readonly syncState: string;
  readonly flushLsn: Lsn | null;
  readonly replayLsn: Lsn | null;
}

export interface ReplicationSlot {
  readonly name: string;
  readonly active: boolean;
  readonly restartLsn: Lsn | null;
  /** `reserved`, `extended`, `unreserved`; `lost`: what its standby needs is gone. Null: never used. */
  readonly walStatus: string | null;
}

export interface DiskSpace {
  readonly totalBytes: number;
  readonly availableBytes: number;
}

export interface PostgresStatus {
  readonly engine: 'postgres';
  /** `pg_is_in_recovery()`: a standby. False: it believes that it is the primary. */
  readonly inRecovery: boolean;
  /** `system_identifier` of the data directory: nodes of one cluster have the same. */
  readonly systemId: string;
  /** Of the primary: the one it writes. Of a standby: the one it received or, with no receiver, replayed last. */
  readonly timeline: number;
  /** Of the primary: what it has flushed. Of a standby: the most that it has on disk or has replayed, whichever is more. */
  readonly lsn: Lsn;
  /** Null on a primary. */
  readonly replayLsn: Lsn | null;
  /** Age of the last replayed transaction in seconds; null on a primary, and when there was none. */
  readonly replayLagSeconds: number | null;
  /** Null on a primary, and while a standby has none. */
  readonly receiver: WalReceiver | null;
  /** Host part of `primary_conninfo`: whom the standby is told to follow; null when nobody. */
  readonly followsHost: string | null;
  /** Empty on a standby that nobody follows. */
  readonly standbys: readonly AttachedStandby[];
  readonly slots: readonly ReplicationSlot[];
  /** `synchronous_standby_names` as set. */
  readonly synchronousStandbyNames: string;
  /** Of the file system of the data directory; null when the host does not say (docs/hosts.md). */
  readonly disk: DiskSpace | null;
}

/** The slot from which the archive's shipper streams, on every node, and the name that its stream has (docs/archive.md). */
export const ARCHIVE_SLOT = 'rejoin_archive';

/** Name of a node's slot: slots take only lower-case letters, digits and underscores. */
export const slotOf = (node: string): string => node.replaceAll('-', '_');

/** The node that a slot is for, by its name; null for a slot that is not named as Rejoin names those of nodes. */
export const nodeOfSlot = (slot: string): string | null =>
  /^i_(?:[0-9a-f]{8}|[0-9a-f]{17})$/.test(slot) ? slot.replace('_', '-') : null;

const GIB = 2 ** 30;
/** Free space below which a node is about to fill its disk: a tenth of it or 2 GiB, whichever is less. */
export const isNearlyFull = ({ totalBytes, availableBytes }: DiskSpace): boolean =>
  availableBytes < Math.min(totalBytes / 10, 2 * GIB);

/** Is the standby's stream from the node at `host` running, by its own word. */
export const streamsFrom = (status: PostgresStatus, host: string | null): boolean =>
  host !== null &&
  status.inRecovery &&
  status.receiver !== null &&
  status.receiver.status === 'streaming' &&
  status.receiver.senderHost === host;

/** Numbers of timelines that other servers may have begun, both ends included. */
export interface UsedTimelines {
  readonly from: number;
  readonly to: number;
}
