#!/bin/sh
# Prints how far this node's data goes, from the server when it runs, otherwise from disk:
# {"running":…,"component":"Primary|Non-Primary|none","stateUuid":…,"seqno":…,"safeToBootstrap":…,"viewId":…,"source":…}
# A data directory that holds nothing answers the zero UUID and seqno -1. Changes nothing but what crash recovery does.
set -eu
# shellcheck source=nodes/galera/lib.sh
command -v rejoin_load >/dev/null 2>&1 || . "$(dirname "$0")/lib.sh"

rejoin_load
rejoin_mount_if_needed none
if rejoin_pid=$(rejoin_pid); then
  running=true
  rejoin_safe=false
  rejoin_source=server
  rejoin_ask || rejoin_fail 21 "MariaDB runs (pid $rejoin_pid) but does not answer on $REJOIN_SOCKET: $(cat "$REJOIN_STATE_DIR/sql.err"). Expected its position; wait for a state transfer to end, or stop the process"
else
  running=false
  rejoin_component=none
  rejoin_disk_position
fi
printf '{"running":%s,"component":"%s","stateUuid":"%s","seqno":%s,"safeToBootstrap":%s,"viewId":%s,"source":"%s"}\n' \
  "$running" "$rejoin_component" "$rejoin_uuid" "$rejoin_seqno" "$rejoin_safe" "$(rejoin_json "$(rejoin_view)")" "$rejoin_source"
