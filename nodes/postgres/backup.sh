#!/bin/sh
# Streams a base backup of this node, primary or standby, into the upload UploadId of s3 Bucket/Key, in pieces of PartBytes, and what they are
# into <Key without data.zst>parts. Detached: run again with the same parameters it tells how far it is, and in the end what the
# manifest says; with others it gives that work up and begins anew.
# {"state":"running","parts":…,"storedBytes":…,"rawBytes":…}
# {"state":"done","parts":…,"rawBytes":…,"storedBytes":…,"sha256":"…","engineVersion":"15.18","beganAt":"…Z","endedAt":"…Z",
#  "history":"<system identifier>","start":{"timeline":1,"lsn":"0/2000028"},"end":{"timeline":1,"lsn":"0/2000138"}}
#   On a standby the end is where its data files are consistent: the minimum recovery point after the last file.
set -eu
rejoin_self=$(readlink -f "$0")
# shellcheck source=nodes/postgres/lib.sh
command -v rejoin_load >/dev/null 2>&1 || . "$(dirname "$0")/lib.sh"
# shellcheck source=nodes/job.sh
command -v rejoin_job_open >/dev/null 2>&1 || . "$(dirname "$0")/../job.sh"
# shellcheck source=nodes/s3.sh
command -v rejoin_s3_load >/dev/null 2>&1 || . "$(dirname "$0")/../s3.sh"
# shellcheck source=nodes/backup.sh
command -v rejoin_backup_run >/dev/null 2>&1 || . "$(dirname "$0")/../backup.sh"

rejoin_job_clean() { rejoin_backup_clean; }

ask_server() {
  pid=$(rejoin_pid) || rejoin_fail 21 "PostgreSQL does not run on $rejoin_data; expected a primary or a standby to back up. Start it, or choose another node"
  rejoin_ask || rejoin_fail 21 "PostgreSQL (pid $pid) does not answer on $REJOIN_SOCKET: $(cat "$REJOIN_STATE_DIR/sql.err"). Expected a primary or a standby to back up"
}

refuse_tablespaces() {
  spaces=$(rejoin_sql --command="SELECT string_agg(quote_ident(spcname), ', ') FROM pg_tablespace WHERE spcname NOT IN ('pg_default', 'pg_global')") ||
    rejoin_fail 21 "PostgreSQL does not tell its tablespaces: $(cat "$REJOIN_STATE_DIR/sql.err")"
  [ -z "$spaces" ] ||
    rejoin_fail 61 "this cluster has the tablespaces $spaces; expected none beside pg_default: a backup streams one folder. Move their tables (ALTER TABLE … SET TABLESPACE pg_default) and drop them"
}

# The stream is one tar, and the last in it is PostgreSQL's own list of files and checksums (backup_manifest). Only that says which log the
# backup needs (pg_basebackup itself says it when it takes the log too).
rejoin_backup_source() {
  mkfifo "$rejoin_work/raw"
  tail -c 65536 "$rejoin_work/raw" >"$rejoin_work/last" &
  last=$!
  {
    rejoin_as "$REJOIN_PG_BIN/pg_basebackup" --pgdata=- --format=tar --wal-method=none --checkpoint=fast --no-password \
      --host="$REJOIN_SOCKET" --port="$REJOIN_PORT" --username=postgres || echo pg_basebackup >"$rejoin_work/failed"
  } | tee "$rejoin_work/raw"
  wait "$last"
}

# Sets timeline, start and end from the list's stretch of log, of which there is one unless the timeline has changed meanwhile.
read_range() {
  range=$(tr -d '\000' <"$rejoin_work/last" |
    sed -n 's/.*{ "Timeline": \([0-9]*\), "Start-LSN": "\([0-9A-F/]*\)", "End-LSN": "\([0-9A-F/]*\)" }.*/\1 \2 \3/p')
  rejoin_is "$range" '[0-9]+ [0-9A-F]+/[0-9A-F]+ [0-9A-F]+/[0-9A-F]+' ||
    rejoin_fail 61 "the backup's list of files names the log '$range'; expected one stretch of one timeline. Has the cluster had a failover meanwhile? Begin a new backup"
  read -r timeline start end <<RANGE
$range
RANGE
}

rejoin_job_work() {
  ask_server
  refuse_tablespaces
  rejoin_version=$(rejoin_sql --command='SHOW server_version' | cut -d ' ' -f 1)
  rejoin_backup_prepare
  rejoin_began=$(rejoin_now)
  rejoin_backup_run
  rejoin_ended=$(rejoin_now)
  read_range
  ask_server
  [ "$rejoin_timeline" = "$timeline" ] ||
    rejoin_fail 61 "the cluster has gone over to timeline $rejoin_timeline while it was backed up on $timeline; expected one timeline. Begin a new backup"
  rejoin_job_done "$(rejoin_backup_answer "$(printf '"history":"%s","start":{"timeline":%s,"lsn":"%s"},"end":{"timeline":%s,"lsn":"%s"}' \
    "$rejoin_system" "$timeline" "$start" "$timeline" "$end")")"
}

rejoin_load
rejoin_backup_parameters
rejoin_s3_load "$rejoin_bucket"
rejoin_job_open backup
if [ "${REJOIN_DETACHED:-}" = backup ]; then
  rejoin_job_run
  exit 0
fi
rejoin_mount_if_needed none
rejoin_job_ask "$rejoin_bucket/$rejoin_key $rejoin_upload_id $rejoin_part_bytes" "$rejoin_self"
