"""A leash: when the starter dies, whatever the reason, what it started is told to stop.

A small shell process waits on a pipe that only the starter holds. A clean stop empties it; a `kill -9` of the starter closes the pipe, and
the shell sends each held process its signal. No signal handler, no thread and no fork hook is needed in the starter.
"""

import signal
import subprocess
from types import TracebackType
from typing import Self

_WATCHER = """
held=
while read -r verb name pid; do
  kept=
  for entry in $held; do [ "${entry#*:}" = "$pid" ] || kept="$kept $entry"; done
  held=$kept
  [ "$verb" = hold ] && held="$held $name:$pid"
done
for entry in $held; do kill -s "${entry%%:*}" "${entry#*:}" 2>/dev/null; done
exit 0
"""


class Leash:
    """Holds processes of this machine by number. Cheap: one shell for any number of them."""

    def __init__(self) -> None:
        self._watcher = subprocess.Popen(
            ["/bin/sh", "-c", _WATCHER],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def hold(self, pid: int, stop_signal: signal.Signals) -> None:
        """From now on the process gets `stop_signal` when this process dies. Holding it again changes the signal."""
        self._tell("hold", stop_signal, pid)

    def release(self, pid: int) -> None:
        """The process has ended or goes its own way; its number may be used by another soon."""
        self._tell("release", signal.SIGTERM, pid)

    def close(self) -> None:
        """Let go: what is still held is told to stop."""
        stdin = self._watcher.stdin
        if stdin is not None and not stdin.closed:
            stdin.close()
        self._watcher.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _tell(self, verb: str, stop_signal: signal.Signals, pid: int) -> None:
        stdin = self._watcher.stdin
        if stdin is None or stdin.closed:
            return
        stdin.write(f"{verb} {stop_signal.name.removeprefix('SIG')} {pid}\n".encode())
        stdin.flush()
