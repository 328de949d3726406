"""Runs a command and measures it with all its descendants, those too that leave their parents (pgBackRest's asynchronous
process makes itself a daemon): python3 measure.py REPORT COMMAND...

Writes to REPORT, as JSON: seconds until the command ended; CPU seconds, user and system, of every process until the last
one ended; peakRssBytes, the largest sum of resident memory over all of them at one moment (looked at every 20 ms; pages that
two share count twice); the command's exit code. SIGTERM ends all of them. Standard output and error are the command's.
"""

import ctypes
import json
import os
import resource
import signal
import subprocess
import sys
import time

PR_SET_CHILD_SUBREAPER = 36
LOOK_SECONDS = 0.02
PAGE = os.sysconf("SC_PAGE_SIZE")


def resident_by_process():
    """pid -> (parent, bytes resident) of every process there is."""
    found = {}
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat", "rb") as stat:
                fields = stat.read().rsplit(b")", 1)[1].split()
        except OSError:  # it ended while it was looked at
            continue
        found[int(name)] = (int(fields[1]), int(fields[21]) * PAGE)
    return found


def descendants(processes):
    children = {}
    for pid, (parent, _) in processes.items():
        children.setdefault(parent, []).append(pid)
    open_ends, below = [os.getpid()], []
    while open_ends:
        own = children.get(open_ends.pop(), [])
        below += own
        open_ends += own
    return below


def resident():
    processes = resident_by_process()
    return sum(processes[pid][1] for pid in descendants(processes))


def end_all():
    for pid in descendants(resident_by_process()):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


def asked_to_end(*_):
    end_all()
    os._exit(143)


def main():
    report, command = sys.argv[1], sys.argv[2:]
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")
    signal.signal(signal.SIGTERM, asked_to_end)
    began = time.monotonic()
    first = subprocess.Popen(command)
    seconds, code, peak, looked = None, None, 0, 0.0
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:  # the last one has ended
            break
        if pid == first.pid:
            seconds, code = time.monotonic() - began, os.waitstatus_to_exitcode(status)
            if code != 0:  # what it started is not waited for
                end_all()
        if pid != 0:
            continue
        if time.monotonic() - looked >= LOOK_SECONDS:
            looked = time.monotonic()
            peak = max(peak, resident())
        time.sleep(0.005)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    answer = {
        "seconds": seconds,
        "userSeconds": used.ru_utime,
        "systemSeconds": used.ru_stime,
        "peakRssBytes": max(peak, used.ru_maxrss * 1024),
        "exitCode": code,
    }
    with open(report, "w") as file:
        json.dump(answer, file)


main()
