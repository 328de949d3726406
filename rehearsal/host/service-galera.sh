# shellcheck shell=sh disable=SC2154 # sourced by systemctl, which sets run, log and fail
# The service of a Galera host. As in Debian's mariadb.service, a start first asks the engine for the recovered position.

is_ready() {
  read -r offset <"$run/offset"
  tail -c "+$((offset + 1))" "$log" | grep -q 'mariadbd: ready for connections'
}

rest() { :; } # one process

# Only root can become another user; anybody else already is the database's.
user_option=
[ "$(id -u)" != 0 ] || user_option=--user=$REJOIN_UNIX_USER

# After a crash grastate.dat says -1 and only the engine knows the position: what galera_recovery does for the unit.
start_position() {
  grep -qs '^seqno: *-1$' "$1/grastate.dat" && [ -e "$1/ibdata1" ] || return 0
  # shellcheck disable=SC2086 # an empty option must vanish
  mariadbd --defaults-file="$REJOIN_DEFAULTS_FILE" --datadir="$1" $user_option --wsrep-recover --disable-log-error \
    >"$run/recovery.log" 2>&1 || {
    cat "$run/recovery.log" >>"$log"
    fail 1 "--wsrep-recover failed; its messages are at the end of $log"
  }
  position=$(sed -n 's/.*WSREP: Recovered position: *//p' "$run/recovery.log" | tail -n 1)
  [ -z "$position" ] || printf -- '--wsrep-start-position=%s' "$position"
}

launch() {
  data=$(readlink -f "$REJOIN_DATA_DIR")
  position=$(start_position "$data")
  _WSREP_NEW_CLUSTER=
  # shellcheck source=/dev/null
  [ ! -e "$run/manager.env" ] || . "$run/manager.env"
  # The lock's descriptor must not live on in the database.
  # shellcheck disable=SC2086 # an empty option must vanish
  setsid mariadbd --defaults-file="$REJOIN_DEFAULTS_FILE" --datadir="$data" $user_option $_WSREP_NEW_CLUSTER $position \
    >>"$log" 2>&1 </dev/null 9>&- &
}
