#!/bin/sh
# Makes a database out of a base backup and log in s3 Bucket, as the object Plan says (docs/archive.md), in an empty data directory, and
# leaves the first node of a new cluster that serves, with a state UUID of its own. Stops exactly at the plan's target. Detached: run again
# with the same parameters it tells how far it is.
# {"state":"running","phase":"download|prepare|replay|promote","doneBytes":…,"totalBytes":…,"replayed":"0-1-270"}
#   In the phase "replay" doneBytes are bytes of log, and totalBytes is 0: nobody knows.
# {"state":"restored","restoredTo":"0-1-270","lastTransactionAt":"…Z"|null,"durationMs":…,"downloadMs":…,"replayMs":…}
#
# All is done in the folder .rejoin-restore of the data directory, by a server without network and without Galera. What it made takes its
# place when it is whole. Data that are not to serve yet bear the mark rejoin-restoring. A restore that died is begun anew: then, and only
# when they bear it, the data are deleted.
set -eu
rejoin_self=$(readlink -f "$0")
# shellcheck source=nodes/galera/lib.sh
command -v rejoin_load >/dev/null 2>&1 || . "$(dirname "$0")/lib.sh"
# shellcheck source=nodes/job.sh
command -v rejoin_job_open >/dev/null 2>&1 || . "$(dirname "$0")/../job.sh"
# shellcheck source=nodes/s3.sh
command -v rejoin_s3_load >/dev/null 2>&1 || . "$(dirname "$0")/../s3.sh"
# shellcheck source=nodes/restore.sh
command -v rejoin_plan_load >/dev/null 2>&1 || . "$(dirname "$0")/../restore.sh"

OBJECTS_AT_ONCE=8
MARK=rejoin-restoring

# --- the folder --------------------------------------------------------------------------------------------------

content() { find "$rejoin_data" -mindepth 1 -maxdepth 1 ! -name lost+found ! -name .rejoin-aside ! -name .rejoin-restore "$@"; }

# Ours are the data that bear the mark of an unfinished restore; it came before them, and no others are deleted.
rejoin_job_clean() {
  [ -d "$rejoin_work" ] || return 0
  if [ -e "$rejoin_data/$MARK" ]; then
    if pid=$(rejoin_pid); then
      timeout "$REJOIN_STOP_SECONDS" "$REJOIN_SYSTEMCTL" stop "$REJOIN_SERVICE" 7>&- 8>&- || rejoin_say "rejoin: MariaDB (pid $pid) has not stopped within $REJOIN_STOP_SECONDS s; killing it"
      ! rejoin_alive "$pid" || kill -s KILL "$pid"
      rejoin_await_end "$pid" 15 || rejoin_fail 30 "MariaDB (pid $pid) lives on after SIGKILL; expected it to end. In state D its disk hangs: replace the instance"
    fi
    content -exec rm -rf {} +
  fi
  rm -rf "$rejoin_work"
}

refuse_occupied() {
  ! pid=$(rejoin_pid) ||
    rejoin_fail 12 "MariaDB runs on $rejoin_data (pid $pid); expected a host without a database. A restore never touches one that runs: launch another host"
  [ -z "$(content -print -quit)" ] ||
    rejoin_fail 54 "$rejoin_data is not empty ($(content -printf '%f ' | cut -c 1-200)); expected an empty data directory. Run galera-prepare with Source=peer, which keeps what is there"
}

own() { [ "$(id -u)" != 0 ] || chown -R "$REJOIN_UNIX_USER:" "$@"; }

make_folders() {
  mkdir -p "$rejoin_data"
  mkdir -m 755 "$rejoin_work"
  mkdir -m 700 "$rejoin_work/data" "$rejoin_work/log"
  rejoin_local_data=$rejoin_work/data rejoin_local_messages=$rejoin_work/messages rejoin_local_seconds=$REJOIN_BOOTSTRAP_SECONDS
}

rejoin_restore_unpack() { mbstream --extract --directory="$rejoin_work/data"; }

prepare_base() {
  rejoin_restore_progress prepare "$rejoin_base_bytes" "$rejoin_base_bytes" ''
  taken_with=$(sed -n 's/^server_version = *\([0-9]*\.[0-9]*\)\..*/\1/p' "$rejoin_work/data/xtrabackup_info")
  ours=$(mariadbd --version | sed -n 's/.* Ver \([0-9]*\.[0-9]*\)\..*/\1/p')
  [ "$taken_with" = "$ours" ] || rejoin_fail 62 "the base backup is of MariaDB '$taken_with', and this host has $ours; expected the same. Use an image with MariaDB $taken_with"
  mariabackup --prepare --use-memory=256M --target-dir="$rejoin_work/data" >"$rejoin_work/messages" 2>&1 || {
    rejoin_shorten <"$rejoin_work/messages" >&2
    rejoin_fail 62 "mariabackup --prepare failed on the base backup s3 $rejoin_base_key, its messages are above; expected whole data. Restore from an earlier base backup"
  }
  base_gtid=$(cut -f 3 "$rejoin_work/data/xtrabackup_binlog_info" | tail -n 1)
  # The new database's log begins where the base ends, and is not a copy of the old one's files.
  find "$rejoin_work/data" -maxdepth 1 \( -name 'xtrabackup_*' -o -name 'donor_galera_info' -o -name 'backup-my.cnf' -o -name 'mariadb-bin.*' -o -name '*.[0-9][0-9][0-9][0-9][0-9][0-9]' \) -delete
  own "$rejoin_work/data"
}

# --- the server of the replay ------------------------------------------------------------------------------------

rejoin_local_failed() { failed_replay "$1"; }

failed_replay() {
  rejoin_shorten <"$rejoin_work/messages" >&2
  rejoin_fail 63 "$1; MariaDB's last messages are above; expected the log to be replayed up to the plan's target. What was restored is removed"
}

# --- log ---------------------------------------------------------------------------------------------------------

# Position functions for awk: in_position(p, q): is all of q in p; joined(p, q): what is in when both are; of(p, d): how far p is in domain d.
POSITIONS='
  function read_position(p, into, n, i, g, list) { split("", into); if (p == "none") return; n = split(p, list, ","); for (i = 1; i <= n; i++) { split(list[i], g, "-"); into[g[1]] = list[i] } }
  function sequence(gtid, g) { if (gtid == "") return 0; split(gtid, g, "-"); return g[3] + 0 }
  function of(p, d, a) { read_position(p, a); return d in a ? sequence(a[d]) : 0 }
  function in_position(p, q, a, b, d) { read_position(p, a); read_position(q, b); for (d in b) if (sequence(a[d]) < sequence(b[d])) return 0; return 1 }
  function add(list, word) { return list == "" ? word : list "," word }
  function joined(p, q, a, b, d, list) { read_position(p, a); read_position(q, b); for (d in b) if (sequence(a[d]) < sequence(b[d])) a[d] = b[d]; for (d in a) if (a[d] != "") list = add(list, a[d]); return list == "" ? "none" : list }'

# Is all of position $2 in position $1.
includes() { [ "$(awk -v p="${1:-none}" -v q="${2:-none}" "$POSITIONS"' BEGIN { print in_position(p, q) }')" = 1 ]; }

# Each transaction is taken once, though objects may overlap. Writes what is read, into $rejoin_work:
#   objects: number, key, file of which server, up to where
#   runs: of objects that follow each other in one log: first, last, of what to leave out the beginning ("-": nothing), domains to leave out
#     ("-": none), what is in it of each domain that is new
# mariadb-binlog fails when it never comes to a position that it is to begin at, or when nothing follows there in that domain. So it is told
# only positions within a run; a domain that is in farther than the run leads, or as far as the target, is left out.
list_objects() {
  stops_at=''
  [ "$rejoin_target" != gtid ] || stops_at=$rejoin_target_value
  awk -F '\t' -v base="${base_gtid:-none}" -v stop="$stops_at" -v runs="$rejoin_work/runs" "$POSITIONS"'
    function end_run(d, b, at_d, done, start, out, fresh) {
      if (!count) return
      read_position(last, b)
      for (d in b) {
        at_d = of(begun_at, d)
        done = stop != "" && at_d >= of(stop, d)
        if (done) out = add(out, d)
        else if (at_d > of(after, d)) {
          if (at_d < sequence(b[d])) start = add(start, gtid_of(begun_at, d)); else out = add(out, d)
        }
        if (!done && sequence(b[d]) > at_d && sequence(b[d]) > of(after, d)) fresh = add(fresh, b[d])
      }
      if (fresh != "") printf "%d\t%d\t%s\t%s\t%s\n", first, count, (start == "" ? "-" : start), (out == "" ? "-" : out), fresh >runs
    }
    function gtid_of(p, d, a) { read_position(p, a); return a[d] }
    BEGIN { at = base; printf "" >runs }
    $1 != "log" { next }
    in_position(at, $4) { next }
    !in_position(at, $3) { print "fault\tthere is a hole between " at " and " $3; exit }
    {
      if (!count || $3 != last) { end_run(); first = count + 1; after = $3; begun_at = at }
      n = split($2, name, "_"); split(name[n], source, "~")
      printf "%d\t%s\t%s\t%s\n", ++count, $2, source[1] "~" source[2], $4
      at = joined(at, $4); last = $4
    }
    END { end_run() }
  ' "$rejoin_plan" >"$rejoin_work/objects"
  fault=$(sed -n 's/^fault\t//p' "$rejoin_work/objects")
  [ -z "$fault" ] || rejoin_fail 64 "the plan's log does not hold together: $fault; expected an unbroken chain from the base's $base_gtid. Make the plan anew"
}

# How mariadb-binlog is told to stop, one word.
stop_option() {
  case $rejoin_target in
    latest) echo none ;;
    gtid) echo "--stop-position=$rejoin_target_value" ;;
    time)
      # Time stamps in the log are whole seconds.
      second=$(date -u -d "$rejoin_target_value" +%s) || rejoin_fail 64 "the plan's target is the time '$rejoin_target_value'; expected ISO 8601 with Z"
      case $(date -u -d "$rejoin_target_value" +%N) in *[1-9]*) second=$((second + 1)) ;; esac
      date -u -d "@$second" '+--stop-datetime=%Y-%m-%d %H:%M:%S'
      ;;
    *) rejoin_fail 64 "the plan's target is a $rejoin_target; expected latest, time or gtid for MariaDB" ;;
  esac
}

# The objects $1 to $2, whose transactions follow each other, as one binlog: what follows the first has no magic number of its own, and no
# file's list of what went before, which mariadb-binlog would take for the beginning of it all. A batch is downloaded while the one before is
# read.
feed() {
  number=$1 coming='' of_file='' fed=$(cat "$rejoin_work/fed")
  begin_batch "$1" "$2"
  while [ "$number" -le "$2" ]; do
    if [ $(((number - $1) % OBJECTS_AT_ONCE)) = 0 ]; then
      wait "$coming" || feed_failed
      begin_batch $((number + OBJECTS_AT_ONCE)) "$2"
    fi
    object=$rejoin_work/log/$number
    zstd -tq "$object" 2>/dev/null || feed_failed
    size=$(stat -c %s "$object")
    file=$(sed -n "${number}p" "$rejoin_work/objects" | cut -f 3)
    skip=$([ "$number" = "$1" ] && echo 0 || echo 4)
    if [ "$file" = "$of_file" ]; then
      zstd -dcq "$object" | tail -c +$((skip + 1)) || break # nobody reads on
    else
      feed_beginning "$object" "$skip" || break
    fi
    of_file=$file
    rm "$object"
    fed=$((fed + size))
    echo "$fed" >"$rejoin_work/fed"
    number=$((number + 1))
  done
  : >"$rejoin_work/fed.whole"
}

# Object $1 without its first $2 bytes and without the GTID_LIST_EVENT (163) that a file has behind its FORMAT_DESCRIPTION_EVENT:
# https://mariadb.com/kb/en/2-binlog-event-header/
feed_beginning() {
  zstd -dcq "$1" 2>/dev/null | head -c 65536 >"$rejoin_work/beginning" || : # zstd does not write on
  number_at() { od -An -v -t "u$2" -j "$1" -N "$2" "$rejoin_work/beginning" | tr -d ' '; }
  described=$((4 + $(number_at 13 4)))
  listed=0
  [ "$(number_at $((described + 4)) 1)" != 163 ] || listed=$(number_at $((described + 9)) 4)
  head -c "$described" "$rejoin_work/beginning" | tail -c +$(($2 + 1))
  zstd -dcq "$1" | tail -c +$((described + listed + 1))
}

begin_batch() { # first, last of all
  [ "$1" -le "$2" ] || return 0
  until=$(($1 + OBJECTS_AT_ONCE - 1))
  sed -n "$1,$((until < $2 ? until : $2))p" "$rejoin_work/objects" >"$rejoin_work/batch.$1"
  rejoin_s3_credentials
  rejoin_restore_logs "$rejoin_work/batch.$1" &
  coming=$!
}

feed_failed() {
  : >"$rejoin_work/failed"
  [ ! -e "${object:-}" ] || rejoin_restore_damaged "$number" "$(sed -n "${number}p" "$rejoin_work/objects" | cut -f 2)"
  exit 60
}

# All log as statements for one session of the client: what a session knows goes on from file to file. Only where objects overlap one
# reader is followed by another, which leaves out what the first has read.
statements() {
  stop=$(stop_option)
  total=$(wc -l <"$rejoin_work/objects")
  while read -r first last start out fresh <&9; do
    set -- --verify-binlog-checksum
    [ "$start" = - ] || set -- "$@" --start-position="$start"
    [ "$out" = - ] || set -- "$@" --ignore-domain-ids="$out"
    [ "$stop" = none ] || set -- "$@" "$stop"
    if [ "$rejoin_target" = time ] && [ "$last" -lt "$total" ]; then
      read_until_stop "$@"
      [ -z "$stopped" ] || return 0
    else
      read_log "$@"
    fi
  done 9<"$rejoin_work/runs"
}

# The feeder comes to its end also when the reader has stopped at the target. One that does not come to it has given less log than there is,
# which the reader takes for the end.
read_log() {
  rm -f "$rejoin_work/fed.whole"
  feed "$first" "$last" 9<&- | { TZ=UTC mariadb-binlog "$@" - 9<&- || : >"$rejoin_work/failed"; }
  [ -e "$rejoin_work/fed.whole" ] || : >"$rejoin_work/failed"
}

# The same; sets stopped when it was at the target before all that is new in the run.
read_until_stop() {
  rm -f "$rejoin_work/printed"
  mkfifo "$rejoin_work/printed"
  { grep -a -o '^#[0-9].*	GTID [0-9]*-[0-9]*-[0-9]*' || :; } <"$rejoin_work/printed" |
    awk '{ split($NF, g, "-"); at[g[1]] = $NF } END { for (d in at) print at[d] }' | paste -s -d , >"$rejoin_work/reached" &
  printed=$!
  read_log "$@" | tee "$rejoin_work/printed"
  wait "$printed"
  if includes "$(cat "$rejoin_work/reached")" "$fresh"; then stopped=''; else stopped=yes; fi
}

# --- the way -----------------------------------------------------------------------------------------------------

replay() {
  rejoin_restore_progress replay 0 0 "$base_gtid"
  # With wsrep_gtid_mode the server goes back to its own GTID domain after each commit, whatever the log has set.
  rejoin_local_start --wsrep-on=OFF --wsrep-gtid-mode=OFF --wsrep-provider=none --wsrep-cluster-address= --sync-binlog=0 --innodb-flush-log-at-trx-commit=0
  [ "$(rejoin_local_sql 'SELECT @@log_bin')" = 1 ] || rejoin_fail 63 "log_bin is off in $REJOIN_DEFAULTS_FILE; expected it on, so that the restored database goes on with the log's GTIDs"
  rejoin_local_sql 'RESET MASTER'
  [ -z "$base_gtid" ] || rejoin_local_sql "SET GLOBAL gtid_binlog_state='$base_gtid'"
  echo 0 >"$rejoin_work/fed"
  { statements || : >"$rejoin_work/failed"; } | rejoin_local_client --binary-mode --max-allowed-packet=1G 2>"$rejoin_work/client" >/dev/null &
  client=$!
  while rejoin_alive "$client"; do
    at=$(rejoin_local_sql 'SELECT @@gtid_binlog_pos' 2>/dev/null) && rejoin_restore_progress replay "$(cat "$rejoin_work/fed")" 0 "$at"
    sleep 0.2
  done
  wait "$client" || failed_replay "the log cannot be replayed: $(tail -n 2 "$rejoin_work/client" | cut -c 1-300)"
  [ ! -e "$rejoin_work/failed" ] || rejoin_fail 62 'the log did not come here whole, messages are above; expected all objects of the plan. What was restored is removed'
  restored_to=$(rejoin_local_sql 'SELECT @@gtid_binlog_pos')
  wanted=$rejoin_end
  case $rejoin_target in
    gtid) wanted=$rejoin_target_value ;;
    time) wanted=none ;;
  esac
  includes "$restored_to" "$wanted" ||
    rejoin_fail 63 "the log led to $restored_to; expected $wanted. What was restored is removed. Make the plan anew"
  last_transaction
  rejoin_local_stop
}

# Sets moment: when the last transaction was committed, by the log that the replay has written.
last_transaction() {
  file=$(rejoin_local_sql 'SHOW MASTER STATUS' | cut -f 1)
  moment=$(TZ=UTC mariadb-binlog --base64-output=decode-rows "$rejoin_work/data/$file" |
    sed -n 's/^#\([0-9][0-9]\)\([0-9][0-9]\)\([0-9][0-9]\) *\([0-9]*:[0-9][0-9]:[0-9][0-9]\) .*	GTID .*/20\1-\2-\3T\4Z/p' | tail -n 1 | sed 's/T\([0-9]:\)/T0\1/')
}

serve() {
  rejoin_restore_progress promote 0 0 "$restored_to"
  refuse_occupied # it has been a while
  : >"$rejoin_data/$MARK"
  sync "$rejoin_data"
  find "$rejoin_work/data" -mindepth 1 -maxdepth 1 -exec mv -t "$rejoin_data" -- {} +
  rejoin_own
  sync "$rejoin_data"
  rejoin_disk_position
  [ "$rejoin_uuid" != "$ZERO_UUID" ] || rejoin_fail 63 'the restored data have no state UUID; expected a new one. What was restored is removed'
  # Never an empty list of addresses: that would start a second cluster at each start.
  rejoin_write_config "$REJOIN_ADDRESS" any
  rm -f "$REJOIN_STATE_DIR/joiner"
  printf '%s' "$rejoin_uuid:$rejoin_seqno" >"$REJOIN_STATE_DIR/bootstrapped"
  (rejoin_start_cluster)
  rejoin_await_primary
}

rejoin_job_work() {
  refuse_occupied
  began=$(rejoin_now_ms)
  make_folders
  rejoin_plan_load
  stop_option >/dev/null
  rejoin_restore_room
  rejoin_restore_base
  downloaded=$(rejoin_now_ms)
  prepare_base
  list_objects
  replay
  replayed=$(rejoin_now_ms)
  # Or the nodes of the old cluster would take this one for theirs.
  rejoin_renew_history
  serve
  rm "$rejoin_data/$MARK"
  sync "$rejoin_data"
  rejoin_job_done "$(printf '{"state":"restored","restoredTo":"%s","lastTransactionAt":%s,"durationMs":%s,"downloadMs":%s,"replayMs":%s}' \
    "$restored_to" "$(rejoin_json "$moment")" "$(($(rejoin_now_ms) - began))" "$((downloaded - began))" "$((replayed - downloaded))")"
}

rejoin_load
rejoin_restore_parameters
rejoin_s3_load "$rejoin_bucket"
rejoin_job_open restore
if [ "${REJOIN_DETACHED:-}" = restore ]; then
  rejoin_job_run
  exit 0
fi
rejoin_mount_if_needed none
rejoin_job_ask "$rejoin_bucket/$rejoin_plan_key" "$rejoin_self"
