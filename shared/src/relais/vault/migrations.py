"""Make the vault's two schemas, or bring them up to date; run by the owner's role, never by a service's."""

from importlib import resources

import asyncpg

# Two migrations at once wait for one another instead of tripping over half-made objects.
_MIGRATION_LOCK = 7_243_001


async def migrate_vault(dsn: str) -> None:
    """Make schema `vault`, where bodies lie, in this database. Raises asyncpg's error when a service's role does not exist yet."""
    await _run(dsn, "schema.sql")


async def migrate_keys(dsn: str) -> None:
    """Make schema `keys` in this database, which must be another one than that of the logs: its backups are kept shorter."""
    await _run(dsn, "schema_keys.sql")


async def _run(dsn: str, file: str) -> None:
    script = resources.files("relais.vault").joinpath(file).read_text("utf-8")
    connection = await asyncpg.connect(dsn)
    try:
        async with connection.transaction():
            await connection.execute("SELECT pg_advisory_xact_lock($1)", _MIGRATION_LOCK)
            await connection.execute(script)
    finally:
        await connection.close()
