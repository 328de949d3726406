# shellcheck shell=sh
# shellcheck disable=SC2034,SC2154 # the scripts read what is set here, and the engine's lib.sh sets what is read here
# Functions that the scripts of both engines share; nodes/<engine>/lib.sh adds what the engine is. The SSM documents carry both
# in front of each script; from a checkout the engine's lib.sh reads this one. It does nothing by itself.
#
# The engine's lib.sh gives: rejoin_engine (its name in script names), rejoin_database (its name in sentences),
# rejoin_engine_load (checks and completes the facts) and rejoin_find_process (a server that the service manager does not know).

rejoin_say() { printf '%s\n' "$*" >&2; }

# $1: exit code; the rest: what was found, what was expected, the mend.
rejoin_fail() {
  rejoin_code=$1
  shift
  rejoin_say "rejoin: $*"
  exit "$rejoin_code"
}

# Is $1, all of it and on one line, of the form $2 (an extended regular expression).
rejoin_is() { [ "$(printf '%s\n' "$1" | wc -l)" -eq 1 ] && printf '%s\n' "$1" | grep -Eqx -- "$2"; }

# $@: names of facts, without REJOIN_. Fails for the first that is not set.
rejoin_require() {
  for rejoin_name in "$@"; do
    eval "rejoin_value=\${REJOIN_$rejoin_name:-}"
    # shellcheck disable=SC2154 # set by eval
    [ -n "$rejoin_value" ] ||
      rejoin_fail 64 "REJOIN_$rejoin_name is not set in $REJOIN_NODE_ENV; docs/hosts.md lists what belongs there"
  done
}

# Reads the host's facts into the environment, with defaults for what may be left out. Sets rejoin_data, the data directory,
# and rejoin_mount, where its volume is mounted.
rejoin_load() {
  REJOIN_NODE_ENV=${REJOIN_NODE_ENV:-/etc/rejoin/node.env}
  export REJOIN_NODE_ENV
  # The SSM agent takes commands while user data still runs: on a new host the facts may be about to be written.
  rejoin_left=${REJOIN_FACTS_SECONDS:-300}
  until [ -r "$REJOIN_NODE_ENV" ]; do
    [ "$rejoin_left" -gt 0 ] ||
      rejoin_fail 64 "cannot read the host's facts in $REJOIN_NODE_ENV after ${REJOIN_FACTS_SECONDS:-300} s; run nodes/configure.sh at boot, or set REJOIN_NODE_ENV"
    rejoin_left=$((rejoin_left - 1))
    sleep 1
  done
  set -a
  # shellcheck source=/dev/null
  . "$REJOIN_NODE_ENV"
  set +a
  [ "${REJOIN_ENGINE:-galera}" = "$rejoin_engine" ] ||
    rejoin_fail 64 "$REJOIN_NODE_ENV says REJOIN_ENGINE=${REJOIN_ENGINE:-galera}, and this script is one of $rejoin_engine; expected the host of a $rejoin_engine cluster. Check the cluster's engine, or run nodes/configure.sh with REJOIN_ENGINE=$rejoin_engine"
  rejoin_require INSTANCE_ID ADDRESS PORT CLUSTER DATA_DIR UNIX_USER SERVICE SYSTEMCTL
  REJOIN_DATA_DEVICE=${REJOIN_DATA_DEVICE:-}
  REJOIN_DEV_ROOT=${REJOIN_DEV_ROOT:-/dev}
  REJOIN_STATE_DIR=${REJOIN_STATE_DIR:-/run/rejoin}
  REJOIN_STOP_SECONDS=${REJOIN_STOP_SECONDS:-120}
  REJOIN_DEVICE_SECONDS=${REJOIN_DEVICE_SECONDS:-60}
  PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin # Run Command may come without them
  export PATH
  mkdir -p "$REJOIN_STATE_DIR"
  "$REJOIN_SYSTEMCTL" show -p MainPID --value "$REJOIN_SERVICE" >/dev/null ||
    rejoin_fail 64 "$REJOIN_SYSTEMCTL cannot show $REJOIN_SERVICE; check REJOIN_SYSTEMCTL and REJOIN_SERVICE in $REJOIN_NODE_ENV"
  rejoin_data=$(readlink -f "$REJOIN_DATA_DIR" || printf '%s' "$REJOIN_DATA_DIR")
  rejoin_mount=$rejoin_data
  rejoin_engine_load
}

# A JSON string of $1, or null when it is empty.
rejoin_json() {
  [ -n "$1" ] || { printf 'null' && return 0; }
  printf '"%s"' "$(printf '%s' "$1" | sed 's/\\/\\\\/g; s/"/\\"/g' | tr '\n\t\r' '   ')"
}

# --- processes ---------------------------------------------------------------------------------------------------

# What follows the name in /proc/<pid>/stat, without starting a process for it: these are asked in loops. Nothing when it is gone.
rejoin_stat() {
  { read -r rejoin_line <"/proc/$1/stat"; } 2>/dev/null || rejoin_line=
  rejoin_line=${rejoin_line##*) }
}
# Pid and start time name a process for good; a pid alone is used again.
rejoin_started() (
  rejoin_stat "$1"
  # shellcheck disable=SC2086 # its fields
  set -- $rejoin_line
  printf '%s\n' "${20:-}"
)
rejoin_process_state() {
  rejoin_stat "$1"
  printf '%s\n' "${rejoin_line%% *}"
}
# A zombie whose threads still run holds its ports and files yet.
rejoin_alive() {
  case $(rejoin_process_state "$1") in
    '' | X) return 1 ;;
    Z) [ "$(find "/proc/$1/task" -mindepth 1 -maxdepth 1 2>/dev/null | wc -l)" -gt 1 ] ;;
  esac
}

# Pid of the database: the service's, or a server on our data directory that the service manager has lost sight of. Nothing and
# status 1 when there is none.
rejoin_pid() {
  pid=$("$REJOIN_SYSTEMCTL" show -p MainPID --value "$REJOIN_SERVICE") || pid=0
  if [ "${pid:-0}" -gt 0 ] 2>/dev/null && rejoin_alive "$pid"; then
    printf '%s\n' "$pid"
    return 0
  fi
  rejoin_find_process
}

# Waits until process $1 is gone, $2 seconds at most.
rejoin_await_end() {
  rejoin_left=$(($2 * 10))
  while rejoin_alive "$1"; do
    [ "$rejoin_left" -gt 0 ] || return 1
    sleep 0.1
    rejoin_left=$((rejoin_left - 1))
  done
}

# SSM hands over the first 8,000 characters of standard error, and our own sentence comes last: Galera logs lines of 4,000.
rejoin_shorten() { tail -n 30 | cut -c 1-200; }

# The newest messages of the database, for an error text.
rejoin_last_messages() {
  if [ -n "${REJOIN_LOG_FILE:-}" ]; then
    rejoin_messages=$(tail -n 30 "$REJOIN_LOG_FILE") || rejoin_say "(no messages in $REJOIN_LOG_FILE)"
  else
    rejoin_messages=$(journalctl --unit "$REJOIN_SERVICE" --lines 30 --no-pager --output cat) || rejoin_say '(no journal)'
  fi
  printf '%s\n' "$rejoin_messages" | rejoin_shorten >&2
}

# --- the data volume ---------------------------------------------------------------------------------------------

# Device of EBS volume $1 ("none": whichever holds this host's data). On Nitro instances the volume id is the disk's serial
# and udev links it by that; the device name asked for (/dev/sdf) may not exist at all
# (https://docs.aws.amazon.com/ebs/latest/userguide/nvme-ebs-volumes.html).
rejoin_find_device() {
  rejoin_links=$REJOIN_DEV_ROOT/disk/by-id/nvme-Amazon_Elastic_Block_Store_
  if [ "$1" != none ] && [ -b "$rejoin_links$(printf '%s' "$1" | tr -d -)" ]; then
    printf '%s\n' "$rejoin_links$(printf '%s' "$1" | tr -d -)"
    return 0
  fi
  # Xen instances: the name asked for, or the kernel's own name for it.
  rejoin_letter=${REJOIN_DATA_DEVICE##*/}
  for rejoin_candidate in "$REJOIN_DATA_DEVICE" "$REJOIN_DEV_ROOT/xvd${rejoin_letter#sd}"; do
    if [ -b "$rejoin_candidate" ]; then
      printf '%s\n' "$rejoin_candidate"
      return 0
    fi
  done
  [ "$1" = none ] || return 1
  # A Nitro host whose udev makes no /dev/sdf: the only EBS disk that is not in use for anything else.
  set --
  for rejoin_candidate in "$rejoin_links"vol*; do
    case ${rejoin_candidate##*/} in *-part* | *_[0-9]*) continue ;; esac
    [ -b "$rejoin_candidate" ] || continue
    # One line: no partitions. Nothing on it: not mounted.
    rejoin_mounts=$(lsblk --noheadings --output MOUNTPOINTS "$rejoin_candidate"; echo end)
    [ "$(printf '%s' "$rejoin_mounts" | tr -d ' ')" != "$(printf '\nend')" ] || set -- "$@" "$rejoin_candidate"
  done
  [ $# -eq 1 ] || return 1
  printf '%s\n' "$1"
}

# Sets rejoin_device once the device of volume $1 is there; attaching takes a moment to show.
rejoin_await_device() {
  rejoin_left=$((REJOIN_DEVICE_SECONDS * 2))
  until rejoin_device=$(rejoin_find_device "$1"); do
    [ "$rejoin_left" -gt 0 ] ||
      rejoin_fail 10 "no device of volume '$1' (or $REJOIN_DATA_DEVICE) under $REJOIN_DEV_ROOT after $REJOIN_DEVICE_SECONDS s; expected it to be attached. Attach the volume, or set REJOIN_DATA_DEVICE in $REJOIN_NODE_ENV"
    rejoin_left=$((rejoin_left - 1))
    sleep 0.5
  done
}

# Nothing at all is on the device: no file system, no partition table, no signature of any kind.
rejoin_is_blank() { [ -z "$(blkid -p -o export "$1" 2>/dev/null)" ] && [ -z "$(wipefs --no-act --noheadings "$1")" ]; }

# $1: volume id or "none". The host may have booted since the volume was mounted; nothing mounts it at boot. Never formats.
rejoin_mount_if_needed() {
  [ -n "$REJOIN_DATA_DEVICE" ] || return 0
  ! mountpoint -q "$rejoin_mount" || return 0
  rejoin_await_device "$1"
  ! rejoin_is_blank "$rejoin_device" ||
    rejoin_fail 11 "$rejoin_device is blank; expected a file system with $rejoin_database's data on it. Run $rejoin_engine-prepare with Source=peer to make it ready for a new copy"
  mkdir -p "$rejoin_mount"
  mount "$rejoin_device" "$rejoin_mount" ||
    rejoin_fail 10 "could not mount $rejoin_device at $rejoin_mount, mount's message is above; expected a file system that this host knows"
}

# --- preparing the data directory --------------------------------------------------------------------------------

# Sets rejoin_source (volume or peer) and rejoin_volume from the parameters of a prepare script.
rejoin_prepare_parameters() {
  rejoin_source=${REJOIN_PARAM_SOURCE:-}
  case $rejoin_source in
    volume | peer) ;;
    *) rejoin_fail 64 "Source is '$rejoin_source'; expected 'volume' or 'peer'" ;;
  esac
  rejoin_volume=${REJOIN_PARAM_VOLUME_ID:-none}
  rejoin_is "$rejoin_volume" 'none|vol-[0-9a-f]+' ||
    rejoin_fail 64 "VolumeId is '$rejoin_volume'; expected a volume id, such as vol-0123456789abcdef0, or 'none'"
}

rejoin_refuse_running() {
  if pid=$(rejoin_pid); then
    rejoin_fail 12 "$rejoin_database runs on $rejoin_data (pid $pid); expected it to be down before its data directory is touched. Run $rejoin_engine-stop first"
  fi
}

# What is mounted must be the volume that was asked for: another one's data would join as this node's.
rejoin_check_mounted() {
  [ -n "$REJOIN_DATA_DEVICE" ] && [ "$rejoin_volume" != none ] || return 0
  rejoin_wanted=$(rejoin_find_device "$rejoin_volume") ||
    rejoin_fail 10 "$rejoin_volume is not attached to this host; expected it behind $rejoin_mount. Attach it and run this again"
  rejoin_mounted=$(findmnt --noheadings --output SOURCE --mountpoint "$rejoin_mount")
  [ "$(readlink -f "$rejoin_mounted")" = "$(readlink -f "$rejoin_wanted")" ] ||
    rejoin_fail 13 "$rejoin_mounted is mounted at $rejoin_mount; expected $rejoin_volume ($rejoin_wanted). Unmount it and run this again"
}

# Mounts the volume, formatted first if it is blank; says so in rejoin_formatted.
rejoin_mount_blank_too() {
  rejoin_formatted=false
  [ -n "$REJOIN_DATA_DEVICE" ] || return 0
  ! mountpoint -q "$rejoin_mount" || return 0
  rejoin_await_device "$rejoin_volume"
  if rejoin_is_blank "$rejoin_device"; then
    rejoin_kind=${REJOIN_FILESYSTEM:-$(command -v mkfs.xfs >/dev/null 2>&1 && echo xfs || echo ext4)}
    "mkfs.$rejoin_kind" -q "$rejoin_device" >&2 ||
      rejoin_fail 13 "mkfs.$rejoin_kind failed on the blank $rejoin_device, its message is above; expected a new file system"
    rejoin_formatted=true
  fi
  rejoin_mount_if_needed "$rejoin_volume"
}

# Gives what is in the data directory to the database's user: another image may have given the user another number.
rejoin_own() {
  [ "$(id -u)" = 0 ] || return 0
  find "$rejoin_data" ! -user "$REJOIN_UNIX_USER" -exec chown -h "$REJOIN_UNIX_USER:" {} +
}

# A new folder for data that are kept: $rejoin_mount/.rejoin-aside/<n>. Within the file system a move costs no space and no time.
rejoin_new_aside() {
  rejoin_number=1
  while [ -e "$rejoin_mount/.rejoin-aside/$rejoin_number" ]; do rejoin_number=$((rejoin_number + 1)); done
  rejoin_aside=$rejoin_mount/.rejoin-aside/$rejoin_number
  mkdir -p "$rejoin_aside"
}

# $1: the aside folder or nothing.
rejoin_prepare_report() {
  printf '{"prepared":"%s","dataDir":%s,"device":%s,"formatted":%s,"aside":%s}\n' "$rejoin_source" \
    "$(rejoin_json "$rejoin_data")" "$(rejoin_json "${rejoin_device:-}")" "${rejoin_formatted:-false}" "$(rejoin_json "$1")"
}
