#!/bin/sh
# Shuts MariaDB down cleanly, so that it leaves its group at once and keeps its position. Kills nothing.
# {"stopped":"now|already","stateUuid":…,"seqno":…}
set -eu
# shellcheck source=nodes/galera/lib.sh
command -v rejoin_load >/dev/null 2>&1 || . "$(dirname "$0")/lib.sh"

rejoin_load
stopped=already
if rejoin_pid=$(rejoin_pid); then
  stopped=now
  timeout "$REJOIN_STOP_SECONDS" "$REJOIN_SYSTEMCTL" stop "$REJOIN_SERVICE" ||
    rejoin_say "rejoin: $REJOIN_SYSTEMCTL stop did not end well within $REJOIN_STOP_SECONDS s; looking at the process itself"
  # One that the service manager does not know gets the same request directly.
  if rejoin_alive "$rejoin_pid"; then kill -s TERM "$rejoin_pid"; fi
  rejoin_await_end "$rejoin_pid" 5 ||
    rejoin_fail 30 "MariaDB (pid $rejoin_pid, state $(rejoin_process_state "$rejoin_pid")) still runs after $REJOIN_STOP_SECONDS s; expected a clean shutdown. Raise REJOIN_STOP_SECONDS in $REJOIN_NODE_ENV, or use galera-join, which ends a hung process"
fi
rejoin_uuid=$(rejoin_grastate uuid)
rejoin_seqno=$(rejoin_grastate seqno)
printf '{"stopped":"%s","stateUuid":"%s","seqno":%s}\n' "$stopped" "${rejoin_uuid:-$ZERO_UUID}" "${rejoin_seqno:--1}"
