#!/bin/sh
# (Re)starts MariaDB as a joiner of Peers, with Donor to give the missing state. Never makes a new cluster.
# Done when the node has seen its peers' primary component and begun to join; a state transfer may then take hours.
# {"joined":"started|already","pid":…,"peers":"…","donor":"…"}
set -eu
# shellcheck source=nodes/galera/lib.sh
command -v rejoin_load >/dev/null 2>&1 || . "$(dirname "$0")/lib.sh"

check_parameters() {
  donor=${REJOIN_PARAM_DONOR:-any}
  rejoin_is "$donor" '[A-Za-z0-9_.-]+' ||
    rejoin_fail 64 "Donor is '$donor'; expected one node name, such as i-0123456789abcdef0, or 'any'"
  [ "$donor" != "$REJOIN_INSTANCE_ID" ] || rejoin_fail 64 "Donor is '$donor', which is this node; name another, or 'any'"
  rejoin_is "${REJOIN_PARAM_PEERS:-}" '[][A-Za-z0-9_.:,-]*' ||
    rejoin_fail 64 "Peers is '$REJOIN_PARAM_PEERS'; expected addresses, comma-separated and without spaces, such as 10.0.1.5,10.0.2.5"
  peers=
  for peer in $(printf '%s' "${REJOIN_PARAM_PEERS:-}" | tr ',' ' '); do
    [ "$peer" = "$REJOIN_ADDRESS" ] || peers="$peers${peers:+,}$peer"
  done
  # An empty gcomm:// would make a second cluster out of this node.
  [ -n "$peers" ] ||
    rejoin_fail 64 "Peers is '${REJOIN_PARAM_PEERS:-}': nobody but this node; expected the address of a living member. To start a cluster use galera-bootstrap"
}

# Is this node a member of the peers' primary component already.
is_member() {
  rejoin_ask && [ "$rejoin_component" = Primary ] && [ "${rejoin_state:-0}" -ge 1 ] || return 1
  for peer in $(printf '%s' "$peers" | tr ',' ' '); do
    case ",$rejoin_members," in *",$peer:"* | *",$peer,"*) return 0 ;; esac
  done
  # Members may be hidden ("AUTO", or nothing): then company is what there is to go by.
  case ",$rejoin_members," in *,AUTO,* | ,,) [ "${rejoin_size:-0}" -gt 1 ] && return 0 ;; esac
  rejoin_fail 41 "this node is in a primary component of $rejoin_size with members '$rejoin_members', none of which is among Peers '$peers': two clusters have gone apart. Expected it to be outside; compare both by galera-position and stop one by galera-stop"
}

# Was the process started by this script, so that it may be joining still: for these peers and this donor, or for others if
# it is in touch with the cluster already. To kill it in its state transfer would only begin the transfer anew.
is_our_joiner() {
  known=$(cat "$REJOIN_STATE_DIR/joiner" 2>/dev/null) || return 1
  case $known in
    "$1 $(rejoin_started "$1") $peers $donor") return 0 ;;
    "$1 $(rejoin_started "$1") "*) has_begun ;;
    *) return 1 ;;
  esac
}

end_process() {
  case $(rejoin_process_state "$1") in
    # Stopped by a signal: it will not answer SIGTERM, so waiting is lost time.
    T | t) ;;
    *)
      timeout "$REJOIN_STOP_SECONDS" "$REJOIN_SYSTEMCTL" stop "$REJOIN_SERVICE" ||
        rejoin_say "rejoin: MariaDB (pid $1) has not stopped within $REJOIN_STOP_SECONDS s"
      ;;
  esac
  if rejoin_alive "$1"; then
    rejoin_say "rejoin: killing the hung MariaDB, pid $1, state $(rejoin_process_state "$1")"
    kill -s KILL "$1"
  fi
  rejoin_await_end "$1" 15 ||
    rejoin_fail 30 "MariaDB (pid $1, state $(rejoin_process_state "$1")) lives on after SIGKILL; expected it to end. In state D its disk hangs: replace the instance"
}

# With gvwstate.dat a node takes up the group identity it crashed with, to restore a whole cluster's last view; a living
# group then takes it for its own dead member and argues with it for 20 s. A joiner comes as a new member, which takes 3 s.
# The view is kept under another name, because galera-position reports it.
forget_view() {
  [ ! -e "$rejoin_data/gvwstate.dat" ] || mv "$rejoin_data/gvwstate.dat" "$rejoin_data/rejoin-gvwstate.dat"
}

start_joiner() {
  rejoin_write_config "$peers" "$donor"
  # Whoever started a cluster here before must not do so again by accident.
  "$REJOIN_SYSTEMCTL" unset-environment _WSREP_NEW_CLUSTER
  "$REJOIN_SYSTEMCTL" reset-failed "$REJOIN_SERVICE" || rejoin_say "rejoin: reset-failed found nothing to reset"
  rm -f "$REJOIN_STATE_DIR/joiner" "$REJOIN_STATE_DIR/bootstrapped" "$rejoin_data/rejoin-renewed"
  forget_view
  # Without --no-block systemctl would wait for the whole state transfer.
  "$REJOIN_SYSTEMCTL" start --no-block "$REJOIN_SERVICE" || {
    rejoin_last_messages
    rejoin_fail 31 "$REJOIN_SYSTEMCTL start $REJOIN_SERVICE failed, MariaDB's last messages are above; expected it to start. See docs/hosts.md for what the host needs"
  }
}

# Galera writes gvwstate.dat when it sees a primary component, which is when it asks for state.
has_begun() { [ -s "$rejoin_data/gvwstate.dat" ]; }

await_begin() {
  left=$((REJOIN_JOIN_SECONDS * 5))
  absent=0
  while :; do
    if pid=$(rejoin_pid); then
      absent=0
      # First a shell runs the recovery in that process; it becomes mariadbd under the same pid.
      is_our_joiner "$pid" || printf '%s %s %s %s' "$pid" "$(rejoin_started "$pid")" "$peers" "$donor" >"$REJOIN_STATE_DIR/joiner"
      ! has_begun || return 0
    else
      # systemd may take a moment to begin a job; a second without a process is an end.
      absent=$((absent + 1))
      [ "$absent" -lt 5 ] || {
        rejoin_last_messages
        rejoin_fail 31 "MariaDB ended before it had joined $peers, its last messages are above; expected it to find a primary component there. Check that the peers are members and that ports 4567, 4568 and 4444 are open between the nodes"
      }
    fi
    [ "$left" -gt 0 ] || {
      rejoin_last_messages
      rejoin_fail 32 "MariaDB runs but has seen no primary component at $peers within $REJOIN_JOIN_SECONDS s, its last messages are above. Check the peers and port 4567 between the nodes, then run this again"
    }
    left=$((left - 1))
    sleep 0.2
  done
}

report() { printf '{"joined":"%s","pid":%s,"peers":%s,"donor":%s}\n' "$1" "$pid" "$(rejoin_json "$peers")" "$(rejoin_json "$donor")"; }

rejoin_load
check_parameters
rejoin_mount_if_needed none
if pid=$(rejoin_pid); then
  case $(rejoin_process_state "$pid") in
    T | t) end_process "$pid" ;;
    *)
      if is_member; then
        # The next start, whoever causes it, should find today's peers.
        rejoin_write_config "$peers" "$donor"
        report already
        exit 0
      fi
      if is_our_joiner "$pid"; then
        await_begin
        report already
        exit 0
      fi
      end_process "$pid"
      ;;
  esac
fi
start_joiner
await_begin
report started
