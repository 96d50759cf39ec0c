"""The relay publishes every announced fact once and in order, whatever happens to answers, streams, leaders and leases."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from relais.contracts.subjects import PARTITIONS
from relais.eventlog.memory import MemoryEventLog
from relais.eventlog.record import Append
from relais.transport.announcing import LogGap, batches, require_contiguous
from relais.transport.bus import BATCH_BYTES_MAXIMUM, Announcement, Bus, LogForkDetected
from relais.transport.leases import LEASE_SECONDS, RENEW_SECONDS
from relais.transport.memory import MemoryBus
from relais.transport.patrol import PATROL_SECONDS, REPUBLICATIONS_MAXIMUM, REPUBLISH_SECONDS, TRIM_SECONDS
from relais.transport.progress import Mark
from relais.transport.relay import POLL_SECONDS, Relay
from tests.shared.simulation import ANNOUNCED, SILENT, World, event, running

LOG = "identity"


class Replica:
    """One process with a relay in it."""

    def __init__(self, world: World, name: str, bus: Bus | None = None, log: str = LOG) -> None:
        self.keeper = world.keeper(log, name)
        self.relay: Relay = world.relay(log, self.keeper, bus)

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.keeper.run())
            tasks.create_task(self.relay.run())


def numbers(first: int, last: int) -> range:
    return range(first, last + 1)


def mark(position: int, frontier: int, hole: int = 0) -> Mark:
    """A mark on the event of the same number as its position."""
    return Mark(position, frontier, str(event(position).event_id) if position else "", hole)


def marks(position: int, frontier: int) -> dict[int, Mark]:
    return dict.fromkeys(range(PARTITIONS), mark(position, frontier))


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


async def test_a_wiped_stream_is_rebuilt_from_the_beginning_while_nobody_has_said_how_far_they_are() -> None:
    world = World()
    await world.append(LOG, [event(n) for n in numbers(1, 40)])
    async with running(Replica(world, "a").run()):
        await world.clock.advance(1.0)
        world.bus.wipe(LOG)
        await world.clock.advance(2 * PATROL_SECONDS)
        assert world.published(LOG) == list(numbers(1, 40))


async def test_a_wiped_stream_is_rebuilt_from_the_lowest_mark_and_each_partition_follows_on_what_was_handled() -> None:
    world = World()
    await world.append(LOG, [event(n, partition=n % 4) for n in numbers(1, 40)])
    async with running(Replica(world, "a").run()):
        await world.clock.advance(1.0)
        # Two consumers: one has handled all up to 30, the other up to 20 but, in partition 1, up to 33 already.
        await world.progress.note("routing", LOG, {p: mark({0: 28, 1: 29, 2: 30, 3: 27}.get(p, 0), 30) for p in range(PARTITIONS)})
        slow = {p: mark({0: 20, 1: 17, 2: 18, 3: 19}.get(p, 0), 20) for p in range(PARTITIONS)}
        await world.progress.note("journeys", LOG, slow | {1: mark(33, 33)})
        world.bus.wipe(LOG)
        await world.clock.advance(2 * PATROL_SECONDS)
        expected = [n for n in numbers(21, 40) if not (n % 4 == 1 and n <= 29)]
        assert world.published(LOG) == expected
        first = {one.partition: one.previous for one in reversed(world.bus.stored(LOG))}
        assert first == {0: 20, 1: 29, 2: 18, 3: 19}


async def test_a_stream_that_lost_its_end_gets_it_back() -> None:
    world = World()
    await world.append(LOG, [event(n) for n in numbers(1, 40)])
    async with running(Replica(world, "a").run()):
        await world.clock.advance(1.0)
        world.bus.cut(LOG, 25)
        await world.clock.advance(2 * PATROL_SECONDS)
        assert world.published(LOG) == list(numbers(1, 40))


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


async def test_a_reported_hole_is_published_again_but_not_for_ever() -> None:
    world = World()
    await world.append(LOG, [event(n, partition=0) for n in numbers(1, 10)])
    async with running(Replica(world, "a").run()):
        await world.clock.advance(1.0)
        world.bus.drop(LOG, 4)
        hole = mark(3, 3, hole=5)
        await world.progress.note("routing", LOG, marks(0, 10) | {0: hole})
        await world.clock.advance(2 * PATROL_SECONDS)
        assert world.published(LOG) == list(numbers(4, 10))
        assert (await world.bus.state(LOG)).last_sequence == 17
        await world.clock.advance(10 * REPUBLISH_SECONDS)
        assert (await world.bus.state(LOG)).last_sequence == 10 + 7 * REPUBLICATIONS_MAXIMUM


async def test_only_what_every_consumer_has_handled_is_trimmed_and_the_last_message_stays() -> None:
    world = World()
    await world.append(LOG, [event(n) for n in numbers(1, 100)])
    async with running(Replica(world, "a").run()):
        await world.clock.advance(1.0)
        await world.progress.note("routing", LOG, marks(10, 60))
        await world.progress.note("journeys", LOG, dict(list(marks(10, 40).items())[:-1]))
        await world.clock.advance(2 * TRIM_SECONDS)
        assert world.published(LOG) == list(numbers(1, 100)), "one partition of journeys has not been heard of"
        await world.progress.note("journeys", LOG, marks(10, 40))
        await world.clock.advance(2 * TRIM_SECONDS)
        assert world.published(LOG) == list(numbers(41, 100))
        await world.progress.note("routing", LOG, marks(10, 100))
        await world.progress.note("journeys", LOG, marks(10, 100))
        await world.clock.advance(2 * TRIM_SECONDS)
        assert world.published(LOG) == [100]


async def test_the_registry_is_never_trimmed_and_always_rebuilt_from_its_beginning() -> None:
    world = World()
    await world.append("registry", [event(n) for n in numbers(1, 50)])
    async with running(Replica(world, "a", log="registry").run()):
        await world.clock.advance(1.0)
        await world.progress.note("somebody", "registry", marks(40, 50))
        await world.clock.advance(2 * TRIM_SECONDS)
        world.bus.wipe("registry")
        await world.clock.advance(2 * PATROL_SECONDS)
        assert world.published("registry") == list(numbers(1, 50))


async def test_a_log_that_is_shorter_than_its_stream_is_a_fork_and_stops_the_relay() -> None:
    world = World()
    await world.append(LOG, [event(n) for n in numbers(1, 5)])
    async with running(Replica(world, "a").run()):
        await world.clock.advance(1.0)
    world.logs[LOG] = MemoryEventLog(LOG, world.clock)
    await world.append(LOG, [event(n) for n in numbers(1, 3)])
    await stops_with_a_fork(world)


async def test_a_log_that_holds_another_event_where_the_stream_ends_is_a_fork() -> None:
    world = World()
    await world.append(LOG, [event(n) for n in numbers(1, 5)])
    async with running(Replica(world, "a").run()):
        await world.clock.advance(1.0)
    world.logs[LOG] = MemoryEventLog(LOG, world.clock)
    await world.append(LOG, [event(n) for n in numbers(11, 19)])
    await stops_with_a_fork(world)


async def test_a_log_that_is_shorter_than_what_consumers_have_handled_is_a_fork() -> None:
    world = World()
    await world.append(LOG, [event(n) for n in numbers(1, 3)])
    await world.progress.note("routing", LOG, marks(7, 7))
    await stops_with_a_fork(world)


async def test_a_log_that_holds_another_event_where_a_consumer_stands_is_a_fork() -> None:
    world = World()
    await world.append(LOG, [event(n) for n in numbers(101, 109)])
    await world.progress.note("routing", LOG, marks(7, 7))
    await stops_with_a_fork(world)


async def stops_with_a_fork(world: World) -> None:
    process = asyncio.create_task(Replica(world, "z").run())
    await world.clock.advance(2 * LEASE_SECONDS)
    assert process.done()
    with pytest.raises(ExceptionGroup) as stopped:
        await process
    fork, rest = stopped.value.split(LogForkDetected)
    assert fork is not None
    assert rest is None


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


FAULTS = ("append", "lose stored", "lose", "wipe", "cut", "swap leader", "outage", "pass time")


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(faults=st.lists(st.tuples(st.sampled_from(FAULTS), st.integers(1, 9)), max_size=12))
async def test_whatever_happens_the_stream_ends_as_the_log_each_fact_once_and_in_order(faults: list[tuple[str, int]]) -> None:
    world = World()
    appended = 0
    for name, size in [*faults, ("append", 1)]:
        async with AsyncExitStack() as replicas:
            for holder in ("a", "b") if name == "swap leader" else ("a",):
                await replicas.enter_async_context(running(Replica(world, f"{holder}{appended}").run()))
            await world.clock.advance(LEASE_SECONDS + 2 * RENEW_SECONDS)
            if name == "append":
                await world.log(LOG).append([Append((event(n),)) for n in numbers(appended + 1, appended + size)])
                appended += size
            elif name.startswith("lose"):
                world.bus.lose_answer(LOG, stored=name == "lose stored")
            elif name == "wipe":
                world.bus.wipe(LOG)
            elif name == "cut":
                world.bus.cut(LOG, max(0, (await world.bus.extent(LOG)).last_sequence - size))
            elif name == "outage":
                world.bus.become(available=False)
                await world.clock.advance(size)
                world.bus.become(available=True)
            await world.clock.advance(size)
    async with running(Replica(world, "last").run()):
        await world.clock.advance(LEASE_SECONDS + 4 * RENEW_SECONDS)
        assert world.published(LOG) == list(numbers(1, appended))
