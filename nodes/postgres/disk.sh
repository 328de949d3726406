#!/bin/sh
# Writes "<total bytes> <available bytes>" of the data directory's file system to rejoin-disk in it, where the server reads it for the
# plane (nodes/postgres/setup.sql). A timer that nodes/configure.sh installs runs this every 10 s. Stands by itself.
# {"totalBytes":…,"availableBytes":…}, both null when there is no data directory yet. Exit code 64: no facts.
set -eu

fail() {
  printf 'rejoin: %s\n' "$1" >&2
  exit 64
}

node_env=${REJOIN_NODE_ENV:-/etc/rejoin/node.env}
[ -r "$node_env" ] || fail "cannot read the host's facts in $node_env; run nodes/configure.sh at boot, or set REJOIN_NODE_ENV"
# shellcheck source=/dev/null
. "$node_env"
[ -n "${REJOIN_DATA_DIR:-}" ] || fail "REJOIN_DATA_DIR is not set in $node_env; docs/hosts.md lists what belongs there"
# An empty directory waits for a base backup and stays empty; before the mount there is none.
[ -s "$REJOIN_DATA_DIR/PG_VERSION" ] || {
  printf '{"totalBytes":null,"availableBytes":null}\n'
  exit 0
}
# In one step, and not through a file in the data directory, which a base backup would carry along.
next=$(mktemp "$(dirname "$(readlink -f "$REJOIN_DATA_DIR")")/.rejoin-disk.XXXXXX")
trap 'rm -f "$next"' EXIT
df --block-size=1 --output=size,avail "$REJOIN_DATA_DIR" | sed -n '2s/^ *\([0-9]*\) *\([0-9]*\) *$/\1 \2/p' >"$next"
chmod 644 "$next"
# pg_rewind, which runs as that user, writes over every file of the directory.
[ "$(id -u)" != 0 ] || chown "${REJOIN_UNIX_USER:-postgres}" "$next"
mv "$next" "$REJOIN_DATA_DIR/rejoin-disk"
trap - EXIT
read -r total available <"$REJOIN_DATA_DIR/rejoin-disk"
printf '{"totalBytes":%s,"availableBytes":%s}\n' "$total" "$available"
