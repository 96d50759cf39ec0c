"""Every replica has the whole log in memory, each fact once and in order, whatever happens to the stream."""

import asyncio
from collections.abc import Sequence
from uuid import uuid4

import pytest
from msgspec.structs import replace

from relais.transport.broadcast import FETCH_WAIT_SECONDS, RETRY_SECONDS, BroadcastReader
from relais.transport.bus import Delivered, LogForkDetected
from relais.transport.leases import LEASE_SECONDS
from relais.transport.memory import MemoryBus, MemorySubscription
from relais.transport.patrol import PATROL_SECONDS, REPUBLISH_SECONDS
from relais.transport.relay import POLL_SECONDS
from tests.shared.simulation import World, event, running

LOG = "registry"


class Directory:
    """What a replica keeps in memory: here only which positions it was given."""

    def __init__(self, world: World) -> None:
        self.positions: list[int] = []
        self.reader = BroadcastReader("access@a", LOG, world.bus, world.progress, self.apply, world.clock)

    def apply(self, batch: Sequence[Delivered]) -> None:
        self.positions += [delivered.announcement.position for delivered in batch]


class SlowBus(MemoryBus):
    """A reader's way to the shared bus, on which it opens its pull and then reads nothing before `reading` is set."""

    def __init__(self, bus: MemoryBus) -> None:
        super().__init__()
        self.__dict__.update(bus.__dict__)
        self.reading = asyncio.Event()

    async def subscribe(self, log: str, partitions: Sequence[int], start_sequence: int) -> MemorySubscription:
        subscription = await super().subscribe(log, partitions, start_sequence)
        await self.reading.wait()
        return subscription


async def append(world: World, first: int, last: int) -> None:
    await world.append(LOG, [event(n) for n in range(first, last + 1)])


async def test_a_reader_gets_everything_says_when_it_has_it_and_follows() -> None:
    world = World()
    directory = Directory(world)
    await append(world, 1, 600)
    keeper = world.keeper(LOG, "source")
    async with running(keeper.run(), world.relay(LOG, keeper).run()):
        await world.clock.advance(1.0)
        async with running(directory.reader.run()):
            await world.clock.settle()
            assert directory.reader.caught_up.is_set()
            assert directory.positions == list(range(1, 601))
            await append(world, 601, 610)
            await world.clock.advance(POLL_SECONDS)
            assert directory.positions == list(range(1, 611))


async def test_a_reader_is_not_caught_up_while_there_is_no_stream() -> None:
    world = World()
    directory = Directory(world)
    async with running(directory.reader.run()):
        await world.clock.advance(10 * RETRY_SECONDS)
        assert not directory.reader.caught_up.is_set()
        await world.bus.ensure_stream(LOG)
        await world.clock.advance(2 * RETRY_SECONDS)
        assert directory.reader.caught_up.is_set()


async def test_a_wiped_stream_is_read_again_and_nothing_is_applied_twice() -> None:
    world = World()
    directory = Directory(world)
    await append(world, 1, 40)
    keeper = world.keeper(LOG, "source")
    async with running(keeper.run(), world.relay(LOG, keeper).run(), directory.reader.run()):
        await world.clock.advance(3.0)
        world.bus.wipe(LOG)
        await append(world, 41, 50)
        await world.clock.advance(2 * PATROL_SECONDS + FETCH_WAIT_SECONDS)
        assert directory.positions == list(range(1, 51))
        world.bus.become(available=False)
        await append(world, 51, 52)
        await world.clock.advance(20.0)
        world.bus.become(available=True)
        await world.clock.advance(2 * PATROL_SECONDS + FETCH_WAIT_SECONDS)
        assert directory.positions == list(range(1, 53))


async def test_a_hole_is_asked_for_before_anything_behind_it_is_applied() -> None:
    world = World()
    directory = Directory(world)
    await world.append(LOG, [event(n, partition=3) for n in range(1, 41)])
    keeper = world.keeper(LOG, "source")
    async with running(keeper.run(), world.relay(LOG, keeper).run()):
        await world.clock.advance(1.0)
    # A stream that never held 20: it has lost nothing, so only what 21 follows on tells.
    held = [one for one in world.bus.stored(LOG) if one.position != 20]
    world.bus.wipe(LOG)
    await world.bus.ensure_stream(LOG)
    await world.bus.publish(LOG, held, 0)
    async with running(directory.reader.run()):
        await world.clock.advance(0.01)
        assert directory.positions == list(range(1, 20))
        assert not directory.reader.caught_up.is_set()
        next_keeper = world.keeper(LOG, "next")
        async with running(next_keeper.run(), world.relay(LOG, next_keeper).run()):
            await world.clock.advance(LEASE_SECONDS + REPUBLISH_SECONDS)
            assert directory.positions == list(range(1, 41))
            assert directory.reader.caught_up.is_set()
            assert [row.mark.hole for row in await world.progress.read(LOG)] == [0]


@pytest.mark.parametrize("lost", [1, 20, 40])
async def test_a_stream_that_lost_a_message_is_not_read_before_it_is_filled_again(lost: int) -> None:
    world = World()
    directory = Directory(world)
    # Each in another partition or long after the last one there: no later fact tells of it.
    await append(world, 1, 40)
    keeper = world.keeper(LOG, "source")
    async with running(keeper.run(), world.relay(LOG, keeper).run()):
        await world.clock.advance(1.0)
        world.bus.drop(LOG, lost)
        async with running(directory.reader.run()):
            await world.clock.advance(0.01)
            assert directory.positions == []
            assert not directory.reader.caught_up.is_set()
            await world.clock.advance(2 * PATROL_SECONDS + FETCH_WAIT_SECONDS)
            assert directory.positions == list(range(1, 41))
            assert directory.reader.caught_up.is_set()


async def test_a_message_lost_before_a_reader_that_follows_came_to_it_stops_it_there() -> None:
    world = World()
    await append(world, 1, 600)
    keeper = world.keeper(LOG, "source")
    async with running(keeper.run(), world.relay(LOG, keeper).run()):
        await world.clock.advance(1.0)
    world.bus = slow = SlowBus(world.bus)
    directory = Directory(world)
    async with running(directory.reader.run()):
        await world.clock.settle()
        assert directory.positions == []
        world.bus.drop(LOG, 400)
        slow.reading.set()
        await world.clock.settle()
        assert directory.positions == list(range(1, 400))
        next_keeper = world.keeper(LOG, "next")
        async with running(next_keeper.run(), world.relay(LOG, next_keeper).run()):
            await world.clock.advance(LEASE_SECONDS + REPUBLISH_SECONDS)
            assert directory.positions == list(range(1, 601))


async def test_another_event_at_the_last_position_stops_the_reader() -> None:
    world = World()
    directory = Directory(world)
    await append(world, 1, 5)
    keeper = world.keeper(LOG, "source")
    async with running(keeper.run(), world.relay(LOG, keeper).run()):
        await world.clock.advance(1.0)
    reading = asyncio.create_task(directory.reader.run())
    await world.clock.advance(1.0)
    forged = [replace(one, event_id=str(uuid4())) for one in world.bus.stored(LOG)]
    world.bus.wipe(LOG)
    await world.bus.ensure_stream(LOG)
    await world.bus.publish(LOG, forged, 0)
    await world.clock.advance(FETCH_WAIT_SECONDS + 2 * RETRY_SECONDS)
    with pytest.raises(LogForkDetected):
        await reading
    assert directory.positions == [1, 2, 3, 4, 5]
