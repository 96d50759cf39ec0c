"""The bus in memory obeys the laws of the real one, and breaks when a test asks it to."""

import pytest

from relais.testing.bus_place import ALL, BusPlace, fetch_all, publish_all, run_of
from relais.testing.bus_suite import BusSuite
from relais.transport.bus import BusUnavailable, PublishUnknown, StreamMissing
from relais.transport.memory import MemoryBus


class TestMemoryBus(BusSuite):
    @pytest.fixture
    async def place(self) -> BusPlace:
        bus = MemoryBus()

        async def wipe() -> None:
            bus.wipe("routing")

        async def lose(sequence: int) -> None:
            bus.drop("routing", sequence)

        return BusPlace(bus, bus, "routing", wipe, lose)


@pytest.mark.parametrize("stored", [True, False])
async def test_a_lost_answer_leaves_the_publisher_not_knowing(stored: bool) -> None:
    bus = MemoryBus()
    await bus.ensure_stream("routing")
    bus.lose_answer("routing", stored=stored)
    with pytest.raises(PublishUnknown):
        await bus.publish("routing", run_of("routing", 1, 3), 0)
    assert (await bus.state("routing")).last_position == (3 if stored else 0)


async def test_a_bus_out_of_reach_says_so_and_a_pull_goes_on_where_it_was_afterwards() -> None:
    bus = MemoryBus()
    await publish_all(bus, "routing", run_of("routing", 1, 3))
    pull = await bus.subscribe("routing", ALL, 1)
    await fetch_all(pull, 3)
    bus.become(available=False)
    with pytest.raises(BusUnavailable):
        await pull.fetch(10, 1.0)
    with pytest.raises(BusUnavailable):
        await bus.publish("routing", run_of("routing", 4, 4), 3)
    bus.become(available=True)
    await publish_all(bus, "routing", run_of("routing", 4, 4))
    assert [delivered.sequence for delivered in await fetch_all(pull, 1)] == [4]


async def test_a_stream_that_lost_its_end_is_no_longer_what_was_being_read() -> None:
    bus = MemoryBus()
    await publish_all(bus, "routing", run_of("routing", 1, 5))
    pull = await bus.subscribe("routing", ALL, 1)
    await fetch_all(pull, 5)
    bus.cut("routing", 2)
    with pytest.raises(StreamMissing):
        await pull.fetch(10, 1.0)
