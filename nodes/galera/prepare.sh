#!/bin/sh
# Makes the data directory ready for a joiner.
#   Source=volume: the data of the surviving volume VolumeId, mounted and whole; the node then needs only what it missed.
#   Source=peer: an empty directory for a full state transfer. What was there is moved into .rejoin-aside, and is kept
#     until the transfer itself clears the directory. A device is formatted only when it is blank.
# {"prepared":"volume|peer","dataDir":"…","device":…,"formatted":…,"aside":…}
set -eu
# shellcheck source=nodes/galera/lib.sh
command -v rejoin_load >/dev/null 2>&1 || . "$(dirname "$0")/lib.sh"

is_data() { [ -e "$rejoin_data/ibdata1" ] && [ -d "$rejoin_data/mysql" ] && [ -e "$rejoin_data/grastate.dat" ]; }

content() { find "$rejoin_data" -mindepth 1 -maxdepth 1 ! -name lost+found ! -name .rejoin-aside "$@"; }

# The directory may be a mount point: what is in it moves, not the directory itself.
move_aside() {
  [ -n "$(content -print -quit)" ] || return 0
  rejoin_new_aside
  content -exec mv -t "$rejoin_aside" -- {} +
}

rejoin_load
rejoin_prepare_parameters
rejoin_refuse_running
rejoin_aside=
if [ "$rejoin_source" = volume ]; then
  rejoin_mount_if_needed "$rejoin_volume"
  rejoin_check_mounted
  is_data ||
    rejoin_fail 11 "$rejoin_data holds no whole MariaDB data directory ($(content -printf '%f ' | cut -c 1-200)); expected ibdata1, mysql/ and grastate.dat. Use Source=peer"
  [ ! -e "$rejoin_data/sst_in_progress" ] ||
    rejoin_fail 11 "$rejoin_data was left in the middle of a state transfer (sst_in_progress); expected whole data. Use Source=peer"
else
  rejoin_mount_blank_too
  mkdir -p "$rejoin_data"
  move_aside
fi
rejoin_own
rejoin_prepare_report "$rejoin_aside"
