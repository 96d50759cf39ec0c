"""What a relay does about its stream: rebuilds it, fills its holes, trims it, and refuses one that is not its log's."""

import asyncio
from contextlib import AsyncExitStack

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from relais.contracts.subjects import PARTITIONS
from relais.eventlog.memory import MemoryEventLog
from relais.eventlog.record import Append
from relais.transport.bus import LogForkDetected
from relais.transport.leases import LEASE_SECONDS, RENEW_SECONDS
from relais.transport.patrol import PATROL_SECONDS, REPUBLICATIONS_MAXIMUM, REPUBLISH_SECONDS, TRIM_SECONDS
from tests.shared.relaying import LOG, Replica, mark, marks, marks_behind, numbers
from tests.shared.simulation import World, event, running


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


async def test_a_reported_hole_is_published_again_but_not_for_ever() -> None:
    world = World()
    await world.append(LOG, [event(n, partition=0) for n in numbers(1, 10)])
    async with running(Replica(world, "a").run()):
        await world.clock.advance(1.0)
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
        await world.progress.note("routing", LOG, marks_behind(60))
        await world.progress.note("journeys", LOG, dict(list(marks_behind(40).items())[:-1]))
        await world.clock.advance(2 * TRIM_SECONDS)
        assert world.published(LOG) == list(numbers(1, 100)), "one partition of journeys has not been heard of"
        await world.progress.note("journeys", LOG, marks_behind(40))
        await world.clock.advance(2 * TRIM_SECONDS)
        # What one partition was not said to have handled keeps everything behind it.
        assert world.published(LOG) == list(numbers(10, 100))
        await world.progress.note("routing", LOG, marks_behind(100))
        await world.progress.note("journeys", LOG, marks_behind(100))
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
