# shellcheck shell=sh
# shellcheck disable=SC2034,SC2154 # the scripts read what is set here, and nodes/lib.sh sets what is read here
# Work that takes longer than a command of SSM may: it goes on detached, and whoever runs the script again with the same parameters is
# told how far it is, and in the end its result. It does nothing by itself.
#
# The script gives: rejoin_job_work (the work; its last act is rejoin_job_done), rejoin_job_clean (removes what the work left, whenever it
# ended; may be called with nothing to remove).

# $1: name of the work. What is known of it is in rejoin_job_dir.
rejoin_job_open() {
  rejoin_job_name=$1
  rejoin_job_dir=$REJOIN_STATE_DIR/$1
  mkdir -p "$rejoin_job_dir"
  chmod 700 "$rejoin_job_dir"
}

rejoin_job_lives() {
  [ -s "$rejoin_job_dir/pid" ] || return 1
  read -r rejoin_leader rejoin_since <"$rejoin_job_dir/pid"
  [ "$(rejoin_started "$rejoin_leader")" = "$rejoin_since" ] && rejoin_alive "$rejoin_leader"
}

# Ends the job and all that it runs.
rejoin_job_stop() {
  [ -s "$rejoin_job_dir/pid" ] || return 0
  # Its lock is inherited by what it runs. While one of the group lives, its number is not used again.
  if rejoin_job_lives || ! flock -n "$rejoin_job_dir/lock" true; then
    kill -s KILL -- "-$rejoin_leader" 2>/dev/null || : # it has ended by itself
    flock -w 15 "$rejoin_job_dir/lock" true ||
      rejoin_fail 30 "the job $rejoin_job_name (process group $rejoin_leader) lives on after SIGKILL; expected it to end. In state D its disk hangs: replace the instance"
  fi
  rm -f "$rejoin_job_dir/pid"
}

# $1: what tells this work from another of its name: its parameters. $2: the script. Answers for it and ends the script.
rejoin_job_ask() {
  exec 8>"$rejoin_job_dir/asking"
  flock -w 30 8 || rejoin_fail 14 "another command asks for the job $rejoin_job_name on this host; expected one at a time. Run this again"
  if [ "$(cat "$rejoin_job_dir/id" 2>/dev/null)" != "$1" ]; then
    rejoin_job_stop
    rm -f "$rejoin_job_dir/result" "$rejoin_job_dir/deaths"
  fi
  if [ ! -e "$rejoin_job_dir/result" ] && ! rejoin_job_lives; then
    rejoin_job_count_deaths "$1"
    rejoin_job_stop
    rejoin_job_clean
    rejoin_job_begin "$1" "$2"
  fi
  rejoin_job_await
}

# The same for work whose result is of one moment: told once, it is forgotten, and the next run begins anew.
rejoin_job_ask_once() {
  trap '[ ! -e "$rejoin_job_dir/result" ] || rm -f "$rejoin_job_dir/result" "$rejoin_job_dir/id"' EXIT
  rejoin_job_ask "$@"
}

# A job that was killed is begun anew, but not for ever: what has killed it, such as the want of memory, may do so each time.
rejoin_job_count_deaths() {
  [ "$(cat "$rejoin_job_dir/id" 2>/dev/null)" = "$1" ] || return 0
  echo >>"$rejoin_job_dir/deaths"
  [ "$(wc -l <"$rejoin_job_dir/deaths")" -le 3 ] || {
    rm -f "$rejoin_job_dir/id" "$rejoin_job_dir/deaths"
    rejoin_fail 33 "the job $rejoin_job_name was killed four times without a word; expected a result. See the kernel's messages on this host (memory?), then run this again"
  }
  rejoin_say "rejoin: the job $rejoin_job_name has died without a word; beginning anew"
}

rejoin_job_begin() {
  printf '%s' "$1" >"$rejoin_job_dir/id"
  printf '{"state":"running"}\n' >"$rejoin_job_dir/progress"
  grep -qs '^rejoin_job_work()' "$2" ||
    rejoin_fail 64 "this script does not lie in a file ('$0'); expected one, since it starts itself again, detached. Run it as sh <file>"
  REJOIN_DETACHED=$rejoin_job_name setsid sh "$2" 8>&- >"$rejoin_job_dir/log" 2>&1 </dev/null &
  printf '%s %s\n' "$!" "$(rejoin_started "$!")" >"$rejoin_job_dir/pid"
}

rejoin_job_await() {
  rejoin_left=$((${REJOIN_WATCH_SECONDS:-20} * 10))
  while [ ! -e "$rejoin_job_dir/result" ]; do
    rejoin_job_lives || [ -e "$rejoin_job_dir/result" ] || rejoin_fail 33 "the job $rejoin_job_name has died without a word: $(tail -n 3 "$rejoin_job_dir/log" | cut -c 1-300). Run this again: it begins anew"
    [ "$rejoin_left" -gt 0 ] || {
      cat "$rejoin_job_dir/progress"
      exit 0
    }
    rejoin_left=$((rejoin_left - 1))
    sleep 0.1
  done
  rejoin_outcome=$(head -n 1 "$rejoin_job_dir/result")
  if [ "$rejoin_outcome" = 0 ]; then
    tail -n 1 "$rejoin_job_dir/result"
    exit 0
  fi
  grep -v '^rejoin: ' "$rejoin_job_dir/log" | rejoin_shorten >&2 || : # the tools said nothing
  grep '^rejoin: ' "$rejoin_job_dir/log" | tail -n 2 >&2 || :         # nor did it
  rm -f "$rejoin_job_dir/result" "$rejoin_job_dir/id" "$rejoin_job_dir/deaths" # told; the next run begins anew
  exit "$rejoin_outcome"
}

# --- within the job ----------------------------------------------------------------------------------------------

rejoin_job_run() {
  exec 7>"$rejoin_job_dir/lock"
  flock -n 7 || rejoin_fail 14 "another job $rejoin_job_name works here; expected none"
  printf '%s %s\n' "$$" "$(rejoin_started "$$")" >"$rejoin_job_dir/pid" # whoever started it may be gone
  trap 'rejoin_job_ended $?' EXIT
  trap 'exit 33' HUP INT TERM
  rejoin_job_work
}

# Nothing that a failed job started goes on, and nothing of it stays on the disk.
rejoin_job_ended() {
  trap '' TERM
  [ -e "$rejoin_job_dir/result" ] || {
    kill -s TERM -- "-$$"
    wait
    rejoin_job_clean
    rejoin_job_note "${1#0}" '' # an end without a result is a failure, whatever its status
  }
}

rejoin_job_note() {
  printf '%s\n%s\n' "${1:-33}" "$2" >"$rejoin_job_dir/result.next"
  mv "$rejoin_job_dir/result.next" "$rejoin_job_dir/result"
}

# $1: the answer, JSON.
rejoin_job_done() {
  rejoin_job_note 0 "$1"
  rejoin_job_clean
}

rejoin_job_progress() {
  printf '%s\n' "$1" >"$rejoin_job_dir/progress.next"
  mv "$rejoin_job_dir/progress.next" "$rejoin_job_dir/progress"
}

# This moment by the host's clock, ISO 8601.
rejoin_now() { date -u +%Y-%m-%dT%H:%M:%S.%3NZ; }
rejoin_now_ms() { date +%s%3N; }
