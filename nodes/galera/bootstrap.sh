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

start_cluster() {
  trap '"$REJOIN_SYSTEMCTL" unset-environment _WSREP_NEW_CLUSTER' EXIT
  trap 'exit 1' HUP INT TERM
  "$REJOIN_SYSTEMCTL" reset-failed "$REJOIN_SERVICE" || rejoin_say "rejoin: reset-failed found nothing to reset"
  "$REJOIN_SYSTEMCTL" set-environment _WSREP_NEW_CLUSTER=--wsrep-new-cluster
  timeout "$REJOIN_BOOTSTRAP_SECONDS" "$REJOIN_SYSTEMCTL" start "$REJOIN_SERVICE" || {
    rejoin_last_messages
    rejoin_fail 42 "$REJOIN_SYSTEMCTL start $REJOIN_SERVICE failed or took over $REJOIN_BOOTSTRAP_SECONDS s, MariaDB's last messages are above; expected a new primary component"
  }
  "$REJOIN_SYSTEMCTL" unset-environment _WSREP_NEW_CLUSTER
  trap - EXIT HUP INT TERM
}

await_primary() {
  left=$((REJOIN_BOOTSTRAP_SECONDS * 5))
  until rejoin_ask && [ "$rejoin_component" = Primary ] && [ "$rejoin_ready" = ON ]; do
    if ! pid=$(rejoin_pid) || [ "$left" -le 0 ]; then
      rejoin_last_messages
      rejoin_fail 42 "MariaDB did not become primary (component ${rejoin_component:-unknown}), its last messages are above; expected Primary within $REJOIN_BOOTSTRAP_SECONDS s"
    fi
    left=$((left - 1))
    sleep 0.2
  done
}

report() { printf '{"bootstrapped":"%s","pid":%s,"stateUuid":"%s","seqno":%s}\n' "$1" "$pid" "$rejoin_uuid" "$rejoin_seqno"; }

rejoin_load
check_parameters
rejoin_mount_if_needed none
if pid=$(rejoin_pid); then
  if is_our_bootstrap "$pid"; then
    await_primary
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
start_cluster
await_primary
pid=$(rejoin_pid) || rejoin_fail 42 "MariaDB ended right after it had become primary; see its messages"
report now
