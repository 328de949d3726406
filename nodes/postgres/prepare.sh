#!/bin/sh
# Makes the data directory ready for postgres-join.
#   Source=volume: the data of the surviving volume VolumeId, mounted and whole; the node then needs only what it missed.
#   Source=peer: an empty directory for a base backup. What was there is moved into .rejoin-aside beside it; when the new replica
#     streams, postgres-join deletes what is there of the same cluster. A device is formatted only when it is blank.
# {"prepared":"volume|peer","dataDir":"…","device":…,"formatted":…,"aside":…}
set -eu
# shellcheck source=nodes/postgres/lib.sh
command -v rejoin_load >/dev/null 2>&1 || . "$(dirname "$0")/lib.sh"
# shellcheck source=nodes/job.sh
command -v rejoin_job_open >/dev/null 2>&1 || . "$(dirname "$0")/../job.sh"

rejoin_load
rejoin_prepare_parameters
rejoin_lock
rejoin_end_restore
rejoin_refuse_running
rejoin_refuse_seeding
rejoin_end_job
rejoin_aside=
if [ "$rejoin_source" = volume ]; then
  rejoin_mount_if_needed "$rejoin_volume"
  rejoin_check_mounted
  rejoin_end_restore # its marks are on the volume
  rejoin_finish_seed
  rejoin_require_data
  [ ! -e "$rejoin_half_rewound" ] ||
    rejoin_fail 11 "$rejoin_data was left in the middle of a rewind ($rejoin_half_rewound); expected whole data. Use Source=peer"
else
  rejoin_mount_blank_too
  rejoin_end_restore
  rm -rf "$rejoin_mount/.rejoin-seed" "$rejoin_mount/.rejoin-seeded"
  rejoin_move_aside
  rm -f "$rejoin_half_rewound"
  mkdir -p "$rejoin_data"
fi
rejoin_own
chmod 700 "$rejoin_data"
rejoin_prepare_report "$rejoin_aside"
