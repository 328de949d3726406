#!/bin/sh
# Makes a streaming replica of Primary out of whatever is there. Its slot there must exist; Donor gives a base backup when one is
# needed ("none": then exit 50 tells so).
#
#   streams from Primary already             -> "already"
#   runs as a primary                        -> stopped (killed when hung), then as what is stopped
#   stopped, or a standby of nobody or other -> started without upstream, so that it is at the end of its log; then, if its history is
#                                               the primary's, it follows: no restart, no copy
#   its history has left the primary's       -> pg_rewind, in a detached job
#   nothing there, or cannot be rewound      -> base backup beside the old data, in a detached job
#   another cluster's data                   -> exit 51; nothing is touched, a server not even asked
#
# The job outlives this script (SSM ends it after its time), and the next run finds it: that run's Primary counts. "started" and
# "already": it streams; "seeding": the job works, postgres-position tells whether it still does. A job that died is begun anew.
# {"joined":"started|already|seeding","rewound":…,"rebuilt":…,"timeline":…,"lsn":…}
set -eu
rejoin_self=$(readlink -f "$0")
# shellcheck source=nodes/postgres/lib.sh
command -v rejoin_load >/dev/null 2>&1 || . "$(dirname "$0")/lib.sh"
# shellcheck source=nodes/job.sh
command -v rejoin_job_open >/dev/null 2>&1 || . "$(dirname "$0")/../job.sh"

# Upstream of a server that is looked at. postgres detach (the plane's fence) empties it, so its absence later says that the plane wants
# this node cut off now, and that whoever started this script has been overtaken.
LOOKING=rejoin_join

check_parameters() {
  primary=${REJOIN_PARAM_PRIMARY:-}
  port=${REJOIN_PARAM_PRIMARY_PORT:-}
  donor=${REJOIN_PARAM_DONOR:-none}
  user=${REJOIN_PARAM_REPLICATION_USER:-}
  rejoin_is "$primary" '[A-Za-z0-9_.:-]+' || rejoin_fail 64 "Primary is '$primary'; expected the primary's address, such as 10.0.1.5"
  rejoin_is "$port" '[0-9]{1,5}' || rejoin_fail 64 "PrimaryPort is '$port'; expected a port, such as 5432"
  rejoin_is "$donor" '[A-Za-z0-9_.:-]+' || rejoin_fail 64 "Donor is '$donor'; expected a node's address, or 'none'"
  rejoin_is "$user" '[a-z_][a-z0-9_]*' || rejoin_fail 64 "ReplicationUser is '$user'; expected a role's name, such as rejoin_replication"
  for address in "$primary" "$donor"; do
    [ "$address" != "$REJOIN_ADDRESS" ] ||
      rejoin_fail 64 "Primary or Donor is $address, which is this node; expected another. A primary is not made its own replica"
  done
}

# libpq takes no notice of a passfile that others may read.
is_private() { rejoin_as test -r "$1" && [ "$(stat -L -c %a "$1" | tail -c 3)" = 00 ]; }

check_passfile() {
  is_private "$REJOIN_PASSFILE" ||
    rejoin_fail 64 "REJOIN_PASSFILE=$REJOIN_PASSFILE is not there, not readable for $REJOIN_UNIX_USER, or readable for others; expected a file of mode 600 that belongs to $REJOIN_UNIX_USER, with a line *:*:*:$user:<password>. Write it (docs/hosts.md) and run this again"
  PGPASSFILE=$REJOIN_PASSFILE
  export PGPASSFILE
}

# --- the primary -------------------------------------------------------------------------------------------------

# Connection string to $1 for the purpose $2; the name must not be this node's, or what it receives would count as this node's
# acknowledgement. A peer that is gone is noticed after 10 s.
connection() {
  printf 'host=%s port=%s user=%s application_name=rejoin-%s connect_timeout=5 keepalives_idle=4 keepalives_interval=2 keepalives_count=3 tcp_user_timeout=10000' \
    "$1" "$port" "$user" "$2"
}

# $1: more of the connection string; the rest: arguments of psql. It has `patience` seconds.
patience=15
ask_primary() {
  more=$1
  shift
  rejoin_as timeout "$patience" "$REJOIN_PG_BIN/psql" --no-psqlrc --no-password --quiet --no-align --tuples-only --set=ON_ERROR_STOP=1 \
    --dbname="$(connection "$primary" look) $more" "$@" 2>"$REJOIN_STATE_DIR/primary.err"
}

no_primary() {
  rejoin_fail 52 "Primary $primary:$port $1: $(tail -n 3 "$REJOIN_STATE_DIR/primary.err" | cut -c 1-300); expected a primary that lets $user in, to replication and to the database postgres. Check pg_hba.conf there, the passfile here, and port $port between the nodes"
}

# Sets primary_system, primary_timeline and primary_lsn.
look_at_primary() {
  row=$(ask_primary replication=true --command=IDENTIFY_SYSTEM) || no_primary 'does not answer'
  primary_system=$(printf '%s\n' "$row" | cut -d '|' -f 1)
  primary_timeline=$(printf '%s\n' "$row" | cut -d '|' -f 2)
  primary_lsn=$(printf '%s\n' "$row" | cut -d '|' -f 3)
  standby=$(ask_primary dbname=postgres --command='SELECT pg_is_in_recovery()') || no_primary 'does not answer'
  [ "$standby" = f ] || no_primary "is a standby itself (pg_is_in_recovery() is '$standby')"
}

# --- histories ---------------------------------------------------------------------------------------------------

# Digest of the last 4 MB of the log before rejoin_lsn, within its segment, from the newest file of that segment. Same bytes, same
# history: positions alone do not tell two timelines of the same number apart, which two promotions of one night can make.
LOG_DIGEST_OF="SELECT md5(pg_read_binary_file('pg_wal/' || max(name), greatest(0, stop - 4194304), stop - greatest(0, stop - 4194304), true))
  FROM (SELECT pg_ls_dir('pg_wal', false, false) AS name) f,
    (SELECT at, mod(at - '0/0'::pg_lsn - 1, pg_size_bytes(current_setting('wal_segment_size')))::bigint + 1 AS stop FROM (SELECT :'lsn'::pg_lsn AS at) p) place
  WHERE length(name) = 24 AND substr(name, 9) = ($REJOIN_SEGMENT) AND name < lpad(upper(to_hex(:timeline + 1)), 8, '0') GROUP BY stop"

# Sets history to "same", "left" (this node has what the primary has not) or "gone" (the primary has no log of that time any more).
compare_histories() {
  history=left
  if [ "$rejoin_timeline" -gt "$primary_timeline" ]; then return 0; fi
  end=$primary_lsn
  if [ "$rejoin_timeline" -lt "$primary_timeline" ]; then
    end=$(ask_primary replication=true --command="TIMELINE_HISTORY $primary_timeline" | sed 's/^[^|]*|//' |
      sed -n "s/^[[:space:]]*${rejoin_timeline}[[:space:]]\{1,\}\([0-9A-Fa-f]*\/[0-9A-Fa-f]*\).*/\1/p")
    [ -n "$end" ] || return 0
  fi
  [ "$(rejoin_bytes "$rejoin_lsn")" -le "$(rejoin_bytes "$end")" ] || return 0
  ours=$(printf '%s\n' "$LOG_DIGEST_OF" | rejoin_sql --set=lsn="$rejoin_lsn" --set=timeline="$rejoin_timeline") ||
    rejoin_fail 21 "PostgreSQL here does not read its own log: $(cat "$REJOIN_STATE_DIR/sql.err")"
  theirs=$(printf '%s\n' "$LOG_DIGEST_OF" | ask_primary dbname=postgres --set=lsn="$rejoin_lsn" --set=timeline="$primary_timeline") ||
    no_primary 'does not let its log be read'
  if [ -z "$theirs" ]; then history=gone; elif [ "$ours" = "$theirs" ]; then history=same; fi
}

# --- a running server --------------------------------------------------------------------------------------------

alter() { rejoin_sql --command="ALTER SYSTEM SET primary_conninfo = '$1'" --command="ALTER SYSTEM SET primary_slot_name = '$2'" --command='SELECT pg_reload_conf()' >/dev/null; }

upstream() {
  printf 'host=%s port=%s user=%s application_name=%s connect_timeout=5' "$primary" "$port" "$user" "$REJOIN_INSTANCE_ID"
}

# Is the server told to take its log from Primary.
is_told() {
  rejoin_ask && [ "$rejoin_upstream_slot" = "$rejoin_slot" ] && printf ' %s ' "$rejoin_upstream" | tr -d "'" | grep -Fq " host=$primary "
}

# Does it do so, by both their words: sets sender to the primary's process that sends.
is_fed() {
  is_told && [ "$rejoin_receiver" = streaming ] || return 1
  sender=$(ask_primary dbname=postgres --command="SELECT active_pid FROM pg_replication_slots WHERE slot_name = '$rejoin_slot'") && [ -n "$sender" ]
}

# A receiver shows itself before it knows whether its history fits, and one that does not fit is soon replaced by the next.
streams() {
  is_fed || return 1
  first=$sender
  sleep 0.2
  is_fed && [ "$sender" = "$first" ]
}

# $1: seconds.
await_stream() {
  until=$(($(date +%s) + $1))
  until streams; do
    rejoin_alive "$pid" || rejoin_ended
    [ "$(date +%s)" -lt "$until" ] || return 1
    sleep 0.2
  done
}

must_stream() {
  await_stream "$1" || {
    rejoin_last_messages
    rejoin_fail 32 "PostgreSQL runs but does not stream from $primary within $1 s, its last messages are above; expected it to. Does the slot $rejoin_slot exist there? It goes on trying; run this again"
  }
}

# A receiver that has come to the end of a timeline waits for its next order. Without an upstream PostgreSQL has none for it, and does not end
# it either: it would be there for ever.
end_waiting_receiver() {
  receiver=$(rejoin_sql --command="SELECT pid FROM pg_stat_wal_receiver WHERE status = 'waiting'") && [ -n "$receiver" ] || return 0
  kill -s TERM "$receiver" 2>/dev/null || : # it has ended meanwhile
}

# Brings the running standby to rest: no upstream, at the end of what it has.
come_to_rest() {
  alter '' "$LOOKING" || rejoin_fail 21 "PostgreSQL (pid $pid) does not take a setting: $(cat "$REJOIN_STATE_DIR/sql.err"); expected ALTER SYSTEM to work. Is the disk full?"
  until=$(($(date +%s) + REJOIN_START_SECONDS))
  until rejoin_ask && [ "$rejoin_receiver" = none ] && [ "$rejoin_replayed" = t ]; do
    rejoin_alive "$pid" || rejoin_ended
    [ "$rejoin_receiver" != waiting ] || end_waiting_receiver
    [ "$(date +%s)" -lt "$until" ] ||
      rejoin_fail 32 "PostgreSQL (pid $pid) still replays its log or lets not go of its upstream after $REJOIN_START_SECONDS s; expected it to come to rest. Run this again"
    sleep 0.1
  done
  rejoin_ask || rejoin_fail 21 "PostgreSQL (pid $pid) has gone mute: $(cat "$REJOIN_STATE_DIR/sql.err"); expected its position. Run this again"
}

refuse_detached() {
  rejoin_fail 34 "the plane has cut this node off while it was joining (primary_slot_name is empty); nothing was changed. Ask for its position, and join it again when the cluster has a primary"
}

follow() {
  if ! rejoin_ask || [ "$rejoin_upstream_slot" != "$LOOKING" ]; then refuse_detached; fi
  alter "$(upstream)" "$rejoin_slot" || rejoin_fail 21 "PostgreSQL (pid $pid) does not take its upstream: $(cat "$REJOIN_STATE_DIR/sql.err"); expected ALTER SYSTEM to work. Is the disk full?"
  must_stream "$REJOIN_JOIN_SECONDS"
}

# --- the job -----------------------------------------------------------------------------------------------------

# $1: rewind or rebuild. Begins the job and answers for it.
begin_job() {
  if [ "$1" = rebuild ]; then
    [ "$donor" != none ] ||
      rejoin_fail 50 "$why; expected a history that is the primary's, or can be rewound to it. This takes a base backup: run this with Donor"
    check_room
  fi
  rejoin_end_job
  rm -f "$REJOIN_STATE_DIR/job.result"
  printf '%s' "$why" >"$REJOIN_STATE_DIR/job.why"
  note_primary
  printf '%s %s\n' "$1" "$primary" >"$REJOIN_STATE_DIR/job.source"
  grep -qs '^begin_job()' "$rejoin_self" ||
    rejoin_fail 64 "this script does not lie in a file ('$0'); expected one, since it starts itself again, detached. Run it as sh <file>"
  REJOIN_JOB=$1 setsid sh "$rejoin_self" 8>&- >"$REJOIN_STATE_DIR/job.log" 2>&1 </dev/null &
  printf '%s %s\n' "$!" "$(rejoin_started "$!")" >"$REJOIN_STATE_DIR/job"
  await_job
}

note_primary() {
  printf '%s %s %s\n' "$primary" "$port" "$user" >"$REJOIN_STATE_DIR/job.primary.next"
  mv "$REJOIN_STATE_DIR/job.primary.next" "$REJOIN_STATE_DIR/job.primary"
}

# A move aside needs the room of a second copy.
check_room() {
  ! rejoin_is_empty || return 0
  need=$(du --summarize --block-size=1 "$rejoin_data" | cut -f 1)
  have=$(df --block-size=1 --output=avail "$rejoin_mount" | tail -n 1 | tr -d ' ')
  [ "$have" -gt "$need" ] ||
    rejoin_fail 53 "$why, and $rejoin_mount has $have bytes free; expected $need for a new copy beside the old data, which are kept until it streams. Enlarge the volume, or remove $rejoin_data if nobody wants its data"
}

# What the tools said, shortened, and then the job's own last sentences.
show_job() {
  grep -v '^rejoin: ' "$REJOIN_STATE_DIR/job.log" | rejoin_shorten >&2 || : # they said nothing
  grep '^rejoin: ' "$REJOIN_STATE_DIR/job.log" | tail -n 2 >&2 || :         # nor did it
}

await_job() {
  left=$((REJOIN_JOIN_SECONDS * 5))
  while [ ! -e "$REJOIN_STATE_DIR/job.result" ]; do
    rejoin_job || [ -e "$REJOIN_STATE_DIR/job.result" ] || {
      show_job
      rejoin_fail 33 "the job that makes a replica here has died without a word, its messages are above; expected a result. Run this again"
    }
    [ "$left" -gt 0 ] || {
      printf '{"joined":"seeding","rewound":false,"rebuilt":false,"timeline":null,"lsn":null}\n'
      exit 0
    }
    left=$((left - 1))
    sleep 0.2
  done
  read -r outcome rewound rebuilt <"$REJOIN_STATE_DIR/job.result"
  if [ "$outcome" != 0 ]; then
    show_job
    exit "$outcome"
  fi
  rejoin_ask || rejoin_fail 33 "the job has ended well, and PostgreSQL does not answer: $(cat "$REJOIN_STATE_DIR/sql.err"); expected it to stream. Run this again"
  report started "$rewound" "$rebuilt"
}

report() {
  printf '{"joined":"%s","rewound":%s,"rebuilt":%s,"timeline":%s,"lsn":"%s"}\n' "$1" "$2" "$3" "$rejoin_timeline" "$rejoin_lsn"
  exit 0
}

# $1: exit code; $2, $3: rewound, rebuilt. Whoever waits reads it.
note_result() {
  printf '%s %s %s\n' "$1" "$2" "$3" >"$REJOIN_STATE_DIR/job.result.next"
  mv "$REJOIN_STATE_DIR/job.result.next" "$REJOIN_STATE_DIR/job.result"
}

run_job() {
  exec 7>"$REJOIN_STATE_DIR/job.lock"
  flock -n 7 || rejoin_fail 14 'another job makes a replica here; expected none'
  printf '%s %s\n' "$$" "$(rejoin_started "$$")" >"$REJOIN_STATE_DIR/job" # whoever started it may be gone
  code=0
  trap 'code=$?; [ -e "$REJOIN_STATE_DIR/job.result" ] || note_result "$code" false false' EXIT
  why=$(cat "$REJOIN_STATE_DIR/job.why")
  rejoin_say "rejoin: $REJOIN_JOB from $primary:$port, donor $donor: $why"
  rewound=false rebuilt=false
  if [ "$REJOIN_JOB" = rewind ] && rewind; then rewound=true; else
    rebuild
    rebuilt=true
  fi
  # A failover may have come meanwhile, and a later postgres-join told so.
  read -r primary port user <"$REJOIN_STATE_DIR/job.primary"
  rejoin_write_upstream "$(upstream)" "$rejoin_slot"
  rejoin_start_standby answering
  must_stream "$REJOIN_START_SECONDS"
  note_result 0 "$rewound" "$rebuilt"
  forget_aside
}

# Status 1: it cannot be rewound, and nothing was changed by it. Data that were left in the middle of a rewind can only be replaced.
rewind() {
  if ! pid=$(rejoin_pid) || ! rejoin_ask; then
    rejoin_fail 33 "PostgreSQL has ended or gone mute since it was looked at: $(cat "$REJOIN_STATE_DIR/sql.err"); expected its position. Run this again"
  fi
  rejoin_end_process "$pid"
  grep -q "^primary_slot_name = '$LOOKING'" "$rejoin_data/postgresql.auto.conf" || refuse_detached
  end_recovery
  await_checkpoint
  if ! run_rewind --dry-run; then
    ask_primary dbname=postgres --command='SELECT 1' >/dev/null || no_primary 'does not answer'
    why="$why, and pg_rewind cannot bring it back"
    [ "$donor" != none ] || rejoin_fail 50 "$why, its messages are above; expected it to. This takes a base backup: run this with Donor"
    check_room
    return 1
  fi
  touch "$rejoin_half_rewound"
  sync "$rejoin_mount"
  run_rewind || rejoin_fail 33 "pg_rewind failed in the middle, its messages are above; expected it to end well. Run this again: it will take a base backup"
  rm -f "$rejoin_half_rewound"
}

# pg_rewind takes the primary's timeline from its control file, which has the old one until the first checkpoint after a promotion
# (https://www.postgresql.org/docs/15/app-pgrewind.html).
await_checkpoint() {
  known=$(ask_primary dbname=postgres --command='SELECT timeline_id FROM pg_control_checkpoint()') || no_primary 'does not answer'
  look_at_primary
  [ "$known" != "$primary_timeline" ] || return 0
  patience=600
  ask_primary dbname=postgres --command=CHECKPOINT || no_primary 'makes no checkpoint'
  patience=15
}

# Ends the recovery of a stopped server in single-user mode, which writes a checkpoint at the end of its log. By the control file alone
# pg_rewind takes a standby to end where the last page was written, maybe on an earlier timeline: it would see nothing to rewind.
# Only for data that have left the primary's history: a checkpoint of its own is more of that.
end_recovery() {
  rm -f "$rejoin_data/standby.signal"
  rejoin_as "$REJOIN_PG_BIN/postgres" --single -D "$rejoin_data" -c config_file="$REJOIN_CONFIG_FILE" template1 </dev/null ||
    rejoin_fail 33 "PostgreSQL does not recover $rejoin_data in single-user mode, its messages are above; expected it to. Mend what they say, or replace the node"
}

# Fails also when it sees nothing to do: this node has left the primary's history, so that is not true.
run_rewind() {
  rejoin_as timeout 3600 "$REJOIN_PG_BIN/pg_rewind" --target-pgdata="$rejoin_data" --source-server="$(connection "$primary" rewind) dbname=postgres" \
    --no-ensure-shutdown "$@" >"$REJOIN_STATE_DIR/rewind.log" 2>&1 || {
    cat "$REJOIN_STATE_DIR/rewind.log"
    return 1
  }
  cat "$REJOIN_STATE_DIR/rewind.log"
  ! grep -q 'no rewind required' "$REJOIN_STATE_DIR/rewind.log"
}

rebuild() {
  if pid=$(rejoin_pid); then rejoin_end_process "$pid"; fi
  seed=$rejoin_mount/.rejoin-seed
  rm -rf "$seed"
  mkdir -p "$rejoin_mount"
  mkdir -m 700 "$seed"
  rejoin_give "$seed"
  # The server verifies the pages' checksums as it sends them; a page that is wrong fails the backup.
  rejoin_exec_as "$REJOIN_PG_BIN/pg_basebackup" --pgdata="$seed" --dbname="$(connection "$donor" seed)" --wal-method=stream \
    --checkpoint=fast --no-password &
  backup=$!
  # A donor that hangs keeps its connections open.
  while rejoin_alive "$backup"; do
    [ -n "$(find "$seed" -newermt "$REJOIN_STALL_SECONDS seconds ago" -print -quit)" ] || {
      rejoin_say "rejoin: nothing has come from $donor:$port for $REJOIN_STALL_SECONDS s; expected a base backup. Look at the donor, or choose another, and run this again"
      note_result 52 false false
      kill -s KILL -- "-$$"
    }
    sleep 0.5
  done
  wait "$backup" ||
    rejoin_fail 52 "the base backup from $donor:$port failed, pg_basebackup's messages are above; expected a whole copy. Mend what they say, or choose another Donor, and run this again"
  mv -T "$seed" "$rejoin_mount/.rejoin-seeded"
  rejoin_finish_seed
}

# The new replica streams: older copies of the same cluster are of no use now. Another cluster's data stay.
forget_aside() {
  for old in "$rejoin_mount"/.rejoin-aside/*; do
    [ -d "$old" ] || continue
    if rejoin_is_data "$old" && [ "$(rejoin_control 'Database system identifier' "$old")" = "$rejoin_system" ]; then
      rm -rf "$old"
    else
      rejoin_say "rejoin: $old holds no data of this cluster; it stays"
    fi
  done
  rmdir "$rejoin_mount/.rejoin-aside" 2>/dev/null || : # something stays in it, or there is none
}

# --- what is there -----------------------------------------------------------------------------------------------

refuse_foreign() {
  rejoin_require_data
  system=$(rejoin_control 'Database system identifier')
  [ "$system" = "$primary_system" ] ||
    rejoin_fail 51 "$rejoin_data holds data of another cluster (system identifier $system); expected $primary_system, as Primary $primary has. Nothing was touched. Mount the right volume, or move the data away by postgres-prepare with Source=peer"
}

# Ends what cannot become a replica as it runs: a primary, a hung server. Answers for one that streams already.
settle_running() {
  case $(rejoin_process_state "$pid") in
    T | t)
      rejoin_end_process "$pid"
      return 1
      ;;
  esac
  rejoin_answer=0
  rejoin_await_answer "$pid" || rejoin_answer=$?
  case $rejoin_answer in
    0) ;;
    1) return 1 ;;
    *)
      rejoin_say "rejoin: PostgreSQL (pid $pid) does not answer: $(cat "$REJOIN_STATE_DIR/sql.err")"
      rejoin_end_process "$pid"
      return 1
      ;;
  esac
  if [ "$rejoin_primary" = true ]; then
    rejoin_say "rejoin: PostgreSQL (pid $pid) runs as a primary at $rejoin_timeline:$rejoin_lsn beside $primary:$port; stopping it"
    rejoin_end_process "$pid"
    return 1
  fi
  # One that goes over to Primary this moment has its receiver begin anew.
  if is_told && await_stream 2; then report already false false; fi
}

make_replica() {
  if rejoin_is_seeding; then
    read -r kind source <"$REJOIN_STATE_DIR/job.source"
    # A primary that is no more may have left pg_rewind waiting for ever. A base backup is as good for the new one.
    if [ "$kind" = rebuild ] || [ "$source" = "$primary" ]; then
      note_primary
      await_job
    fi
    rejoin_say "rejoin: giving up the rewind to $source; $primary is the primary now"
  fi
  rejoin_end_job
  rejoin_finish_seed
  look_at_primary
  if rejoin_is_empty; then
    why="$rejoin_data holds nothing"
    begin_job rebuild
  fi
  refuse_foreign
  if [ -e "$rejoin_half_rewound" ]; then
    why="$rejoin_data was left in the middle of a rewind"
    begin_job rebuild
  fi
  if pid=$(rejoin_pid) && settle_running; then
    come_to_rest
  else
    rejoin_write_upstream '' "$LOOKING"
    rejoin_start_standby replayed
  fi
  look_at_primary # it has gone on meanwhile
  compare_histories
  here="this node's log ends at $rejoin_timeline:$rejoin_lsn, and the primary's is at $primary_timeline:$primary_lsn"
  case $history in
    same)
      follow
      report started false false
      ;;
    left)
      why="$here, another history"
      begin_job rewind
      ;;
    gone)
      why="$here and no longer has the log from there on"
      begin_job rebuild
      ;;
  esac
}

rejoin_load
check_parameters
if [ -n "${REJOIN_JOB:-}" ]; then
  check_passfile
  run_job
  exit 0
fi
rejoin_lock
rejoin_mount_if_needed none
rejoin_end_restore
check_passfile
make_replica
