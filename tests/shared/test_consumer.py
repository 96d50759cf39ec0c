"""A consumer makes the effects of every fact once, whatever repeats, sleeps, breaks, conflicts or goes missing."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from relais.transport.committing import CONFLICTS_MAXIMUM
from relais.transport.handling import FOLLOWS_PARKED
from relais.transport.leases import LEASE_SECONDS, RENEW_SECONDS
from tests.shared.consuming import NAME, OWN, PARKED, SOURCE, FaultyLog, Service, Source, append, effects, require_each_once, stranger
from tests.shared.simulation import World, running

SETTLED_SECONDS = 3 * RENEW_SECONDS


async def test_every_fact_has_its_effect_once_in_the_order_of_its_document() -> None:
    world = World()
    await append(world, 1, 700)
    async with running(Source(world).run()), running(Service(world, "a").run()):
        await world.clock.advance(SETTLED_SECONDS)
        await append(world, 701, 900)
        await world.clock.advance(1.0)
        await require_each_once(world, 900)


async def test_facts_that_come_again_change_nothing() -> None:
    world = World()
    await append(world, 1, 100)
    async with running(Source(world).run()), running(Service(world, "a").run()) as _:
        await world.clock.advance(SETTLED_SECONDS)
        announcements = world.bus.stored(SOURCE)
        last = (await world.bus.extent(SOURCE)).last_sequence
        await world.bus.publish(SOURCE, announcements, last)
        await world.clock.advance(SETTLED_SECONDS)
        await require_each_once(world, 100)


async def test_two_replicas_share_the_partitions_and_a_dead_one_is_replaced() -> None:
    world = World()
    await append(world, 1, 300)
    first, second = Service(world, "a"), Service(world, "b")
    async with running(Source(world).run()), running(first.run()):
        async with running(second.run()):
            await world.clock.advance(SETTLED_SECONDS)
            await append(world, 301, 600)
            await world.clock.advance(1.0)
            assert first.copier.calls > 0
            assert second.copier.calls > 0
            await require_each_once(world, 600)
        await append(world, 601, 700)
        await world.clock.advance(LEASE_SECONDS + 2 * RENEW_SECONDS)
        await require_each_once(world, 700)


async def test_a_sleeper_whose_partitions_were_taken_over_commits_nothing_when_it_wakes() -> None:
    world = World()
    await append(world, 1, 100)
    sleeper, other = Service(world, "a"), Service(world, "b")
    async with AsyncExitStack() as processes:
        await processes.enter_async_context(running(Source(world).run()))
        sleeper.copier.gate.clear()
        await processes.enter_async_context(running(sleeper.consumer.run()))
        await sleeper.keeper.tick()
        await world.clock.advance(1.0)
        assert sleeper.copier.calls == 1
        await processes.enter_async_context(running(other.run()))
        await world.clock.advance(LEASE_SECONDS + 2 * RENEW_SECONDS)
        await require_each_once(world, 100)
        head = await world.log(OWN).head()
        sleeper.copier.gate.set()
        await world.clock.advance(SETTLED_SECONDS)
        assert sleeper.commits == 0
        assert await world.log(OWN).head() == head
        await append(world, 101, 150)
        await world.clock.advance(1.0)
        await require_each_once(world, 150)


async def test_a_conflict_with_somebody_else_is_decided_again() -> None:
    world = World()
    await append(world, 1, 20)
    service = Service(world, "a")
    service.copier.gate.clear()
    async with running(Source(world).run()), running(service.run()):
        await world.clock.advance(1.0)
        assert service.copier.calls == 1
        await world.log(OWN).append([stranger(1, "document-3")])
        service.copier.gate.set()
        await world.clock.advance(1.0)
        assert service.copier.calls == 2
        assert sorted(await effects(world)) == list(range(1, 21))


@pytest.mark.parametrize("fault", ["cut before", "cut after", "unavailable"])
async def test_whatever_became_of_a_commit_each_effect_is_there_once(fault: str) -> None:
    world = World()
    await append(world, 1, 30)
    log = FaultyLog(world.log(OWN))
    log.faults = [fault, fault]
    async with running(Source(world).run()), running(Service(world, "a", log=log).run()):
        await world.clock.advance(SETTLED_SECONDS)
        await append(world, 31, 40)
        await world.clock.advance(1.0)
        await require_each_once(world, 40)


async def test_a_stream_of_conflicts_does_not_stop_the_consumer() -> None:
    world = World()
    await append(world, 1, 3)
    log = FaultyLog(world.log(OWN))
    log.faults = ["conflicts"] * (CONFLICTS_MAXIMUM + 2)
    async with running(Source(world).run()), running(Service(world, "a", log=log).run()):
        await world.clock.advance(SETTLED_SECONDS)
        assert sorted(await effects(world)) == [1, 2, 3]


async def test_an_error_that_passes_by_itself_is_waited_for() -> None:
    world = World()
    await append(world, 1, 3)
    service = Service(world, "a")
    service.copier.passes = [ConnectionError("the vault"), ConnectionError("the vault")]
    async with running(Source(world).run()), running(service.run()):
        await world.clock.advance(SETTLED_SECONDS)
        await require_each_once(world, 3)


async def test_many_effects_of_few_facts_are_committed_in_pieces() -> None:
    world = World()
    await append(world, 1, 40)
    service = Service(world, "a")
    service.copier.effects_each = 60
    async with running(Source(world).run()), running(service.run()):
        await world.clock.advance(SETTLED_SECONDS)
        assert sorted(await effects(world)) == sorted(list(range(1, 41)) * 60)
        assert service.commits >= 40 * 60 // 500


async def test_poison_is_parked_with_what_follows_it_and_the_neighbours_go_on() -> None:
    world = World()
    await append(world, 1, 40, documents=4)
    service = Service(world, "a", parking=True)
    service.copier.poison = {9: "FACT_UNREADABLE", 22: "FACT_UNKNOWN"}
    async with running(Source(world).run()), running(service.run()):
        await world.clock.advance(SETTLED_SECONDS)
        # Document 1 from position 9 on, and document 2 from position 22 on.
        waiting = [n for n in range(1, 41) if (n % 4 == 1 and n >= 9) or (n % 4 == 2 and n >= 22)]
        assert sorted(await effects(world)) == [n for n in range(1, 41) if n not in waiting]
        assert await parked(world) == {"FACT_UNREADABLE": 1, "FACT_UNKNOWN": 1, FOLLOWS_PARKED: len(waiting) - 2}
    # Another process that has never seen the poison: what follows for these documents still waits.
    async with running(Source(world, "source-2").run()), running(Service(world, "b", parking=True).run()):
        await append(world, 41, 44, documents=4)
        await world.clock.advance(LEASE_SECONDS + SETTLED_SECONDS)
        assert sorted(await effects(world))[-2:] == [43, 44]
        assert (await parked(world))[FOLLOWS_PARKED] == len(waiting)


async def parked(world: World) -> dict[str, int]:
    codes = [one.payload.decode() for one in await world.log(OWN).read(0, tags=[PARKED])]
    return {code: codes.count(code) for code in codes}


async def test_a_drained_replica_finishes_its_commit_and_others_need_not_wait_for_its_leases() -> None:
    world = World()
    await append(world, 1, 60)
    first, second = Service(world, "a"), Service(world, "b")
    first.copier.gate.clear()
    async with running(Source(world).run()), running(first.keeper.run()):
        reading = asyncio.create_task(first.consumer.run())
        await world.clock.advance(1.0)
        draining = asyncio.create_task(first.consumer.drain())
        await world.clock.settle()
        assert not draining.done()
        first.copier.gate.set()
        await world.clock.advance(1.0)
        await asyncio.gather(draining, reading)
        assert first.commits == 1
        # Its keeper still runs, for the relay, and takes nothing for the consumer any more.
        async with running(second.run()):
            await world.clock.advance(RENEW_SECONDS)
            await append(world, 61, 70)
            await world.clock.advance(1.0)
            await require_each_once(world, 70)


async def test_facts_without_effects_are_checkpointed_in_time_though_not_one_by_one() -> None:
    world = World()
    log = FaultyLog(world.log(OWN))
    service = Service(world, "a", log=log)
    service.copier.effects_each = 0
    async with running(Source(world).run()), running(service.run()):
        await world.clock.advance(SETTLED_SECONDS)
        before = log.appends
        for first in range(1, 401, 10):
            await append(world, first, first + 9)
            await world.clock.advance(0.1)
        await world.clock.advance(1.0)
        assert 4 <= log.appends - before <= 12
        assert {mark.position for mark in await log.checkpoints(NAME) if mark.position} >= {400}
