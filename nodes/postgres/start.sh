#!/bin/sh
# Starts PostgreSQL as a standby without upstream: it replays what is on its disk and acknowledges nothing. Leaves a running standby
# as it is; never touches a primary.
# {"started":true|"already","primary":false,"timeline":…,"lsn":"…","systemId":"…"}
set -eu
# shellcheck source=nodes/postgres/lib.sh
command -v rejoin_load >/dev/null 2>&1 || . "$(dirname "$0")/lib.sh"
# shellcheck source=nodes/job.sh
command -v rejoin_job_open >/dev/null 2>&1 || . "$(dirname "$0")/../job.sh"

report() {
  printf '{"started":%s,"primary":false,"timeline":%s,"lsn":"%s","systemId":"%s"}\n' "$1" "$rejoin_timeline" "$rejoin_lsn" "$rejoin_system"
}

# A running server: a standby is what was asked for; one that shuts down is waited for. Status 1: it has ended.
look_at_running() {
  case $(rejoin_process_state "$pid") in
    T | t) rejoin_fail 21 "PostgreSQL (pid $pid) is stopped by a signal; expected it to answer. Run postgres-join, which ends a hung server" ;;
  esac
  rejoin_answer=0
  rejoin_await_answer "$pid" || rejoin_answer=$?
  case $rejoin_answer in
    0) ;;
    1) return 1 ;;
    *) rejoin_fail 21 "PostgreSQL runs (pid $pid) but does not answer on $REJOIN_SOCKET: $(cat "$REJOIN_STATE_DIR/sql.err"). Expected a standby; wait, or run postgres-join, which ends a hung server" ;;
  esac
  [ "$rejoin_primary" = false ] ||
    rejoin_fail 12 "PostgreSQL runs here as a primary (pid $pid) at $rejoin_timeline:$rejoin_lsn; expected it to be down, or a standby. Nothing was changed. To make a replica of it run postgres-join"
}

rejoin_load
rejoin_lock
rejoin_mount_if_needed none
rejoin_end_restore
rejoin_refuse_seeding
if pid=$(rejoin_pid) && look_at_running; then
  [ "$rejoin_receiver" != none ] || rejoin_await_standby replayed
  report '"already"'
  exit 0
fi
rejoin_end_job
rejoin_finish_seed
rejoin_require_data
[ ! -e "$rejoin_half_rewound" ] ||
  rejoin_fail 11 "$rejoin_data was left in the middle of a rewind ($rejoin_half_rewound); expected whole data. Run postgres-join, which takes a base backup"
rejoin_write_upstream '' ''
rejoin_start_standby replayed
report true
