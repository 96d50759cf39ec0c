"""What every bus must say of its streams: where they stand, what was trimmed, and what they lost."""

import pytest

from relais.testing.bus_place import ALL, BusPlace, announcement, fetch_all, publish_all, run_of
from relais.transport.bus import StreamExtent, StreamMissing, StreamState, WrongLastSequence


class StateSuite:
    """What a stream says of itself, and trimming."""

    async def test_a_new_stream_is_empty_and_making_it_twice_changes_nothing(self, place: BusPlace) -> None:
        first = await place.bus.ensure_stream(place.log)
        assert (first.last_sequence, first.last_position, first.last_positions) == (0, 0, {})
        await publish_all(place.bus, place.log, run_of(place.log, 1, 3))
        second = await place.other.ensure_stream(place.log)
        assert (second.incarnation, second.last_sequence) == (first.incarnation, 3)

    async def test_a_stream_knows_the_last_event_of_every_partition(self, place: BusPlace) -> None:
        announcements = [announcement(place.log, position, partition=position % 3) for position in (2, 3, 5, 7, 9, 11)]
        await publish_all(place.bus, place.log, announcements)
        state = await place.other.state(place.log)
        assert (state.first_sequence, state.last_sequence, state.last_position) == (1, 6, 11)
        assert state.last_positions == {0: 9, 1: 7, 2: 11}
        assert state.last_event_id == announcements[-1].event_id
        assert state.last_event_ids == {0: announcements[4].event_id, 1: announcements[3].event_id, 2: announcements[5].event_id}

    async def test_a_stream_made_again_is_another_incarnation(self, place: BusPlace) -> None:
        first = await place.bus.ensure_stream(place.log)
        await place.bus.rebase(place.log, 12, 1)
        await place.wipe()
        second = await place.bus.ensure_stream(place.log)
        assert second.incarnation != first.incarnation
        assert (second.last_sequence, second.base, second.front) == (0, 0, 0)

    async def test_a_stream_remembers_its_base_and_making_it_again_does_not_forget_it(self, place: BusPlace) -> None:
        first = await place.bus.ensure_stream(place.log)
        await publish_all(place.bus, place.log, run_of(place.log, 1, 5))
        await place.bus.rebase(place.log, 3, 4)
        assert await place.other.ensure_stream(place.log) == await place.bus.state(place.log)
        state = await place.other.state(place.log)
        assert (state.base, state.front, state.last_sequence, state.incarnation) == (3, 4, 5, first.incarnation)
        await place.bus.rebase(place.log, 1, 2)
        state = await place.other.state(place.log)
        assert (state.base, state.front) == (1, 2)
        with pytest.raises(StreamMissing):
            await place.bus.rebase(f"{place.log}x", 1, 1)

    async def test_a_sequence_is_found_by_position(self, place: BusPlace) -> None:
        assert (await place.bus.ensure_stream(place.log)).last_sequence == 0
        assert await place.bus.sequence_after(place.log, 5) == 1
        await publish_all(place.bus, place.log, [announcement(place.log, position) for position in range(10, 1000, 10)])
        found = [await place.other.sequence_after(place.log, position) for position in (0, 9, 10, 19, 20, 500, 505, 989, 990, 5000)]
        assert found == [1, 1, 2, 2, 3, 51, 51, 99, 100, 100]

    async def test_trimming_forgets_the_beginning_only(self, place: BusPlace) -> None:
        await publish_all(place.bus, place.log, run_of(place.log, 1, 100))
        await place.bus.trim(place.log, 41)
        await place.bus.trim(place.log, 7)
        state = await place.bus.state(place.log)
        assert (state.first_sequence, state.last_sequence, state.last_position) == (41, 100, 100)
        assert await place.bus.sequence_after(place.log, 12) == 41
        subscription = await place.other.subscribe(place.log, ALL, 1)
        assert [delivered.sequence for delivered in await fetch_all(subscription, 60)] == list(range(41, 101))
        await subscription.close()

    async def test_a_wholly_trimmed_stream_goes_on_counting(self, place: BusPlace) -> None:
        await publish_all(place.bus, place.log, run_of(place.log, 1, 10))
        subscription = await place.other.subscribe(place.log, ALL, 1)
        await fetch_all(subscription, 10)
        await place.bus.trim(place.log, 1000)
        state = await place.bus.state(place.log)
        assert (state.first_sequence, state.last_sequence, state.last_position, state.last_positions) == (11, 10, 0, {})
        assert await place.bus.sequence_after(place.log, 3) == 11
        assert await place.bus.publish(place.log, run_of(place.log, 5, 8), 10) == 14
        got = await fetch_all(subscription, 4)
        assert [(delivered.sequence, delivered.announcement.position) for delivered in got] == [(11, 5), (12, 6), (13, 7), (14, 8)]
        await subscription.close()


class LossSuite:
    """A stream that lost messages without a word shows it in its extent; nothing else does."""

    async def test_a_stream_is_whole_while_only_its_relay_takes_from_it(self, place: BusPlace) -> None:
        assert (await place.bus.ensure_stream(place.log)).whole
        await place.bus.rebase(place.log, 0, 1)
        await publish_all(place.bus, place.log, run_of(place.log, 1, 10))
        with pytest.raises(WrongLastSequence):
            await place.other.publish(place.log, run_of(place.log, 11, 14), 3)
        await publish_all(place.bus, place.log, run_of(place.log, 11, 20))
        assert await place.other.extent(place.log) == extent_of(await place.bus.state(place.log), first=1, last=20, messages=20)
        await place.bus.rebase(place.log, 8, 9)
        assert (await place.other.extent(place.log)).whole, "said, and not yet trimmed"
        await place.bus.trim(place.log, 9)
        extent = await place.other.extent(place.log)
        assert (extent.first_sequence, extent.messages, extent.front, extent.whole) == (9, 12, 9, True)
        await place.bus.trim(place.log, 21)
        assert not (await place.other.extent(place.log)).whole, "its relay has not said that it emptied it"
        await place.bus.rebase(place.log, 8, 21)
        extent = await place.other.extent(place.log)
        assert (extent.first_sequence, extent.last_sequence, extent.messages, extent.whole) == (21, 20, 0, True)

    @pytest.mark.parametrize("lost", [1, 4, 10])
    async def test_a_lost_message_shows_wherever_it_stood(self, place: BusPlace, lost: int) -> None:
        await place.bus.ensure_stream(place.log)
        await place.bus.rebase(place.log, 0, 1)
        await publish_all(place.bus, place.log, run_of(place.log, 1, 10))
        await place.lose(lost)
        extent = await place.other.extent(place.log)
        assert (extent.last_sequence, extent.messages, extent.whole) == (10, 9, False)
        state = await place.other.state(place.log)
        assert (state.whole, state.last_position) == (False, 9 if lost == 10 else 10)
        assert state.last_event_id == announcement(place.log, state.last_position).event_id
        assert lost not in state.last_positions.values()
        await publish_all(place.bus, place.log, run_of(place.log, 11, 20))
        assert not (await place.other.state(place.log)).whole, "what comes afterwards does not hide it"

    async def test_a_front_that_nobody_spoke_of_is_not_missed(self, place: BusPlace) -> None:
        await publish_all(place.bus, place.log, run_of(place.log, 1, 10))
        await place.bus.trim(place.log, 4)
        assert (await place.other.extent(place.log)).whole

    async def test_a_stream_that_lost_all_it_held_says_so(self, place: BusPlace) -> None:
        await place.bus.ensure_stream(place.log)
        await place.bus.rebase(place.log, 0, 1)
        await publish_all(place.bus, place.log, run_of(place.log, 1, 1))
        await place.lose(1)
        state = await place.other.state(place.log)
        assert (state.first_sequence, state.last_sequence, state.last_position, state.whole) == (2, 1, 0, False)


def extent_of(state: StreamState, *, first: int, last: int, messages: int) -> StreamExtent:
    """The extent that these figures and the rest of a state make."""
    return StreamExtent(state.incarnation, first, last, messages, state.front)
