"""The marks of consumers in schema `transport`, which all services share, and the migration that makes it."""

import asyncio
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Final
from uuid import UUID

import asyncpg

from relais.transport.leases_postgres import PASSING_ERRORS
from relais.transport.progress import Mark, ProgressRow, ProgressUnavailable

STATEMENT_TIMEOUT_SECONDS: Final = 2.0

# Two migrations at once wait for one another instead of tripping over half-made objects.
_MIGRATION_LOCK: Final = 7_243_002

_NOTE = """
INSERT INTO transport.progress AS p (consumer, log, partition, position, frontier, event_id, hole, updated_at)
SELECT $1, $2, m.partition, m.position, m.frontier, m.event_id, m.hole, clock_timestamp()
FROM unnest($3::smallint[], $4::bigint[], $5::bigint[], $6::uuid[], $7::bigint[]) AS m (partition, position, frontier, event_id, hole)
ORDER BY m.partition
ON CONFLICT (log, consumer, partition) DO UPDATE SET position = excluded.position, frontier = excluded.frontier,
    event_id = excluded.event_id, hole = excluded.hole, updated_at = excluded.updated_at
"""

_READ = "SELECT consumer, partition, position, frontier, coalesce(event_id::text, ''), hole FROM transport.progress WHERE log = $1"


class PostgresProgress:
    """See `relais.transport.progress.Progress`."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def note(self, consumer: str, log: str, marks: Mapping[int, Mark]) -> None:
        given = list(marks.values())
        columns = [
            list(marks),
            [mark.position for mark in given],
            [mark.frontier for mark in given],
            [UUID(mark.event_id) if mark.event_id else None for mark in given],
            [mark.hole for mark in given],
        ]
        try:
            async with asyncio.timeout(STATEMENT_TIMEOUT_SECONDS):
                await self._pool.execute(_NOTE, consumer, log, *columns)
        except PASSING_ERRORS as error:
            raise ProgressUnavailable(type(error).__name__) from error

    async def read(self, log: str) -> list[ProgressRow]:
        try:
            async with asyncio.timeout(STATEMENT_TIMEOUT_SECONDS):
                rows = await self._pool.fetch(_READ, log)
        except PASSING_ERRORS as error:
            raise ProgressUnavailable(type(error).__name__) from error
        return [ProgressRow(consumer, partition, Mark(*mark)) for consumer, partition, *mark in rows]


async def migrate_transport(dsn: str, service_roles: Sequence[str]) -> None:
    """Make schema `transport` in this database and let these roles, which must exist, read and write marks; run by the owner's role."""
    script = resources.files("relais.transport").joinpath("schema.sql").read_text("utf-8")
    connection = await asyncpg.connect(dsn)
    try:
        async with connection.transaction():
            await connection.execute("SELECT pg_advisory_xact_lock($1)", _MIGRATION_LOCK)
            await connection.execute(script)
            for role in service_roles:
                if not role.isidentifier():
                    raise ValueError(f"not a role: {role!r}")
                await connection.execute(f"GRANT USAGE ON SCHEMA transport TO {role}")
                await connection.execute(f"GRANT SELECT, INSERT, UPDATE ON transport.progress TO {role}")
    finally:
        await connection.close()
