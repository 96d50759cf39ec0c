"""The relay publishes every announced fact once and in order, whatever happens to answers, streams, leaders and leases."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack

import pytest
from msgspec.structs import replace

from relais.transport.announcing import LogGap, batches, require_contiguous
from relais.transport.bus import BATCH_BYTES_MAXIMUM, Announcement
from relais.transport.leases import LEASE_SECONDS, RENEW_SECONDS
from relais.transport.memory import MemoryBus
from relais.transport.relay import POLL_SECONDS
from tests.shared.relaying import LOG, Replica, numbers
from tests.shared.simulation import ANNOUNCED, SILENT, World, event, running


async def test_announced_facts_are_published_in_log_order_each_with_what_it_follows_on() -> None:
    world = World()
    await world.append(LOG, [event(n, tag=SILENT if n % 3 == 0 else ANNOUNCED, partition=n % 2) for n in numbers(1, 9)])
    async with running(Replica(world, "a").run()):
        await world.clock.advance(1.0)
        assert world.published(LOG) == [1, 2, 4, 5, 7, 8]
        assert [one.previous for one in world.bus.stored(LOG)] == [0, 0, 2, 1, 5, 4]
        first, stored = world.bus.stored(LOG)[0], (await world.log(LOG).read(0, 1))[0]
        assert (first.event_id, first.payload, first.stream, first.version) == (
            str(stored.event_id), stored.payload, stored.stream, stored.version,
        )  # fmt: skip


async def test_a_ring_publishes_at_once_and_without_one_a_poll_does() -> None:
    world = World()
    replica = Replica(world, "a")
    async with running(replica.run()):
        await world.clock.advance(1.0)
        await world.append(LOG, [event(1)])
        replica.relay.ring()
        await world.clock.settle()
        assert world.published(LOG) == [1]
        await world.append(LOG, [event(2)])
        await world.clock.advance(POLL_SECONDS * 2)
        assert world.published(LOG) == [1, 2]


async def test_a_ring_in_another_replica_reaches_the_leader_over_the_bus() -> None:
    world = World()
    leader, other = Replica(world, "a"), Replica(world, "b")
    async with running(leader.run()):
        await world.clock.advance(0.1)
        async with running(other.run()):
            await world.clock.advance(1.0)
            assert (leader.relay.leading, other.relay.leading) == (True, False)
            await world.append(LOG, [event(1)])
            other.relay.ring()
            await world.clock.settle()
            assert world.published(LOG) == [1]


@pytest.mark.parametrize("stored", [True, False])
async def test_after_a_lost_answer_the_stream_is_read_and_nothing_is_published_twice(stored: bool) -> None:
    world = World()
    await world.append(LOG, [event(n) for n in numbers(1, 5)])
    world.bus.lose_answer(LOG, stored=stored)
    async with running(Replica(world, "a").run()):
        await world.clock.advance(2.0)
        assert world.published(LOG) == [1, 2, 3, 4, 5]


async def test_a_long_log_is_published_whole_in_batches_that_the_bus_takes() -> None:
    world = World()
    await world.append(LOG, [event(n) for n in numbers(1, 400)])
    await world.append(LOG, [replace(event(n), payload=bytes(60 * 1024)) for n in numbers(401, 500)])
    await world.append(LOG, [event(n) for n in numbers(501, 800)])
    async with running(Replica(world, "a").run()):
        await world.clock.advance(2.0)
        assert world.published(LOG) == list(numbers(1, 800))


def test_a_batch_ends_where_its_limits_do() -> None:
    world_size = 64 * 1024
    heavy = Announcement(LOG, 0, 1, 0, ANNOUNCED, "t", "s", 1, "", "", "a", "", bytes(world_size))
    assert [len(batch) for batch in batches([heavy] * 100)] == [63, 37]
    assert all(sum(one.size_bytes for one in batch) <= BATCH_BYTES_MAXIMUM for batch in batches([heavy] * 100))
    assert [len(batch) for batch in batches([replace(heavy, payload=b"")] * 1001)] == [500, 500, 1]
    assert batches([]) == []


async def test_a_gap_in_the_log_stops_the_relay_instead_of_being_passed() -> None:
    world = World()
    await world.append(LOG, [event(n) for n in numbers(1, 5)])
    events = await world.log(LOG).read(0)
    require_contiguous(0, events)
    with pytest.raises(LogGap):
        require_contiguous(0, [*events[:2], *events[3:]])
    with pytest.raises(LogGap):
        require_contiguous(1, events)


async def test_a_dead_leader_is_replaced_within_a_lease_and_its_batch_is_not_repeated() -> None:
    world = World()
    await world.append(LOG, [event(n) for n in numbers(1, 10)])
    world.bus.lose_answer(LOG, stored=True)
    async with running(Replica(world, "a").run()):
        await world.clock.settle()
        assert world.published(LOG) == list(numbers(1, 10))
    await world.append(LOG, [event(n) for n in numbers(11, 20)])
    async with running(Replica(world, "b").run()):
        await world.clock.advance(LEASE_SECONDS + 2 * RENEW_SECONDS)
        assert world.published(LOG) == list(numbers(1, 20))


class SleepyBus(MemoryBus):
    """A replica's way to the shared bus, on which it falls asleep just before it publishes, lease check behind it."""

    def __init__(self, bus: MemoryBus) -> None:
        super().__init__()
        self.__dict__.update(bus.__dict__)
        self.awake = asyncio.Event()
        self.awake.set()
        self.publishes = 0

    async def publish(self, log: str, batch: Sequence[Announcement], expected_last_sequence: int) -> int:
        await self.awake.wait()
        self.publishes += 1
        return await super().publish(log, batch, expected_last_sequence)


async def test_a_leader_that_sleeps_between_looking_and_publishing_publishes_nothing_when_it_wakes() -> None:
    world = World()
    sleepy = SleepyBus(world.bus)
    await world.append(LOG, [event(n) for n in numbers(1, 5)])
    sleeper = Replica(world, "a", sleepy)
    async with AsyncExitStack() as replicas:
        await replicas.enter_async_context(running(sleeper.relay.run()))
        await sleeper.keeper.tick()
        sleepy.awake.clear()
        await world.clock.advance(1.0)
        # It does not renew while it sleeps, so another takes over and publishes what it was about to publish, and more.
        await world.append(LOG, [event(n) for n in numbers(6, 9)])
        await replicas.enter_async_context(running(Replica(world, "b").run()))
        await world.clock.advance(LEASE_SECONDS + 2 * RENEW_SECONDS)
        assert world.published(LOG) == list(numbers(1, 9))
        sleepy.awake.set()
        await world.clock.advance(5.0)
        assert world.published(LOG) == list(numbers(1, 9))
        assert sleepy.publishes == 1
        assert not sleeper.relay.leading


async def test_a_leader_whose_lease_ran_out_does_not_even_try() -> None:
    world = World()
    sleepy = SleepyBus(world.bus)
    replica = Replica(world, "a", sleepy)
    async with running(replica.relay.run()):
        await replica.keeper.tick()
        await world.clock.advance(LEASE_SECONDS)
        await world.append(LOG, [event(1)])
        await world.clock.advance(5.0)
        assert sleepy.publishes == 0


async def test_an_outage_of_the_bus_is_waited_out() -> None:
    world = World()
    async with running(Replica(world, "a").run()):
        await world.clock.advance(1.0)
        world.bus.become(available=False)
        await world.append(LOG, [event(n) for n in numbers(1, 5)])
        await world.clock.advance(60.0)
        world.bus.become(available=True)
        await world.clock.advance(2.0)
        assert world.published(LOG) == [1, 2, 3, 4, 5]
