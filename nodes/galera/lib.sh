# shellcheck shell=sh
# shellcheck disable=SC2034 # the scripts read what is set here
# Functions that the scripts beside this one share. The SSM documents carry it in front of each script; from a checkout
# the scripts read it themselves. It does nothing by itself.
#
# Exit codes of all scripts (docs/hosts.md):
#   64 environment or parameter wrong    10 no device           11 not a MariaDB data directory  12 the server runs
#   13 will not format or overwrite      20 no position found   21 the server does not answer    30 would not stop
#   31 ended while joining               32 did not begin to join in time
#   40 another position than asked for   41 a primary component is in the way                    42 bootstrap failed

ZERO_UUID=00000000-0000-0000-0000-000000000000

rejoin_say() { printf '%s\n' "$*" >&2; }

# $1: exit code; the rest: what was found, what was expected, the mend.
rejoin_fail() {
  rejoin_code=$1
  shift
  rejoin_say "rejoin: $*"
  exit "$rejoin_code"
}

# Is $1, all of it and on one line, of the form $2 (an extended regular expression).
rejoin_is() { [ "$(printf '%s\n' "$1" | wc -l)" -eq 1 ] && printf '%s\n' "$1" | grep -Eqx -- "$2"; }

# Reads the host's facts into the environment, with defaults for what may be left out.
rejoin_load() {
  REJOIN_NODE_ENV=${REJOIN_NODE_ENV:-/etc/rejoin/node.env}
  # The SSM agent takes commands while user data still runs: on a new host the facts may be about to be written.
  rejoin_left=${REJOIN_FACTS_SECONDS:-300}
  until [ -r "$REJOIN_NODE_ENV" ]; do
    [ "$rejoin_left" -gt 0 ] ||
      rejoin_fail 64 "cannot read the host's facts in $REJOIN_NODE_ENV after ${REJOIN_FACTS_SECONDS:-300} s; run nodes/configure.sh at boot, or set REJOIN_NODE_ENV"
    rejoin_left=$((rejoin_left - 1))
    sleep 1
  done
  set -a
  # shellcheck source=/dev/null
  . "$REJOIN_NODE_ENV"
  set +a
  for rejoin_name in INSTANCE_ID ADDRESS PORT CLUSTER DATA_DIR UNIX_USER CONFIG_FILE DEFAULTS_FILE SOCKET SERVICE SYSTEMCTL; do
    eval "rejoin_value=\${REJOIN_$rejoin_name:-}"
    # shellcheck disable=SC2154 # set by eval
    [ -n "$rejoin_value" ] ||
      rejoin_fail 64 "REJOIN_$rejoin_name is not set in $REJOIN_NODE_ENV; docs/hosts.md lists what belongs there"
  done
  REJOIN_DATA_DEVICE=${REJOIN_DATA_DEVICE:-}
  REJOIN_DEV_ROOT=${REJOIN_DEV_ROOT:-/dev}
  REJOIN_STATE_DIR=${REJOIN_STATE_DIR:-/run/rejoin}
  REJOIN_STOP_SECONDS=${REJOIN_STOP_SECONDS:-120}
  REJOIN_JOIN_SECONDS=${REJOIN_JOIN_SECONDS:-90}
  REJOIN_BOOTSTRAP_SECONDS=${REJOIN_BOOTSTRAP_SECONDS:-600}
  REJOIN_DEVICE_SECONDS=${REJOIN_DEVICE_SECONDS:-60}
  PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin # Run Command may come without them
  export PATH
  mkdir -p "$REJOIN_STATE_DIR"
  "$REJOIN_SYSTEMCTL" show -p MainPID --value "$REJOIN_SERVICE" >/dev/null ||
    rejoin_fail 64 "$REJOIN_SYSTEMCTL cannot show $REJOIN_SERVICE; check REJOIN_SYSTEMCTL and REJOIN_SERVICE in $REJOIN_NODE_ENV"
  rejoin_data=$(readlink -f "$REJOIN_DATA_DIR" || printf '%s' "$REJOIN_DATA_DIR")
}

# A JSON string of $1, or null when it is empty.
rejoin_json() {
  [ -n "$1" ] || { printf 'null' && return 0; }
  printf '"%s"' "$(printf '%s' "$1" | sed 's/\\/\\\\/g; s/"/\\"/g' | tr '\n\t\r' '   ')"
}

# --- processes ---------------------------------------------------------------------------------------------------

# Pid and start time name a process for good; a pid alone is used again.
rejoin_started() { sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d ' ' -f 20; }
rejoin_process_state() { sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d ' ' -f 1; }
# A zombie whose threads still run holds its ports and files yet.
rejoin_alive() {
  case $(rejoin_process_state "$1") in
    '' | X) return 1 ;;
    Z) [ "$(find "/proc/$1/task" -mindepth 1 -maxdepth 1 2>/dev/null | wc -l)" -gt 1 ] ;;
  esac
}

# Pid of the database: the service's, or a server on our data directory that the service manager has lost sight of
# (mariadbd's working directory is its data directory). Nothing and status 1 when there is none.
rejoin_pid() {
  pid=$("$REJOIN_SYSTEMCTL" show -p MainPID --value "$REJOIN_SERVICE") || pid=0
  if [ "${pid:-0}" -gt 0 ] 2>/dev/null && rejoin_alive "$pid"; then
    printf '%s\n' "$pid"
    return 0
  fi
  for proc in /proc/[0-9]*; do
    case $(cat "$proc/comm" 2>/dev/null) in mariadbd | mysqld) ;; *) continue ;; esac
    if [ "$(readlink "$proc/cwd" 2>/dev/null)" = "$rejoin_data" ] && rejoin_alive "${proc#/proc/}"; then
      printf '%s\n' "${proc#/proc/}"
      return 0
    fi
  done
  return 1
}

# Waits until process $1 is gone, $2 seconds at most.
rejoin_await_end() {
  rejoin_left=$(($2 * 10))
  while rejoin_alive "$1"; do
    [ "$rejoin_left" -gt 0 ] || return 1
    sleep 0.1
    rejoin_left=$((rejoin_left - 1))
  done
}

# SSM hands over the first 8,000 characters of standard error, and our own sentence comes last: Galera logs lines of 4,000.
rejoin_shorten() { tail -n 30 | cut -c 1-200; }

# The newest messages of the database, for an error text.
rejoin_last_messages() {
  if [ -n "${REJOIN_LOG_FILE:-}" ]; then
    rejoin_messages=$(tail -n 30 "$REJOIN_LOG_FILE") || rejoin_say "(no messages in $REJOIN_LOG_FILE)"
  else
    rejoin_messages=$(journalctl --unit "$REJOIN_SERVICE" --lines 30 --no-pager --output cat) || rejoin_say '(no journal)'
  fi
  printf '%s\n' "$rejoin_messages" | rejoin_shorten >&2
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

# --- the data volume ---------------------------------------------------------------------------------------------

# Device of EBS volume $1 ("none": whichever holds this host's data). On Nitro instances the volume id is the disk's serial
# and udev links it by that; the device name asked for (/dev/sdf) may not exist at all
# (https://docs.aws.amazon.com/ebs/latest/userguide/nvme-ebs-volumes.html).
rejoin_find_device() {
  rejoin_links=$REJOIN_DEV_ROOT/disk/by-id/nvme-Amazon_Elastic_Block_Store_
  if [ "$1" != none ] && [ -b "$rejoin_links$(printf '%s' "$1" | tr -d -)" ]; then
    printf '%s\n' "$rejoin_links$(printf '%s' "$1" | tr -d -)"
    return 0
  fi
  # Xen instances: the name asked for, or the kernel's own name for it.
  rejoin_letter=${REJOIN_DATA_DEVICE##*/}
  for rejoin_candidate in "$REJOIN_DATA_DEVICE" "$REJOIN_DEV_ROOT/xvd${rejoin_letter#sd}"; do
    if [ -b "$rejoin_candidate" ]; then
      printf '%s\n' "$rejoin_candidate"
      return 0
    fi
  done
  [ "$1" = none ] || return 1
  # A Nitro host whose udev makes no /dev/sdf: the only EBS disk that is not in use for anything else.
  set --
  for rejoin_candidate in "$rejoin_links"vol*; do
    case ${rejoin_candidate##*/} in *-part* | *_[0-9]*) continue ;; esac
    [ -b "$rejoin_candidate" ] || continue
    # One line: no partitions. Nothing on it: not mounted.
    rejoin_mounts=$(lsblk --noheadings --output MOUNTPOINTS "$rejoin_candidate"; echo end)
    [ "$(printf '%s' "$rejoin_mounts" | tr -d ' ')" != "$(printf '\nend')" ] || set -- "$@" "$rejoin_candidate"
  done
  [ $# -eq 1 ] || return 1
  printf '%s\n' "$1"
}

# Sets rejoin_device once the device of volume $1 is there; attaching takes a moment to show.
rejoin_await_device() {
  rejoin_left=$((REJOIN_DEVICE_SECONDS * 2))
  until rejoin_device=$(rejoin_find_device "$1"); do
    [ "$rejoin_left" -gt 0 ] ||
      rejoin_fail 10 "no device of volume '$1' (or $REJOIN_DATA_DEVICE) under $REJOIN_DEV_ROOT after $REJOIN_DEVICE_SECONDS s; expected it to be attached. Attach the volume, or set REJOIN_DATA_DEVICE in $REJOIN_NODE_ENV"
    rejoin_left=$((rejoin_left - 1))
    sleep 0.5
  done
}

# Nothing at all is on the device: no file system, no partition table, no signature of any kind.
rejoin_is_blank() { [ -z "$(blkid -p -o export "$1" 2>/dev/null)" ] && [ -z "$(wipefs --no-act --noheadings "$1")" ]; }

# $1: volume id or "none". The host may have booted since the volume was mounted; nothing mounts it at boot. Never formats.
rejoin_mount_if_needed() {
  [ -n "$REJOIN_DATA_DEVICE" ] || return 0
  ! mountpoint -q "$rejoin_data" || return 0
  rejoin_await_device "$1"
  ! rejoin_is_blank "$rejoin_device" ||
    rejoin_fail 11 "$rejoin_device is blank; expected a file system with MariaDB's data on it. Run galera-prepare with Source=peer to make it ready for a state transfer"
  mkdir -p "$rejoin_data"
  mount "$rejoin_device" "$rejoin_data" ||
    rejoin_fail 10 "could not mount $rejoin_device at $rejoin_data, mount's message is above; expected a file system that this host knows"
}
