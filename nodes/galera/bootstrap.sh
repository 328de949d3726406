#!/bin/sh
# Makes a new primary component out of this node, if its data is still at StateUuid:Seqno. Everybody else must be down or
# outside any primary component: the caller has made sure. Does what galera_new_cluster does, for one start only.
# NewHistory=yes: with a state UUID of its own first, so that whoever has the old one gets all data anew, and nobody takes
# transactions that are lost for those that the cluster gives their numbers to (docs/decisions/0027).
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
  new_history=${REJOIN_PARAM_NEW_HISTORY:-no}
  rejoin_is "$new_history" 'yes|no' || rejoin_fail 64 "NewHistory is '$new_history'; expected 'yes' or 'no'"
  asked=$uuid:$seqno
  wanted=$asked
  [ "$new_history" = no ] || wanted="$asked new"
}

# Is the running process one that this same bootstrap has started. The mark is written before the start, so that a run
# which was cut off in between is recognised; the process shows by its own arguments that it made the cluster.
is_our_bootstrap() {
  [ "$(cat "$REJOIN_STATE_DIR/bootstrapped" 2>/dev/null)" = "$wanted" ] &&
    tr '\0' '\n' <"/proc/$1/cmdline" | grep -qx -- --wsrep-new-cluster
}

# What a run that was killed has left: the server of its renewal, which nobody hears and which holds the data.
is_our_renewal() { tr '\0' '\n' <"/proc/$1/cmdline" | grep -qxF -- "--socket=$rejoin_data/local.sock"; }

end_renewal() {
  rejoin_say "rejoin: ending the server of a renewal that was cut off, pid $1"
  kill -s KILL "$1" || :
  rejoin_await_end "$1" 15 || rejoin_fail 30 "MariaDB (pid $1) lives on after SIGKILL; expected it to end. In state D its disk hangs: replace the instance"
}

# Are the data those that were asked for, renewed by a run that was cut off. The mark lies beside them, so that it goes where
# they go and is gone with them: the position that was asked for, and, once they are renewed, where they are then. Without the
# latter their own state UUID tells how far that run came.
is_renewed() {
  [ "$new_history" = yes ] && [ "$(sed -n 1p "$mark" 2>/dev/null)" = "$asked" ] || return 1
  renewed=$(sed -n 2p "$mark")
  if [ -n "$renewed" ]; then [ "$rejoin_uuid:$rejoin_seqno" = "$renewed" ]; else [ "$rejoin_uuid" != "$uuid" ]; fi
}

check_position() {
  rejoin_disk_position
  [ "$rejoin_uuid:$rejoin_seqno" = "$asked" ] || is_renewed ||
    rejoin_fail 40 "this node's data is at $rejoin_uuid:$rejoin_seqno, and not at $asked as asked; it has changed since it was looked at, or another node was meant. Collect all positions again"
  [ -e "$rejoin_data/ibdata1" ] ||
    rejoin_fail 11 "$rejoin_data holds no MariaDB data (no ibdata1); expected a data directory to start a cluster from. Mount the data volume, or choose another node"
}

write_mark() {
  printf '%s\n' "$@" >"$mark.next"
  mv "$mark.next" "$mark"
  sync "$mark" "$rejoin_data"
}

rejoin_local_failed() {
  rejoin_shorten <"$rejoin_local_messages" >&2
  rejoin_fail 42 "$1; its last messages are above; expected a state UUID of its own for $rejoin_data within $REJOIN_RENEW_SECONDS s. Nothing is lost; run this again"
}

renew_history() {
  case $rejoin_uuid in
    "$uuid" | "$ZERO_UUID")
      write_mark "$asked"
      rejoin_local_data=$rejoin_data rejoin_local_messages=$REJOIN_STATE_DIR/renewal.log rejoin_local_seconds=$REJOIN_RENEW_SECONDS
      # No other script would know what that server is.
      trap '[ -z "${rejoin_local:-}" ] || kill -s KILL "$rejoin_local" 2>/dev/null || :' EXIT
      trap 'exit 1' HUP INT TERM
      rejoin_renew_history
      trap - EXIT HUP INT TERM
      rejoin_disk_position
      ;;
  esac
  case $rejoin_uuid in
    "$uuid" | "$ZERO_UUID") rejoin_local_failed "MariaDB has left the state UUID $rejoin_uuid" ;;
  esac
  write_mark "$asked" "$rejoin_uuid:$rejoin_seqno"
  rm -f "$rejoin_data/rejoin-gvwstate.dat" # a view of the old history
}

allow_bootstrap() {
  next=$(mktemp "$rejoin_data/.grastate.XXXXXX")
  kept=$(rejoin_grastate seqno)
  printf '# GALERA saved state\nversion: 2.1\nuuid:    %s\nseqno:   %s\nsafe_to_bootstrap: 1\n' "$rejoin_uuid" "${kept:--1}" >"$next"
  chmod 660 "$next"
  [ "$(id -u)" != 0 ] || chown "$REJOIN_UNIX_USER:" "$next"
  mv "$next" "$rejoin_data/grastate.dat"
}

# An address list is kept for the next plain start. It must never be empty: that would start a second cluster.
keep_config() {
  peers=$(rejoin_configured_peers)
  rejoin_write_config "${peers:-$REJOIN_ADDRESS}" any
}

report() {
  rm -f "$mark"
  printf '{"bootstrapped":"%s","pid":%s,"stateUuid":"%s","seqno":%s}\n' "$1" "$pid" "$rejoin_uuid" "$rejoin_seqno"
}

rejoin_load
check_parameters
# A plane that was cut off asks twice. What is started must not hold the lock (8>&-).
exec 8>"$REJOIN_STATE_DIR/bootstrap.lock"
flock -w "$REJOIN_LOCK_SECONDS" 8 ||
  rejoin_fail 14 "another bootstrap works on this host and has not ended within $REJOIN_LOCK_SECONDS s; expected one at a time. Run this again"
rejoin_mount_if_needed none
mark=$rejoin_data/rejoin-renewed
if pid=$(rejoin_pid) && is_our_renewal "$pid"; then end_renewal "$pid"; fi
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
keep_config
[ "$new_history" = no ] || renew_history
allow_bootstrap
printf '%s' "$wanted" >"$REJOIN_STATE_DIR/bootstrapped"
rejoin_start_cluster
rejoin_await_primary
pid=$(rejoin_pid) || rejoin_fail 42 "MariaDB ended right after it had become primary; see its messages"
report now
