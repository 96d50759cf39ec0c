"""What runs, as the supervisor tells it in stack.json: for `status`, for `up`, for tests and for other programs.

The file is replaced whole at every change. It is true only while the supervisor holds its lock; `read_report` says what remains otherwise.
"""

import enum
import time
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from relais.embedded.state import StateFolder, write_whole


class Phase(enum.Enum):
    """The whole stack."""

    STARTING = "starting"
    UP = "up"
    STOPPING = "stopping"
    DOWN = "down"
    FAILED = "failed"


class PartState(enum.Enum):
    """One process. UNREADY runs but says that it cannot work now; WAITING ended and is started again after a back-off."""

    STARTING = "starting"
    READY = "ready"
    UNREADY = "unready"
    WAITING = "waiting"
    STOPPED = "stopped"
    EXTERNAL = "external"


class PartReport(msgspec.Struct, kw_only=True):
    """One process: its state, its number, since when (UTC), how often it was started again, where it listens, where it logs."""

    name: str
    state: PartState
    pid: int | None = None
    since: datetime
    restarts: int = 0
    addresses: dict[str, str] = {}
    log: str = ""
    said: str = ""


class Report(msgspec.Struct, kw_only=True):
    """The stack: `message` is the step under way; `error` and `advice` say why it failed and what to do next."""

    phase: Phase
    message: str = ""
    error: str = ""
    advice: str = ""
    supervisor: int = 0
    started: datetime
    replicas: int = 1
    free_bytes: int = 0
    parts: list[PartReport] = []

    def part(self, name: str) -> PartReport:
        """The part of that name; KeyError when there is none."""
        for part in self.parts:
            if part.name == name:
                return part
        raise KeyError(name)


def write_report(file: Path, report: Report) -> None:
    """Replace the file."""
    write_whole(file, msgspec.json.format(msgspec.json.encode(report), indent=2))


def read_report(state: StateFolder) -> Report:
    """What runs on this folder. Without a living supervisor nothing does, whatever the file says: stale numbers are never believed."""
    alive = state.is_supervised()
    report = remembered_report(state)
    if report is None:
        return Report(phase=Phase.STARTING if alive else Phase.DOWN, started=datetime.now(UTC))
    if not alive:
        if report.phase is not Phase.FAILED:
            report.phase = Phase.DOWN
        for part in report.parts:
            part.pid = None
            part.state = PartState.STOPPED
    return report


def remembered_report(state: StateFolder) -> Report | None:
    """What the last supervisor wrote, true or not any more; None when there is nothing readable."""
    try:
        return msgspec.json.decode(state.stack_file.read_bytes(), type=Report)
    except (FileNotFoundError, msgspec.MsgspecError):
        return None


def age_text(since: datetime) -> str:
    """An age for people: `42 s`, `7 min`, `3 h`, `2 d`."""
    seconds = max(0, int(time.time() - since.timestamp()))
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"
