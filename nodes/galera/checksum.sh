#!/bin/sh
# A digest of every row of every table of every database of this node, whatever their physical order, and the GTID that it is of: that of a
# consistent view, beside which the cluster goes on writing. Live is yes or no, and means the same here.
# Detached: run again with the same parameter it tells how far it is, and after that the result, once.
# {"state":"running","tables":…}
# {"state":"done","position":"0-1-270","digest":"<SHA-256>","tables":…,"rows":…}
set -eu
rejoin_self=$(readlink -f "$0")
# shellcheck source=nodes/galera/lib.sh
command -v rejoin_load >/dev/null 2>&1 || . "$(dirname "$0")/lib.sh"
# shellcheck source=nodes/s3.sh
command -v rejoin_sha256 >/dev/null 2>&1 || . "$(dirname "$0")/../s3.sh"
# shellcheck source=nodes/job.sh
command -v rejoin_job_open >/dev/null 2>&1 || . "$(dirname "$0")/../job.sh"

rejoin_job_clean() { :; }

client() {
  mariadb --defaults-file="$REJOIN_DEFAULTS_FILE" --socket="$REJOIN_SOCKET" --connect-timeout=4 --skip-column-names --batch 2>"$rejoin_job_dir/client"
}
cannot() { rejoin_fail 21 "$1: $(tail -n 2 "$rejoin_job_dir/client" | cut -c 1-300); expected MariaDB to answer on $REJOIN_SOCKET, with no table created, dropped or altered meanwhile. Run this again"; }

# Quoted names of all tables but the server's own and temporary ones.
list_tables() {
  client <<'SQL'
SELECT CONCAT('`', REPLACE(table_schema, '`', '``'), '`.`', REPLACE(table_name, '`', '``'), '`') FROM information_schema.tables
  WHERE table_type IN ('BASE TABLE', 'SEQUENCE', 'SYSTEM VERSIONED') AND table_schema NOT IN ('mysql', 'information_schema', 'performance_schema', 'sys') ORDER BY 1
SQL
}

# One session: the view's place in the log, then each table within the view. The server's own checksum is a sum over its rows.
session() {
  echo "SET SESSION time_zone = '+00:00'; SET SESSION wait_timeout = 86400; SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ;"
  echo 'START TRANSACTION WITH CONSISTENT SNAPSHOT;'
  echo "SHOW STATUS WHERE Variable_name IN ('binlog_snapshot_file', 'binlog_snapshot_position');"
  while read -r table; do
    echo "SELECT 'rows', COUNT(*) FROM $table; CHECKSUM TABLE $table EXTENDED;"
  done <"$rejoin_job_dir/tables"
  echo 'COMMIT;'
}

rejoin_job_work() {
  pid=$(rejoin_pid) || rejoin_fail 21 "MariaDB does not run on $rejoin_data; expected a server to read. Start it"
  list_tables >"$rejoin_job_dir/tables" || cannot 'the tables cannot be listed'
  tables=$(wc -l <"$rejoin_job_dir/tables")
  rejoin_job_progress "$(printf '{"state":"running","tables":%s}' "$tables")"
  session | client >"$rejoin_job_dir/sums" || cannot 'the tables cannot be read'
  list_tables | cmp -s - "$rejoin_job_dir/tables" || cannot 'tables have come or gone while they were read'
  file=$(sed -n 's/^[Bb]inlog_snapshot_file\t//p' "$rejoin_job_dir/sums")
  offset=$(sed -n 's/^[Bb]inlog_snapshot_position\t//p' "$rejoin_job_dir/sums")
  [ -n "$file" ] || cannot 'the view has no place in the binary log'
  position=$(echo "SELECT BINLOG_GTID_POS('$file', $offset)" | client) || cannot "the GTID at $file:$offset is not known"
  sed -i '/^[Bb]inlog_snapshot/d' "$rejoin_job_dir/sums"
  # A table that cannot be read has the sum NULL.
  ! grep -q '	NULL$' "$rejoin_job_dir/sums" || cannot "no sum of $(grep '	NULL$' "$rejoin_job_dir/sums" | cut -f 1 | head -n 3 | tr '\n' ' ')"
  rejoin_job_done "$(printf '{"state":"done","position":"%s","digest":"%s","tables":%s,"rows":%s}' "$position" \
    "$(rejoin_sha256 <"$rejoin_job_dir/sums")" "$tables" "$(awk -F '\t' '$1 == "rows" { rows += $2 } END { printf "%.0f", rows }' "$rejoin_job_dir/sums")")"
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
