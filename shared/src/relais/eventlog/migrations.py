"""How schemas come to be: numbered files, each run once and recorded, and files of functions, run again when they change.

Run by the owner's role, never by a service's. Services start and restart in any order while this runs: a migration only adds, and
waits for a lock a few seconds at most, because everybody else would queue behind it.
"""

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Final

import asyncpg

LOCK_TIMEOUT_SECONDS: Final = 3
LOCK_ATTEMPTS_MAXIMUM: Final = 10
LOCK_PAUSE_SECONDS: Final = 1.0
TURN_TIMEOUT_SECONDS: Final = 120

_TURN = "hashtextextended('relais.migrations', 0)"

_RECORD = """
CREATE SCHEMA IF NOT EXISTS migrations;
REVOKE ALL ON SCHEMA migrations FROM PUBLIC;
CREATE TABLE IF NOT EXISTS migrations.schema_version (
    name       text        PRIMARY KEY,
    sha256     bytea       NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
"""


class MigrationError(Exception):
    """The root of what stops a migration; nothing of the file that failed was kept.

    MigrationError
     +-- MigrationChanged  a numbered file was edited after it had been run here: add a new file instead
     +-- RoleMissing       the service's role does not exist yet: create it first
    """


class MigrationChanged(MigrationError):
    """`name` was run with other contents before."""

    def __init__(self, name: str) -> None:
        super().__init__(f"the migration {name!r} was edited after it had been run on this database; add a new file instead")
        self.name = name


class RoleMissing(MigrationError):
    """`role` does not exist on this server."""

    def __init__(self, role: str) -> None:
        super().__init__(f"the role {role!r} does not exist; create it, then migrate again")
        self.role = role


@dataclass(frozen=True, slots=True)
class Migration:
    """One file. `name` (`ingestion/001_journey.sql`) is its identity for ever; a `repeatable` one is run again when its text changed."""

    name: str
    sql: str
    repeatable: bool = False

    @property
    def sha256(self) -> bytes:
        """What is recorded to notice a change."""
        return hashlib.sha256(self.sql.encode()).digest()


async def migrate(owner_dsn: str, migrations: Sequence[Migration]) -> list[str]:
    """Run what has not been run yet, in the order given, each in a transaction of its own; the names of those that ran.

    Whoever migrates the same database at the same time waits its turn. Raises `MigrationChanged`, or asyncpg's error with what was
    wrong in the file, or `TimeoutError` when the turn did not come.
    """
    connection = await asyncpg.connect(owner_dsn, timeout=TURN_TIMEOUT_SECONDS)
    try:
        await connection.execute(f"SELECT pg_advisory_lock({_TURN})", timeout=TURN_TIMEOUT_SECONDS)
        await connection.execute(_RECORD)
        rows = await connection.fetch("SELECT name, sha256 FROM migrations.schema_version")
        recorded = {str(name): bytes(sha256) for name, sha256 in rows}
        ran = []
        for migration in migrations:
            known = recorded.get(migration.name)
            if known == migration.sha256:
                continue
            if known is not None and not migration.repeatable:
                raise MigrationChanged(migration.name)
            await _run(connection, migration)
            ran.append(migration.name)
        return ran
    finally:
        await connection.close()


async def migrate_log(owner_dsn: str, log: str, service_role: str, extra: Sequence[Migration] = ()) -> list[str]:
    """Make or update the log's schema for one service's role, then the service's own tables and its `apply_work`.

    Raises `RoleMissing` besides what `migrate` raises.
    """
    connection = await asyncpg.connect(owner_dsn, timeout=TURN_TIMEOUT_SECONDS)
    try:
        if not await connection.fetchval("SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)", service_role):
            raise RoleMissing(service_role)
    finally:
        await connection.close()
    return await migrate(owner_dsn, [*log_migrations(log, service_role), *extra])


def log_migrations(log: str, service_role: str) -> list[Migration]:
    """The files of one log: schema `log`, to be used by `service_role`."""
    for name in (log, service_role):
        if not name.isidentifier() or not name.islower():
            raise ValueError(f"{name!r} is not a plain lower-case identifier")
    package = resources.files("relais.eventlog")

    def of_log(file: str, *, repeatable: bool) -> Migration:
        text = package.joinpath(file).read_text("utf-8")
        return Migration(f"{log}/eventlog/{file}", text.replace("@log@", log).replace("@role@", service_role), repeatable)

    return [of_log("schema.sql", repeatable=False), of_log("functions.sql", repeatable=True)]


def service_migrations(service: str, folder: Traversable) -> list[Migration]:
    """The `*.sql` files of a service's folder `migrations`, in the order of their names, each to be run once."""
    files = sorted((file for file in folder.iterdir() if file.name.endswith(".sql")), key=lambda file: file.name)
    return [Migration(f"{service}/{file.name}", file.read_text("utf-8")) for file in files]


async def _run(connection: "asyncpg.Connection[asyncpg.Record]", migration: Migration) -> None:
    for attempt in range(1, LOCK_ATTEMPTS_MAXIMUM + 1):
        try:
            async with connection.transaction():
                await connection.execute(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT_SECONDS}s'")
                await connection.execute(migration.sql)
                await connection.execute(
                    "INSERT INTO migrations.schema_version (name, sha256) VALUES ($1, $2)"
                    " ON CONFLICT (name) DO UPDATE SET sha256 = excluded.sha256, applied_at = clock_timestamp()",
                    migration.name,
                    migration.sha256,
                )
            return
        except asyncpg.LockNotAvailableError:
            # A long query holds the table. Let those who queue behind us pass, then try again.
            if attempt == LOCK_ATTEMPTS_MAXIMUM:
                raise
            await asyncio.sleep(LOCK_PAUSE_SECONDS)
