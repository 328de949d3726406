#!/bin/sh
# Shuts PostgreSQL down cleanly (fast): a primary ends when its standbys have everything. Kills no server. A replica that is
# being made here is given up.
# {"stopped":true|"already","state":"shut down|…","timeline":…,"lsn":"<where the last checkpoint record begins>","clean":…}
#   state: pg_controldata's words, or "nothing" when there are no data.
set -eu
# shellcheck source=nodes/postgres/lib.sh
command -v rejoin_load >/dev/null 2>&1 || . "$(dirname "$0")/lib.sh"

rejoin_load
rejoin_lock
rejoin_end_job
stopped='"already"'
if rejoin_stopping=$(rejoin_pid); then
  stopped=true
  rejoin_stop_cleanly "$rejoin_stopping" ||
    rejoin_fail 30 "PostgreSQL (pid $rejoin_stopping, state $(rejoin_process_state "$rejoin_stopping")) still runs after $REJOIN_STOP_SECONDS s; expected a clean shutdown, which waits for connected standbys. It cannot be called off. Raise REJOIN_STOP_SECONDS in $REJOIN_NODE_ENV, or use postgres-join, which ends a hung process"
fi
rejoin_mount_if_needed none
clean=false state=nothing timeline=0 lsn=0/0
if rejoin_is_data "$rejoin_data"; then
  state=$(rejoin_control 'Database cluster state')
  timeline=$(rejoin_control "Latest checkpoint's TimeLineID")
  lsn=$(rejoin_control 'Latest checkpoint location')
fi
case $state in 'shut down' | 'shut down in recovery') clean=true ;; esac
printf '{"stopped":%s,"state":"%s","timeline":%s,"lsn":"%s","clean":%s}\n' "$stopped" "$state" "$timeline" "$lsn" "$clean"
