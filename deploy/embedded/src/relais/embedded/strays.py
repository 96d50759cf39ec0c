"""Processes that outlived an earlier supervisor: found by the numbers it left, believed only when they belong to this folder, stopped."""

import os
import signal
import time
from pathlib import Path

from relais.embedded.report import remembered_report
from relais.embedded.state import StateFolder

STOP_TIMEOUT_SECONDS = 5.0
POLL_SECONDS = 0.05

# proc_pid_stat(5), counted from the field behind the name.
_STATE = 0
_THREADS = 17


def end_strays(state: StateFolder) -> list[str]:
    """Stop what an earlier run left behind, and return the names. A number that another process bears by now is left alone."""
    report = remembered_report(state)
    if report is None:
        return []
    ended = []
    for part in report.parts:
        if part.pid is not None and belongs(part.pid, state.root) and end(part.pid):
            ended.append(part.name)
    return ended


def belongs(pid: int, root: Path) -> bool:
    """True when the process was started for this state folder: its command line or its environment names it."""
    for source in ("cmdline", "environ"):
        try:
            if os.fsencode(root) in Path(f"/proc/{pid}/{source}").read_bytes():
                return True
        except OSError:
            continue
    return False


def has_ended(pid: int) -> bool:
    """True when it is gone or only waits for its parent's notice; before that it may still hold its ports."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return True
    # The fields follow the name, which stands in brackets and may hold anything. Threads can outlive the first one, with all its files.
    fields = stat.rpartition(")")[2].split()
    return fields[_STATE] in ("Z", "X") and int(fields[_THREADS]) <= 1


def end(pid: int) -> bool:
    """Ask it to stop, insist after a while; False when it was gone already."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return False
        deadline = time.monotonic() + STOP_TIMEOUT_SECONDS
        while time.monotonic() < deadline:
            if has_ended(pid):
                return True
            time.sleep(POLL_SECONDS)
    return True
