/** MariaDB's configuration on an emulated host: what docs/hosts.md asks of a real one, sized for many hosts on one machine. */

/** Where one host's server lives. */
export interface GaleraFacts {
  readonly address: string;
  readonly port: number;
  readonly dataDir: string;
  readonly socket: string;
  readonly pidFile: string;
  /** Folder of the files that the scripts write (REJOIN_CONFIG_FILE lies in it); read last. */
  readonly includeDir: string;
  readonly unixUser: string;
}

const GROUP_PORT = 4567;
const IST_PORT = 4568;

/**
 * Port for state transfers. The SST script looks for its port on *all* addresses of the machine, so hosts that share a
 * machine must not share the port; it is derived from the address, below the ephemeral range (32768 and up).
 */
export function sstPort(address: string): number {
  const [, b = 0, c = 0, d = 0] = address.split('.').map(Number);
  return 10_000 + ((b * 7919 + c * 251 + d) % 20_000);
}

/**
 * The whole defaults file of one host.
 * `wsrep_gtid_mode` with one domain and one server id gives equal GTIDs on every node
 * (https://mariadb.com/kb/en/using-mariadb-gtids-with-mariadb-galera-cluster/). Group communication keeps its default
 * timeouts (`evs.suspect_timeout`, `evs.inactive_timeout`, `evs.install_timeout`), so that failures take as long to be
 * noticed as in production; the two periods shorten the stall when a node joins, see docs/decisions/0007.
 */
export function galeraConfig(facts: GaleraFacts): string {
  return `[client]
socket=${facts.socket}

[mariadbd]
datadir=${facts.dataDir}
socket=${facts.socket}
pid-file=${facts.pidFile}
bind-address=${facts.address}
port=${facts.port}
skip-name-resolve
performance_schema=OFF
max_connections=200
thread_cache_size=16
table_open_cache=400
key_buffer_size=1M
aria_pagecache_buffer_size=8M
innodb_buffer_pool_size=64M
innodb_log_file_size=16M
innodb_log_buffer_size=4M
innodb_flush_log_at_trx_commit=1
innodb_autoinc_lock_mode=2
innodb_buffer_pool_dump_at_shutdown=OFF
innodb_buffer_pool_load_at_startup=OFF
default_storage_engine=InnoDB
binlog_format=ROW
log_bin=binlog
log_slave_updates=ON
binlog_expire_logs_seconds=259200
server_id=1
gtid_domain_id=1
wsrep_on=ON
wsrep_provider=/usr/lib/galera/libgalera_smm.so
wsrep_provider_options="gmcast.listen_addr=tcp://${facts.address}:${GROUP_PORT};ist.recv_addr=${facts.address}:${IST_PORT};gcache.size=32M;evs.keepalive_period=PT0.1S;evs.join_retrans_period=PT0.1S"
wsrep_gtid_mode=ON
wsrep_gtid_domain_id=0
wsrep_slave_threads=2
wsrep_sst_method=mariabackup
wsrep_sst_auth=${facts.unixUser}:
wsrep_sst_receive_address=${facts.address}:${sstPort(facts.address)}

!includedir ${facts.includeDir}
`;
}
