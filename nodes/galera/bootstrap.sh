#!/bin/sh
# Makes a new primary component out of this node, if its data is still at StateUuid:Seqno. Everybody else must be down or
# outside any primary component: the caller has made sure. Does what galera_new_cluster does, for one start only.
# {"bootstrapped":"now|already","pid":…,"stateUuid":"…","seqno":…}
set -eu
# shellcheck source=nodes/galera/lib.sh
command -v rejoin_load >/dev/null 2>&1 || . "$(dirname "$0")/lib.sh"

check_parameters() {
  uuid=${REJOIN_PARAM_STATE_UUID:-}
  seqno=${REJOIN_PARAM_SEQNO:-}
  rejoin_is "$uuid" '[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}' ||
    rejoin_fail 64 "StateUuid is '$uuid'; expected a UUID in lower case, as galera-position prints it"
  rejoin_is "$seqno" '-1|[0-9]+' || rejoin_fail 64 "Seqno is '$seqno'; expected a number, as galera-position prints it"
}

# Is the running process one that this same bootstrap has started. The mark is written before the start, so that a run
# which was cut off in between is recognised; the process shows by its own arguments that it made the cluster.
is_our_bootstrap() {
  [ "$(cat "$REJOIN_STATE_DIR/bootstrapped" 2>/dev/null)" = "$uuid:$seqno" ] &&
    tr '\0' '\n' <"/proc/$1/cmdline" | grep -qx -- --wsrep-new-cluster
}

check_position() {
  rejoin_disk_position
  [ "$rejoin_uuid:$rejoin_seqno" = "$uuid:$seqno" ] ||
    rejoin_fail 40 "this node's data is at $rejoin_uuid:$rejoin_seqno, and not at $uuid:$seqno as asked; it has changed since it was looked at, or another node was meant. Collect all positions again"
  [ -e "$rejoin_data/ibdata1" ] ||
    rejoin_fail 11 "$rejoin_data holds no MariaDB data (no ibdata1); expected a data directory to start a cluster from. Mount the data volume, or choose another node"
}

allow_bootstrap() {
  next=$(mktemp "$rejoin_data/.grastate.XXXXXX")
  kept=$(rejoin_grastate seqno)
  printf '# GALERA saved state\nversion: 2.1\nuuid:    %s\nseqno:   %s\nsafe_to_bootstrap: 1\n' "$uuid" "${kept:--1}" >"$next"
  chmod 660 "$next"
  [ "$(id -u)" != 0 ] || chown "$REJOIN_UNIX_USER:" "$next"
  mv "$next" "$rejoin_data/grastate.dat"
}

# An address list is kept for the next plain start. It must never be empty: that would start a second cluster.
keep_config() {
  peers=$(rejoin_configured_peers)
  rejoin_write_config "${peers:-$REJOIN_ADDRESS}" any
}

report() { printf '{"bootstrapped":"%s","pid":%s,"stateUuid":"%s","seqno":%s}\n' "$1" "$pid" "$rejoin_uuid" "$rejoin_seqno"; }

rejoin_load
check_parameters
rejoin_mount_if_needed none
if pid=$(rejoin_pid); then
  if is_our_bootstrap "$pid"; then
    rejoin_await_primary
    report already
    exit 0
  fi
  if rejoin_ask && [ "$rejoin_component" = Primary ]; then
    rejoin_fail 41 "this node is in a primary component of $rejoin_size already, at $rejoin_uuid:$rejoin_seqno; expected it to be down. There is nothing to bootstrap: let the others join it"
  fi
  rejoin_fail 12 "MariaDB runs here (pid $pid, component ${rejoin_component:-unknown}); expected it to be down. Run galera-stop, collect all positions again, then bootstrap"
fi
check_position
allow_bootstrap
keep_config
printf '%s' "$uuid:$seqno" >"$REJOIN_STATE_DIR/bootstrapped"
rejoin_start_cluster
rejoin_await_primary
pid=$(rejoin_pid) || rejoin_fail 42 "MariaDB ended right after it had become primary; see its messages"
report now
