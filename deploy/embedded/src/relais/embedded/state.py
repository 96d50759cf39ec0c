"""The state folder: where everything of one embedded stack lives, so that `down` keeps it and removing the folder forgets it.

.relais/
stack.json        what runs now, written by the supervisor      supervisor.lock   held while it lives
ports.json        the ports chosen at the first start           environment.toml  optional: extra variables per process
certificates/     authority, servers, clients (0700)            keys/             every secret (0700, files 0600)
configuration/    operators, endpoints, sandbox …                logs/             one file a process
postgres/data     the record                                    run/              the database's socket
nats/             the transport; may be deleted     sandbox/          what its partners received
"""

import fcntl
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from relais.processes.errors import LaunchError

FOLDER_NAME = ".relais"


class AlreadyRunning(LaunchError):
    """A supervisor lives on this state folder."""


@dataclass(frozen=True)
class StateFolder:
    """Paths below one root; nothing is created by asking for them."""

    root: Path

    @property
    def stack_file(self) -> Path:
        return self.root / "stack.json"

    @property
    def ports_file(self) -> Path:
        return self.root / "ports.json"

    @property
    def environment_file(self) -> Path:
        return self.root / "environment.toml"

    @property
    def certificates(self) -> Path:
        return self.root / "certificates"

    @property
    def keys(self) -> Path:
        return self.root / "keys"

    @property
    def configuration(self) -> Path:
        return self.root / "configuration"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def postgres_data(self) -> Path:
        return self.root / "postgres" / "data"

    @property
    def sockets(self) -> Path:
        return self.root / "run"

    @property
    def sandbox(self) -> Path:
        return self.root / "sandbox"

    @property
    def nats(self) -> Path:
        return self.root / "nats"

    def log(self, process: str) -> Path:
        """The log file of one process."""
        return self.logs / f"{process}.log"

    def create(self) -> None:
        """Make the folders; those with secrets are closed to others, whatever they were before."""
        for folder in (self.configuration, self.logs, self.postgres_data.parent, self.nats):
            folder.mkdir(parents=True, exist_ok=True)
        for folder in (self.certificates, self.keys):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            folder.chmod(0o700)

    @contextmanager
    def supervised(self) -> Iterator[None]:
        """Hold the folder for one supervisor. The system drops the lock with the process, so that it can never be stale.

        Raises:
            AlreadyRunning: another one holds it.
        """
        with (self.root / "supervisor.lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise AlreadyRunning(
                    f"A stack is already running on {self.root}.", "Look at it with `make status`, stop it with `make down`."
                ) from error
            yield

    def is_supervised(self) -> bool:
        """True while a supervisor lives on this folder, whatever stack.json says."""
        try:
            with (self.root / "supervisor.lock").open("r") as lock:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except FileNotFoundError:
            return False
        except BlockingIOError:
            return True
        return False


def state_folder(environment: Mapping[str, str] = os.environ) -> StateFolder:
    """The folder `RELAIS_HOME` names, else `.relais` in the folder one stands in."""
    named = environment.get("RELAIS_HOME")
    return StateFolder((Path(named) if named else Path.cwd() / FOLDER_NAME).absolute())


def write_whole(file: Path, content: bytes, mode: int = 0o644) -> None:
    """Write a file so that a reader sees the old content or the new, never half, and never with wider permissions than `mode`."""
    descriptor, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
    try:
        with os.fdopen(descriptor, "wb") as stream:
            os.fchmod(stream.fileno(), mode)
            stream.write(content)
        Path(name).replace(file)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
