#!/bin/sh
# A digest of every row of every table of every database of this node, whatever their physical order, and the place in the log that it is of.
#   Live=yes: of a standby that follows its primary. Replay is held for the time, so that all tables are of one place; what the standby
#     receives meanwhile it keeps, and acknowledges. A primary is refused: it cannot be held.
#   Live=no: of a database that nobody writes to.
# Detached: run again with the same parameter it tells how far it is, and after that the result, once.
# {"state":"running","tables":…}
# {"state":"done","position":"1/0/3000060","digest":"<SHA-256>","tables":…,"rows":…}
set -eu
rejoin_self=$(readlink -f "$0")
# shellcheck source=nodes/postgres/lib.sh
command -v rejoin_load >/dev/null 2>&1 || . "$(dirname "$0")/lib.sh"
# shellcheck source=nodes/s3.sh
command -v rejoin_sha256 >/dev/null 2>&1 || . "$(dirname "$0")/../s3.sh"
# shellcheck source=nodes/job.sh
command -v rejoin_job_open >/dev/null 2>&1 || . "$(dirname "$0")/../job.sh"

# A job that was killed must not leave the standby behind its primary for ever.
rejoin_job_clean() {
  [ -e "$rejoin_job_dir/held" ] || return 0
  rejoin_sql --command='SELECT pg_wal_replay_resume() WHERE pg_is_in_recovery()' >/dev/null ||
    rejoin_fail 21 "PostgreSQL does not go on replaying: $(cat "$REJOIN_STATE_DIR/sql.err"); expected pg_wal_replay_resume() to work. It holds its replay: run this again, or restart it"
  rm -f "$rejoin_job_dir/held"
}

hold_replay() {
  [ "$rejoin_primary" = false ] ||
    rejoin_fail 12 "PostgreSQL runs here as a primary; expected a standby, whose replay can be held while it is read. Choose a replica, or Live=no when nobody writes"
  : >"$rejoin_job_dir/held"
  rejoin_sql --command='SELECT pg_wal_replay_pause()' >/dev/null || rejoin_fail 21 "PostgreSQL does not hold its replay: $(cat "$REJOIN_STATE_DIR/sql.err")"
  left=100
  until [ "$(rejoin_sql --command='SELECT pg_get_wal_replay_pause_state()')" = paused ]; do
    [ "$left" -gt 0 ] || rejoin_fail 32 'PostgreSQL has not held its replay within 10 s; expected it to. Is it a standby that replays? Run this again'
    left=$((left - 1))
    sleep 0.1
  done
}

# Sets position: of the primary where its log ends, of a standby what it has replayed, with the newest timeline that has this segment.
read_position() {
  position=$rejoin_timeline/$rejoin_lsn
  [ "$rejoin_primary" = false ] || return 0
  position=$(rejoin_sql --command="WITH place AS (SELECT pg_last_wal_replay_lsn() AS at), segment AS (SELECT at, $REJOIN_SEGMENT AS name FROM place)
    SELECT max(('x' || substr(f.name, 1, 8))::bit(32)::int) || '/' || at FROM segment, pg_ls_waldir() f
      WHERE length(f.name) = 24 AND substr(f.name, 9) = segment.name AND (f.name LIKE '00000001%'
        OR EXISTS (SELECT FROM pg_ls_waldir() h WHERE h.name = substr(f.name, 1, 8) || '.history')) GROUP BY at") || position=
  [ -n "$position" ] ||
    rejoin_fail 21 "PostgreSQL does not tell where it is: $(cat "$REJOIN_STATE_DIR/sql.err")"
}

# A line for each table of database $1: its name, its rows, and two sums over hashes of them. What a row looks like must not depend on settings.
sum_tables() {
  rejoin_dbname=$1
  rejoin_sql <<'SQL'
SET statement_timeout = 0;
SET lock_timeout = 0;
SET TimeZone = 'UTC';
SET DateStyle = 'ISO, YMD';
SET IntervalStyle = 'postgres';
SET extra_float_digits = 1;
SET bytea_output = 'hex';
SET search_path = pg_catalog;
SELECT format('SELECT current_database(), %L, count(*), coalesce(sum(hashtextextended(rejoin_row::text, 0)::numeric), 0), coalesce(sum(hashtextextended(rejoin_row::text, 1)::numeric), 0) FROM ONLY %I.%I AS rejoin_row',
    n.nspname || '.' || c.relname, n.nspname, c.relname)
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relkind IN ('r', 'm') AND c.relpersistence = 'p' AND (c.relkind = 'r' OR c.relispopulated)
    AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast') ORDER BY n.nspname, c.relname
\gexec
SQL
}

rejoin_job_work() {
  pid=$(rejoin_pid) || rejoin_fail 21 "PostgreSQL does not run on $rejoin_data; expected a server to read. Start it"
  rejoin_ask || rejoin_fail 21 "PostgreSQL (pid $pid) does not answer on $REJOIN_SOCKET: $(cat "$REJOIN_STATE_DIR/sql.err")"
  [ "$live" = no ] || hold_replay
  read_position
  rejoin_patience=86400
  : >"$rejoin_job_dir/sums"
  rejoin_sql --command='SELECT datname FROM pg_database WHERE datallowconn ORDER BY datname' >"$rejoin_job_dir/databases"
  while read -r database; do
    sum_tables "$database" >>"$rejoin_job_dir/sums" ||
      rejoin_fail 21 "the tables of $database cannot be read: $(tail -n 3 "$REJOIN_STATE_DIR/sql.err" | cut -c 1-300)"
    rejoin_job_progress "$(printf '{"state":"running","tables":%s}' "$(wc -l <"$rejoin_job_dir/sums")")"
  done <"$rejoin_job_dir/databases"
  rejoin_dbname=postgres
  rejoin_patience=5
  rejoin_job_done "$(printf '{"state":"done","position":"%s","digest":"%s","tables":%s,"rows":%s}' "$position" \
    "$(LC_ALL=C sort "$rejoin_job_dir/sums" | rejoin_sha256)" "$(wc -l <"$rejoin_job_dir/sums")" "$(awk -F '|' '{ rows += $(NF - 2) } END { printf "%.0f", rows }' "$rejoin_job_dir/sums")")"
}

rejoin_load
live=${REJOIN_PARAM_LIVE:-}
rejoin_is "$live" 'yes|no' || rejoin_fail 64 "Live is '$live'; expected yes or no"
rejoin_job_open checksum
if [ "${REJOIN_DETACHED:-}" = checksum ]; then
  rejoin_job_run
  exit 0
fi
rejoin_mount_if_needed none
rejoin_job_ask_once "$live" "$rejoin_self"
