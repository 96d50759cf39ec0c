"""What every bus must do. A fake that has not passed this is not a fake.

A test module makes a subclass of `BusSuite` and gives it the fixture `place`: one bus as two processes have it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from uuid import NAMESPACE_OID, uuid5

import pytest
from msgspec.structs import replace

from relais.contracts.subjects import PARTITIONS
from relais.transport.bus import (
    BATCH_BYTES_MAXIMUM,
    BATCH_MESSAGES_MAXIMUM,
    Announcement,
    BatchTooLarge,
    Bus,
    Delivered,
    StreamMissing,
    Subscription,
    WrongLastSequence,
)

WAIT_SECONDS = 5.0
ALL = range(PARTITIONS)


@dataclass(frozen=True)
class BusPlace:
    """One bus, seen by a relay (`bus`) and by somebody else (`other`); a log name of this test's own; and how to delete its stream."""

    bus: Bus
    other: Bus
    log: str
    wipe: Callable[[], Awaitable[None]]


def announcement(log: str, position: int, *, partition: int = 0, previous: int = 0, payload: bytes = b'{"a":1}') -> Announcement:
    """An announcement whose every field follows from its log and position."""
    return Announcement(
        log=log,
        partition=partition,
        position=position,
        previous=previous,
        tag="identity.verified.v1",
        tenant="tenant-a",
        stream=f"document-{position}",
        version=position % 7 + 1,
        event_id=str(uuid5(NAMESPACE_OID, f"{log}/{position}")),
        recorded_at="2026-03-01T08:00:00.000001+00:00",
        actor="service:tést",
        traceparent="00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        payload=payload,
    )


def run_of(log: str, first: int, last: int) -> list[Announcement]:
    """Announcements of these positions, spread over the partitions."""
    return [announcement(log, position, partition=position % PARTITIONS) for position in range(first, last + 1)]


async def publish_all(bus: Bus, log: str, announcements: Sequence[Announcement]) -> int:
    """Publish in batches behind whatever the stream holds; the last sequence."""
    last = (await bus.ensure_stream(log)).last_sequence
    for at in range(0, len(announcements), BATCH_MESSAGES_MAXIMUM):
        last = await bus.publish(log, announcements[at : at + BATCH_MESSAGES_MAXIMUM], last)
    return last


async def fetch_all(subscription: Subscription, count: int, maximum: int = 256) -> list[Delivered]:
    """Fetch until so many came; fails when they stop coming."""
    got: list[Delivered] = []
    while len(got) < count:
        batch = await subscription.fetch(maximum, WAIT_SECONDS)
        assert batch, f"only {len(got)} of {count} came"
        assert len(batch) <= maximum
        got += batch
    return got


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
        await place.bus.rebase(place.log, 12)
        await place.wipe()
        second = await place.bus.ensure_stream(place.log)
        assert second.incarnation != first.incarnation
        assert (second.last_sequence, second.base) == (0, 0)

    async def test_a_stream_remembers_its_base_and_making_it_again_does_not_forget_it(self, place: BusPlace) -> None:
        first = await place.bus.ensure_stream(place.log)
        await publish_all(place.bus, place.log, run_of(place.log, 1, 5))
        await place.bus.rebase(place.log, 3)
        assert await place.other.ensure_stream(place.log) == await place.bus.state(place.log)
        state = await place.other.state(place.log)
        assert (state.base, state.last_sequence, state.incarnation) == (3, 5, first.incarnation)
        await place.bus.rebase(place.log, 1)
        assert (await place.other.state(place.log)).base == 1
        with pytest.raises(StreamMissing):
            await place.bus.rebase(f"{place.log}x", 1)

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


class BusSuite(PublishingSuite, ReadingSuite, StateSuite):
    """The laws of `relais.transport.bus.Bus`."""
