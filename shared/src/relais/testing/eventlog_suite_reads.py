"""The part of the event log's suite that is about reading; see `relais.testing.eventlog_suite`."""

from uuid import uuid4

import pytest

from relais.eventlog.log import STREAM_EVENTS_MAXIMUM, STREAMS_MAXIMUM, LimitExceeded
from relais.testing.eventlog_place import LogPlace, append_of, event

ONE, TWO = "delivery.succeeded.v1", "delivery.abandoned.v1"


class ReadLaws:
    """Reading by position, by stream and by id."""

    async def test_pages_follow_one_another_without_gap_or_overlap(self, place: LogPlace) -> None:
        await place.log.append([append_of() for _ in range(7)])
        pages = [[stored.position for stored in await place.log.read(after, 3)] for after in (0, 3, 6, 7, 100)]
        assert pages == [[1, 2, 3], [4, 5, 6], [7], [], []]
        assert [stored.position for stored in await place.log.read(-5, 2)] == [1, 2]
        assert await place.log.read(0, 0) == []

    async def test_filters_leave_out_what_was_not_asked_for_and_keep_the_order(self, place: LogPlace) -> None:
        given = [("a", ONE), ("b", ONE), ("a", TWO), ("b", TWO), ("a", ONE), ("c", ONE)]
        await place.log.append([append_of(event(tenant=tenant, tag=tag)) for tenant, tag in given])

        async def positions(after: int, limit: int, tags: tuple[str, ...], tenant: str | None) -> list[int]:
            return [stored.position for stored in await place.log.read(after, limit, tags=tags, tenant=tenant)]

        assert await positions(0, 10, (ONE,), None) == [1, 2, 5, 6]
        assert await positions(1, 2, (ONE,), None) == [2, 5]
        assert await positions(0, 10, (ONE, TWO), None) == [1, 2, 3, 4, 5, 6]
        assert await positions(0, 10, (), "a") == [1, 3, 5]
        assert await positions(1, 1, (), "a") == [3]
        assert await positions(2, 10, (), "a") == [3, 5]
        assert await positions(0, 10, (TWO,), "b") == [4]
        assert await positions(5, 10, (), "a") == []
        assert await positions(0, 10, (), "nobody") == []
        assert await positions(0, 10, ("nothing.v1",), None) == []

    async def test_a_tenant_is_read_from_any_position_on(self, place: LogPlace) -> None:
        tenants = [f"tenant-{number % 3}" for number in range(40)]
        await place.log.append([append_of(event(tenant=tenant)) for tenant in tenants])
        for after in range(42):
            expected = [position for position, tenant in enumerate(tenants, start=1) if tenant == "tenant-1" and position > after]
            assert [stored.position for stored in await place.log.read(after, tenant="tenant-1")] == expected

    async def test_streams_are_read_together_each_in_version_order(self, place: LogPlace) -> None:
        await place.log.append(
            [append_of(event(stream, tenant=tenant)) for tenant, stream in [("t", "a"), ("t", "b"), ("u", "a"), ("t", "a")]]
        )
        found = await place.log.read_streams([("t", "a"), ("u", "a"), ("u", "b"), ("t", "a")])
        assert {key: [(stored.position, stored.version) for stored in events] for key, events in found.items()} == {
            ("t", "a"): [(1, 1), (4, 2)],
            ("u", "a"): [(3, 1)],
            ("u", "b"): [],
        }
        assert await place.log.read_streams([]) == {}

    async def test_a_stream_too_long_to_read_is_refused_rather_than_cut(self, place: LogPlace) -> None:
        for _ in range(STREAM_EVENTS_MAXIMUM // 1000):
            await place.log.append([append_of(*[event("long") for _ in range(1000)])])
        assert len((await place.log.read_streams([("chu-nord", "long")]))["chu-nord", "long"]) == STREAM_EVENTS_MAXIMUM
        await place.log.append([append_of(event("long"))])
        with pytest.raises(LimitExceeded):
            await place.log.read_streams([("chu-nord", "long")])

    async def test_more_streams_than_one_call_may_ask_for_are_refused(self, place: LogPlace) -> None:
        with pytest.raises(LimitExceeded):
            await place.log.read_streams([("t", str(number)) for number in range(STREAMS_MAXIMUM + 1)])

    async def test_events_are_found_by_their_ids(self, place: LogPlace) -> None:
        first, second = event("a"), event("b")
        await place.log.append([append_of(first), append_of(second)])
        found = await place.log.find([second.event_id, uuid4()])
        assert {event_id: stored.position for event_id, stored in found.items()} == {second.event_id: 2}
        assert await place.log.find([]) == {}

    async def test_the_head_is_the_highest_position(self, place: LogPlace) -> None:
        assert await place.log.head() == 0
        await place.log.append([append_of(event("a"), event("a")), append_of()])
        assert await place.log.head() == 3
