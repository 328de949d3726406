# shellcheck shell=sh
# shellcheck disable=SC2034,SC2154 # the scripts read what is set here, and nodes/lib.sh sets what is read here
# What the scripts beside this one share beyond nodes/lib.sh. It does nothing by itself.
#
# Exit codes of all scripts (docs/hosts.md):
#   64 environment or parameter wrong    10 no device           11 not a MariaDB data directory  12 the server runs
#   13 will not format or overwrite      20 no position found   21 the server does not answer    30 would not stop
#   31 ended while joining               32 did not begin to join in time
#   40 another position than asked for   41 a primary component is in the way                    42 bootstrap failed
#   14 another run works here            33, 53, 54 and 60 to 63: backup, restore, checksum

# shellcheck source=nodes/lib.sh
command -v rejoin_load >/dev/null 2>&1 || . "$(dirname "$0")/../lib.sh"

rejoin_engine=galera
rejoin_database=MariaDB
ZERO_UUID=00000000-0000-0000-0000-000000000000

rejoin_engine_load() {
  rejoin_require CONFIG_FILE DEFAULTS_FILE SOCKET
  REJOIN_JOIN_SECONDS=${REJOIN_JOIN_SECONDS:-90}
  REJOIN_BOOTSTRAP_SECONDS=${REJOIN_BOOTSTRAP_SECONDS:-600}
  REJOIN_RENEW_SECONDS=${REJOIN_RENEW_SECONDS:-300}
  REJOIN_LOCK_SECONDS=${REJOIN_LOCK_SECONDS:-120}
}

# mariadbd's working directory is its data directory.
rejoin_find_process() {
  for proc in /proc/[0-9]*; do
    case $(cat "$proc/comm" 2>/dev/null) in mariadbd | mysqld) ;; *) continue ;; esac
    if [ "$(readlink "$proc/cwd" 2>/dev/null)" = "$rejoin_data" ] && rejoin_alive "${proc#/proc/}"; then
      printf '%s\n' "${proc#/proc/}"
      return 0
    fi
  done
  return 1
}

# --- what the running server says --------------------------------------------------------------------------------

# $1: a statement. Goes through the local socket, as the unix user that we are; a mute server costs 5 s, no more.
rejoin_sql() {
  timeout 5 mariadb --defaults-file="$REJOIN_DEFAULTS_FILE" --socket="$REJOIN_SOCKET" --connect-timeout=4 \
    --skip-column-names --batch --execute="$1" 2>"$REJOIN_STATE_DIR/sql.err"
}

# Sets rejoin_component (Primary, Non-Primary or none), rejoin_uuid, rejoin_seqno, rejoin_state (0 to 4), rejoin_size and
# rejoin_members; status 1 when it does not answer. SHOW works on a node without quorum too, SELECT does not.
rejoin_ask() {
  rejoin_rows=$(rejoin_sql "SHOW GLOBAL STATUS WHERE Variable_name IN ('wsrep_cluster_status', 'wsrep_local_state_uuid', \
'wsrep_last_committed', 'wsrep_local_state', 'wsrep_cluster_size', 'wsrep_incoming_addresses', 'wsrep_ready')") || return 1
  rejoin_row() { printf '%s\n' "$rejoin_rows" | sed -n "s/^$1[[:space:]]//p"; }
  case $(rejoin_row wsrep_cluster_status) in
    Primary) rejoin_component=Primary ;;
    [Nn]on-Primary) rejoin_component=Non-Primary ;;
    *) rejoin_component=none ;;
  esac
  rejoin_uuid=$(rejoin_row wsrep_local_state_uuid)
  rejoin_seqno=$(rejoin_row wsrep_last_committed)
  # Galera shows "no position yet" as 2^64 - 1.
  case $rejoin_seqno in 18446744073709551615 | '') rejoin_seqno=-1 ;; esac
  rejoin_state=$(rejoin_row wsrep_local_state)
  rejoin_size=$(rejoin_row wsrep_cluster_size)
  rejoin_members=$(rejoin_row wsrep_incoming_addresses)
  rejoin_ready=$(rejoin_row wsrep_ready)
}

# --- what the disk says ------------------------------------------------------------------------------------------

# The last primary view that this node was in, "<uuid>:<number>", from Galera's pc.recovery file, or from where galera-join
# has put it; nothing when there is none (a clean shutdown removes it).
rejoin_view() {
  for rejoin_file in "$rejoin_data/gvwstate.dat" "$rejoin_data/rejoin-gvwstate.dat"; do
    [ -s "$rejoin_file" ] || continue
    sed -n 's/^view_id: *[0-9]* *\([0-9a-f-]*\) *\([0-9]*\).*/\1:\2/p' "$rejoin_file"
    return 0
  done
}

rejoin_grastate() { sed -n "s/^$1: *//p" "$rejoin_data/grastate.dat" 2>/dev/null | tr -d ' \r' || :; }

# Sets rejoin_uuid, rejoin_seqno, rejoin_safe and rejoin_source (grastate, recovered or nothing) of a stopped server.
rejoin_disk_position() {
  rejoin_uuid=$(rejoin_grastate uuid)
  rejoin_uuid=${rejoin_uuid:-$ZERO_UUID}
  rejoin_seqno=$(rejoin_grastate seqno)
  rejoin_seqno=${rejoin_seqno:--1}
  rejoin_safe=$([ "$(rejoin_grastate safe_to_bootstrap)" = 1 ] && echo true || echo false)
  rejoin_source=grastate
  [ -e "$rejoin_data/grastate.dat" ] || rejoin_source=nothing
  if [ "$rejoin_seqno" = -1 ] && [ -e "$rejoin_data/ibdata1" ]; then rejoin_recover; fi
}

# After a crash grastate.dat says -1, and only the storage engine knows the last committed transaction. This opens and
# repairs the tables as a normal start does, joins nobody and ends.
rejoin_recover() {
  rejoin_log=$(mktemp "$REJOIN_STATE_DIR/recover.XXXXXX")
  # A new host has no REJOIN_CONFIG_FILE yet, and MariaDB insists on an address, though it calls nobody.
  set -- --defaults-file="$REJOIN_DEFAULTS_FILE" --datadir="$rejoin_data" --wsrep-recover --disable-log-error \
    --wsrep-on=ON --wsrep-cluster-address="gcomm://$REJOIN_ADDRESS"
  [ "$(id -u)" != 0 ] || set -- "$@" --user="$REJOIN_UNIX_USER"
  if ! mariadbd "$@" >"$rejoin_log" 2>&1; then
    rejoin_shorten <"$rejoin_log" >&2
    rm -f "$rejoin_log"
    rejoin_fail 20 "mariadbd --wsrep-recover failed on $rejoin_data, its messages are above; expected a position. Give the node up, or repair its data directory"
  fi
  # With wsrep_gtid_mode a GTID follows the position, after a comma.
  rejoin_found=$(sed -n 's/.*WSREP: Recovered position: *\([0-9a-f-]*:-\{0,1\}[0-9]*\).*/\1/p' "$rejoin_log" | tail -n 1)
  rm -f "$rejoin_log"
  [ -n "$rejoin_found" ] ||
    rejoin_fail 20 "mariadbd --wsrep-recover named no position for $rejoin_data; expected 'Recovered position: UUID:SEQNO'. Check that wsrep_on=ON in $REJOIN_DEFAULTS_FILE"
  rejoin_uuid=${rejoin_found%:*}
  rejoin_seqno=${rejoin_found##*:}
  rejoin_source=recovered
}

# --- configuration -----------------------------------------------------------------------------------------------

# $1: peers, comma-separated; $2: donor's node name or "any". Replaces REJOIN_CONFIG_FILE in one step.
# The donor is named without a trailing comma: a donor that cannot give must not be replaced by one nobody chose.
rejoin_write_config() {
  rejoin_donor_line=
  [ "$2" = any ] || rejoin_donor_line="wsrep_sst_donor=$2"
  rejoin_next=$(mktemp "$(dirname "$REJOIN_CONFIG_FILE")/.rejoin.XXXXXX")
  cat >"$rejoin_next" <<CONFIG
# Written by Rejoin's host scripts; changes are lost.
[mariadbd]
wsrep_on=ON
wsrep_cluster_name=$REJOIN_CLUSTER
wsrep_cluster_address=gcomm://$1
wsrep_node_name=$REJOIN_INSTANCE_ID
wsrep_node_address=$REJOIN_ADDRESS
wsrep_node_incoming_address=$REJOIN_ADDRESS:$REJOIN_PORT
$rejoin_donor_line
CONFIG
  chmod 644 "$rejoin_next"
  mv "$rejoin_next" "$REJOIN_CONFIG_FILE"
}

# The peers that REJOIN_CONFIG_FILE names now.
rejoin_configured_peers() { sed -n 's|^wsrep_cluster_address=gcomm://||p' "$REJOIN_CONFIG_FILE" 2>/dev/null || :; }

# --- a new primary component -------------------------------------------------------------------------------------

# Starts this node as the first of a new primary component: does what galera_new_cluster does, for one start only.
rejoin_start_cluster() {
  trap '"$REJOIN_SYSTEMCTL" unset-environment _WSREP_NEW_CLUSTER' EXIT
  trap 'exit 1' HUP INT TERM
  "$REJOIN_SYSTEMCTL" reset-failed "$REJOIN_SERVICE" || rejoin_say "rejoin: reset-failed found nothing to reset"
  "$REJOIN_SYSTEMCTL" set-environment _WSREP_NEW_CLUSTER=--wsrep-new-cluster
  timeout "$REJOIN_BOOTSTRAP_SECONDS" "$REJOIN_SYSTEMCTL" start "$REJOIN_SERVICE" 7>&- 8>&- || {
    rejoin_last_messages
    rejoin_fail 42 "$REJOIN_SYSTEMCTL start $REJOIN_SERVICE failed or took over $REJOIN_BOOTSTRAP_SECONDS s, MariaDB's last messages are above; expected a new primary component"
  }
  "$REJOIN_SYSTEMCTL" unset-environment _WSREP_NEW_CLUSTER
  trap - EXIT HUP INT TERM
}

rejoin_await_primary() {
  rejoin_left=$((REJOIN_BOOTSTRAP_SECONDS * 5))
  until rejoin_ask && [ "$rejoin_component" = Primary ] && [ "$rejoin_ready" = ON ]; do
    if ! pid=$(rejoin_pid) || [ "$rejoin_left" -le 0 ]; then
      rejoin_last_messages
      rejoin_fail 42 "MariaDB did not become primary (component ${rejoin_component:-unknown}), its last messages are above; expected Primary within $REJOIN_BOOTSTRAP_SECONDS s"
    fi
    rejoin_left=$((rejoin_left - 1))
    sleep 0.2
  done
}

# --- a server for the script alone -------------------------------------------------------------------------------

# Its caller sets rejoin_local_data (a data directory), rejoin_local_messages (a file) and rejoin_local_seconds, and says in
# rejoin_local_failed what it means when the server does not do as it should ($1).

# $@: more options. A server without network. Sets rejoin_local.
rejoin_local_start() {
  set -- --defaults-file="$REJOIN_DEFAULTS_FILE" --datadir="$rejoin_local_data" --socket="$rejoin_local_data/local.sock" --pid-file="$rejoin_local_data/local.pid" \
    --skip-networking --skip-slave-start --event-scheduler=OFF --read-only=OFF --max-allowed-packet=1G --slow-query-log=OFF --general-log=OFF \
    --disable-log-error "$@"
  [ "$(id -u)" != 0 ] || set -- "$@" --user="$REJOIN_UNIX_USER"
  mariadbd "$@" >"$rejoin_local_messages" 2>&1 8>&- &
  rejoin_local=$!
  rejoin_left=$((rejoin_local_seconds * 10))
  rejoin_local_await 'MariaDB did not start for this script' rejoin_local_sql 'SELECT 1'
}

# $1: what it means when it never comes true; the rest: a command. All waits for one server have the seconds together.
rejoin_local_await() {
  rejoin_meaning=$1
  shift
  until "$@" >/dev/null 2>&1; do
    if ! rejoin_alive "$rejoin_local" || [ "$rejoin_left" -le 0 ]; then rejoin_local_failed "$rejoin_meaning"; fi
    rejoin_left=$((rejoin_left - 1))
    sleep 0.1
  done
}

rejoin_local_client() { mariadb --defaults-file="$REJOIN_DEFAULTS_FILE" --socket="$rejoin_local_data/local.sock" --skip-column-names --batch "$@"; }
rejoin_local_sql() { rejoin_local_client --execute="$1"; }
rejoin_local_ready() { [ "$(rejoin_local_sql "SHOW GLOBAL STATUS LIKE 'wsrep_ready'" | cut -f 2)" = ON ]; }

rejoin_local_stop() {
  rejoin_local_sql SHUTDOWN || rejoin_local_failed 'MariaDB does not take SHUTDOWN'
  wait "$rejoin_local" || rejoin_local_failed "MariaDB did not shut down cleanly (status $?)"
}

# Gives the data a state UUID of their own. The storage engine keeps the old one; a start from no position, as the first node
# of a new group, replaces it. Nobody hears that server. The GTIDs go on.
rejoin_renew_history() {
  printf '# GALERA saved state\nversion: 2.1\nuuid:    %s\nseqno:   -1\nsafe_to_bootstrap: 1\n' "$ZERO_UUID" >"$rejoin_local_data/grastate.dat"
  [ "$(id -u)" != 0 ] || chown "$REJOIN_UNIX_USER:" "$rejoin_local_data/grastate.dat"
  rejoin_local_start --wsrep-on=ON --wsrep-new-cluster --wsrep-start-position="$ZERO_UUID:-1" --wsrep-cluster-name="$REJOIN_CLUSTER" --wsrep-cluster-address=gcomm:// \
    --wsrep-node-address=127.0.0.1 --wsrep-provider-options='gmcast.listen_addr=tcp://127.0.0.1:0;pc.recovery=false;gcache.size=1M'
  rejoin_local_await 'MariaDB does not begin a new Galera history' rejoin_local_ready
  rejoin_local_stop
  rm -f "$rejoin_local_data/galera.cache" "$rejoin_local_data/gvwstate.dat"
}
