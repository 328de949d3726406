# shellcheck shell=sh disable=SC2154 # sourced by systemctl, which sets run, log and fail
# The service of a PostgreSQL host, with what nodes/configure.sh adds to Debian's unit: every start is that of a standby.

# shellcheck disable=SC2034 # read by systemctl. SIGINT is the fast shutdown:
# https://www.postgresql.org/docs/15/server-shutdown.html
stop_signal=INT

# postmaster.pid: the pid in its first line (of an earlier start, after a crash), the server's state in its eighth. pg_ctl
# looks there too.
is_ready() {
  [ "$(sed -n '1p;8p' "$REJOIN_DATA_DIR/postmaster.pid" 2>/dev/null | tr -d ' \n')" = "$(main_pid || :)ready" ]
}

# The service's control group: the server's processes are each a session leader of its own and overwrite their
# environment, and all of them have the log as standard error.
rest() {
  for process in /proc/[0-9]*; do
    [ "$(cat "$process/comm" 2>/dev/null)" = postgres ] || continue
    if [ "$(readlink "$process/fd/2" 2>/dev/null)" = "$log" ]; then echo "${process#/proc/}"; fi
  done
}

# What systemd does when the main process of a service has died: the rest of the control group goes with it.
end_orphans() {
  for tries in 1 2 3 4 5 6 7 8 9 10; do
    orphans=$(rest)
    [ -n "$orphans" ] || return 0
    for orphan in $orphans; do kill -s KILL "$orphan" 2>/dev/null || :; done
    sleep 0.1
  done
  fail 1 "processes of a former start will not die after $tries tries: $orphans"
}

launch() {
  end_orphans
  # Without its links: the server remembers the directory as it was named, and the volume may be mounted elsewhere later.
  data=$(readlink -f "$REJOIN_DATA_DIR")
  [ ! -e "$data/PG_VERSION" ] || { touch "$data/standby.signal" && chown "$REJOIN_UNIX_USER" "$data/standby.signal"; }
  set -- "$REJOIN_PG_BIN/postgres" -D "$data" -c "config_file=$REJOIN_CONFIG_FILE"
  # A group of its own for each host, so that the packet filter can tell the hosts of one machine apart.
  [ "$(id -u)" != 0 ] ||
    set -- setpriv "--reuid=$REJOIN_UNIX_USER" "--regid=${REJOIN_REHEARSAL_GROUP:-$REJOIN_UNIX_USER}" --clear-groups "$@"
  # The lock's descriptor must not live on in the database.
  PGPASSFILE=$REJOIN_PASSFILE setsid "$@" >>"$log" 2>&1 </dev/null 9>&- &
}
