"""A Postgres event log of a test's own, used with the rights of the service's role, as in production."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

from relais.eventlog.migrations import Migration, migrate_log
from relais.eventlog.postgres import Pool, PostgresEventLog, open_pool
from relais.testing.eventlog_place import LogPlace
from relais.testing.postgres import TestPostgres
from relais.vault.migrations import migrate_vault

LOG = "ingestion"
ROLE = "relais_ingestion"

_WORK = """
CREATE TABLE ingestion.work (n bigint GENERATED ALWAYS AS IDENTITY, row jsonb NOT NULL CHECK (row -> 'refuse' IS NULL));
CREATE FUNCTION ingestion.apply_work(work jsonb) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF jsonb_path_exists(work, '$[*].refuse') THEN
        RAISE EXCEPTION 'refused by the service''s function';
    END IF;
    INSERT INTO ingestion.work (row) SELECT w FROM jsonb_array_elements(work) WITH ORDINALITY AS a (w, n) ORDER BY a.n;
END $$;
GRANT SELECT, INSERT ON ingestion.work TO relais_ingestion;
"""


async def prepare(owner_dsn: str) -> None:
    """The schemas of the vault and of the log, and a service's table beside them."""
    await migrate_vault(owner_dsn)
    await migrate_log(owner_dsn, LOG, ROLE, [Migration("ingestion/work.sql", _WORK)])


@asynccontextmanager
async def log_database(postgres: TestPostgres) -> AsyncIterator[str]:
    """The name of a fresh database with an empty log."""
    async with postgres.database(await postgres.template("eventlog", prepare)) as name:
        yield name


@asynccontextmanager
async def log_pool(postgres: TestPostgres) -> AsyncIterator[Pool]:
    """A pool of the service's role on such a database."""
    async with log_database(postgres) as name:
        pool = await open_pool(postgres.dsn(name, ROLE), connections_maximum=8, application="test")
        try:
            yield pool
        finally:
            await pool.close()


def place_on(pool: Pool) -> LogPlace:
    """What the suite needs of it."""

    async def stored_blobs() -> set[UUID]:
        return {row[0] for row in await pool.fetch("SELECT blob FROM vault.chunk")}

    async def applied_work() -> list[dict[str, Any]]:
        return [json.loads(row[0]) for row in await pool.fetch("SELECT row FROM ingestion.work ORDER BY n")]

    async def fence(consumer: str, log: str, partition: int, epoch: int) -> None:
        await pool.execute(
            "INSERT INTO ingestion.checkpoint (consumer, log, partition, position, event_id, epoch) VALUES ($1, $2, $3, 0, $4, $5)"
            " ON CONFLICT (consumer, log, partition) DO UPDATE SET epoch = excluded.epoch",
            consumer, log, partition, UUID(int=0), epoch,
        )  # fmt: skip

    return LogPlace(PostgresEventLog(pool, LOG), stored_blobs, applied_work, fence)
