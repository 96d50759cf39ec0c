"""Keeps the parts of a stack alive: what dies is started again after a back-off that grows, and everybody can read what goes on.

One loop in one thread looks at every part five times a second. A part that runs but does not answer its health check is said to be
unready and left alone: restarting it would hide why, and the usual reason is that something it stands on is away.
"""

import shutil
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from relais.embedded.report import PartReport, PartState
from relais.processes.errors import LaunchError
from relais.processes.running import RunningProcess

TICK_SECONDS = 0.2
HEALTH_SECONDS = 5.0
BACKOFF_FIRST_SECONDS = 0.2
BACKOFF_MAXIMUM_SECONDS = 10.0
STABLE_SECONDS = 60.0
LOG_BYTES_MAXIMUM = 64 * 1024 * 1024


class Component(Protocol):
    """What can be supervised: Postgres, nats-server, the sandbox, a replica of a service; in tests, small programs."""

    @property
    def running(self) -> RunningProcess | None: ...

    def launch(self) -> RunningProcess: ...

    def is_ready(self) -> bool: ...

    def stop(self) -> None: ...


class Backoff:
    """How long to wait before the next start: doubles up to a maximum, and is forgotten after a stable while."""

    def __init__(self) -> None:
        self._next_seconds = BACKOFF_FIRST_SECONDS

    def after(self, lived_seconds: float) -> float:
        """Seconds to wait after a process that lived that long."""
        if lived_seconds >= STABLE_SECONDS:
            self._next_seconds = BACKOFF_FIRST_SECONDS
        wait_seconds = self._next_seconds
        self._next_seconds = min(BACKOFF_MAXIMUM_SECONDS, self._next_seconds * 2)
        return wait_seconds


@dataclass
class Part:
    """One component under watch. `tick` is the whole of its life; the caller gives the time, in seconds of a monotonic clock."""

    name: str
    component: Component
    log_file: Path
    addresses: dict[str, str] = field(default_factory=dict)
    state: PartState = PartState.STOPPED
    restarts: int = 0
    said: str = ""
    _since: datetime = field(default_factory=lambda: datetime.now(UTC))
    _launched: float = 0.0
    _start_again: float = 0.0
    _next_check: float = 0.0
    _backoff: Backoff = field(default_factory=Backoff)

    def launch(self, now: float) -> None:
        """Start it for the first time; the caller waits for it to be ready."""
        self._launched = now
        self._become(PartState.STARTING)
        self.component.launch()

    def tick(self, now: float) -> bool:
        """Look once, act if need be; True when something changed that a report should tell."""
        before = (self.state, self.restarts, self.said)
        running = self.component.running
        if self.state is PartState.WAITING:
            if now >= self._start_again:
                self._start_over(now)
        elif self.state is not PartState.STOPPED and (running is None or running.exit_status is not None):
            status = running.exit_status if running else None
            self._wait(now, f"ended with status {status}")
        elif now >= self._next_check:
            self._check(now)
        return (self.state, self.restarts, self.said) != before

    def wait_until_ready(self, timeout_seconds: float) -> None:
        """Wait at the first start.

        Raises:
            ProcessDied, StartTimedOut: with the last lines of its log.
        """
        running = self.component.running
        if running is not None:
            running.wait_until_ready(self.component.is_ready, timeout_seconds)
            self._become(PartState.READY)

    def ask_to_stop(self) -> None:
        """Let it begin to end its work, without waiting; `stop` follows."""
        if self.component.running is not None:
            self.component.running.signal(signal.SIGTERM)

    def stop(self) -> None:
        """Stop it for good."""
        self.component.stop()
        self._become(PartState.STOPPED)

    def report(self) -> PartReport:
        """What a reader of stack.json learns of it."""
        running = self.component.running
        pid = running.pid if running is not None and running.exit_status is None else None
        return PartReport(
            name=self.name,
            state=self.state,
            pid=pid,
            since=self._since,
            restarts=self.restarts,
            addresses=self.addresses,
            log=str(self.log_file),
            said=self.said,
        )

    def _check(self, now: float) -> None:
        ready = self.component.is_ready()
        if ready:
            self._become(PartState.READY)
            self.said = ""
        elif self.state is PartState.READY:
            self._become(PartState.UNREADY)
        self._next_check = now + (HEALTH_SECONDS if ready else TICK_SECONDS)

    def _start_over(self, now: float) -> None:
        self.restarts += 1
        self._launched = now
        self._next_check = now
        self._become(PartState.STARTING)
        try:
            self.component.launch()
        except LaunchError as error:
            self._wait(now, f"{error} {error.advice}")

    def _wait(self, now: float, said: str) -> None:
        self._start_again = now + self._backoff.after(now - self._launched)
        self.said = said
        self._become(PartState.WAITING)

    def _become(self, state: PartState) -> None:
        if state is not self.state:
            self.state = state
            self._since = datetime.now(UTC)


def watch(parts: Sequence[Part], tell: Callable[[], None], wait: Callable[[float], bool]) -> None:
    """Look after the parts until `wait(seconds)` answers True; `tell` is called after every change and at least every few seconds."""
    next_tell = 0.0
    while not wait(TICK_SECONDS):
        now = time.monotonic()
        changed = [part.tick(now) for part in parts]
        if any(changed) or now >= next_tell:
            for part in parts:
                bound_log(part.log_file)
            tell()
            next_tell = now + HEALTH_SECONDS


def bound_log(file: Path, bytes_maximum: int = LOG_BYTES_MAXIMUM) -> None:
    """Keep a log below a size: the old content moves to `<name>.1`, once. The writer appends, so it goes on in the emptied file."""
    try:
        if file.stat().st_size > bytes_maximum:
            shutil.copyfile(file, file.with_name(f"{file.name}.1"))
            with file.open("r+b") as stream:
                stream.truncate(0)
    except FileNotFoundError:
        return
