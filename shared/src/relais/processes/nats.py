"""A nats-server of our own: write its configuration, start, wait, stop, and ask any server for its version before trusting it."""

import json
import signal
import socket
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from relais.processes.errors import StartTimedOut
from relais.processes.leash import Leash
from relais.processes.programs import parse_version
from relais.processes.running import RunningProcess

START_TIMEOUT_SECONDS = 60.0
STOP_TIMEOUT_SECONDS = 30.0
INFO_TIMEOUT_SECONDS = 5.0
INFO_BYTES_MAXIMUM = 65_536
DEFAULT_PORT = 4222


class NatsServer:
    """One server process. `configuration` is the text of its file without the listen line; port 0 takes a free one and keeps it."""

    def __init__(
        self,
        program: Path,
        folder: Path,
        configuration: str,
        log_file: Path,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        leash: Leash | None = None,
    ) -> None:
        self._program = program
        self._folder = folder
        self._configuration = configuration
        self._log_file = log_file
        self._leash = leash
        self._running: RunningProcess | None = None
        self._ports_folder = folder / "ports"
        self.host = host
        self.port = port

    @property
    def running(self) -> RunningProcess | None:
        """The process, or None when it was not started or was stopped."""
        return self._running

    @property
    def url(self) -> str:
        """Where clients connect; known once it has started."""
        return f"nats://{self.host}:{self.port}"

    def start(self) -> None:
        """Launch it and wait until it greets a client.

        Raises:
            ProcessDied, StartTimedOut: with the last lines of its log.
        """
        self.launch().wait_until_ready(self.is_ready, START_TIMEOUT_SECONDS)

    def launch(self) -> RunningProcess:
        """Start without waiting."""
        self._forget()
        self._ports_folder.mkdir(parents=True, exist_ok=True)
        for old in self._ports_folder.glob("*.ports"):
            old.unlink()
        configuration_file = self._folder / "nats-server.conf"
        listen = f'host: "{self.host}"\nport: {self.port or -1}\nports_file_dir: "{self._ports_folder}"\n'
        configuration_file.write_text(listen + self._configuration)
        with self._log_file.open("ab") as log:
            popen = subprocess.Popen(
                [str(self._program), "--config", str(configuration_file)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        running = RunningProcess("nats-server", popen, self._log_file)
        if self._leash is not None:
            self._leash.hold(running.pid, signal.SIGTERM)
        self._running = running
        return running

    def stop(self, number: signal.Signals = signal.SIGTERM, timeout_seconds: float = STOP_TIMEOUT_SECONDS) -> None:
        """Stop it; SIGKILL is the crash a test asks for."""
        if self._running is not None:
            self._running.stop(number, timeout_seconds)
        self._forget()

    def _forget(self) -> None:
        running, self._running = self._running, None
        if running is not None and self._leash is not None:
            self._leash.release(running.pid)

    def is_ready(self) -> bool:
        """True when it greets a client; takes the port it chose from the file it wrote."""
        if self.port == 0 and self._running is not None:
            try:
                ports = json.loads((self._ports_folder / f"nats-server_{self._running.pid}.ports").read_text())
            except (OSError, ValueError):
                return False
            self.port = urlsplit(ports["nats"][0]).port or 0
        try:
            return bool(server_information(self.url).get("version"))
        except StartTimedOut:
            return False


def server_information(url: str) -> dict[str, Any]:
    """What a server says of itself before anything else: its INFO line (version, jetstream, auth_required …). No credential is needed.

    Raises:
        StartTimedOut: nothing answers there, or something that is not a NATS server.
    """
    parts = urlsplit(url if "//" in url else f"nats://{url}")
    try:
        with socket.create_connection((parts.hostname or "127.0.0.1", parts.port or DEFAULT_PORT), INFO_TIMEOUT_SECONDS) as connection:
            line = connection.makefile("rb").readline(INFO_BYTES_MAXIMUM)
        if not line.startswith(b"INFO "):
            raise ValueError("no INFO line")
        information: dict[str, Any] = json.loads(line.removeprefix(b"INFO "))
    except (OSError, ValueError) as error:
        raise StartTimedOut(
            f"No NATS server answers at {parts.hostname}:{parts.port or DEFAULT_PORT}.", "Start it, or unset RELAIS_NATS_URL."
        ) from error
    return information


def server_version(url: str) -> tuple[int, ...]:
    """The version of a running server, as numbers.

    Raises:
        StartTimedOut: see `server_information`.
    """
    return parse_version(str(server_information(url).get("version", "")), url)
