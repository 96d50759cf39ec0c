"""An embedded stack from outside: bring it up in the background, ask how it is, take it down. The command line and the tests use this."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from relais.embedded.report import PartState, Phase, Report, read_report
from relais.embedded.state import AlreadyRunning, StateFolder, state_folder
from relais.processes.errors import LaunchError, ProcessDied, StartTimedOut, log_tail
from relais.processes.folders import require_writable

UP_TIMEOUT_SECONDS = 300.0
DOWN_TIMEOUT_SECONDS = 120.0
POLL_SECONDS = 0.05


class StackFailed(LaunchError):
    """The supervisor gave up; the message and the advice are its own."""


def _silent(message: str) -> None:
    """Nobody listens."""


class Stack:
    """One stack, known by its state folder; any number of these may look at the same one, from any process."""

    def __init__(self, state: StateFolder) -> None:
        self.state = state
        self._supervisor: subprocess.Popen[bytes] | None = None

    def report(self) -> Report:
        """What runs now."""
        return read_report(self.state)

    def up(self, *, replicas: int = 1, environment: Mapping[str, str] | None = None, tell: Callable[[str], None] = _silent) -> Report:
        """Start the supervisor in the background and wait until everything is ready; `tell` hears each step.

        `environment` is added to this process's own for the supervisor: `RELAIS_LOG_LEVEL`, `RELAIS_POSTGRES_DSN`, `PG_BIN` ….

        Raises:
            AlreadyRunning: a stack is up on this folder; its processes are not touched.
            FolderUnwritable, StackFailed, ProcessDied, StartTimedOut: each with what to do next.
        """
        require_writable(self.state.root)
        if self.state.is_supervised():
            raise AlreadyRunning(
                f"A stack is already running on {self.state.root}.", "Look at it with `make status`, stop it with `make down`."
            )
        self._bury()
        self.state.logs.mkdir(exist_ok=True)
        log_file = self.state.log("supervisor")
        with log_file.open("ab") as log:
            supervisor = self._supervisor = subprocess.Popen(
                [sys.executable, "-m", "relais.embedded.supervise"],
                env={**os.environ, **(environment or {}), "RELAIS_HOME": str(self.state.root), "REPLICAS": str(replicas)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            return self._wait_until_up(supervisor, log_file, tell)
        except BaseException:
            # Whoever gives up waiting, by Ctrl-C for one, does not leave half a stack behind.
            if supervisor.poll() is None:
                supervisor.terminate()
                supervisor.wait(DOWN_TIMEOUT_SECONDS)
            raise

    def down(self) -> bool:
        """Stop everything and wait for it; the data stay. False when nothing ran.

        Raises:
            StartTimedOut: the supervisor did not end; it was killed, and what it started was told to stop.
        """
        if not self.state.is_supervised():
            self._bury()
            return False
        pid = self.report().supervisor
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + DOWN_TIMEOUT_SECONDS
        while self.state.is_supervised():
            if time.monotonic() > deadline:
                os.kill(pid, signal.SIGKILL)
                raise StartTimedOut("The supervisor did not end and was killed.", f"Read {self.state.log('supervisor')}.")
            time.sleep(POLL_SECONDS)
        self._bury()
        return True

    def signal(self, part: str, number: signal.Signals) -> None:
        """Send a signal to one process, as a fault would; the supervisor starts it again when it ends. KeyError: no such part."""
        pid = self.report().part(part).pid
        if pid is not None:
            os.kill(pid, number)

    def wait_for(self, part: str, state: PartState = PartState.READY, *, restarts: int = 0, timeout_seconds: float = 60.0) -> None:
        """Wait until a part is in a state and was started again at least that often.

        Raises:
            StartTimedOut: it is not, in time.
        """
        deadline = time.monotonic() + timeout_seconds
        while True:
            report = self.report()
            found = report.part(part)
            if found.state is state and found.restarts >= restarts:
                return
            if report.phase is not Phase.UP or time.monotonic() > deadline:
                raise StartTimedOut(
                    f"{part} is {found.state.value} after {found.restarts} restarts; the stack is {report.phase.value}.", ""
                )
            time.sleep(POLL_SECONDS)

    def _bury(self) -> None:
        """Take note of the end of a supervisor this process started."""
        supervisor, self._supervisor = self._supervisor, None
        if supervisor is not None:
            supervisor.wait(DOWN_TIMEOUT_SECONDS)

    def _wait_until_up(self, supervisor: "subprocess.Popen[bytes]", log_file: Path, tell: Callable[[str], None]) -> Report:
        told = ""
        deadline = time.monotonic() + UP_TIMEOUT_SECONDS
        while time.monotonic() < deadline:
            status = supervisor.poll()
            report = self.report()
            if report.supervisor == supervisor.pid:
                if report.message != told:
                    told = report.message
                    tell(told)
                if report.phase is Phase.UP:
                    return report
                if report.phase is Phase.FAILED:
                    supervisor.wait(DOWN_TIMEOUT_SECONDS)
                    raise StackFailed(report.error, report.advice)
            if status is not None:
                raise ProcessDied(f"The supervisor ended with status {status}.\n{log_tail(log_file)}", f"Read {log_file}.", status)
            time.sleep(POLL_SECONDS)
        raise StartTimedOut(f"The stack was not up after {UP_TIMEOUT_SECONDS:g} seconds.", f"Read the logs in {self.state.logs}.")


def stack_here(environment: Mapping[str, str] = os.environ) -> Stack:
    """The stack of `RELAIS_HOME`, else of the folder one stands in."""
    return Stack(state_folder(environment))
