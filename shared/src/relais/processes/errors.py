"""What can go wrong when a program of this machine is started, each with what to do next.

LaunchError
├── ProgramMissing       the program is not on this machine
├── ProgramTooOld        it is, but cannot do what Relais relies on
├── PrivilegeRefused     this user may not run it, and cannot become one that may
├── FolderUnwritable     its folder cannot be made or written
├── DiskFull             its folder is on a file system with too little room
├── PortTaken            another process listens where it would
├── StartTimedOut        it runs, but does not answer
└── ProcessDied          it ended while it was waited for
"""

from pathlib import Path

LOG_TAIL_LINES_MAXIMUM = 8
LOG_TAIL_BYTES_MAXIMUM = 4_096


class LaunchError(Exception):
    """A program could not be started. `advice` is one sentence for the person at the keyboard: what to do next."""

    def __init__(self, message: str, advice: str) -> None:
        super().__init__(message)
        self.advice = advice


class ProgramMissing(LaunchError):
    """The program was found neither where a variable points nor among the installed packages."""


class ProgramTooOld(LaunchError):
    """The program's version is below the one whose behaviour Relais relies on."""


class PrivilegeRefused(LaunchError):
    """Postgres refuses to run as root, and no unprivileged user can be taken on here."""


class FolderUnwritable(LaunchError):
    """A folder cannot be created, or nothing can be written in it."""


class DiskFull(LaunchError):
    """The file system has less room than the start needs."""


class PortTaken(LaunchError):
    """Another process listens on the port."""


class StartTimedOut(LaunchError):
    """The process runs but was not ready in time."""


class ProcessDied(LaunchError):
    """The process ended before it was ready; `exit_status` is negative for a signal."""

    def __init__(self, message: str, advice: str, exit_status: int) -> None:
        super().__init__(message, advice)
        self.exit_status = exit_status


def log_tail(log_file: Path) -> str:
    """The last lines of a start-up log, for the message of an error; empty when there is no log yet."""
    try:
        with log_file.open("rb") as stream:
            stream.seek(max(0, log_file.stat().st_size - LOG_TAIL_BYTES_MAXIMUM))
            lines = stream.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return ""
    return "\n".join(lines[-LOG_TAIL_LINES_MAXIMUM:])
