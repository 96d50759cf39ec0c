"""A Postgres server of our own: initialise, start, wait, stop.

Why not the wheel's own `get_server()`: it creates a system user and opens the permissions of folders. This launcher changes nothing outside
its data, socket and log places. Connections go through a Unix socket; TCP only when asked for.
"""

import os
import signal
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from relais.processes.errors import ProcessDied, StartTimedOut, log_tail
from relais.processes.leash import Leash
from relais.processes.memory import MEMORY_KEPT
from relais.processes.privileges import Unprivileged, unprivileged
from relais.processes.running import POLL_SECONDS, RunningProcess

SUPERUSER = "postgres"
INITDB_TIMEOUT_SECONDS = 120.0
START_TIMEOUT_SECONDS = 120.0
STOP_TIMEOUT_SECONDS = 60.0
STRAY_TIMEOUT_SECONDS = 30.0

# The eighth line of postmaster.pid is the server's own word for its state (src/backend/utils/init/miscinit.c).
_STATUS_LINE = 7


class StopMode(Enum):
    """How a server is stopped; the values are the signals Postgres documents for it."""

    FAST = signal.SIGINT
    IMMEDIATE = signal.SIGQUIT


@dataclass(frozen=True, kw_only=True)
class PostgresPlace:
    """Where a server lives and what it is told; `password` None means that whoever reaches the socket is trusted."""

    programs: Path
    data_folder: Path
    socket_folder: Path
    log_file: Path
    port: int = 5432
    listen_addresses: str = ""
    password: str | None = None
    settings: Mapping[str, str] = field(default_factory=dict)


class PostgresServer:
    """One server process on one data folder. Not thread-safe; its owner starts and stops it."""

    def __init__(self, place: PostgresPlace, leash: Leash | None = None) -> None:
        self.place = place
        self._leash = leash
        self._running: RunningProcess | None = None

    @property
    def running(self) -> RunningProcess | None:
        """The process, or None when it was not started or was stopped."""
        return self._running

    def dsn(self, database: str = "postgres", user: str = SUPERUSER, password: str | None = None) -> str:
        """A libpq address through the socket, as asyncpg reads it."""
        secret = password if password is not None else self.place.password if user == SUPERUSER else None
        login = user if secret is None else f"{user}:{secret}"
        return f"postgresql://{login}@/{database}?host={self.place.socket_folder}&port={self.place.port}"

    @property
    def initialised(self) -> bool:
        """True when the data folder holds a complete cluster; initdb writes the control file last of what is checked here."""
        return (self.place.data_folder / "PG_VERSION").is_file() and (self.place.data_folder / "global" / "pg_control").is_file()

    def initialise(self) -> None:
        """Make an empty cluster with data checksums, unless there is one.

        Raises:
            PrivilegeRefused: this is root and no other user can be taken on.
            ProcessDied: initdb failed; the message says what it said.
        """
        if self.initialised:
            return
        place = self.place
        run_as = self._run_as()
        place.data_folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        run_as.own(place.data_folder)
        run_as.own(place.socket_folder)
        authentication = ["--auth=trust"]
        password_file = place.socket_folder / "initdb.password"
        if place.password is not None:
            password_file.write_text(place.password)
            run_as.own(password_file)
            authentication = ["--auth=scram-sha-256", f"--pwfile={password_file}"]
        command = [
            str(place.programs / "initdb"), f"--pgdata={place.data_folder}", f"--username={SUPERUSER}", "--encoding=UTF8", "--locale=C",
            "--data-checksums", "--no-instructions", *authentication,
        ]  # fmt: skip
        try:
            with place.log_file.open("ab") as log:
                initdb = run_as.start(command, stdout=log, stderr=subprocess.STDOUT, cwd="/")
                status = initdb.wait(INITDB_TIMEOUT_SECONDS)
        finally:
            password_file.unlink(missing_ok=True)
        if status != 0:
            raise ProcessDied(f"initdb ended with status {status}.\n{log_tail(place.log_file)}", f"Read {place.log_file}.", status)

    def start(self) -> None:
        """Launch it and wait until it accepts connections.

        Raises:
            ProcessDied, StartTimedOut: with the last lines of its log.
        """
        self.launch().wait_until_ready(self.is_ready, START_TIMEOUT_SECONDS)

    def is_ready(self) -> bool:
        """True when the server says of itself that it accepts connections."""
        lines = self._pid_file_lines()
        pid = self._running.pid if self._running else None
        return len(lines) > _STATUS_LINE and lines[0].strip() == str(pid) and lines[_STATUS_LINE].strip() == "ready"

    def launch(self) -> RunningProcess:
        """Start without waiting. What a dead server left behind is cleared; a stray one on our data is stopped first."""
        place = self.place
        self._forget()
        self._end_stray()
        run_as = self._run_as()
        run_as.own(place.socket_folder)
        settings = {
            "listen_addresses": place.listen_addresses,
            "port": str(place.port),
            "unix_socket_directories": str(place.socket_folder),
            "unix_socket_permissions": "0700",
            **place.settings,
        }
        command = [str(place.programs / "postgres"), "-D", str(place.data_folder)]
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        with place.log_file.open("ab") as log:
            popen = run_as.start(command, MEMORY_KEPT, stdout=log, stderr=subprocess.STDOUT, cwd="/")
        running = RunningProcess("postgres", popen, place.log_file)
        if self._leash is not None:
            self._leash.hold(running.pid, signal.SIGINT)
        self._running = running
        return running

    def stop(self, mode: StopMode = StopMode.FAST, timeout_seconds: float = STOP_TIMEOUT_SECONDS) -> None:
        """Stop the server; IMMEDIATE is the crash a test asks for: no checkpoint, recovery at the next start."""
        if self._running is not None:
            self._running.stop(mode.value, timeout_seconds)
        self._forget()

    def _forget(self) -> None:
        running, self._running = self._running, None
        if running is not None and self._leash is not None:
            self._leash.release(running.pid)

    def _run_as(self) -> Unprivileged:
        return unprivileged(self.place.programs / "postgres", self.place.data_folder, self.place.socket_folder)

    def _pid_file_lines(self) -> list[str]:
        try:
            return (self.place.data_folder / "postmaster.pid").read_text().splitlines()
        except OSError:
            return []

    def _end_stray(self) -> None:
        """Clear a stale pid file, whose number another process may bear by now; stop a server that outlived its starter."""
        lines = self._pid_file_lines()
        if not lines:
            return
        pid = int(lines[0])
        if runs_on(pid, self.place.data_folder):
            os.kill(pid, signal.SIGINT)
            deadline = time.monotonic() + STRAY_TIMEOUT_SECONDS
            while runs_on(pid, self.place.data_folder):
                if time.monotonic() > deadline:
                    raise StartTimedOut(
                        f"A Postgres of an earlier start, process {pid}, does not stop.",
                        f"Stop it with `kill -QUIT {pid}` and start again.",
                    )
                time.sleep(POLL_SECONDS)
        (self.place.data_folder / "postmaster.pid").unlink(missing_ok=True)


def runs_on(pid: int, data_folder: Path) -> bool:
    """True when process `pid` is a Postgres started on this data folder, read from /proc; a reused number is not."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return os.fsencode(data_folder) in words and words[0].endswith(b"postgres")
