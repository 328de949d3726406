#!/bin/sh
# Run once from user data (as root): writes this host's facts to /etc/rejoin/node.env from the instance's own metadata, and
# makes sure that the database starts only when the plane says so. Prints {"instanceId":…,"address":…,"cluster":…}.
#
# Needs IMDSv2 with instance tags in metadata (docs/hosts.md). The engine, and facts of the image that differ from the defaults
# below, are given in the environment: REJOIN_ENGINE=postgres REJOIN_DATA_DEVICE= nodes/configure.sh
# For PostgreSQL nodes/postgres/disk.sh must lie beside it.
# Exit codes: 64 a fact is missing or malformed, 65 the metadata service does not answer as expected.
set -eu

fail() { # exit code, sentence
  printf 'rejoin: %s\n' "$2" >&2
  exit "$1"
}

imds=${REJOIN_IMDS:-http://169.254.169.254}
target=${REJOIN_NODE_ENV:-/etc/rejoin/node.env}
unit_dir=${REJOIN_SYSTEMD_DIR:-/etc/systemd/system}
systemctl=${REJOIN_SYSTEMCTL:-systemctl}
engine=${REJOIN_ENGINE:-galera}
case $engine in
  galera)
    service=${REJOIN_SERVICE:-mariadb}
    config_file=${REJOIN_CONFIG_FILE:-/etc/mysql/mariadb.conf.d/99-rejoin.cnf}
    ;;
  postgres)
    service=${REJOIN_SERVICE:-rejoin-postgres}
    config_file=${REJOIN_CONFIG_FILE:-/etc/postgresql/15/main/postgresql.conf}
    data_dir=${REJOIN_DATA_DIR:-/var/lib/postgresql/15/main}
    unix_user=${REJOIN_UNIX_USER:-postgres}
    pg_bin=${REJOIN_PG_BIN:-/usr/lib/postgresql/15/bin}
    passfile=${REJOIN_PASSFILE:-/etc/rejoin/pgpass}
    lib_dir=${REJOIN_LIB_DIR:-/usr/local/lib/rejoin}
    packaged=${REJOIN_PACKAGED_SERVICES:-postgresql postgresql@15-main}
    ;;
  *) fail 64 "REJOIN_ENGINE is '$engine'; expected 'galera' or 'postgres'" ;;
esac

# Cloud-init may be ahead of the network by a moment.
token=$(curl --silent --show-error --fail --max-time 5 --retry 10 --retry-connrefused --retry-delay 1 \
  --request PUT --header 'X-aws-ec2-metadata-token-ttl-seconds: 300' "$imds/latest/api/token") ||
  fail 65 "no token from $imds; expected IMDSv2 to be on. Set MetadataOptions.HttpEndpoint=enabled in the launch template"

# $1: path below meta-data; $2: what to do when it is not there.
metadata() {
  curl --silent --show-error --fail --max-time 5 --retry 3 --retry-delay 1 \
    --header "X-aws-ec2-metadata-token: $token" "$imds/latest/meta-data/$1" || fail 65 "no $1 from $imds; $2"
}

# $1: name; $2: value; $3: pattern. A value goes into a file that shells read: nothing unexpected may get there.
check() {
  printf '%s' "$2" | grep -Eqx -- "$3" || fail 64 "$1 is '$2'; expected it to match $3"
  [ "$(printf '%s' "$2" | wc -l)" -eq 0 ] || fail 64 "$1 has more than one line; expected one"
}

instance=$(metadata instance-id 'expected the id of this instance')
address=$(metadata local-ipv4 'expected the private address of this instance')
cluster=$(metadata tags/instance/rejoin:cluster 'expected the tag rejoin:cluster on this instance, with MetadataOptions.InstanceMetadataTags=enabled in the launch template')
check instance-id "$instance" 'i-[0-9a-f]+'
check local-ipv4 "$address" '[0-9]{1,3}(\.[0-9]{1,3}){3}'
check 'the tag rejoin:cluster' "$cluster" '[a-z][a-z0-9-]{0,28}[a-z0-9]'

engine_facts() {
  case $engine in
    galera)
      cat <<FACTS
REJOIN_PORT=${REJOIN_PORT:-3306}
REJOIN_DATA_DIR=${REJOIN_DATA_DIR:-/var/lib/mysql}
REJOIN_UNIX_USER=${REJOIN_UNIX_USER:-mysql}
REJOIN_CONFIG_FILE=$config_file
REJOIN_DEFAULTS_FILE=${REJOIN_DEFAULTS_FILE:-/etc/mysql/my.cnf}
REJOIN_SOCKET=${REJOIN_SOCKET:-/run/mysqld/mysqld.sock}
FACTS
      ;;
    postgres)
      cat <<FACTS
REJOIN_ENGINE=postgres
REJOIN_PORT=${REJOIN_PORT:-5432}
REJOIN_DATA_DIR=$data_dir
REJOIN_UNIX_USER=$unix_user
REJOIN_CONFIG_FILE=$config_file
REJOIN_PG_BIN=$pg_bin
REJOIN_SOCKET=${REJOIN_SOCKET:-/run/postgresql}
REJOIN_PASSFILE=$passfile
FACTS
      ;;
  esac
}

write_facts() {
  mkdir -p "$(dirname "$target")"
  next=$(mktemp "$(dirname "$target")/.node.XXXXXX")
  {
    cat <<FACTS
# Written by Rejoin's configure.sh at the first boot.
REJOIN_INSTANCE_ID=$instance
REJOIN_ADDRESS=$address
REJOIN_CLUSTER=$cluster
REJOIN_DATA_DEVICE=${REJOIN_DATA_DEVICE-/dev/sdf}
REJOIN_SERVICE=$service
REJOIN_SYSTEMCTL=$systemctl
FACTS
    engine_facts
  } >"$next"
  chmod 644 "$next"
  mv "$next" "$target"
}

# Not at boot, and not again after a crash: a node whose state nobody has looked at must not go its own way while the plane
# replaces it.
keep_mariadb_down() {
  mkdir -p "$unit_dir/$service.service.d"
  printf '[Service]\nRestart=no\n' >"$unit_dir/$service.service.d/10-rejoin.conf"
  "$systemctl" daemon-reload
  "$systemctl" disable "$service"
  # The package starts its server when it is installed. One that the plane has started has a configuration of ours.
  if [ ! -e "$config_file" ]; then "$systemctl" stop "$service"; fi
}

# PostgreSQL runs under a unit of our own: Debian's goes through pg_ctlcluster, which drops the environment (PGPASSFILE) and
# cannot be told to start a standby. That one is masked, so that nobody starts the data as a primary by it.
keep_postgres_down() {
  # shellcheck disable=SC2086 # several names
  "$systemctl" mask --now $packaged
  mkdir -p "$unit_dir"
  write_unit >"$unit_dir/$service.service"
  write_disk_timer
  "$systemctl" daemon-reload
  "$systemctl" enable --now rejoin-disk.timer
}

# Every start is that of a standby, whoever causes it: only the plane promotes. Without [Install] it is not started at boot.
write_unit() {
  cat <<UNIT
# Written by Rejoin's configure.sh.
[Unit]
Description=PostgreSQL of the cluster $cluster, started by Rejoin
After=network-online.target
Wants=network-online.target

[Service]
Type=notify
User=$unix_user
Environment=PGPASSFILE=$passfile PG_OOM_ADJUST_FILE=/proc/self/oom_score_adj PG_OOM_ADJUST_VALUE=0
ExecStartPre=/bin/sh -c 'test ! -e "$data_dir/PG_VERSION" || touch "$data_dir/standby.signal"'
ExecStart=$pg_bin/postgres -D $data_dir -c config_file=$config_file
ExecReload=/bin/kill -HUP \$MAINPID
Restart=no
OOMScoreAdjust=-900
# SIGINT is the fast shutdown, which waits for the standbys.
KillSignal=SIGINT
KillMode=mixed
TimeoutStartSec=infinity
TimeoutStopSec=300
UNIT
}

write_disk_timer() {
  disk=$(dirname "$0")/postgres/disk.sh
  [ -r "$disk" ] || fail 64 "$disk is not there; expected the folder nodes/ whole, with configure.sh in it. Put it into the image"
  mkdir -p "$lib_dir"
  cp "$disk" "$lib_dir/postgres-disk.sh"
  chmod 755 "$lib_dir/postgres-disk.sh"
  printf '[Unit]\nDescription=Tells PostgreSQL how full its disk is\n\n[Service]\nType=oneshot\nExecStart=%s\nStandardOutput=null\nLogLevelMax=warning\n' \
    "$lib_dir/postgres-disk.sh" >"$unit_dir/rejoin-disk.service"
  printf '[Unit]\nDescription=Runs rejoin-disk\n\n[Timer]\nOnBootSec=10\nOnUnitActiveSec=10\nAccuracySec=1\n\n[Install]\nWantedBy=timers.target\n' \
    >"$unit_dir/rejoin-disk.timer"
}

keep_database_down() {
  case $engine in
    galera) keep_mariadb_down ;;
    postgres) keep_postgres_down ;;
  esac
}

# The facts last: scripts wait for them, and must not start a database that is still to be stopped here.
keep_database_down >&2
write_facts
printf '{"instanceId":"%s","address":"%s","cluster":"%s"}\n' "$instance" "$address" "$cluster"
