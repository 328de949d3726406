# shellcheck shell=sh
# shellcheck disable=SC2034,SC2154 # the scripts read what is set here, and nodes/lib.sh sets what is read here
# What the scripts beside this one share beyond nodes/lib.sh. It does nothing by itself.
#
# Exit codes of all scripts (docs/hosts.md):
#   64 environment or parameter wrong   10 no device               11 no whole data directory   12 the server runs
#   13 will not format or overwrite     14 another script works    21 the server does not answer
#   30 would not stop                   31 ended while starting    32 not ready in time         33 the detached job failed
#   34 detached by the plane meanwhile  50 needs a base backup     51 another cluster's data    52 no answer from Primary or Donor
#   53 no room beside the old data    54 and 60 to 63: backup, restore, checksum

# shellcheck source=nodes/lib.sh
command -v rejoin_load >/dev/null 2>&1 || . "$(dirname "$0")/../lib.sh"

rejoin_engine=postgres
rejoin_database=PostgreSQL

rejoin_engine_load() {
  rejoin_require PG_BIN CONFIG_FILE SOCKET PASSFILE
  REJOIN_START_SECONDS=${REJOIN_START_SECONDS:-600}
  REJOIN_JOIN_SECONDS=${REJOIN_JOIN_SECONDS:-20}
  REJOIN_STALL_SECONDS=${REJOIN_STALL_SECONDS:-300}
  REJOIN_LOCK_SECONDS=${REJOIN_LOCK_SECONDS:-30}
  LC_ALL=C # pg_controldata speaks the user's language otherwise
  export LC_ALL
  # The data directory is a folder on the volume, never the mount point: lost+found has no place in it, and to replace it by a
  # new copy is then one rename.
  rejoin_mount=$(dirname "$rejoin_data")
  ! mountpoint -q "$rejoin_data" ||
    rejoin_fail 64 "REJOIN_DATA_DIR=$rejoin_data is a mount point; expected a folder on the volume, such as main below the mount point. Change REJOIN_DATA_DIR in $REJOIN_NODE_ENV"
  rejoin_half_rewound=$rejoin_mount/.rejoin-rewinding
  # A slot's name may not hold the instance id's dash.
  rejoin_slot=$(printf '%s' "$REJOIN_INSTANCE_ID" | tr - _)
  # Only root can become the database's user; anybody else already is.
  rejoin_group=
  [ "$(id -u)" != 0 ] || rejoin_group=$(id -g "$REJOIN_UNIX_USER") ||
    rejoin_fail 64 "REJOIN_UNIX_USER=$REJOIN_UNIX_USER is no user of this host; expected the one that PostgreSQL runs as, such as postgres"
  cd / # the database's user may not enter the folder that we were started in
}

# One script at a time changes this host; a second one waits for a moment. Descriptor 8 must not reach what outlives the script.
rejoin_lock() {
  exec 8>"$REJOIN_STATE_DIR/script.lock"
  flock -w "$REJOIN_LOCK_SECONDS" 8 ||
    rejoin_fail 14 "another script works on this host and has not ended within $REJOIN_LOCK_SECONDS s; expected none. Run this again"
}

# Becomes $@, as the database's user.
rejoin_exec_as() {
  [ -z "$rejoin_group" ] || exec setpriv --reuid="$REJOIN_UNIX_USER" --regid="$rejoin_group" --init-groups -- "$@"
  exec "$@"
}
rejoin_as() { (rejoin_exec_as "$@"); }
rejoin_give() { [ -z "$rejoin_group" ] || chown "$REJOIN_UNIX_USER:" "$@"; }

rejoin_systemctl() { "$REJOIN_SYSTEMCTL" "$@" 8>&- 7>&-; }

# --- processes ---------------------------------------------------------------------------------------------------

# A server process works in its data directory. Asked of every process of the host, so without one of our own for most.
rejoin_is_server() {
  { read -r rejoin_comm <"/proc/$1/comm"; } 2>/dev/null || return 1
  [ "$rejoin_comm" = postgres ] && [ "$(readlink "/proc/$1/cwd" 2>/dev/null)" = "$rejoin_data" ] && rejoin_alive "$1"
}

rejoin_find_process() {
  pid=$(head -n 1 "$rejoin_data/postmaster.pid" 2>/dev/null) || return 1
  rejoin_is "$pid" '[0-9]+' && rejoin_is_server "$pid" && printf '%s\n' "$pid"
}

# Asks process $1 for a fast shutdown and waits for it, REJOIN_STOP_SECONDS at most.
rejoin_stop_cleanly() {
  rejoin_until=$(($(date +%s) + REJOIN_STOP_SECONDS))
  timeout "$REJOIN_STOP_SECONDS" "$REJOIN_SYSTEMCTL" stop "$REJOIN_SERVICE" 8>&- 7>&- ||
    rejoin_say "rejoin: $REJOIN_SYSTEMCTL stop did not end well within $REJOIN_STOP_SECONDS s; looking at the process itself"
  # One that the service manager does not know gets the same request directly.
  ! rejoin_alive "$1" || kill -s INT "$1"
  rejoin_left=$((rejoin_until - $(date +%s)))
  rejoin_await_end "$1" $((rejoin_left > 2 ? rejoin_left : 2))
}

# The same, but with an end: a hung server is killed, and so is what it leaves behind.
rejoin_end_process() {
  case $(rejoin_process_state "$1") in
    # Stopped by a signal: it will not answer SIGINT, so waiting is lost time.
    T | t) ;;
    *) rejoin_stop_cleanly "$1" || rejoin_say "rejoin: PostgreSQL (pid $1) has not stopped within $REJOIN_STOP_SECONDS s" ;;
  esac
  if rejoin_alive "$1"; then
    rejoin_say "rejoin: killing the hung PostgreSQL, pid $1, state $(rejoin_process_state "$1")"
    kill -s KILL "$1"
  fi
  rejoin_await_end "$1" 15 ||
    rejoin_fail 30 "PostgreSQL (pid $1, state $(rejoin_process_state "$1")) lives on after SIGKILL; expected it to end. In state D its disk hangs: replace the instance"
  rejoin_end_leftovers
}

# A killed server that its parent has not taken note of yet still counts as running for the next one, by its two lock files.
rejoin_await_burial() {
  for rejoin_file in "$rejoin_data/postmaster.pid" "$REJOIN_SOCKET/.s.PGSQL.$REJOIN_PORT.lock"; do
    rejoin_dead=$(head -n 1 "$rejoin_file" 2>/dev/null) || continue
    rejoin_left=100
    while [ "$(rejoin_process_state "$rejoin_dead")" = Z ] && [ "$rejoin_left" -gt 0 ]; do
      rejoin_left=$((rejoin_left - 1))
      sleep 0.1
    done
  done
}

# Children outlive a killed server for a moment, frozen ones for ever; while one lives, no new server starts here.
rejoin_end_leftovers() {
  for proc in /proc/[0-9]*; do
    rejoin_is_server "${proc#/proc/}" || continue
    kill -s KILL "${proc#/proc/}" 2>/dev/null || : # it has ended by itself
    rejoin_await_end "${proc#/proc/}" 15 ||
      rejoin_fail 30 "a process of the ended PostgreSQL (pid ${proc#/proc/}) lives on after SIGKILL; expected it to end. In state D its disk hangs: replace the instance"
  done
}

# --- what the running server says --------------------------------------------------------------------------------

# $1: a statement. Goes through the local socket as the database's superuser; a mute server costs 5 s, no more, unless rejoin_patience says so.
rejoin_sql() {
  rejoin_as env PGCONNECT_TIMEOUT=4 timeout "${rejoin_patience:-5}" "$REJOIN_PG_BIN/psql" --no-psqlrc --no-password --quiet --no-align --tuples-only \
    --set=ON_ERROR_STOP=1 --host="$REJOIN_SOCKET" --port="$REJOIN_PORT" --username=postgres --dbname="${rejoin_dbname:-postgres}" "$@" 2>"$REJOIN_STATE_DIR/sql.err"
}

# Name of the WAL segment that holds the byte before LSN `at`, without its timeline (names: 8 digits each of timeline, upper and
# lower half). On a standby no function tells the timeline it has reached, and the control file lags behind: the newest file of that
# segment does, if its history is there (else it is of a promotion that was never finished).
REJOIN_SEGMENT="lpad(upper(to_hex(floor((at - '0/0'::pg_lsn - 1) / 4294967296)::bigint)), 8, '0')
  || lpad(upper(to_hex(floor(mod(at - '0/0'::pg_lsn - 1, 4294967296) / pg_size_bytes(current_setting('wal_segment_size')))::bigint)), 8, '0')"

# Sets rejoin_primary (true or false), rejoin_system, rejoin_timeline, rejoin_lsn, rejoin_replayed (t: a standby at rest, without a receiver
# and with all that is on its disk replayed; it may have got there after rejoin_lsn was read, so ask once more for its position), rejoin_receiver (status of its WAL receiver), rejoin_upstream_slot and rejoin_upstream (primary_conninfo). Status 1 when it
# does not answer; what it said is in sql.err.
rejoin_ask() {
  rejoin_row=$(rejoin_sql --command="WITH here AS (SELECT pg_is_in_recovery() AS standby), place AS (
      SELECT standby, CASE WHEN standby THEN greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn())
        ELSE pg_current_wal_flush_lsn() END AS at FROM here), segment AS (SELECT standby, at, $REJOIN_SEGMENT AS name FROM place)
    SELECT NOT standby, (SELECT system_identifier FROM pg_control_system()),
      CASE WHEN standby THEN greatest((SELECT timeline_id FROM pg_control_checkpoint()), (SELECT min_recovery_end_timeline FROM pg_control_recovery()),
        (SELECT max(('x' || substr(f.name, 1, 8))::bit(32)::int) FROM pg_ls_waldir() f
          WHERE length(f.name) = 24 AND substr(f.name, 9) = segment.name AND (f.name LIKE '00000001%'
            OR EXISTS (SELECT FROM pg_ls_waldir() h WHERE h.name = substr(f.name, 1, 8) || '.history'))))
        ELSE ('x' || substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8))::bit(32)::int END, at,
      EXISTS (SELECT FROM pg_stat_activity WHERE backend_type = 'startup' AND wait_event = 'RecoveryRetrieveRetryInterval'),
      coalesce((SELECT status FROM pg_stat_wal_receiver), 'none'), current_setting('primary_slot_name'), current_setting('primary_conninfo')
    FROM segment") || return 1
  IFS='|' read -r rejoin_primary rejoin_system rejoin_timeline rejoin_lsn rejoin_replayed rejoin_receiver rejoin_upstream_slot rejoin_upstream <<ROW
$rejoin_row
ROW
  case $rejoin_primary in
    t) rejoin_primary=true ;;
    f) rejoin_primary=false ;;
    *) return 1 ;;
  esac
}

# Is the server on its way up or down, by its own word (SQLSTATE 57P03): it will answer, or end.
rejoin_is_moving() { grep -q 'the database system is' "$REJOIN_STATE_DIR/sql.err"; }

# Waits until process $1 answers. Status 1: it has ended; 2: it is mute, or not ready after REJOIN_START_SECONDS.
# A crash recovery may take minutes, and says that it runs; a server that says nothing at all has 15 s.
rejoin_await_answer() {
  rejoin_until=$(($(date +%s) + REJOIN_START_SECONDS))
  rejoin_heard=$(date +%s)
  until rejoin_ask; do
    rejoin_alive "$1" || return 1
    ! rejoin_is_moving || rejoin_heard=$(date +%s)
    [ "$(date +%s)" -lt "$rejoin_until" ] && [ $(($(date +%s) - rejoin_heard)) -lt 15 ] || return 2
    sleep 0.1
  done
}

# --- what the disk says ------------------------------------------------------------------------------------------

rejoin_is_empty() { [ -z "$(find "$rejoin_data" -mindepth 1 -maxdepth 1 ! -name rejoin-disk -print -quit 2>/dev/null)" ]; }

rejoin_is_data() { [ -s "$1/PG_VERSION" ] && [ -s "$1/global/pg_control" ] && [ -d "$1/pg_wal" ]; }

rejoin_require_data() {
  rejoin_is_data "$rejoin_data" ||
    rejoin_fail 11 "$rejoin_data holds no whole PostgreSQL data directory ($(find "$rejoin_data" -mindepth 1 -maxdepth 1 -printf '%f ' 2>/dev/null | cut -c 1-200)); expected PG_VERSION, global/pg_control and pg_wal/. Mount the right volume, or run postgres-prepare with Source=peer, then postgres-join"
}

# A field of pg_controldata; $2: another data directory than ours.
rejoin_control() { "$REJOIN_PG_BIN/pg_controldata" "${2:-$rejoin_data}" | sed -n "s/^$1: *//p"; }

# An LSN as a number.
rejoin_bytes() { printf '%s\n' $(((0x${1%/*} << 32) + 0x${1#*/})); }

# Sets rejoin_state, rejoin_system, rejoin_timeline and rejoin_lsn of a stopped server: what it has for certain. Its log may go on.
rejoin_disk_position() {
  rejoin_state=$(rejoin_control 'Database cluster state')
  rejoin_system=$(rejoin_control 'Database system identifier')
  rejoin_lsn=$(rejoin_control 'Latest checkpoint location')
  rejoin_timeline=$(rejoin_control "Latest checkpoint's TimeLineID")
  rejoin_recovered=$(rejoin_control 'Minimum recovery ending location')
  if [ "$(rejoin_bytes "$rejoin_recovered")" -gt "$(rejoin_bytes "$rejoin_lsn")" ]; then
    rejoin_lsn=$rejoin_recovered
    rejoin_timeline=$(rejoin_control "Min recovery ending loc's timeline")
  fi
}

# Keeps what is in the data directory as rejoin_aside.
rejoin_move_aside() {
  rejoin_aside=
  ! rejoin_is_empty || return 0
  rejoin_new_aside
  mv -T "$rejoin_data" "$rejoin_aside"
}

# A job that was cut off between its two renames has left no data directory, and the finished copy beside it.
rejoin_finish_seed() {
  [ -d "$rejoin_mount/.rejoin-seeded" ] || return 0
  rejoin_move_aside
  rm -f "$rejoin_data/rejoin-disk"
  [ ! -d "$rejoin_data" ] || rmdir "$rejoin_data"
  mv -T "$rejoin_mount/.rejoin-seeded" "$rejoin_data"
  rm -f "$rejoin_half_rewound"
  sync "$rejoin_mount"
}

# --- the upstream, and the start ---------------------------------------------------------------------------------

# $1: primary_conninfo, $2: primary_slot_name, for the next start of a stopped server, which will be a standby. The values hold no quotes.
rejoin_write_upstream() {
  rejoin_next=$(mktemp "$rejoin_mount/.rejoin.XXXXXX")
  {
    sed -E '/^[[:space:]]*primary_(conninfo|slot_name)[[:space:]]*=/d' "$rejoin_data/postgresql.auto.conf"
    printf "primary_conninfo = '%s'\nprimary_slot_name = '%s'\n" "$1" "$2"
  } >"$rejoin_next"
  chmod 600 "$rejoin_next"
  touch "$rejoin_data/standby.signal"
  rejoin_give "$rejoin_next" "$rejoin_data/standby.signal"
  sync "$rejoin_next"
  mv "$rejoin_next" "$rejoin_data/postgresql.auto.conf"
  rm -f "$rejoin_data/recovery.signal"
  sync "$rejoin_data"
}

# Starts the service and waits until it answers as a standby that has replayed all that is on its disk: until then its position
# is less than what it has. $1: "replayed", or "answering".
rejoin_start_standby() {
  rejoin_end_leftovers
  rejoin_await_burial
  rejoin_forget_passed_over
  rejoin_systemctl reset-failed "$REJOIN_SERVICE" || rejoin_say "rejoin: reset-failed found nothing to reset"
  rejoin_systemctl start --no-block "$REJOIN_SERVICE" || {
    rejoin_last_messages
    rejoin_fail 31 "$REJOIN_SYSTEMCTL start $REJOIN_SERVICE failed, PostgreSQL's last messages are above; expected it to start. See docs/hosts.md for what the host needs"
  }
  rejoin_absent=0
  until pid=$(rejoin_pid); do
    # systemd may take a moment to begin a job; two seconds without a process are an end.
    rejoin_absent=$((rejoin_absent + 1))
    [ "$rejoin_absent" -lt 20 ] || rejoin_ended
    sleep 0.1
  done
  rejoin_await_standby "$1"
}

# Files that say only that a timeline's number is used (setup.sql), made for a promotion that did not come: a standby that starts with
# them takes the last number for its own timeline, finds no log of it, and waits for ever. Those below a timeline that was begun stay:
# its standbys ask for each.
rejoin_forget_passed_over() {
  find "$rejoin_data/pg_wal/" -maxdepth 1 -name '*.history' | sort -r | while read -r rejoin_history; do
    ! grep -q '^[[:space:]]*[0-9]' "$rejoin_history" || break
    rejoin_say "rejoin: removes $rejoin_history, of a promotion that did not come"
    rm -f "$rejoin_history"
  done
}

rejoin_ended() {
  rejoin_last_messages
  rejoin_fail 31 "PostgreSQL ended while it started, its last messages are above; expected a standby. Mend what they say, or replace the node"
}

# Waits for process $pid, as rejoin_start_standby does.
rejoin_await_standby() {
  rejoin_until=$(($(date +%s) + REJOIN_START_SECONDS))
  while :; do
    rejoin_answer=0
    rejoin_await_answer "$pid" || rejoin_answer=$?
    case $rejoin_answer in
      0) ;;
      1) rejoin_ended ;;
      *)
        rejoin_last_messages
        rejoin_fail 32 "PostgreSQL (pid $pid) runs but has not become consistent within $REJOIN_START_SECONDS s, its last messages are above: $(cat "$REJOIN_STATE_DIR/sql.err"). It goes on; run this again"
        ;;
    esac
    [ "$rejoin_primary" = false ] ||
      rejoin_fail 12 "PostgreSQL (pid $pid) came up as a primary at $rejoin_timeline:$rejoin_lsn; expected a standby. Does $REJOIN_SERVICE use $rejoin_data"
    [ "$1" = replayed ] || return 0
    if [ "$rejoin_replayed" = t ]; then
      rejoin_ask && return 0
    fi
    [ "$(date +%s)" -lt "$rejoin_until" ] ||
      rejoin_fail 32 "PostgreSQL (pid $pid) still replays its log after $REJOIN_START_SECONDS s; expected it to have reached the end. It goes on; run this again"
    sleep 0.1
  done
}

# --- the detached job (postgres-join) ----------------------------------------------------------------------------

# Pid of the job's leader, which is also its process group.
rejoin_job() {
  [ -s "$REJOIN_STATE_DIR/job" ] || return 1
  read -r rejoin_job_pid rejoin_job_since <"$REJOIN_STATE_DIR/job"
  [ "$(rejoin_started "$rejoin_job_pid")" = "$rejoin_job_since" ] && rejoin_alive "$rejoin_job_pid"
}

# Is a replica being made here. After its result the job only clears up.
rejoin_is_seeding() { [ ! -e "$REJOIN_STATE_DIR/job.result" ] && rejoin_job; }

rejoin_refuse_seeding() {
  ! rejoin_is_seeding ||
    rejoin_fail 14 "a replica is being made here by postgres-join (pid $rejoin_job_pid); expected none. Wait for it (postgres-position says seeding), or end it by postgres-stop"
}

# Ends the job and all that it runs; a backup whose leader was killed may still write.
rejoin_end_job() {
  [ -s "$REJOIN_STATE_DIR/job" ] || return 0
  read -r rejoin_job_pid rejoin_job_since <"$REJOIN_STATE_DIR/job"
  # The job's lock is inherited by what it runs. While one of the group lives, its number is not used again.
  if rejoin_job || ! flock -n "$REJOIN_STATE_DIR/job.lock" true; then
    kill -s KILL -- "-$rejoin_job_pid" 2>/dev/null || : # it has ended by itself
    flock -w 15 "$REJOIN_STATE_DIR/job.lock" true ||
      rejoin_fail 30 "the job that makes a replica here (process group $rejoin_job_pid) lives on after SIGKILL; expected it to end. In state D its disk hangs: replace the instance"
  fi
  rm -f "$REJOIN_STATE_DIR/job"
}

# --- the detached restore (postgres-restore) ---------------------------------------------------------------------

# Data that are not to serve yet bear it; it came with them.
rejoin_restore_mark=rejoin-restoring

# Removes what a restore left beside the data, and the data too when they bear the mark of one that was not done: they are nobody's.
rejoin_restore_clear() {
  [ -d "$rejoin_mount/.rejoin-restore" ] || return 0
  if [ -e "$rejoin_data/$rejoin_restore_mark" ]; then
    if pid=$(rejoin_pid); then rejoin_end_process "$pid"; fi
    find "$rejoin_data" -mindepth 1 -delete
  fi
  rm -rf "$rejoin_mount/.rejoin-restore"
}

# Ends a restore that is under way here, or that died: whoever changes this host now wants something else, and half a database is nobody's.
# One that has become a primary, and was killed before it could say so, is somebody's by now.
rejoin_end_restore() {
  rejoin_job_open restore
  rejoin_job_stop
  rm -f "$rejoin_job_dir/id" "$rejoin_job_dir/result" "$rejoin_job_dir/deaths"
  if [ -e "$rejoin_data/$rejoin_restore_mark" ] && [ ! -e "$rejoin_data/standby.signal" ]; then
    rm "$rejoin_data/$rejoin_restore_mark"
  fi
  rejoin_restore_clear
}
