"""One started process: wait until it is ready, stop it, tell why it died."""

import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from signal import Signals

from relais.processes.errors import ProcessDied, StartTimedOut, log_tail

POLL_SECONDS = 0.02
KILL_TIMEOUT_SECONDS = 10.0


class RunningProcess:
    """A child process with a name for people and a log file; both its outputs go there."""

    def __init__(self, name: str, popen: "subprocess.Popen[bytes]", log_file: Path) -> None:
        self.name = name
        self.log_file = log_file
        self._popen = popen

    @property
    def pid(self) -> int:
        """Its number on this machine; meaningful only while it runs."""
        return self._popen.pid

    @property
    def exit_status(self) -> int | None:
        """None while it runs; negative: ended by that signal."""
        return self._popen.poll()

    def wait_until_ready(self, is_ready: Callable[[], bool], timeout_seconds: float) -> None:
        """Ask again and again until it is ready.

        Raises:
            ProcessDied: it ended first; the message ends with the last lines of its log.
            StartTimedOut: it still runs but is not ready.
        """
        deadline = time.monotonic() + timeout_seconds
        while not is_ready():
            status = self.exit_status
            if status is not None:
                raise ProcessDied(
                    f"{self.name} ended with status {status} while starting.\n{log_tail(self.log_file)}", f"Read {self.log_file}.", status
                )
            if time.monotonic() > deadline:
                raise StartTimedOut(
                    f"{self.name} was not ready after {timeout_seconds:g} seconds.\n{log_tail(self.log_file)}", f"Read {self.log_file}."
                )
            time.sleep(POLL_SECONDS)

    def signal(self, number: Signals) -> None:
        """Send a signal; nothing happens when it has ended already."""
        if self.exit_status is None:
            self._popen.send_signal(number)

    def stop(self, number: Signals, timeout_seconds: float) -> int:
        """Ask it to end, insist with SIGKILL after the timeout, and return its exit status."""
        self.signal(number)
        try:
            return self._popen.wait(timeout_seconds)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            return self._popen.wait(KILL_TIMEOUT_SECONDS)
