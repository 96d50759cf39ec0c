"""A stream that lost a message without a word, where no later fact of the partition tells: the relay sees it and fills the stream again."""

from collections.abc import Sequence

import pytest

from relais.transport.bus import Announcement, StreamExtent
from relais.transport.leases import LEASE_SECONDS, RENEW_SECONDS
from relais.transport.memory import MemoryBus
from relais.transport.patrol import PATROL_SECONDS, REPUBLICATIONS_MAXIMUM, REPUBLISH_LATER_SECONDS, REPUBLISH_SECONDS, TRIM_SECONDS
from relais.transport.progress import floor_of
from tests.shared.consuming import SOURCE, Service, Source, append, effects, require_each_once
from tests.shared.relaying import LOG, Replica, mark, marks_behind, numbers
from tests.shared.simulation import World, event, running

TAKEOVER_SECONDS = LEASE_SECONDS + 2 * RENEW_SECONDS


@pytest.mark.parametrize("lost", [1, 7, 20])
async def test_a_lost_message_that_is_the_last_of_its_partition_is_published_again(lost: int) -> None:
    world = World()
    await world.append(LOG, [event(n) for n in numbers(1, 20)])
    async with running(Replica(world, "a").run()):
        await world.clock.advance(1.0)
        world.bus.drop(LOG, lost)
        await world.clock.advance(2 * PATROL_SECONDS)
        assert world.published(LOG) == list(numbers(1, 20))
        assert (await world.bus.extent(LOG)).whole
        last_sequence = (await world.bus.extent(LOG)).last_sequence
        await world.clock.advance(10 * REPUBLISH_SECONDS)
        assert (await world.bus.extent(LOG)).last_sequence == last_sequence, "once is enough"


class DistantBus(MemoryBus):
    """A relay's way to the shared bus, so long that others have read what it published before it looks at the stream."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self.__dict__.update(world.bus.__dict__)
        self._way = world.clock

    async def extent(self, log: str) -> StreamExtent:
        await self._way.sleep(0.05)
        return await super().extent(log)


async def test_the_next_fact_of_the_partition_does_not_hide_what_the_next_leader_finds_missing() -> None:
    world = World()
    async with running(Source(world).run()):
        await append(world, 1, 20)
        await world.clock.advance(1.0)
    world.bus.drop(SOURCE, 5)
    # On document 5 again, so of the same partition, and announced by a leader that never saw the lost one.
    await append(world, 55, 55)
    async with running(Service(world, "a").run()):
        await world.clock.advance(2.0)
        async with running(Replica(world, "next", DistantBus(world), SOURCE).run()):
            await world.clock.advance(TAKEOVER_SECONDS + REPUBLISH_SECONDS)
            assert sorted(await effects(world)) == list(range(1, 22))


async def test_nor_does_it_hide_what_a_leader_has_no_patience_left_for() -> None:
    world = World()
    store = LossyBus(world.clock)
    await world.append(LOG, [event(n, partition=n) for n in numbers(1, 3)])
    async with running(Replica(world, "a", store).run()):
        await world.clock.advance(5 * REPUBLISH_SECONDS)
        assert [one.position for one in store.stored(LOG)] == [2, 3]
        store.lossy = False
        # The answer is lost, so the relay looks its place up again, in a stream without 1.
        store.lose_answer(LOG, stored=False)
        await world.append(LOG, [event(4, partition=1)])
        await world.clock.advance(REPUBLISH_SECONDS)
        assert [(one.position, one.previous) for one in store.stored(LOG)] == [(2, 0), (3, 0), (4, 1)]


@pytest.mark.parametrize("lost", [1, 7, 20])
async def test_the_next_leader_sees_it_when_the_last_one_died_before_it_did(lost: int) -> None:
    world = World()
    await world.append(LOG, [event(n) for n in numbers(1, 20)])
    async with running(Replica(world, "a").run()):
        await world.clock.advance(1.0)
    world.bus.drop(LOG, lost)
    await world.append(LOG, [event(n) for n in numbers(21, 25)])
    async with running(Replica(world, "b").run()):
        await world.clock.advance(TAKEOVER_SECONDS)
        assert world.published(LOG) == list(numbers(1, 25))


async def test_a_leader_that_died_between_emptying_and_filling_leaves_the_base_to_the_next() -> None:
    world = World()
    await world.append(LOG, [event(n) for n in numbers(1, 64)])
    async with running(Replica(world, "a").run()):
        await world.clock.advance(1.0)
        await world.progress.note("routing", LOG, marks_behind(40))
        await world.clock.advance(2 * TRIM_SECONDS)
        base = (await world.bus.state(LOG)).base
        assert 0 < base < 40
    # The consumer has read past 50, which was lost, and believes that nothing is left.
    await world.progress.note("routing", LOG, marks_behind(64) | {50 % 32: mark(50 - 32, 64)})
    await world.bus.trim(LOG, 65)
    async with running(Replica(world, "b").run()):
        await world.clock.advance(TAKEOVER_SECONDS)
        assert world.published(LOG) == [50]
        assert [one.previous for one in world.bus.stored(LOG)] == [50 - 32]


async def test_an_empty_stream_of_which_nothing_is_needed_is_no_loss() -> None:
    world = World()
    await world.append(LOG, [event(n) for n in numbers(1, 40)])
    async with running(Replica(world, "a").run()):
        await world.clock.advance(1.0)
        await world.progress.note("routing", LOG, marks_behind(40))
        world.bus.drop(LOG, 30)
        await world.clock.advance(2 * PATROL_SECONDS)
        for _ in range(4 * int(TRIM_SECONDS)):
            assert (await world.bus.extent(LOG)).whole
            await world.clock.advance(PATROL_SECONDS / 2)
        state = await world.bus.state(LOG)
        assert (state.messages, state.base, state.front) == (0, 40, 41)


async def test_a_consumer_that_read_past_it_gets_it_after_all_and_once() -> None:
    world = World()
    async with running(Source(world).run()):
        await append(world, 1, 20)
        await world.clock.advance(1.0)
        world.bus.drop(SOURCE, 1)
        async with running(Service(world, "a").run()):
            await world.clock.advance(0.01)
            assert sorted(await effects(world)) == list(range(2, 21))
            await world.clock.advance(2 * PATROL_SECONDS)
            await require_each_once(world, 20)


async def test_a_consumer_that_said_it_had_passed_it_gets_it_from_the_next_leader() -> None:
    world = World()
    async with running(Source(world).run()):
        await append(world, 1, 20)
        await world.clock.advance(1.0)
    world.bus.drop(SOURCE, 5)
    async with running(Service(world, "a").run()):
        await world.clock.advance(2.0)
        assert floor_of(await world.progress.read(SOURCE)).position == 20, "what it says is not so"
        async with running(Source(world, "next").run()):
            await world.clock.advance(TAKEOVER_SECONDS)
            await require_each_once(world, 20)


async def test_nothing_is_trimmed_when_a_message_was_lost_just_before() -> None:
    world = World()
    await world.append(LOG, [event(n) for n in numbers(1, 64)])
    async with running(Replica(world, "a").run()):
        await world.clock.advance(TRIM_SECONDS - PATROL_SECONDS / 2)
        # The consumer misses 50, has read past it, and says so in the same moment.
        world.bus.drop(LOG, 50)
        await world.progress.note("routing", LOG, marks_behind(64) | {50 % 32: mark(50 - 32, 64)})
        await world.clock.advance(2 * PATROL_SECONDS)
        assert 50 in world.published(LOG)
        # It is away for long: its frontier still says that nothing is left, its checkpoint knows better.
        await world.clock.advance(5 * TRIM_SECONDS)
        assert 50 in world.published(LOG)
    async with running(Replica(world, "b").run()):
        await world.clock.advance(TAKEOVER_SECONDS + 5 * TRIM_SECONDS)
        assert 50 in world.published(LOG), "another leader does not forget it either"
        world.bus.wipe(LOG)
        await world.clock.advance(2 * PATROL_SECONDS)
        assert world.published(LOG) == [50], "nor when the whole stream goes"
        await append_and_handle(world, 65, 70)
        await world.clock.advance(2 * TRIM_SECONDS)
        assert world.published(LOG) == [70]


async def append_and_handle(world: World, first: int, last: int) -> None:
    await world.append(LOG, [event(n) for n in numbers(first, last)])
    await world.clock.advance(1.0)
    await world.progress.note("routing", LOG, marks_behind(last))


class LossyBus(MemoryBus):
    """A store that loses the first message of whatever it is given, while it is `lossy`."""

    lossy: bool = True

    async def publish(self, log: str, batch: Sequence[Announcement], expected_last_sequence: int) -> int:
        last = await super().publish(log, batch, expected_last_sequence)
        if self.lossy:
            self.drop(log, expected_last_sequence + 1)
        return last


async def test_a_store_that_always_loses_is_filled_again_with_growing_patience_and_never_trimmed() -> None:
    world = World()
    store = LossyBus(world.clock)
    await world.append(LOG, [event(n) for n in numbers(1, 10)])
    async with running(Replica(world, "a", store).run()):
        await world.clock.advance(1.0)
        await world.progress.note("routing", LOG, marks_behind(8))
        await world.clock.advance(5 * REPUBLISH_SECONDS)
        # All ten twice, before the marks were there; from then on only what was not handled, and the first of each batch was lost.
        assert (await store.extent(LOG)).last_sequence == 10 + 10 + 2 * (REPUBLICATIONS_MAXIMUM - 1)
        await world.append(LOG, [event(n) for n in numbers(11, 12)])
        await world.clock.advance(1.0)
        assert [one.position for one in store.stored(LOG)] == [10, 12], "new facts go out all the same"
        await world.progress.note("routing", LOG, marks_behind(12))
        await world.clock.advance(2 * TRIM_SECONDS)
        assert (await store.state(LOG)).base == 0, "it is not whole"
        await world.append(LOG, [event(n) for n in numbers(13, 15)])
        await world.clock.advance(1.0)
        store.lossy = False
        await world.clock.advance(REPUBLISH_LATER_SECONDS)
        assert [one.position for one in store.stored(LOG)] == [13, 14, 15]
        await world.progress.note("routing", LOG, marks_behind(15))
        await world.clock.advance(2 * TRIM_SECONDS)
        assert [one.position for one in store.stored(LOG)] == [15]
