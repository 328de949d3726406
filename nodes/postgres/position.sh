#!/bin/sh
# Prints how far this node's data go, and what is going on here. Changes nothing (but mounts the volume).
# {"running":…,"seeding":…,"primary":…,"timeline":…,"lsn":"…","systemId":…,"state":"…","exact":…}
#   state: primary, standby or streaming of a server; of a stopped one pg_controldata's words, or "nothing".
#   exact is false when no server runs, or one that still replays: it has at least that much, and only postgres-start tells how much.
#   seeding: postgres-join makes a replica here, detached; a job that died is not seeding.
set -eu
# shellcheck source=nodes/postgres/lib.sh
command -v rejoin_load >/dev/null 2>&1 || . "$(dirname "$0")/lib.sh"

report() { # running, exact
  printf '{"running":%s,"seeding":%s,"primary":%s,"timeline":%s,"lsn":"%s","systemId":%s,"state":"%s","exact":%s}\n' "$1" "$seeding" \
    "$rejoin_primary" "$rejoin_timeline" "$rejoin_lsn" "$(rejoin_json "$rejoin_system")" "$rejoin_state" "$2"
}

# Sets answer: "given", "moving" (it is on its way up or down), or "none" when there is no server.
ask() {
  answer=none
  pid=$(rejoin_pid) || return 0
  # A server that has just been launched has no socket yet.
  until=$(($(date +%s) + 5))
  while rejoin_alive "$pid"; do
    answer=given
    ! rejoin_ask || return 0
    answer=moving
    ! rejoin_is_moving || return 0
    answer=none
    [ "$(date +%s)" -lt "$until" ] ||
      rejoin_fail 21 "PostgreSQL runs (pid $pid) but does not answer on $REJOIN_SOCKET: $(cat "$REJOIN_STATE_DIR/sql.err"). Expected its position; wait, or stop the process"
    sleep 0.1
  done
}

rejoin_load
rejoin_mount_if_needed none
seeding=false
! rejoin_is_seeding || seeding=true
rejoin_primary=false
ask
if [ "$answer" = given ]; then
  rejoin_state=standby
  [ "$rejoin_receiver" != streaming ] || rejoin_state=streaming
  [ "$rejoin_primary" = false ] || rejoin_state=primary
  exact=true
  [ "$rejoin_state" != standby ] || [ "$rejoin_replayed" = t ] || exact=false
  report true "$exact"
  exit 0
fi
if rejoin_is_data "$rejoin_data"; then
  rejoin_disk_position
else
  rejoin_state=nothing rejoin_system='' rejoin_timeline=0 rejoin_lsn=0/0
fi
running=false
[ "$answer" = none ] || running=true
report "$running" false
