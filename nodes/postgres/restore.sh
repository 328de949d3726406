#!/bin/sh
# Makes a database out of a base backup and log in s3 Bucket, as the object Plan says (docs/archive.md), in an empty data directory. Stops
# exactly at the plan's target. Detached: run again with the same parameters it tells how far it is.
#   Finish=primary: leaves a primary that serves.
#   Finish=standby: leaves a stopped standby of nobody, at the end of the log, for postgres-join. Until then it listens to nobody but us: the
#     plane must not take it for a replica, which a failover could choose.
# {"state":"running","phase":"download|replay|promote|stop","doneBytes":…,"totalBytes":…,"replayed":"1/0/3000060"}
# {"state":"restored","restoredTo":"1/0/3000060","systemId":"…","lastTransactionAt":"…Z"|null,"durationMs":…,"downloadMs":…,"replayMs":…}
#
# It works in the folder .rejoin-restore beside the data. Data that are not to serve yet bear the mark rejoin-restoring. A restore that died is
# begun anew: then, and only when they bear it, the data are deleted.
set -eu
rejoin_self=$(readlink -f "$0")
# shellcheck source=nodes/postgres/lib.sh
command -v rejoin_load >/dev/null 2>&1 || . "$(dirname "$0")/lib.sh"
# shellcheck source=nodes/job.sh
command -v rejoin_job_open >/dev/null 2>&1 || . "$(dirname "$0")/../job.sh"
# shellcheck source=nodes/s3.sh
command -v rejoin_s3_load >/dev/null 2>&1 || . "$(dirname "$0")/../s3.sh"
# shellcheck source=nodes/restore.sh
command -v rejoin_plan_load >/dev/null 2>&1 || . "$(dirname "$0")/../restore.sh"

SEGMENT=16777216
SEGMENTS_AHEAD=32
OBJECTS_AT_ONCE=32
# Of the database to be restored; none of it may reach the new one.
INHERITED='primary_conninfo|primary_slot_name|synchronous_standby_names|restore_command|archive_command|archive_library|archive_cleanup_command|hot_standby|wal_retrieve_retry_interval|listen_addresses|recovery_[a-z_]+'

# --- the folder --------------------------------------------------------------------------------------------------

rejoin_job_clean() { rejoin_restore_clear; }

refuse_occupied() {
  ! pid=$(rejoin_pid) ||
    rejoin_fail 12 "PostgreSQL runs on $rejoin_data (pid $pid); expected a host without a database. A restore never touches one that runs: launch another host"
  rejoin_is_empty ||
    rejoin_fail 54 "$rejoin_data is not empty ($(find "$rejoin_data" -mindepth 1 -maxdepth 1 -printf '%f ' | cut -c 1-200)); expected an empty data directory. Run postgres-prepare with Source=peer, which keeps what is there"
}

# The restored database is put together beside the data directory, and takes its place when it is whole.
make_folders() {
  mkdir -p "$rejoin_mount"
  mkdir -m 711 "$rejoin_work"
  mkdir -m 700 "$rejoin_work/data" "$rejoin_work/log"
  mkdir -m 755 "$rejoin_work/spool" "$rejoin_work/spool/want" "$rejoin_work/spool/history"
  rejoin_give "$rejoin_work/data" "$rejoin_work/spool/want"
}

rejoin_restore_unpack() { rejoin_as tar --extract --file=- --directory="$rejoin_work/data"; }

# --- log ---------------------------------------------------------------------------------------------------------

# Writes $rejoin_work/objects, a line for each log object in order: number, key, segment, where it begins in it, how many of its first
# bytes are known already, where it ends. $rejoin_work/starts: timelines, and where their objects begin, in bytes.
list_objects() {
  awk -F '\t' -v segment="$SEGMENT" -v starts="$rejoin_work/starts" '
    function number(hex, i, n) { for (i = 1; i <= length(hex); i++) n = n * 16 + index("123456789ABCDEF", substr(hex, i, 1)); return n }
    function bytes(place, p) { split(place, p, "/"); return number(p[2]) * 4294967296 + number(p[3]) }
    function fault(text) { print "fault\t" text; exit }
    $1 != "log" { next }
    {
      split($3, first, "/"); split($4, last, "/"); start = bytes($3); end = bytes($4)
      if (first[1] != last[1] || end <= start || int((end - 1) / segment) != int(start / segment)) fault($2 " is not a stretch within one segment")
      if (!count && start % segment != 0) fault("the log begins at " $3 ", within a segment, which the server needs from its beginning")
      # Overlaps are taken once. What the timeline before has beyond the place where this one left it is not part of the way.
      moved = count && first[1] != timeline
      if (count && start > at) fault("there is a hole before " $3)
      if (count && first[1] < timeline) fault($3 " follows a later timeline")
      skip = 0
      if (count && !moved) { if (end <= at) next; skip = at - start }
      high = int(start / 4294967296)
      name = sprintf("%08X%08X%08X", first[1], high, int((start - high * 4294967296) / segment))
      printf "%d\t%s\t%s\t%.0f\t%.0f\t%.0f\n", ++count, $2, name, start % segment, skip, end - int(start / segment) * segment
      timeline = first[1]; at = end
      printf "%s\t%.0f\n", timeline, start >starts
    }' "$rejoin_plan" >"$rejoin_work/objects"
  fault=$(sed -n 's/^fault\t//p' "$rejoin_work/objects")
  [ -z "$fault" ] || rejoin_fail 64 "the plan's log does not hold together: $fault; expected an unbroken chain from a segment's beginning. Make the plan anew"
  [ -s "$rejoin_work/objects" ] ||
    rejoin_fail 64 'the plan has no log; expected at least what was written while the base backup was made. Make the plan anew'
  cut -f 3 "$rejoin_work/objects" | uniq | while read -r name; do : >"$rejoin_work/spool/want/$name"; done
  last_segment=$(tail -n 1 "$rejoin_work/objects" | cut -f 3)
}

fetch_histories() {
  awk -F '\t' '$1 == "history" { printf "%08X.history\t%s\n", $2, $3 }' "$rejoin_plan" >"$rejoin_work/histories"
  while read -r name object; do
    rejoin_s3_get "$object" "$rejoin_work/spool/history/$name"
    chmod 644 "$rejoin_work/spool/history/$name"
  done <"$rejoin_work/histories"
}

# What the server runs to get a segment ($1) as file $2. One that is on its way is waited for; one that was handed out lies in pg_wal.
write_restore_command() {
  cat >"$rejoin_work/spool/segment" <<COMMAND
spool='$rejoin_work/spool'
case \$1 in
  *.history)
    [ -e "\$spool/history/\$1" ] || exit 1
    exec cp "\$spool/history/\$1" "\$2"
    ;;
esac
[ -e "\$spool/want/\$1" ] || exit 1
until [ -s "\$spool/want/\$1" ]; do
  [ ! -e "\$spool/failed" ] || exit 1
  sleep 0.01
done
exec mv "\$spool/want/\$1" "\$2"
COMMAND
  chmod 644 "$rejoin_work/spool/segment"
}

# Segments that lie ready.
ready() { find "$rejoin_work/spool/want" -type f -size +0 | wc -l; }

# The segment under way is whole, or the last: hands it over. What is beyond the log is zeros, as in a segment that is not full yet.
hand_over() {
  truncate -s "$SEGMENT" "$rejoin_work/segment"
  rejoin_give "$rejoin_work/segment"
  chmod 600 "$rejoin_work/segment"
  mv "$rejoin_work/segment" "$rejoin_work/spool/want/$1"
  while [ "$(ready)" -ge "$SEGMENTS_AHEAD" ]; do sleep 0.05; done
}

# Goes over to segment $1, whose first $2 bytes the timeline before has, if it left off within this one.
next_segment() {
  if [ "${1#????????}" = "${under_way#????????}" ]; then
    cp "$rejoin_work/segment" "$rejoin_work/parting"
    hand_over "$under_way"
    mv "$rejoin_work/parting" "$rejoin_work/segment"
    truncate -s "$2" "$rejoin_work/segment"
  else
    [ -z "$under_way" ] || hand_over "$under_way"
    : >"$rejoin_work/segment"
  fi
  under_way=$1
}

# Unpacks the objects that are pending, many by one process, to the end of the segment under way, which is then as long as the last of them says.
unpack_pending() {
  [ -n "$pending" ] || return 0
  set --
  for one in $pending; do set -- "$@" "$rejoin_work/log/$one"; done
  if ! zstd -dcq "$@" >>"$rejoin_work/segment" || [ "$(stat -c %s "$rejoin_work/segment")" != "$pending_to" ]; then name_damaged; fi
  rm "$@"
  pending=
}

# One object of which the beginning is known already.
unpack_rest() { # number, bytes that are known, end
  pending=$1
  if ! zstd -dcq "$rejoin_work/log/$1" >"$rejoin_work/overlapping"; then name_damaged; fi
  tail -c "+$(($2 + 1))" "$rejoin_work/overlapping" >>"$rejoin_work/segment"
  [ "$(stat -c %s "$rejoin_work/segment")" = "$3" ] || name_damaged
  rm "$rejoin_work/log/$1"
  pending=
}

# Ends the script for the first of the pending objects that is not of the length that its name tells.
name_damaged() {
  for one in $pending; do
    sed -n "${one}p" "$rejoin_work/objects" >"$rejoin_work/suspect"
    read -r number object segment from skip to <"$rejoin_work/suspect"
    [ "$(zstd -dcq "$rejoin_work/log/$number" 2>/dev/null | wc -c)" = $((to - from)) ] || rejoin_restore_damaged "$number" "$object"
  done
  rejoin_fail 62 "the log up to s3 $object does not fit together; expected $to bytes of segment $segment. Make the plan anew"
}

# Fills the spool ahead of the server. One batch is downloaded while the one before is unpacked.
prefetch() {
  trap '[ "$?" = 0 ] || : >"$rejoin_work/spool/failed"' EXIT
  under_way='' pending='' batch=0
  split -l "$OBJECTS_AT_ONCE" -a 6 -d "$rejoin_work/objects" "$rejoin_work/batch."
  rejoin_s3_credentials
  rejoin_restore_logs "$rejoin_work/batch.000000" &
  coming=$!
  for objects in "$rejoin_work"/batch.*; do
    wait "$coming" || exit 60
    batch=$((batch + 1))
    next=$rejoin_work/batch.$(printf %06d "$batch")
    if [ -e "$next" ]; then
      rejoin_s3_credentials
      rejoin_restore_logs "$next" &
      coming=$!
    fi
    while read -r number object segment from skip to; do
      if [ "$segment" != "$under_way" ]; then
        unpack_pending
        next_segment "$segment" "$from"
      fi
      if [ "$skip" = 0 ]; then
        pending="$pending $number" pending_to=$to
      else
        unpack_pending
        unpack_rest "$number" "$skip" "$to"
      fi
    done <"$objects"
    unpack_pending
    rm "$objects"
  done
  hand_over "$under_way"
  : >"$rejoin_work/spool/done"
}

# --- replay ------------------------------------------------------------------------------------------------------

check_base() {
  rejoin_is_data "$rejoin_work/data" ||
    rejoin_fail 62 "the base backup s3 $rejoin_base_key holds no whole PostgreSQL data directory; expected PG_VERSION, global/pg_control and pg_wal/"
  size=$(rejoin_control 'Bytes per WAL segment' "$rejoin_work/data")
  [ "$size" = "$SEGMENT" ] || rejoin_fail 62 "the backed-up cluster has WAL segments of $size bytes; expected $SEGMENT, which the archive is made for"
}

# $1: postgresql.auto.conf, without what is of another database or of the replay.
without_inherited() { sed -E "/^[[:space:]]*($INHERITED)[[:space:]]*=/d" "$1"; }

# Settings for the replay: nothing comes from the old cluster, and nothing goes there.
write_settings() {
  auto=$rejoin_work/data/postgresql.auto.conf
  without_inherited "$auto" >"$auto.next"
  {
    [ "$finish" = primary ] || printf "listen_addresses = ''\n"
    printf "primary_conninfo = ''\nprimary_slot_name = ''\nsynchronous_standby_names = ''\nhot_standby = 'on'\nwal_retrieve_retry_interval = '100ms'\n"
    printf "restore_command = 'sh \"%s\" %%f \"%%p\"'\nrecovery_target_action = 'pause'\n" "$rejoin_work/spool/segment"
    # The timeline that the plan leads to, and no other.
    printf "recovery_target_timeline = '%d'\n" "0x$(printf '%.8s' "$last_segment")"
    case $rejoin_target in
      # Names of zones, Z among them, are not known to the server when it reads this.
      time) printf "recovery_target_time = '%s'\n" "$(printf '%s' "$rejoin_target_value" | sed 's/T/ /; s/Z$/+00/')" ;;
      name) printf "recovery_target_name = '%s'\n" "$rejoin_target_value" ;;
      # All that begins before this place, which is where a transaction's record ends when it has been asked for right after it.
      lsn) printf "recovery_target_lsn = '%s'\nrecovery_target_inclusive = 'off'\n" "$(printf '%s' "$rejoin_target_value" | sed 's|^[0-9]*/\(.*/\)|\1|')" ;;
      latest) ;;
      *) rejoin_fail 64 "the plan's target is a $rejoin_target; expected latest, time, lsn or name for PostgreSQL" ;;
    esac
  } >>"$auto.next"
  chmod 600 "$auto.next"
  mv "$auto.next" "$auto"
  find "$rejoin_work/data/pg_replslot" -mindepth 1 -delete
  rm -f "$rejoin_work/data/recovery.signal"
  touch "$rejoin_work/data/standby.signal"
  rejoin_give "$auto" "$rejoin_work/data/standby.signal"
}

place_data() {
  refuse_occupied # it has been a while
  : >"$rejoin_work/data/$rejoin_restore_mark"
  sync "$rejoin_work/data"
  rm -f "$rejoin_data/rejoin-disk"
  [ ! -d "$rejoin_data" ] || rmdir "$rejoin_data"
  mv -T "$rejoin_work/data" "$rejoin_data"
  sync "$rejoin_mount"
}

start_server() {
  rejoin_end_leftovers
  rejoin_systemctl reset-failed "$REJOIN_SERVICE" || rejoin_say 'rejoin: reset-failed found nothing to reset'
  rejoin_systemctl start --no-block "$REJOIN_SERVICE" || failed_replay "$REJOIN_SYSTEMCTL start $REJOIN_SERVICE failed"
  absent=0
  until pid=$(rejoin_pid); do
    absent=$((absent + 1))
    [ "$absent" -lt 20 ] || failed_replay 'PostgreSQL ended at its start'
    sleep 0.1
  done
}

# The messages first, then what they mean.
failed_replay() {
  rejoin_last_messages
  rejoin_fail 63 "$1; PostgreSQL's last messages are above; expected it to replay the log up to the plan's target. What was restored is removed"
}

# Sets paused, at, idle and moment. Status 1: it does not answer.
look() {
  row=$(rejoin_sql --command="SELECT pg_get_wal_replay_pause_state(), coalesce(pg_last_wal_replay_lsn()::text, '0/0'),
    EXISTS (SELECT FROM pg_stat_activity WHERE backend_type = 'startup' AND wait_event = 'RecoveryRetrieveRetryInterval'),
    coalesce(to_char(pg_last_xact_replay_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'), '')") || return 1
  IFS='|' read -r paused at idle moment <<ROW
$row
ROW
}

# Timeline of the last log before the place $1.
timeline_at() {
  awk -F '\t' -v wanted="$(rejoin_bytes "$1")" '$2 < wanted + 0 { timeline = $1 } END { print timeline }' "$rejoin_work/starts"
}

# The server also pauses when it is smaller than the primary was, which may be far from the target.
check_pause() {
  for name in max_connections max_worker_processes max_wal_senders max_prepared_xacts max_locks_per_xact; do
    setting=$(printf '%s' "$name" | sed 's/_prepared_xacts/_prepared_transactions/; s/locks_per_xact/locks_per_transaction/')
    needed=$(rejoin_control "$name setting")
    [ "$(rejoin_sql --command="SHOW $setting")" -ge "$needed" ] ||
      rejoin_fail 63 "$setting is $(rejoin_sql --command="SHOW $setting") on this host, and the restored cluster had $needed; expected as much. Raise it in $REJOIN_CONFIG_FILE (in the launch template's image) and restore anew"
  done
}

# At rest before the plan's end: only a record whose end is beyond that of the log may be missing. Its first four bytes are its length.
check_end() {
  place=$(rejoin_bytes "$at") last=$(rejoin_bytes "${rejoin_end#*/}")
  if [ $((place % SEGMENT)) = 0 ]; then place=$((place + 40)); elif [ $((place % 8192)) = 0 ]; then place=$((place + 24)); fi
  [ "$place" -lt "$last" ] || return 0
  number=$(printf '%08X%08X' $((place >> 32)) $(((place & 0xffffffff) / SEGMENT)))
  file=$(find "$rejoin_data/pg_wal" -name "????????$number" | sort | tail -n 1)
  bytes=$(od -An -t u4 -j $((place % SEGMENT)) -N 4 "${file:-/dev/null}" | tr -d ' ')
  pages=$(((place + ${bytes:-0}) / 8192 - place / 8192))
  if [ "${bytes:-0}" = 0 ] || [ $((place + bytes + 40 * pages)) -le "$last" ]; then
    failed_replay "the log breaks off at $(timeline_at "$at")/$at, before the plan's end $rejoin_end"
  fi
}

# Waits until the server is at the target, or at the end of the plan's log.
replay() {
  first=$(rejoin_bytes "$(rejoin_planned log 3 | cut -d / -f 2-)")
  total=$(($(rejoin_bytes "${rejoin_end#*/}") - first))
  at=0/0 known='' rested=0 moved=$(date +%s)
  rejoin_restore_progress replay 0 "$total" ''
  while :; do
    [ ! -e "$rejoin_work/spool/failed" ] || rejoin_fail 62 'the log did not come here whole, messages are above; expected all objects of the plan. What was restored is removed'
    rejoin_alive "$pid" || failed_replay 'PostgreSQL ended while it replayed'
    if look; then
      if [ "$paused" = paused ]; then
        check_pause
        return 0
      fi
      done_bytes=$(($(rejoin_bytes "$at") - first))
      rejoin_restore_progress replay $((done_bytes > 0 ? done_bytes : 0)) "$total" "$(timeline_at "$at")/$at"
      if [ "$idle" = t ]; then rested=$((rested + 1)); else rested=0; fi
    fi
    state="$at $(find "$rejoin_work/spool/want" -type f | wc -l)"
    if [ "$state" != "$known" ]; then rested=0 moved=$(date +%s); fi
    known=$state
    if [ -e "$rejoin_work/spool/done" ] && [ ! -e "$rejoin_work/spool/want/$last_segment" ]; then
      [ "$rested" -lt 3 ] || break
    else
      [ "$rested" -lt 50 ] || failed_replay "the log breaks off at $(timeline_at "$at")/$at, before the plan's end $rejoin_end"
    fi
    [ $(($(date +%s) - moved)) -lt "$REJOIN_STALL_SECONDS" ] || failed_replay "nothing has been replayed since $at for $REJOIN_STALL_SECONDS s"
    sleep 0.1
  done
  [ "$rejoin_target" != name ] || failed_replay "the log ends at $at without a restore point '$rejoin_target_value'"
  check_end
}

promote() {
  rejoin_restore_progress promote "$total" "$total" "$restored_to"
  rejoin_sql --command='SELECT pg_promote(false)' >/dev/null || failed_replay "PostgreSQL does not take the promotion: $(cat "$REJOIN_STATE_DIR/sql.err")"
  until [ "$(rejoin_sql --command="SELECT NOT pg_is_in_recovery() AND current_setting('transaction_read_only') = 'off'")" = t ]; do
    rejoin_alive "$pid" || failed_replay 'PostgreSQL ended while it was promoted'
    sleep 0.1
  done
  set --
  for name in hot_standby wal_retrieve_retry_interval restore_command recovery_target_action recovery_target_timeline recovery_target_time \
    recovery_target_name recovery_target_lsn recovery_target_inclusive; do
    set -- "$@" --command="ALTER SYSTEM RESET $name"
  done
  rejoin_patience=3600
  rejoin_sql "$@" --command='SELECT pg_reload_conf()' --command=CHECKPOINT >/dev/null ||
    failed_replay "the promoted PostgreSQL does not end its recovery settings with a checkpoint: $(cat "$REJOIN_STATE_DIR/sql.err")"
}

# A recovery that is held to a timeline would not follow the cluster to the next one, and a running server cannot be told otherwise.
stop_standby() {
  rejoin_restore_progress stop "$total" "$total" "$restored_to"
  rejoin_end_process "$pid"
  without_inherited "$rejoin_data/postgresql.auto.conf" >"$rejoin_work/auto"
  chmod 600 "$rejoin_work/auto"
  rejoin_give "$rejoin_work/auto"
  sync "$rejoin_work/auto"
  mv "$rejoin_work/auto" "$rejoin_data/postgresql.auto.conf"
  sync "$rejoin_data"
}

rejoin_job_work() {
  refuse_occupied
  began=$(rejoin_now_ms)
  make_folders
  rejoin_plan_load
  [ "$finish" = primary ] || [ "$rejoin_target" = latest ] ||
    rejoin_fail 64 "the plan's target is a $rejoin_target, and Finish is standby; expected the target latest, since a replica follows its cluster to the end. Make the plan anew"
  list_objects
  rejoin_restore_room
  fetch_histories
  # The log comes while the base is unpacked: the two wait for each other only at the end.
  prefetch &
  rejoin_restore_base
  check_base
  downloaded=$(rejoin_now_ms)
  write_restore_command
  write_settings
  place_data
  start_server
  replay
  replayed=$(rejoin_now_ms)
  restored_to=$(timeline_at "$at")/$at
  if [ "$finish" = primary ]; then promote; else stop_standby; fi
  rm "$rejoin_data/$rejoin_restore_mark"
  sync "$rejoin_data"
  rejoin_job_done "$(printf '{"state":"restored","restoredTo":"%s","systemId":"%s","lastTransactionAt":%s,"durationMs":%s,"downloadMs":%s,"replayMs":%s}' \
    "$restored_to" "$(rejoin_control 'Database system identifier')" "$(rejoin_json "$moment")" "$(($(rejoin_now_ms) - began))" "$((downloaded - began))" "$((replayed - downloaded))")"
}

rejoin_load
rejoin_restore_parameters
finish=${REJOIN_PARAM_FINISH:-primary}
case $finish in
  primary | standby) ;;
  *) rejoin_fail 64 "Finish is '$finish'; expected 'primary' or 'standby'" ;;
esac
rejoin_s3_load "$rejoin_bucket"
rejoin_job_open restore
if [ "${REJOIN_DETACHED:-}" = restore ]; then
  rejoin_job_run
  exit 0
fi
rejoin_mount_if_needed none
rejoin_job_ask "$rejoin_bucket/$rejoin_plan_key $finish" "$rejoin_self"
