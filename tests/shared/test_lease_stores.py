"""Leases in memory and in Postgres obey the same laws, by the clock of whoever keeps them."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from importlib import resources
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import asyncpg
import pytest

from relais.eventlog.memory import MemoryEventLog
from relais.testing.clock import ManualClock
from relais.testing.lease_suite import DURATION_SECONDS, GROUP, RESOURCES, LeasePlace, LeaseStoreSuite, tick
from relais.testing.postgres import TestPostgres
from relais.testing.proxy import open_proxy
from relais.transport.leases import LeasesUnavailable, Tick
from relais.transport.leases_memory import MemoryLeaseStore
from relais.transport.leases_postgres import PostgresLeaseStore

ROLE = "relais_routing"


class TestMemoryLeaseStore(LeaseStoreSuite):
    @pytest.fixture
    def place(self) -> LeasePlace:
        clock = ManualClock()
        log = MemoryEventLog("routing", clock)

        async def checkpoint_epoch(consumer: str, source: str, partition: int) -> int | None:
            return {(mark.log, mark.partition): mark.epoch for mark in await log.checkpoints(consumer)}.get((source, partition))

        return LeasePlace(MemoryLeaseStore(clock, log.fence), clock.advance, checkpoint_epoch)


@pytest.fixture
async def dsn(postgres: TestPostgres) -> AsyncIterator[str]:
    """The database of a service whose log has its tables, with that service's rights and no others."""

    async def prepare(owner_dsn: str) -> None:
        script = resources.files("relais.eventlog").joinpath("schema.sql").read_text("utf-8")
        connection = await asyncpg.connect(owner_dsn)
        await connection.execute(script.replace("@log@", "routing").replace("@role@", ROLE))
        await connection.close()

    async with postgres.database(await postgres.template("lease-tables", prepare)) as name:
        yield postgres.dsn(name, ROLE)


@pytest.fixture
async def pool(dsn: str) -> AsyncIterator[asyncpg.Pool]:
    async with asyncpg.create_pool(dsn, min_size=2, max_size=4) as pool:
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


async def test_a_claim_whose_answer_was_cut_after_its_commit_is_made_again_at_once(dsn: str, pool: asyncpg.Pool, tmp_path: Path) -> None:
    address = {key: values[0] for key, values in parse_qs(urlsplit(dsn).query).items()}
    socket = f".s.PGSQL.{address['port']}"
    async with (
        open_proxy(Path(address["host"]) / socket, tmp_path / socket) as proxy,
        asyncpg.create_pool(dsn.replace(address["host"], str(tmp_path)), min_size=1, max_size=1) as cut_pool,
    ):
        cut, whole = PostgresLeaseStore(cut_pool, "routing"), PostgresLeaseStore(pool, "routing")
        claim = Tick("a", (GROUP,), (), RESOURCES[:1], RESOURCES, DURATION_SECONDS)
        # The first tick of a connection takes several round trips, and only the last answer is that of a commit.
        await cut.tick(replace(claim, claims=()))
        proxy.cut_at_next_reply()
        with pytest.raises(LeasesUnavailable):
            await cut.tick(claim)
        assert await pool.fetchval("SELECT epoch FROM routing.lease WHERE resource = $1", RESOURCES[0]) == 1
        assert (await whole.tick(replace(claim, holder="b"))).claimed == {}
        assert (await cut.tick(claim)).claimed == {RESOURCES[0]: 2}


async def test_a_database_that_stops_makes_leases_unavailable_and_not_wrong(postgres: TestPostgres, postgres_place: LeasePlace) -> None:
    await asyncio.to_thread(postgres.pause)
    try:
        with pytest.raises(LeasesUnavailable):
            await tick(postgres_place, "a", claims=RESOURCES[:1])
    finally:
        await asyncio.to_thread(postgres.resume)
    # Under which epoch, depends on whether the claim that was not answered was still carried out.
    assert set(await claim_when_back(postgres_place)) == {RESOURCES[0]}


async def claim_when_back(place: LeasePlace) -> dict[str, int]:
    """The answer to a claim as soon as the database gives one; connections of before may each fail once."""
    async with asyncio.timeout(10):
        while True:
            try:
                return (await tick(place, "a", claims=RESOURCES[:1])).claimed
            except LeasesUnavailable:
                await asyncio.sleep(0)
