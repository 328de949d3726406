/** PostgreSQL's configuration on an emulated host: what docs/hosts.md asks of a real one, sized for many hosts on one machine. */

/** Where one host's server lives. */
export interface PostgresFacts {
  readonly address: string;
  readonly port: number;
  /** Folder of the unix socket. */
  readonly socketDir: string;
  readonly hbaFile: string;
}

/**
 * postgresql.conf of one host. It lies outside the data directory, which base backups and pg_rewind copy.
 * Everything that concerns replication is as docs/hosts.md asks for it; commits go to the disk (fsync is on).
 */
export function postgresConfig(facts: PostgresFacts): string {
  return `listen_addresses = '${facts.address}'
port = ${facts.port}
unix_socket_directories = '${facts.socketDir}'
hba_file = '${facts.hbaFile}'
max_connections = 60
superuser_reserved_connections = 5
shared_buffers = 32MB
dynamic_shared_memory_type = posix
max_wal_size = 512MB
min_wal_size = 64MB
autovacuum_naptime = 1h
jit = off
log_line_prefix = '%m [%p] %q%u@%d '
log_checkpoints = off
timezone = 'UTC'

wal_level = replica
wal_log_hints = on
hot_standby = on
max_wal_senders = 12
max_prepared_transactions = 8
max_replication_slots = 12
max_slot_wal_keep_size = 256MB
wal_keep_size = 128MB
wal_receiver_timeout = 4s
wal_sender_timeout = 6s
wal_receiver_status_interval = 1s
wal_retrieve_retry_interval = 500ms
recovery_target_timeline = 'latest'
max_standby_streaming_delay = 5s
`;
}

/**
 * pg_hba.conf: the scripts come over the socket as the superuser, everybody else over TCP with a password. Replicas stream as one
 * role, the archive's shipper as the plane's. The
 * replication role is let in to the database \`postgres\` too, where pg_rewind reads the primary's files.
 */
export const hbaConfig = (roles: {
  readonly replication: string;
  readonly plane: string;
}): string => `local all all trust
local replication postgres trust
host replication ${roles.replication},${roles.plane} 127.0.0.0/8 scram-sha-256
host all all 127.0.0.0/8 scram-sha-256
`;
