"""Leases in memory and in Postgres obey the same laws, by the clock of whoever keeps them."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from importlib import resources

import asyncpg
import pytest

from relais.eventlog.memory import MemoryEventLog
from relais.testing.clock import ManualClock
from relais.testing.lease_suite import GROUP, RESOURCES, LeasePlace, LeaseStoreSuite, tick
from relais.testing.postgres import TestPostgres
from relais.transport.leases import LeasesUnavailable
from relais.transport.leases_memory import MemoryLeaseStore
from relais.transport.leases_postgres import PostgresLeaseStore


class TestMemoryLeaseStore(LeaseStoreSuite):
    @pytest.fixture
    def place(self) -> LeasePlace:
        clock = ManualClock()
        log = MemoryEventLog("routing", clock)

        async def checkpoint_epoch(consumer: str, source: str, partition: int) -> int | None:
            return {(mark.log, mark.partition): mark.epoch for mark in await log.checkpoints(consumer)}.get((source, partition))

        return LeasePlace(MemoryLeaseStore(clock, log.fence), clock.advance, checkpoint_epoch)


@pytest.fixture
async def pool(postgres: TestPostgres) -> AsyncIterator[asyncpg.Pool]:
    """The pool of a service whose log has its tables, with that service's rights and no others."""

    async def prepare(owner_dsn: str) -> None:
        script = resources.files("relais.eventlog").joinpath("schema.sql").read_text("utf-8")
        connection = await asyncpg.connect(owner_dsn)
        await connection.execute(script.replace("@log@", "routing").replace("@role@", "relais_routing"))
        await connection.close()

    async with (
        postgres.database(await postgres.template("lease-tables", prepare)) as name,
        asyncpg.create_pool(postgres.dsn(name, "relais_routing"), min_size=2, max_size=4) as pool,
    ):
        yield pool


@pytest.fixture
def postgres_place(pool: asyncpg.Pool) -> LeasePlace:
    async def pass_time(seconds: float) -> None:
        # The database's clock cannot be moved, so everything it remembers is made older instead.
        passed = timedelta(seconds=seconds)
        await pool.execute("UPDATE routing.lease SET expires_at = expires_at - $1::interval", passed)
        await pool.execute("UPDATE routing.member SET seen_at = seen_at - $1::interval", passed)

    async def checkpoint_epoch(consumer: str, log: str, partition: int) -> int | None:
        query = "SELECT epoch FROM routing.checkpoint WHERE consumer = $1 AND log = $2 AND partition = $3"
        epoch: int | None = await pool.fetchval(query, consumer, log, partition)
        return epoch

    return LeasePlace(PostgresLeaseStore(pool, "routing"), pass_time, checkpoint_epoch)


class TestPostgresLeaseStore(LeaseStoreSuite):
    @pytest.fixture
    def place(self, postgres_place: LeasePlace) -> LeasePlace:
        return postgres_place


async def test_a_takeover_keeps_the_position_of_the_checkpoint(pool: asyncpg.Pool, postgres_place: LeasePlace) -> None:
    await tick(postgres_place, "a", claims=RESOURCES[:1])
    await pool.execute("UPDATE routing.checkpoint SET position = 42, event_id = gen_random_uuid()")
    await postgres_place.store.give_back("a", [(RESOURCES[0], 1)], [GROUP])
    await tick(postgres_place, "b", claims=RESOURCES[:1])
    position, epoch = await pool.fetchrow("SELECT position, epoch FROM routing.checkpoint") or (None, None)
    assert (position, epoch) == (42, 2)


async def test_a_database_that_stops_makes_leases_unavailable_and_not_wrong(postgres: TestPostgres, postgres_place: LeasePlace) -> None:
    await asyncio.to_thread(postgres.pause)
    try:
        with pytest.raises(LeasesUnavailable):
            await tick(postgres_place, "a", claims=RESOURCES[:1])
    finally:
        await asyncio.to_thread(postgres.resume)
    assert await claim_when_back(postgres_place) == {RESOURCES[0]: 1}


async def claim_when_back(place: LeasePlace) -> dict[str, int]:
    """The answer to a claim as soon as the database gives one; connections of before may each fail once."""
    async with asyncio.timeout(10):
        while True:
            try:
                return (await tick(place, "a", claims=RESOURCES[:1])).claimed
            except LeasesUnavailable:
                await asyncio.sleep(0)
