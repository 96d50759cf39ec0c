"""A delivery database of a test's own, used with the rights of the service's role, as in production."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import resources

from relais.eventlog.migrations import migrate_log, service_migrations
from relais.eventlog.postgres import Pool, open_pool
from relais.testing.postgres import TestPostgres
from relais.vault.migrations import migrate_vault

LOG = "delivery"
ROLE = "relais_delivery"


async def prepare(owner_dsn: str) -> None:
    """The schemas of the vault and of the log, and the queue beside them."""
    await migrate_vault(owner_dsn)
    folder = resources.files("relais.delivery").joinpath("migrations")
    await migrate_log(owner_dsn, LOG, ROLE, service_migrations(LOG, folder))


@asynccontextmanager
async def delivery_pool(postgres: TestPostgres) -> AsyncIterator[Pool]:
    """A pool of the service's role on a fresh database."""
    async with postgres.database(await postgres.template("delivery", prepare)) as name:
        pool = await open_pool(postgres.dsn(name, ROLE), connections_maximum=8, application="test")
        try:
            yield pool
        finally:
            await pool.close()
