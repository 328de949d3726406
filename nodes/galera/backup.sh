#!/bin/sh
# Streams a base backup of this node into the upload UploadId of s3 Bucket/Key, in pieces of PartBytes, and what they are into <Key without
# data.zst>parts. Detached: run again with the same parameters it tells how far it is, and in the end what the manifest says; with
# others it gives that work up and begins anew.
# {"state":"running","parts":…,"storedBytes":…,"rawBytes":…}
# {"state":"done","parts":…,"rawBytes":…,"storedBytes":…,"sha256":"…","engineVersion":"10.11.19-MariaDB…","beganAt":"…Z","endedAt":"…Z",
#  "history":"<state UUID>","start":{"gtid":"0-1-270"},"end":{"gtid":"0-1-270"},"seqno":412}
#   The data are of one moment, the last of the copy, so that start and end are the same.
#
# The server itself lets the node fall behind its group for that moment (BACKUP STAGE, flow control does not wait for it). To keep the whole
# copy from slowing the group down is the plane's matter: it sets wsrep_desync.
set -eu
rejoin_self=$(readlink -f "$0")
# shellcheck source=nodes/galera/lib.sh
command -v rejoin_load >/dev/null 2>&1 || . "$(dirname "$0")/lib.sh"
# shellcheck source=nodes/job.sh
command -v rejoin_job_open >/dev/null 2>&1 || . "$(dirname "$0")/../job.sh"
# shellcheck source=nodes/s3.sh
command -v rejoin_s3_load >/dev/null 2>&1 || . "$(dirname "$0")/../s3.sh"
# shellcheck source=nodes/backup.sh
command -v rejoin_backup_run >/dev/null 2>&1 || . "$(dirname "$0")/../backup.sh"

rejoin_job_clean() { rejoin_backup_clean; }

ask_server() {
  pid=$(rejoin_pid) || rejoin_fail 21 "MariaDB does not run on $rejoin_data; expected a member of its group to back up. Start it, or choose another node"
  rejoin_ask || rejoin_fail 21 "MariaDB (pid $pid) does not answer on $REJOIN_SOCKET: $(cat "$REJOIN_STATE_DIR/sql.err"). Expected a member of its group to back up"
  [ "$rejoin_component" = Primary ] ||
    rejoin_fail 61 "this node is in no primary component (wsrep_cluster_status is $rejoin_component); expected a member of its group: what others lack here would not be in the backup. Choose another node"
}

# The node's place in its group is in a small file of the stream, as <state UUID>:<seqno>; found by what it looks like, the last of that form.
rejoin_backup_source() {
  mkfifo "$rejoin_work/raw"
  LC_ALL=C grep -z -a -o -E "$rejoin_uuid:[0-9]+" "$rejoin_work/raw" >"$rejoin_work/places" &
  places=$!
  {
    mariabackup --defaults-file="$REJOIN_DEFAULTS_FILE" --backup --stream=xbstream --galera-info --datadir="$rejoin_data" \
      --socket="$REJOIN_SOCKET" --user=root --target-dir="$rejoin_work/target" --extra-lsndir="$rejoin_work/extra" \
      2>"$rejoin_work/messages" || {
      rejoin_shorten <"$rejoin_work/messages" >&2
      echo mariabackup >"$rejoin_work/failed"
    }
  } | tee "$rejoin_work/raw"
  wait "$places" || echo 'no place in the group' >"$rejoin_work/failed"
}

rejoin_job_work() {
  ask_server
  rejoin_version=$(rejoin_sql 'SELECT VERSION()')
  rejoin_backup_prepare
  mkdir "$rejoin_work/target" "$rejoin_work/extra"
  rejoin_began=$(rejoin_now)
  rejoin_backup_run
  rejoin_ended=$(rejoin_now)
  gtid=$(sed -n "s/^binlog_pos = .*GTID of the last change '\([0-9,-]*\)'.*/\1/p" "$rejoin_work/extra/xtrabackup_info")
  seqno=$(tr '\000' '\n' <"$rejoin_work/places" | tail -n 1)
  seqno=${seqno##*:}
  rejoin_is "$gtid" '[0-9]+-[0-9]+-[0-9]+(,[0-9]+-[0-9]+-[0-9]+)*' ||
    rejoin_fail 61 "mariabackup names the GTID '$gtid'; expected a position in the binary log. Set log_bin and wsrep_gtid_mode (docs/hosts.md), and write something"
  rejoin_job_done "$(rejoin_backup_answer "$(printf '"history":"%s","start":{"gtid":"%s"},"end":{"gtid":"%s"},"seqno":%s' \
    "$rejoin_uuid" "$gtid" "$gtid" "$seqno")")"
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
