"""The essentials once more on a real Postgres and a real nats-server: each fact has one effect, whatever is killed, wiped or asleep."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from relais.testing.nats import TestNats, run_nats
from relais.testing.postgres import TestPostgres
from relais.transport.nats_api import JetStreamApi
from relais.transport.progress import Mark, ProgressRow, floor_of
from relais.transport.progress_postgres import PostgresProgress
from tests.shared.consuming import SOURCE
from tests.shared.real_road import Road, road, until


@pytest.fixture
def own_nats() -> Iterator[TestNats]:
    """A server of this test's own: the streams have the names of production, and tests break it."""
    with run_nats() as server:
        yield server


@pytest.fixture
async def way(postgres: TestPostgres, own_nats: TestNats) -> AsyncIterator[Road]:
    async with road(postgres, own_nats) as one:
        yield one


async def test_two_replicas_share_the_work_and_each_fact_has_one_effect(way: Road) -> None:
    await way.append(700)
    await way.relaying()
    first, second = await way.reading(), await way.reading()
    await way.arrived()

    async def shared() -> bool:
        await way.append(40)
        await way.arrived()
        return first.copier.calls > 0 and second.copier.calls > 0

    await until(shared)


async def test_a_killed_reader_and_a_killed_leader_are_replaced(way: Road) -> None:
    leader, _ = await way.relaying(), await way.relaying()
    first, _ = await way.reading(), await way.reading()
    await way.append(300)
    await way.arrived()
    await way.append(500)
    await leader.kill()
    await first.kill()
    await way.append(100)
    await way.arrived()


async def test_a_deleted_stream_is_rebuilt_and_no_effect_repeats(way: Road) -> None:
    relaying = await way.relaying()
    await way.reading()
    await way.append(300)
    await way.arrived()
    await JetStreamApi(relaying.bus.client).ask("STREAM.DELETE.RELAIS_IDENTITY")
    await way.append(200)
    await way.arrived()


@pytest.mark.parametrize("lost", [1, 20, 30])
async def test_a_message_lost_without_a_word_has_its_effect_after_all(way: Road, lost: int) -> None:
    relaying = await way.relaying()
    await way.append(30)
    api = JetStreamApi(relaying.bus.client)

    async def announced() -> bool:
        return (await relaying.bus.ensure_stream(SOURCE)).last_position == 30

    await until(announced)
    await api.ask("STREAM.MSG.DELETE.RELAIS_IDENTITY", {"seq": lost, "no_erase": True})
    await way.reading()
    await way.arrived()
    extent = await relaying.bus.extent(SOURCE)
    assert extent.whole
    assert extent.last_sequence > 30, "it came with a second filling"


async def test_a_server_that_dies_and_forgets_everything_costs_nothing(way: Road) -> None:
    await way.relaying()
    await way.reading()
    await way.append(300)
    await way.arrived()
    await asyncio.to_thread(way.nats.kill)
    await way.append(200)
    await asyncio.to_thread(way.nats.restart, lose_everything=True)
    await way.append(100)
    await way.arrived()


async def test_a_sleeping_reader_is_fenced_by_the_database_when_it_wakes(way: Road) -> None:
    await way.relaying()
    sleeper = await way.reading()
    sleeper.copier.gate.clear()
    await way.append(60)

    async def asleep() -> bool:
        await way.own.head()
        return sleeper.copier.calls == 1

    await until(asleep)
    await sleeper.forget_leases()
    await way.reading()
    await way.arrived()
    head = await way.own.head()
    sleeper.copier.gate.set()
    await way.append(20)
    await way.arrived()
    assert await way.own.head() == head + 20


async def test_marks_are_kept_by_consumer_and_partition(way: Road) -> None:
    progress, relay_side = PostgresProgress(way.own_pool), PostgresProgress(way.source_pool)
    event_id = "6a0c2a3e-2f0b-5d69-9c2e-0d8a3c9d3f11"
    await progress.note("routing", SOURCE, {p: Mark(10 + p, 100, event_id) for p in range(32)})
    await progress.note("journeys", SOURCE, {p: Mark(5, 50) for p in range(31)})
    await progress.note("journeys", "delivery", {0: Mark(1, 1)})
    rows = await relay_side.read(SOURCE)
    assert len(rows) == 63
    assert ProgressRow("routing", 3, Mark(13, 100, event_id)) in rows
    assert floor_of(rows).position == 0
    await progress.note("journeys", SOURCE, {31: Mark(7, 60, hole=90)})
    floor = floor_of(await relay_side.read(SOURCE))
    assert (floor.position, floor.handled[0], floor.handled[31]) == (50, 5, 7)
    assert ProgressRow("journeys", 31, Mark(7, 60, "", 90)) in await relay_side.read(SOURCE)
