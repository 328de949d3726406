# shellcheck shell=sh
# shellcheck disable=SC2034,SC2154 # the scripts read what is set here, and nodes/lib.sh sets what is read here
# What both engines' restores share: the plan (docs/archive.md), and the base backup, which comes in pieces, several at a time, and is
# unpacked as they come. It does nothing by itself.
#
# Everything lies in rejoin_work, beside the data, or in a hidden folder of theirs. The script gives rejoin_restore_unpack, which reads the
# unpacked stream from its standard input.

REJOIN_PARTS_AHEAD=4

rejoin_restore_parameters() {
  rejoin_bucket=${REJOIN_PARAM_BUCKET:-}
  rejoin_plan_key=${REJOIN_PARAM_PLAN:-}
  rejoin_is "$rejoin_plan_key" '[A-Za-z0-9._~/,-]{1,1024}' || rejoin_fail 64 "Plan is '$rejoin_plan_key'; expected the key of a restore's plan, such as orders/restore/<id>/plan"
  rejoin_work=$rejoin_mount/.rejoin-restore
  rejoin_plan=$rejoin_work/plan
}

rejoin_restore_progress() { # phase, done, total, replayed
  rejoin_job_progress "$(printf '{"state":"running","phase":"%s","doneBytes":%s,"totalBytes":%s,"replayed":%s}' "$1" "$2" "$3" "$(rejoin_json "$4")")"
}

# Reads the plan into rejoin_plan; sets rejoin_target, rejoin_target_value, rejoin_end, rejoin_base_bytes, rejoin_base_sha256 and rejoin_base_key.
rejoin_plan_load() {
  rejoin_s3_get "$rejoin_plan_key" "$rejoin_plan"
  rejoin_wrong=$(awk -F '\t' '
    function key(k) { return k ~ /^[A-Za-z0-9._~\/,-]+$/ }
    function sum(s) { return s ~ /^[0-9a-f]+$/ && length(s) == 64 }
    function place(p) { return p ~ /^[0-9]+\/[0-9A-F]+\/[0-9A-F]+$/ || p ~ /^([0-9]+-[0-9]+-[0-9]+,?)+$/ || p == "none" }
    { ok = 0; seen[$1]++ }
    $1 == "engine" { ok = $2 ~ /^(postgres|galera)$/ }
    $1 == "base" { ok = key($2) && $3 ~ /^[0-9]+$/ && sum($4); stored = $3 }
    $1 == "part" { ok = $2 == seen["part"] && $3 ~ /^[0-9]+$/ && sum($4); parts += $3 }
    $1 == "history" { ok = $2 ~ /^[0-9]+$/ && key($3) }
    $1 == "log" { ok = key($2) && place($3) && place($4) }
    $1 == "target" { ok = $2 ~ /^(latest|time|lsn|gtid|name)$/ && ($2 == "latest" || $3 ~ /^[A-Za-z0-9.:\/, -]+$/) }
    $1 == "end" { ok = place($2) }
    !ok { print "line " NR ": " $0; wrong = 1; exit }
    END {
      if (wrong) exit
      if (seen["engine"] != 1 || seen["base"] != 1 || seen["target"] != 1 || seen["end"] != 1) print "not one line each of engine, base, target and end"
      else if (parts != stored) printf "parts of %.0f bytes for a base of %.0f\n", parts, stored
    }' "$rejoin_plan")
  [ -z "$rejoin_wrong" ] ||
    rejoin_fail 64 "$(printf '%s' "$rejoin_wrong" | cut -c 1-200) in the plan $rejoin_plan_key; expected what docs/archive.md says. Make the plan anew"
  rejoin_planned() { awk -F '\t' -v name="$1" -v field="$2" '$1 == name { print $field; exit }' "$rejoin_plan"; }
  [ "$(rejoin_planned engine 2)" = "$rejoin_engine" ] ||
    rejoin_fail 64 "the plan $rejoin_plan_key is of $(rejoin_planned engine 2), and this is a host of $rejoin_engine; expected the same. Launch the restore's host from a template of its engine"
  rejoin_target=$(rejoin_planned target 2) rejoin_target_value=$(rejoin_planned target 3) rejoin_end=$(rejoin_planned end 2)
  rejoin_base_key=$(rejoin_planned base 2) rejoin_base_bytes=$(rejoin_planned base 3) rejoin_base_sha256=$(rejoin_planned base 4)
}

rejoin_restore_room() {
  have=$(df --block-size=1 --output=avail "$rejoin_mount" | tail -n 1 | tr -d ' ')
  [ "$have" -gt $((rejoin_base_bytes + 1073741824)) ] ||
    rejoin_fail 53 "$rejoin_mount has $have bytes free; expected more than the base backup's $rejoin_base_bytes and 1 GiB, and as much again for what it unpacks to. Enlarge the volume"
}

# $1: number, $2: bytes, $3: SHA-256, $4: where it begins.
rejoin_restore_part() {
  rejoin_s3_get "$rejoin_base_key" "$rejoin_work/part.$1" "$4" $(($4 + $2))
  rejoin_sum=$(rejoin_sha256 <"$rejoin_work/part.$1")
  [ "$rejoin_sum" = "$3" ] ||
    rejoin_fail 62 "part $1 of s3 $rejoin_base_key (bytes $4 to $(($4 + $2))) has SHA-256 $rejoin_sum; expected $3, as the manifest says. The object is damaged: restore from an earlier base backup"
}

# Writes the base backup's stored bytes to standard output, in order. REJOIN_PARTS_AHEAD parts at most lie on the disk.
rejoin_restore_stream() {
  awk -F '\t' '$1 == "part" { printf "%s %s %s %.0f\n", $2, $3, $4, at; at += $3 }' "$rejoin_plan" >"$rejoin_work/parts"
  rejoin_total=$(wc -l <"$rejoin_work/parts")
  rejoin_number=0 rejoin_begun=0 rejoin_gone=0
  while [ "$rejoin_number" -lt "$rejoin_total" ]; do
    rejoin_number=$((rejoin_number + 1))
    while [ "$rejoin_begun" -lt "$rejoin_total" ] && [ "$rejoin_begun" -lt $((rejoin_number + REJOIN_PARTS_AHEAD - 1)) ]; do
      rejoin_begun=$((rejoin_begun + 1))
      rejoin_s3_credentials
      # shellcheck disable=SC2046 # four fields
      rejoin_restore_part $(sed -n "${rejoin_begun}p" "$rejoin_work/parts") &
      eval "rejoin_pid_$rejoin_begun=$!"
    done
    eval "wait \"\$rejoin_pid_$rejoin_number\"" || return
    rejoin_gone=$((rejoin_gone + $(wc -c <"$rejoin_work/part.$rejoin_number")))
    cat "$rejoin_work/part.$rejoin_number" || return
    rm "$rejoin_work/part.$rejoin_number"
    rejoin_restore_progress download "$rejoin_gone" "$rejoin_base_bytes" ''
  done
}

# Downloads, verifies and unpacks the base backup. Ends the script when any of it is not as the plan says.
rejoin_restore_base() {
  rejoin_restore_progress download 0 "$rejoin_base_bytes" ''
  mkfifo "$rejoin_work/whole"
  rejoin_sha256 <"$rejoin_work/whole" >"$rejoin_work/sha256" &
  rejoin_hash=$!
  { rejoin_restore_stream || echo download >>"$rejoin_work/failed"; } | tee "$rejoin_work/whole" |
    { zstd -dcq || echo zstd >>"$rejoin_work/failed"; } | { rejoin_restore_unpack || echo unpack >>"$rejoin_work/failed"; }
  [ ! -e "$rejoin_work/failed" ] ||
    rejoin_fail 62 "the base backup s3 $rejoin_base_key did not come here whole (failed: $(tr '\n' ' ' <"$rejoin_work/failed")), messages are above; expected all of its parts, as they were stored. Nothing was started"
  wait "$rejoin_hash"
  [ "$(cat "$rejoin_work/sha256")" = "$rejoin_base_sha256" ] ||
    rejoin_fail 62 "the base backup s3 $rejoin_base_key has SHA-256 $(cat "$rejoin_work/sha256"); expected $rejoin_base_sha256, as the manifest says. Nothing was started. Restore from an earlier base backup"
}

# Downloads the objects of file $1 (lines of number, key and more, tab-separated) to $rejoin_work/log/<number>.
rejoin_restore_logs() {
  awk -F '\t' -v folder="$rejoin_work/log" '{ printf "%s\t%s/%s\n", $2, folder, $1 }' "$1" | rejoin_s3_get_many
  while read -r rejoin_number rejoin_object rejoin_more; do
    [ -e "$rejoin_work/log/$rejoin_number" ] || rejoin_s3_get "$rejoin_object" "$rejoin_work/log/$rejoin_number"
  done <"$1"
}

# Ends the script for a log object that does not unpack. $1: number, $2: key.
rejoin_restore_damaged() {
  rejoin_fail 62 "the log object s3 $2 does not unpack: $(zstd -tq "$rejoin_work/log/$1" 2>&1 | head -n 1 | cut -c 1-200); expected a whole zstd file of the length that its name tells. It is damaged: restore to a target before it"
}
