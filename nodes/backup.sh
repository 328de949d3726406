# shellcheck shell=sh
# shellcheck disable=SC2015,SC2034,SC2154 # A && B || C is meant so; the scripts read what is set here, and nodes/lib.sh sets what is read here
# What both engines' base backups share: a stream goes compressed, piece by piece, into an upload that the plane has begun and that
# only the plane completes. It does nothing by itself.
#
# At most two pieces lie on the disk, beside the data: one is written while the one before is uploaded. The script gives rejoin_backup_source,
# which writes the stream to its standard output.

rejoin_backup_parameters() {
  rejoin_bucket=${REJOIN_PARAM_BUCKET:-}
  rejoin_key=${REJOIN_PARAM_KEY:-}
  rejoin_upload_id=${REJOIN_PARAM_UPLOAD_ID:-}
  rejoin_part_bytes=${REJOIN_PARAM_PART_BYTES:-}
  rejoin_is "$rejoin_key" '[A-Za-z0-9._~/,-]+/base/[A-Za-z0-9.-]+/data\.zst' ||
    rejoin_fail 64 "Key is '$rejoin_key'; expected <cluster>/<history>/base/<id>/data.zst"
  rejoin_is "$rejoin_upload_id" '[A-Za-z0-9._~+/=-]{1,1024}' || rejoin_fail 64 "UploadId is '$rejoin_upload_id'; expected that of an upload that S3 has begun for Key"
  rejoin_is "$rejoin_part_bytes" '[0-9]{7,10}' && [ "$rejoin_part_bytes" -ge 5242880 ] && [ "$rejoin_part_bytes" -le 5368709120 ] ||
    rejoin_fail 64 "PartBytes is '$rejoin_part_bytes'; expected 5242880 to 5368709120, the sizes that S3 takes"
  rejoin_work=$rejoin_mount/.rejoin-backup
}

rejoin_backup_clean() { rm -rf "$rejoin_work"; }

rejoin_backup_prepare() {
  have=$(df --block-size=1 --output=avail "$rejoin_mount" | tail -n 1 | tr -d ' ')
  [ "$have" -gt $((rejoin_part_bytes * 2 + 16777216)) ] ||
    rejoin_fail 53 "$rejoin_mount has $have bytes free; expected room for two pieces of $rejoin_part_bytes bytes beside the data. Enlarge the volume, or give a smaller PartBytes"
  rm -rf "$rejoin_work"
  mkdir -m 700 "$rejoin_work"
  mkfifo "$rejoin_work/whole"
  # The database's own work goes first.
  renice -n 10 -p "$$" >/dev/null
  ionice -c 2 -n 7 -p "$$" || rejoin_say 'rejoin: ionice does not work here; going on without'
}

# Sets rejoin_raw_bytes, rejoin_stored_bytes, rejoin_parts and rejoin_whole, the SHA-256 of all that is stored. Fails when any of it does.
rejoin_backup_run() {
  rejoin_sha256 <"$rejoin_work/whole" >"$rejoin_work/sha256" &
  rejoin_hash=$!
  {
    rejoin_backup_source || echo "$?" >"$rejoin_work/failed"
    # Whoever reads to the end must know whether it was one.
  } | rejoin_backup_count | { zstd -q -3 -T1 -c || echo "zstd $?" >"$rejoin_work/failed"; } |
    tee "$rejoin_work/whole" | rejoin_backup_upload || exit 60
  wait "$rejoin_hash"
  [ ! -e "$rejoin_work/failed" ] ||
    rejoin_fail 61 "the backup's source has failed (status $(cat "$rejoin_work/failed")), its messages are above; expected a whole backup. The upload is not to be completed. Mend what they say and begin a new one"
  rejoin_whole=$(cat "$rejoin_work/sha256")
  rejoin_raw_bytes=$(sed -n 's/^\([0-9]*\) bytes.*/\1/p' "$rejoin_work/counted")
  rejoin_stored_bytes=$(awk -F '\t' '{ sum += $2 } END { printf "%.0f", sum }' "$rejoin_work/parts")
  rejoin_parts=$(wc -l <"$rejoin_work/parts")
  rejoin_s3_put_new "${rejoin_key%data.zst}parts" "$rejoin_work/parts"
}

rejoin_backup_count() {
  # shellcheck disable=SC2016 # the inner shell's own
  LC_ALL=C sh -c 'echo $$ >"$0"; exec dd bs=256K' "$rejoin_work/counter" 2>"$rejoin_work/counted"
}

# Cuts standard input into pieces and uploads them.
rejoin_backup_upload() {
  rejoin_number=0 rejoin_before='' rejoin_stored_bytes=0
  while :; do
    rejoin_number=$((rejoin_number + 1))
    rejoin_file=$rejoin_work/piece.$rejoin_number
    dd bs=256K count="$rejoin_part_bytes" iflag=count_bytes,fullblock of="$rejoin_file" status=none
    [ -z "$rejoin_before" ] || wait "$rejoin_before" || exit 60
    rejoin_before=
    [ -s "$rejoin_file" ] || break
    rejoin_stored_bytes=$((rejoin_stored_bytes + $(wc -c <"$rejoin_file")))
    rejoin_s3_credentials
    rejoin_backup_put "$rejoin_number" "$rejoin_file" &
    rejoin_before=$!
    rejoin_job_progress "$(printf '{"state":"running","parts":%s,"storedBytes":%s,"rawBytes":%s}' "$rejoin_number" "$rejoin_stored_bytes" \
      "$(sed -n 's/^rchar: //p' "/proc/$(cat "$rejoin_work/counter")/io" 2>/dev/null || echo 0)")"
  done
  rm -f "$rejoin_file"
  rejoin_number=$((rejoin_number - 1))
  seq 1 "$rejoin_number" | while read -r rejoin_part; do cat "$rejoin_work/put.$rejoin_part"; done >"$rejoin_work/parts"
}

rejoin_backup_put() {
  rejoin_sum=$(rejoin_sha256 <"$2")
  rejoin_s3_put_part "$rejoin_key" "$rejoin_upload_id" "$1" "$2" "$rejoin_sum"
  printf '%s\t%s\t%s\t%s\n' "$1" "$(wc -c <"$2")" "$rejoin_sum" "$rejoin_etag" >"$rejoin_work/put.$1"
  rm -f "$2"
}

# $1: what only this engine says, JSON members.
rejoin_backup_answer() {
  printf '{"state":"done","parts":%s,"rawBytes":%s,"storedBytes":%s,"sha256":"%s","engineVersion":"%s","beganAt":"%s","endedAt":"%s",%s}' \
    "$rejoin_parts" "$rejoin_raw_bytes" "$rejoin_stored_bytes" "$rejoin_whole" "$rejoin_version" "$rejoin_began" "$rejoin_ended" "$1"
}
