#!/bin/sh
# Makes the data directory ready for a joiner.
#   Source=volume: the data of the surviving volume VolumeId, mounted and whole; the node then needs only what it missed.
#   Source=peer: an empty directory for a full state transfer. What was there is moved into .rejoin-aside, and is kept
#     until the transfer itself clears the directory. A device is formatted only when it is blank.
# {"prepared":"volume|peer","dataDir":"…","device":…,"formatted":…,"aside":…}
set -eu
# shellcheck source=nodes/galera/lib.sh
command -v rejoin_load >/dev/null 2>&1 || . "$(dirname "$0")/lib.sh"

check_parameters() {
  source=${REJOIN_PARAM_SOURCE:-}
  case $source in
    volume | peer) ;;
    *) rejoin_fail 64 "Source is '$source'; expected 'volume' or 'peer'" ;;
  esac
  volume=${REJOIN_PARAM_VOLUME_ID:-none}
  rejoin_is "$volume" 'none|vol-[0-9a-f]+' ||
    rejoin_fail 64 "VolumeId is '$volume'; expected a volume id, such as vol-0123456789abcdef0, or 'none'"
}

refuse_running() {
  if pid=$(rejoin_pid); then
    rejoin_fail 12 "MariaDB runs on $rejoin_data (pid $pid); expected it to be down before its data directory is touched. Run galera-stop first"
  fi
}

# What is mounted must be the volume that was asked for: another one's data would join as this node's.
check_mounted() {
  [ -n "$REJOIN_DATA_DEVICE" ] && [ "$volume" != none ] || return 0
  wanted=$(rejoin_find_device "$volume") ||
    rejoin_fail 10 "$volume is not attached to this host; expected it behind $rejoin_data. Attach it and run this again"
  mounted=$(findmnt --noheadings --output SOURCE --mountpoint "$rejoin_data")
  [ "$(readlink -f "$mounted")" = "$(readlink -f "$wanted")" ] ||
    rejoin_fail 13 "$mounted is mounted at $rejoin_data; expected $volume ($wanted). Unmount it and run this again"
}

mount_blank_too() {
  [ -n "$REJOIN_DATA_DEVICE" ] || return 0
  ! mountpoint -q "$rejoin_data" || return 0
  rejoin_await_device "$volume"
  if rejoin_is_blank "$rejoin_device"; then
    kind=${REJOIN_FILESYSTEM:-$(command -v mkfs.xfs >/dev/null 2>&1 && echo xfs || echo ext4)}
    "mkfs.$kind" -q "$rejoin_device" >&2 ||
      rejoin_fail 13 "mkfs.$kind failed on the blank $rejoin_device, its message is above; expected a new file system"
    formatted=true
  fi
  rejoin_mount_if_needed "$volume"
}

is_data() { [ -e "$rejoin_data/ibdata1" ] && [ -d "$rejoin_data/mysql" ] && [ -e "$rejoin_data/grastate.dat" ]; }

content() { find "$rejoin_data" -mindepth 1 -maxdepth 1 ! -name lost+found ! -name .rejoin-aside "$@"; }

# A move within the directory costs no space and no time, and works on a mount point too.
move_aside() {
  [ -n "$(content -print -quit)" ] || return 0
  number=1
  while [ -e "$rejoin_data/.rejoin-aside/$number" ]; do number=$((number + 1)); done
  aside=$rejoin_data/.rejoin-aside/$number
  mkdir -p "$aside"
  content -exec mv -t "$aside" -- {} +
}

own() {
  [ "$(id -u)" = 0 ] || return 0
  # Another image may have given the user another number.
  find "$rejoin_data" ! -user "$REJOIN_UNIX_USER" -exec chown -h "$REJOIN_UNIX_USER:" {} +
}

rejoin_load
check_parameters
refuse_running
rejoin_device=
formatted=false
aside=
if [ "$source" = volume ]; then
  rejoin_mount_if_needed "$volume"
  check_mounted
  is_data ||
    rejoin_fail 11 "$rejoin_data holds no whole MariaDB data directory ($(content -printf '%f ' | cut -c 1-200)); expected ibdata1, mysql/ and grastate.dat. Use Source=peer"
  [ ! -e "$rejoin_data/sst_in_progress" ] ||
    rejoin_fail 11 "$rejoin_data was left in the middle of a state transfer (sst_in_progress); expected whole data. Use Source=peer"
else
  mount_blank_too
  mkdir -p "$rejoin_data"
  move_aside
fi
own
printf '{"prepared":"%s","dataDir":%s,"device":%s,"formatted":%s,"aside":%s}\n' \
  "$source" "$(rejoin_json "$rejoin_data")" "$(rejoin_json "$rejoin_device")" "$formatted" "$(rejoin_json "$aside")"
