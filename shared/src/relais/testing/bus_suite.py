"""What every bus must do. A fake that has not passed this is not a fake.

A test module makes a subclass of `BusSuite` and gives it the fixture `place`: one bus as two processes have it.
"""

import asyncio

import pytest
from msgspec.structs import replace

from relais.testing.bus_place import ALL, WAIT_SECONDS, BusPlace, announcement, fetch_all, publish_all, run_of
from relais.testing.bus_suite_state import LossSuite, StateSuite
from relais.transport.bus import BATCH_BYTES_MAXIMUM, BATCH_MESSAGES_MAXIMUM, BatchTooLarge, Delivered, StreamMissing, WrongLastSequence


class PublishingSuite:
    """Batches, their fence and their limits."""

    async def test_a_batch_is_stored_whole_in_order_and_byte_for_byte(self, place: BusPlace) -> None:
        await place.bus.ensure_stream(place.log)
        payloads = [b'{"a":1}', b"", b"\n", b'{"b":\n"\r\n\r\n"}', bytes(range(256)) * 256]
        batch = [announcement(place.log, number, partition=number, payload=payload) for number, payload in enumerate(payloads, start=1)]
        assert await place.bus.publish(place.log, batch, 0) == len(batch)
        subscription = await place.other.subscribe(place.log, ALL, 1)
        assert await fetch_all(subscription, len(batch)) == [Delivered(sequence, one) for sequence, one in enumerate(batch, start=1)]
        await subscription.close()

    @pytest.mark.parametrize("count", [1, 3])
    async def test_the_fence_refuses_another_last_sequence_and_stores_nothing(self, place: BusPlace, count: int) -> None:
        await publish_all(place.bus, place.log, run_of(place.log, 1, 2))
        for wrong in (0, 1, 3):
            with pytest.raises(WrongLastSequence):
                await place.other.publish(place.log, run_of(place.log, 3, 2 + count), wrong)
        assert (await place.bus.state(place.log)).last_position == 2
        assert await place.other.publish(place.log, run_of(place.log, 3, 2 + count), 2) == 2 + count

    async def test_of_two_publishers_at_one_moment_one_is_stored_wholly_and_the_other_not_at_all(self, place: BusPlace) -> None:
        await place.bus.ensure_stream(place.log)
        answers = await asyncio.gather(
            place.bus.publish(place.log, run_of(place.log, 1, 40), 0),
            place.other.publish(place.log, run_of(place.log, 1, 40), 0),
            return_exceptions=True,
        )
        assert [type(answer) for answer in answers if not isinstance(answer, int)] == [WrongLastSequence]
        state = await place.bus.state(place.log)
        assert (state.last_sequence, state.last_position) == (40, 40)

    async def test_without_a_stream_everything_says_so(self, place: BusPlace) -> None:
        with pytest.raises(StreamMissing):
            await place.bus.publish(place.log, run_of(place.log, 1, 1), 0)
        with pytest.raises(StreamMissing):
            await place.bus.publish(place.log, run_of(place.log, 1, 2), 0)
        with pytest.raises(StreamMissing):
            await place.bus.state(place.log)
        with pytest.raises(StreamMissing):
            await place.bus.extent(place.log)
        with pytest.raises(StreamMissing):
            await place.bus.sequence_after(place.log, 0)
        with pytest.raises(StreamMissing):
            await place.bus.subscribe(place.log, ALL, 1)

    async def test_a_batch_has_limits_and_may_reach_them(self, place: BusPlace) -> None:
        await place.bus.ensure_stream(place.log)
        with pytest.raises(BatchTooLarge):
            await place.bus.publish(place.log, [], 0)
        with pytest.raises(BatchTooLarge):
            await place.bus.publish(place.log, run_of(place.log, 1, BATCH_MESSAGES_MAXIMUM + 1), 0)
        heavy = [replace(one, payload=bytes(64 * 1024)) for one in run_of(place.log, 1, BATCH_BYTES_MAXIMUM // (64 * 1024))]
        with pytest.raises(BatchTooLarge):
            await place.bus.publish(place.log, heavy, 0)
        assert await place.bus.publish(place.log, run_of(place.log, 1, BATCH_MESSAGES_MAXIMUM), 0) == BATCH_MESSAGES_MAXIMUM
        assert await place.bus.publish(place.log, heavy[:-1], BATCH_MESSAGES_MAXIMUM) == BATCH_MESSAGES_MAXIMUM + len(heavy) - 1


class ReadingSuite:
    """Pulls over partitions."""

    async def test_a_pull_sees_its_partitions_only_in_log_order_and_once(self, place: BusPlace) -> None:
        announcements = run_of(place.log, 1, 900)
        await publish_all(place.bus, place.log, announcements)
        wanted = {3, 4, 31}
        subscription = await place.other.subscribe(place.log, sorted(wanted), 1)
        expected = [one for one in announcements if one.partition in wanted]
        got = await fetch_all(subscription, len(expected), 10)
        assert [delivered.announcement for delivered in got] == expected
        assert await subscription.fetch(256, 0.05) == []
        await subscription.close()

    async def test_a_long_stream_arrives_whole_while_it_grows(self, place: BusPlace) -> None:
        announcements = run_of(place.log, 1, 2300)
        await publish_all(place.bus, place.log, announcements[:1100])
        subscription = await place.other.subscribe(place.log, ALL, 1)
        _, got = await asyncio.gather(publish_all(place.bus, place.log, announcements[1100:]), fetch_all(subscription, 2300))
        assert [delivered.announcement.position for delivered in got] == list(range(1, 2301))
        assert [delivered.sequence for delivered in got] == list(range(1, 2301))
        await subscription.close()

    async def test_a_pull_begins_where_it_is_told(self, place: BusPlace) -> None:
        await publish_all(place.bus, place.log, run_of(place.log, 1, 20))
        subscription = await place.other.subscribe(place.log, ALL, 15)
        assert [delivered.sequence for delivered in await fetch_all(subscription, 6)] == list(range(15, 21))
        await subscription.close()

    async def test_a_fetch_gives_what_is_there_and_never_waits_to_fill(self, place: BusPlace) -> None:
        await publish_all(place.bus, place.log, run_of(place.log, 1, 3))
        subscription = await place.other.subscribe(place.log, ALL, 1)
        await fetch_all(subscription, 3)
        waiting = asyncio.ensure_future(subscription.fetch(256, WAIT_SECONDS))
        await publish_all(place.bus, place.log, run_of(place.log, 4, 4))
        began = asyncio.get_running_loop().time()
        assert [delivered.sequence for delivered in await waiting] == [4]
        assert asyncio.get_running_loop().time() - began < WAIT_SECONDS / 2
        assert await subscription.fetch(256, 0.0) == []
        await subscription.close()

    async def test_two_pulls_share_the_partitions_between_them(self, place: BusPlace) -> None:
        await publish_all(place.bus, place.log, run_of(place.log, 1, 640))
        low = await place.bus.subscribe(place.log, range(16), 1)
        high = await place.other.subscribe(place.log, range(16, 32), 1)
        got = [*await fetch_all(low, 320), *await fetch_all(high, 320)]
        assert sorted(delivered.announcement.position for delivered in got) == list(range(1, 641))
        await low.close()
        await high.close()

    async def test_the_backlog_is_what_waits_behind_what_was_fetched(self, place: BusPlace) -> None:
        await publish_all(place.bus, place.log, run_of(place.log, 1, 5))
        subscription = await place.other.subscribe(place.log, ALL, 1)
        await fetch_all(subscription, 5)
        assert subscription.backlog == 0
        await subscription.close()

    async def test_a_deleted_stream_is_noticed_by_whoever_reads_it(self, place: BusPlace) -> None:
        await publish_all(place.bus, place.log, run_of(place.log, 1, 5))
        subscription = await place.other.subscribe(place.log, ALL, 1)
        await fetch_all(subscription, 5)
        await place.wipe()
        with pytest.raises(StreamMissing):
            await fetch_all(subscription, 1)
        await publish_all(place.bus, place.log, run_of(place.log, 1, 9))
        with pytest.raises(StreamMissing):
            await fetch_all(subscription, 1)
        await subscription.close()

    async def test_the_bell_wakes_whoever_listens_until_they_stop(self, place: BusPlace) -> None:
        rung = asyncio.Event()
        listening = await place.other.listen(place.log, rung.set)
        while not rung.is_set():
            await place.bus.ring(place.log)
            await place.other.ensure_stream(place.log)
        await listening.close()
        rung.clear()
        await place.bus.ring(place.log)
        await place.bus.extent(place.log)
        await place.other.extent(place.log)
        assert not rung.is_set()


class BusSuite(PublishingSuite, ReadingSuite, StateSuite, LossSuite):
    """The laws of `relais.transport.bus.Bus`."""
