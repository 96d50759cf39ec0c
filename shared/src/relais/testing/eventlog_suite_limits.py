"""The part of the event log's suite that is about what no log takes; see `relais.testing.eventlog_suite`."""

from uuid import UUID, uuid4

import pytest

from relais.eventlog.log import APPENDS_MAXIMUM, EVENTS_MAXIMUM, FACT_BYTES_MAXIMUM, READ_MAXIMUM, LimitExceeded, Malformed
from relais.eventlog.record import Append
from relais.testing.eventlog_place import LogPlace, append_of, chunk, event, mark


class LimitLaws:
    """What no log takes."""

    async def test_a_fact_of_the_largest_size_is_stored_and_one_byte_more_is_refused(self, place: LogPlace) -> None:
        await place.log.append([append_of(event(payload=b"x" * FACT_BYTES_MAXIMUM))])
        with pytest.raises(LimitExceeded):
            await place.log.append([append_of(), append_of(event(payload=b"x" * (FACT_BYTES_MAXIMUM + 1)))])
        assert await place.log.head() == 1

    async def test_a_full_batch_is_stored_and_one_append_more_is_refused(self, place: LogPlace) -> None:
        full = [append_of() for _ in range(APPENDS_MAXIMUM)]
        answers = await place.log.append(full)
        assert [answer.position for answer in answers] == list(range(1, APPENDS_MAXIMUM + 1))
        with pytest.raises(LimitExceeded):
            await place.log.append([append_of() for _ in range(APPENDS_MAXIMUM + 1)])

    async def test_more_events_or_more_bytes_than_a_batch_holds_are_refused(self, place: LogPlace) -> None:
        with pytest.raises(LimitExceeded):
            await place.log.append([append_of(*[event("a") for _ in range(EVENTS_MAXIMUM + 1)])])
        with pytest.raises(LimitExceeded):
            await place.log.append([append_of(chunks=tuple(chunk(uuid4(), size=256 * 1024) for _ in range(33)))])
        assert await place.log.head() == 0

    @pytest.mark.parametrize(
        "malformed",
        [
            Append(()),
            append_of(event("a"), event("b")),
            append_of(event("a\0b")),
            append_of(event("a", tenant="")),
            append_of(event("\ud800")),
            append_of(event(partition=32)),
            append_of(event("a", expected=-1)),
            append_of(event("a", event_id=UUID(int=1)), event("a", event_id=UUID(int=1))),
            append_of(event("a", expected=1), event("a", expected=1)),
        ],
        ids=["empty", "two-streams", "nul", "no-tenant", "surrogate", "partition", "version", "same-id", "versions"],
    )
    async def test_what_no_log_can_hold_is_refused_before_it_is_sent(self, place: LogPlace, malformed: Append) -> None:
        with pytest.raises(Malformed):
            await place.log.append([append_of(), malformed])
        assert await place.log.head() == 0

    @pytest.mark.parametrize("name", ["x" * 256, "é" * 128], ids=["ascii", "utf-8"])
    async def test_names_are_limited_in_bytes(self, place: LogPlace, name: str) -> None:
        await place.log.append([append_of(event("x" * 255)), append_of(event("é" * 127))])
        with pytest.raises(LimitExceeded):
            await place.log.append([append_of(event(name))])

    async def test_more_than_a_page_is_not_read_at_once(self, place: LogPlace) -> None:
        with pytest.raises(LimitExceeded):
            await place.log.read(0, READ_MAXIMUM + 1)

    async def test_the_same_checkpoint_twice_in_one_batch_is_our_mistake(self, place: LogPlace) -> None:
        with pytest.raises(Malformed):
            await place.log.append([], checkpoints=[mark(1), mark(2)])
