"""A real nats-server for tests, with JetStream on a folder of its own and the setting production must have: `sync_interval: always`."""

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from relais.processes.leash import Leash
from relais.processes.nats import NatsServer
from relais.processes.programs import nats_server_program


class TestNats:
    """A running server; tests share it and keep apart by the names of their streams, or ask for one of their own."""

    __test__ = False

    def __init__(self, server: NatsServer, store_folder: Path) -> None:
        self._server = server
        self._store_folder = store_folder

    @property
    def url(self) -> str:
        """Where clients connect; stays the same over a restart."""
        return self._server.url

    def kill(self) -> None:
        """End it with SIGKILL, as a crash would; connections break and none can be made until `restart`."""
        self._server.stop(signal.SIGKILL)

    def restart(self, *, lose_everything: bool = False) -> None:
        """Start it again on the same port, with its streams or, when asked, without any."""
        self._server.stop()
        if lose_everything:
            shutil.rmtree(self._store_folder, ignore_errors=True)
        self._server.start()


@contextmanager
def run_nats() -> Iterator[TestNats]:
    """Start a server on a free port of the loopback interface; stop it and remove its folder at the end. `NATS_BIN` chooses another."""
    folder = Path(tempfile.mkdtemp(prefix="relais-nats-"))
    store_folder = folder / "jetstream"
    configuration = f'max_payload: 8MB\njetstream {{ store_dir: "{store_folder}", max_file_store: 4GB, sync_interval: always }}\n'
    with Leash() as leash:
        server = NatsServer(nats_server_program(os.environ), folder, configuration, folder / "nats-server.log", leash=leash)
        try:
            server.start()
            yield TestNats(server, store_folder)
        finally:
            server.stop()
            shutil.rmtree(folder, ignore_errors=True)
