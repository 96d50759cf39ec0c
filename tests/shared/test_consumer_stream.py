"""A consumer of a stream that is wiped, has holes, was trimmed before its time, or is another log's."""

import asyncio
from uuid import uuid4

import pytest
from msgspec.structs import replace

from relais.transport.bus import LogForkDetected
from relais.transport.leases import LEASE_SECONDS, RENEW_SECONDS
from relais.transport.patrol import PATROL_SECONDS, REPUBLISH_SECONDS, TRIM_SECONDS
from tests.shared.consuming import SOURCE, Service, Source, append, effects, require_each_once
from tests.shared.simulation import World, running

SETTLED_SECONDS = 3 * RENEW_SECONDS


async def test_a_wiped_stream_comes_back_and_no_effect_repeats() -> None:
    world = World()
    await append(world, 1, 200)
    async with running(Source(world).run()), running(Service(world, "a").run()):
        await world.clock.advance(SETTLED_SECONDS)
        world.bus.wipe(SOURCE)
        await append(world, 201, 260)
        await world.clock.advance(2 * PATROL_SECONDS)
        await require_each_once(world, 260)
        # From where every partition had been handled, not from the beginning.
        assert world.published(SOURCE)[0] > 150


async def test_a_stream_wiped_while_nobody_reads_is_rebuilt_for_whoever_comes_late() -> None:
    world = World()
    await append(world, 1, 100)
    async with running(Source(world).run()):
        async with running(Service(world, "a").run()):
            await world.clock.advance(SETTLED_SECONDS)
        await append(world, 101, 180)
        await world.clock.advance(1.0)
        world.bus.wipe(SOURCE)
        await world.clock.advance(2 * PATROL_SECONDS)
        async with running(Service(world, "b").run()):
            await world.clock.advance(LEASE_SECONDS + SETTLED_SECONDS)
            await require_each_once(world, 180)


async def test_a_hole_is_reported_filled_by_the_relay_and_read() -> None:
    world = World()
    service = Service(world, "a")
    async with running(Source(world).run()):
        await append(world, 1, 64, documents=2)
        await world.clock.advance(1.0)
        world.bus.drop(SOURCE, 20)
        async with running(service.run()):
            await world.clock.advance(0.01)
            missing = [n for n in range(20, 65) if n % 2 == 0]
            assert sorted(await effects(world)) == [n for n in range(1, 65) if n not in missing], "the other partition goes on"
            await world.clock.advance(REPUBLISH_SECONDS)
            await require_each_once(world, 64)


async def test_a_consumer_that_is_new_gets_what_was_trimmed_before_its_time() -> None:
    world = World()
    await append(world, 1, 100)
    async with running(Source(world).run()), running(Service(world, "a").run()):
        await world.clock.advance(3 * TRIM_SECONDS)
        assert world.published(SOURCE) == [100]
        late = Service(world, "late", name="journeys")
        late.copier.effects_each = 0
        async with running(late.run()):
            await world.clock.advance(REPUBLISH_SECONDS + SETTLED_SECONDS)
            assert sorted(late.copier.seen) == list(range(1, 101))
        await require_each_once(world, 100)


async def test_another_event_at_a_known_position_stops_the_consumer() -> None:
    world = World()
    await append(world, 1, 40, documents=1)
    async with running(Source(world).run()), running(Service(world, "a").run()):
        await world.clock.advance(SETTLED_SECONDS)
    # The stream is that of another log, which has other events at the same positions.
    forged = [replace(one, event_id=str(uuid4())) for one in world.bus.stored(SOURCE)]
    world.bus.wipe(SOURCE)
    await world.bus.ensure_stream(SOURCE)
    await world.bus.publish(SOURCE, forged, 0)
    process = asyncio.create_task(Service(world, "b").run())
    await world.clock.advance(2 * LEASE_SECONDS)
    assert process.done()
    with pytest.raises(ExceptionGroup) as stopped:
        await process
    assert stopped.value.subgroup(LogForkDetected) is not None
    assert sorted(await effects(world)) == list(range(1, 41))
