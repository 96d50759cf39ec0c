"""A real Postgres for tests: one server a session, one fresh database a test, copied from a template (some 70 ms)."""

import itertools
import os
import secrets
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import asyncpg

from relais.processes.leash import Leash
from relais.processes.postgres import PostgresPlace, PostgresServer, StopMode
from relais.processes.programs import postgres_bin

# Tests that measure or attack durability ask for fsync; the others must not wait for a disk.
_SETTINGS = {
    "shared_buffers": "128MB",
    "max_connections": "200",
    "max_wal_size": "1GB",
    "max_parallel_workers_per_gather": "0",
    "jit": "off",
    "autovacuum_naptime": "10s",
    "log_parameter_max_length": "0",
    "log_parameter_max_length_on_error": "0",
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
}
_WITHOUT_FSYNC = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"}
SERVICE_ROLES = ("relais_ingestion", "relais_identity", "relais_routing", "relais_delivery")
OWNER_ROLE = "relais_owner"
PRIVACY_ROLE = "relais_privacy"


class TestPostgres:
    """A running server. Whoever reaches its socket is trusted, so every role of the product can be played without a password."""

    __test__ = False

    def __init__(self, server: PostgresServer) -> None:
        self._server = server
        self._has_roles = False
        self._templates: dict[str, str] = {}
        self._numbers = itertools.count(1)

    def dsn(self, database: str = "postgres", user: str = "postgres") -> str:
        """Address of a database for a role: `postgres` (superuser), `relais_owner`, or `relais_<service>`."""
        return self._server.dsn(database, user)

    @property
    def log_file(self) -> Path:
        """What the server wrote; a canary is searched for here."""
        return self._server.place.log_file

    async def create_database(self, template: str | None = None) -> str:
        """Create a fresh database owned by `relais_owner`, a copy of `template` when given, and return its name."""
        name = f"test_{next(self._numbers)}_{secrets.token_hex(4)}"
        strategy = f' TEMPLATE "{template}" STRATEGY file_copy' if template else ""
        await self._execute(f'CREATE DATABASE "{name}" OWNER {OWNER_ROLE}{strategy}')
        return name

    async def drop_database(self, name: str) -> None:
        """Drop a database, whoever is still connected."""
        await self._execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    async def template(self, name: str, prepare: Callable[[str], Awaitable[None]]) -> str:
        """The database to copy for `name`: made once a session by `prepare(owner DSN)`, which must close its connections."""
        if name not in self._templates:
            database = await self.create_database()
            await prepare(self.dsn(database, OWNER_ROLE))
            self._templates[name] = database
        return self._templates[name]

    @asynccontextmanager
    async def database(self, template: str | None = None) -> AsyncIterator[str]:
        """A fresh database, dropped at the end; yields its name."""
        name = await self.create_database(template)
        try:
            yield name
        finally:
            await self.drop_database(name)

    def crash(self) -> None:
        """Stop at once as a power cut would, and start again: what was committed with fsync must be there."""
        self._server.stop(StopMode.IMMEDIATE)
        self._server.start()

    def pause(self) -> None:
        """Stop the server cleanly, so that every connection breaks and none can be made."""
        self._server.stop()

    def resume(self) -> None:
        """Start it again after `pause`."""
        self._server.start()

    async def create_roles(self) -> None:
        """The owner role, which migrates, and those that have what the migrations grant them: one per service, and privacy."""
        if not self._has_roles:
            for role in (OWNER_ROLE, *SERVICE_ROLES, PRIVACY_ROLE):
                await self._execute(f"CREATE ROLE {role} LOGIN")
            self._has_roles = True

    async def _execute(self, statement: str) -> None:
        connection = await asyncpg.connect(self.dsn())
        try:
            await connection.execute(statement)
        finally:
            await connection.close()


@contextmanager
def run_postgres(*, fsync: bool = False, settings: Mapping[str, str] | None = None) -> Iterator[TestPostgres]:
    """Start a server in a folder of its own in the temporary folder; stop it and remove the folder at the end.

    `PG_BIN` chooses another Postgres; `settings` go over the kit's own. The folder is readable by all so that, as root, the server can
    run as nobody.
    """
    folder = Path(tempfile.mkdtemp(prefix="relais-pg-"))
    folder.chmod(0o755)
    sockets = folder / "run"
    sockets.mkdir(mode=0o700)
    place = PostgresPlace(
        programs=postgres_bin(os.environ),
        data_folder=folder / "data",
        socket_folder=sockets,
        log_file=folder / "postgres.log",
        settings=(_SETTINGS if fsync else {**_SETTINGS, **_WITHOUT_FSYNC}) | dict(settings or {}),
    )
    with Leash() as leash:
        server = PostgresServer(place, leash)
        try:
            server.initialise()
            server.start()
            yield TestPostgres(server)
        finally:
            server.stop(StopMode.FAST)
            shutil.rmtree(folder, ignore_errors=True)
