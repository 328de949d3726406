#!/bin/sh
# Makes a fresh Debian or Ubuntu machine ready for the rehearsal and the tests: Node packages (with their own Node 24),
# a Python virtual environment with moto, and the Debian packages that are missing. A second run finds everything in
# place and takes no time. No system service is started, no database is made, and none that runs is touched.
#
#   sh scripts/setup.sh         what the rehearsal and the tests need
#   sh scripts/setup.sh bench   also the peers of the benchmarks: Patroni and etcd, pgBackRest
set -eu
cd "$(dirname "$0")/.."

say() { printf 'setup: %s\n' "$*" >&2; }
die() {
  say "$*"
  exit 1
}

case "${1:-}" in
  '' | bench) ;;
  *) die "the argument is '$1'; give none, or bench" ;;
esac

# Two commands begun at once would install over each other: the second one waits, and finds everything in place.
if command -v flock >/dev/null 2>&1; then
  exec 9<scripts/setup.sh
  flock -n 9 || {
    say 'another set-up of this folder runs: waiting for it'
    flock 9
  }
fi

stamp() { cat "$@" | cksum | tr ' ' '-'; }

# Node's packages -----------------------------------------------------------------------------------------------------
command -v node >/dev/null 2>&1 || die 'no node found; install Node 20 or later and run this again'
major=$(node -p 'process.versions.node.split(".")[0]')
[ "$major" -ge 20 ] || die "node is version $major; Node 20 or later is needed (it only installs; Node 24 comes with the packages)"
want=$(stamp package.json package-lock.json)
if [ "$(cat node_modules/.rejoin-stamp 2>/dev/null || true)" != "$want" ]; then
  say 'installing the Node packages (about half a minute)'
  npm ci --no-fund --no-audit --loglevel=error >&2
  [ -x node_modules/.bin/node ] || die 'npm did not install node@24 into node_modules/.bin; are install scripts switched off (npm config get ignore-scripts)?'
  echo "$want" >node_modules/.rejoin-stamp
fi

# Debian's packages ---------------------------------------------------------------------------------------------------
missing=''
need() { # need PACKAGE: adds it to the list when it is not installed
  dpkg-query -W -f='${Status}' "$1" 2>/dev/null | grep -q 'install ok installed' || missing="$missing $1"
}
if command -v dpkg-query >/dev/null 2>&1; then
  for package in mariadb-server mariadb-client mariadb-backup galera-4 haproxy socat rsync openssl shellcheck procps postgresql-15 nftables; do need "$package"; done
  if [ "${1:-}" = bench ]; then for package in patroni etcd-server pgbackrest zstd; do need "$package"; done; fi
  python3 -c 'import ensurepip, venv' 2>/dev/null || missing="$missing python3-venv"
else
  peer=''
  if [ "${1:-}" = bench ]; then peer='patroni etcd pgbackrest zstd'; fi
  for tool in mariadbd mariadb-backup /usr/lib/postgresql/15/bin/postgres haproxy nft socat openssl shellcheck python3 $peer; do
    command -v "$tool" >/dev/null 2>&1 || die "$tool not found, and this is not Debian or Ubuntu: install MariaDB 10.11 with Galera, mariadb-backup, PostgreSQL 15, HAProxy 2.6, nftables, socat, openssl and shellcheck by hand (for the benchmarks also Patroni 3, etcd 3.4 and pgBackRest 2.45)"
  done
fi
if [ -n "$missing" ]; then
  root=''
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null 2>&1 || die "as root, run: apt-get install --no-install-recommends$missing"
    root=sudo
  fi
  say "installing Debian packages:$missing"
  # policy-rc.d keeps the packages from starting their services; one that stands already is the machine owner's.
  policy=/usr/sbin/policy-rc.d
  made=''
  # shellcheck disable=SC2154 # file is the loop's own
  trap 'for file in $made; do $root rm -f "$file"; done' EXIT
  trap 'exit 130' INT TERM
  if [ ! -e "$policy" ]; then
    made="$made $policy"
    printf '#!/bin/sh\nexit 101\n' | $root tee "$policy" >/dev/null
    $root chmod 755 "$policy"
  fi
  # Debian's PostgreSQL makes a cluster when it is installed, unless this says otherwise (postgresql-common's
  # createcluster.conf includes the folder).
  case " $missing " in *' postgresql'*)
    no_cluster=/etc/postgresql-common/createcluster.d/zz-rejoin-setup.conf
    made="$made $no_cluster"
    $root mkdir -p "${no_cluster%/*}"
    echo 'create_main_cluster = false' | $root tee "$no_cluster" >/dev/null
    ;;
  esac
  log=$(mktemp)
  # shellcheck disable=SC2086 # a list of package names
  if ! { $root apt-get update -qq && $root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing; } >"$log" 2>&1; then
    tail -n 20 "$log" >&2
    die "apt-get could not install:$missing (whole output in $log)"
  fi
  rm -f "$log"
  # Installed for the rehearsal's own processes: their services must not come up with the next boot either.
  if command -v systemctl >/dev/null 2>&1; then
    for service in mariadb haproxy etcd patroni; do
      case " $missing " in *" $service"*) $root systemctl disable "$service" >/dev/null 2>&1 || true ;; esac
    done
  fi
fi

# Python's packages ---------------------------------------------------------------------------------------------------
want=$(stamp requirements.txt)
if [ "$(cat .venv/.rejoin-stamp 2>/dev/null || true)" != "$want" ]; then
  say 'making the Python environment with moto (about half a minute)'
  rm -rf .venv
  python3 -m venv .venv
  .venv/bin/pip install --quiet --disable-pip-version-check -r requirements.txt
  echo "$want" >.venv/.rejoin-stamp
fi
