"""What every event log must do.

A test module makes a subclass of `EventLogSuite` and gives it the fixture `place`, a `LogPlace` around a new, empty log.
"""

import asyncio
from datetime import timedelta
from uuid import uuid4

import pytest

from relais.eventlog.log import BatchConflict, Fenced
from relais.eventlog.record import ROWS_STORED, Append, Appended, Checkpoint, NewEvent, Outcome, StoredEvent
from relais.testing.eventlog_place import CONSUMER, LogPlace, append_of, chunk, event, mark
from relais.testing.eventlog_suite_limits import LimitLaws
from relais.testing.eventlog_suite_reads import ReadLaws
from relais.testing.history import History, check, content_of
from relais.testing.recording import RecordingLog

STORED, DUPLICATE, CONFLICT = Outcome.STORED, Outcome.DUPLICATE, Outcome.CONFLICT


def outcomes(answers: list[Appended]) -> list[Outcome]:
    """What became of each append."""
    return [answer.outcome for answer in answers]


def as_new(stored: StoredEvent) -> NewEvent:
    """The event as it was handed in."""
    return NewEvent(
        stored.tenant, stored.stream, stored.tag, stored.payload, stored.event_id, stored.partition, stored.actor, stored.traceparent
    )


class AppendLaws:
    """One append, and appends beside one another."""

    async def test_positions_tenant_sequences_and_versions_count_from_one(self, place: LogPlace) -> None:
        given = [event("a"), event("b"), event("a"), event("a", tenant="chu-sud"), event("b")]
        answers = await place.log.append([append_of(one) for one in given])
        assert [answer.position for answer in answers] == [1, 2, 3, 4, 5]
        assert [answer.tenant_sequence for answer in answers] == [1, 2, 3, 1, 4]
        assert [answer.version for answer in answers] == [1, 1, 2, 1, 2]
        assert (await place.log.append([append_of(event("a"))]))[0].position == 6

    async def test_what_was_appended_is_read_back_to_the_byte(self, place: LogPlace) -> None:
        given = event("Straße/€", tenant="chu-é", payload=bytes(range(256)) * 16, partition=31)
        await place.log.append([append_of(given)])
        (stored,) = await place.log.read(0)
        assert as_new(stored) == given
        assert stored.recorded_at.utcoffset() == timedelta(0)

    async def test_recorded_at_is_the_answer_and_never_runs_backwards(self, place: LogPlace) -> None:
        answers = [(await place.log.append([append_of()]))[0] for _ in range(5)]
        times = [stored.recorded_at for stored in await place.log.read(0)]
        assert times == [answer.recorded_at for answer in answers] == sorted(times)

    async def test_an_append_that_expects_a_version_that_is_gone_conflicts_and_learns_the_current_one(self, place: LogPlace) -> None:
        await place.log.append([append_of(event("a"), event("a"))])
        (answer,) = await place.log.append([append_of(event("a", expected=1))])
        assert answer == Appended(CONFLICT, 0, 0, 2, None)
        (answer,) = await place.log.append([append_of(event("a", expected=3))])
        assert answer == Appended(CONFLICT, 0, 0, 2, None)
        (answer,) = await place.log.append([append_of(event("a", expected=2))])
        assert (answer.outcome, answer.version) == (STORED, 3)

    async def test_a_new_stream_is_expected_at_version_zero(self, place: LogPlace) -> None:
        answers = await place.log.append([append_of(event("a", expected=0)), append_of(event("a", expected=0))])
        assert outcomes(answers) == [STORED, CONFLICT]
        assert answers[1].version == 1

    async def test_a_repeat_stores_nothing_and_gets_the_first_ones_place(self, place: LogPlace) -> None:
        given = append_of(event("a", expected=0))
        (first,) = await place.log.append([given])
        await place.log.append([append_of(event("a"))])
        (again,) = await place.log.append([given])
        assert again == Appended(DUPLICATE, first.position, first.tenant_sequence, first.version, first.recorded_at)
        assert await place.log.head() == 2

    async def test_a_refused_append_never_hurts_its_neighbours(self, place: LogPlace) -> None:
        known = append_of(event("known"))
        await place.log.append([known, append_of(event("taken"))])
        answers = await place.log.append([
            append_of(event("x")), known, append_of(event("y"), event("y")), append_of(event("taken", expected=0)), append_of(event("z"))
        ])  # fmt: skip
        assert outcomes(answers) == [STORED, DUPLICATE, STORED, CONFLICT, STORED]
        assert [answer.position for answer in answers] == [3, 1, 5, 0, 6]
        assert [stored.stream for stored in await place.log.read(0)] == ["known", "taken", "x", "y", "y", "z"]

    async def test_a_batch_behaves_as_if_its_appends_came_one_after_another(self, place: LogPlace) -> None:
        answers = await place.log.append([
            append_of(event("a", expected=0)), append_of(event("a", expected=1), event("a")), append_of(event("a", expected=2)),
            append_of(event("a", expected=3)),
        ])  # fmt: skip
        assert outcomes(answers) == [STORED, STORED, CONFLICT, STORED]
        assert [answer.version for answer in answers] == [1, 3, 3, 4]

    async def test_what_expected_a_refused_append_is_refused_too(self, place: LogPlace) -> None:
        await place.log.append([append_of(event("a"))])
        answers = await place.log.append(
            [append_of(event("a", expected=0)), append_of(event("a", expected=1)), append_of(event("a", expected=1))]
        )
        assert outcomes(answers) == [CONFLICT, STORED, CONFLICT]

    async def test_the_same_append_twice_in_one_batch_is_stored_once(self, place: LogPlace) -> None:
        given = append_of(event("a"), event("a"))
        answers = await place.log.append([given, append_of(event("b")), given])
        assert outcomes(answers) == [STORED, STORED, DUPLICATE]
        assert (answers[2].position, answers[2].version) == (2, 2)

    async def test_an_id_of_a_refused_append_is_still_free(self, place: LogPlace) -> None:
        await place.log.append([append_of(event("a"))])
        event_id = uuid4()
        answers = await place.log.append([append_of(event("a", event_id=event_id, expected=0)), append_of(event("b", event_id=event_id))])
        assert outcomes(answers) == [CONFLICT, STORED]

    async def test_an_append_with_one_known_event_is_a_repeat_as_a_whole(self, place: LogPlace) -> None:
        known = event("a")
        await place.log.append([append_of(known)])
        (answer,) = await place.log.append([append_of(event("a"), known)])
        assert (answer.outcome, answer.position) == (DUPLICATE, 1)
        assert await place.log.head() == 1

    async def test_an_empty_batch_is_nothing(self, place: LogPlace) -> None:
        assert await place.log.append([]) == []
        assert await place.log.head() == 0

    async def test_writers_at_once_leave_no_gap_and_lose_nothing(self, place: LogPlace) -> None:
        history = History()

        async def write(writer: int) -> None:
            log = RecordingLog(place.log, history, f"writer-{writer}")
            after = 0
            for turn in range(12):
                # Every batch contends for streams of which only one writer's expectation can be right.
                contended = append_of(event(f"contended-{turn % 4}", expected=turn // 4))
                pair = append_of(event("pairs"), event("pairs"))
                await log.append([append_of(event(tenant=f"tenant-{writer % 2}")), contended, pair][: 1 + turn % 3])
                for seen in await log.read(after, 50):
                    after = seen.position

        await asyncio.gather(*(write(writer) for writer in range(6)))
        check(history, [await content_of(place.log)]).require()


class AtomicLaws:
    """What is stored with the events: bodies, work rows, checkpoints; and all-or-nothing batches."""

    async def test_bodies_of_stored_appends_stay_and_those_of_refused_ones_do_not(self, place: LogPlace) -> None:
        kept, refused, repeated = uuid4(), uuid4(), uuid4()
        again = append_of(event("a"), chunks=(chunk(repeated),))
        await place.log.append([again])
        answers = await place.log.append([
            append_of(event("b"), chunks=(chunk(kept, 0, last=False), chunk(kept, 1))),
            append_of(event("a", expected=0), chunks=(chunk(refused),)),
            again,
        ])  # fmt: skip
        assert outcomes(answers) == [STORED, CONFLICT, DUPLICATE]
        assert await place.stored_blobs() == {kept, repeated}

    async def test_a_body_that_a_repeat_brings_again_in_the_same_batch_stays(self, place: LogPlace) -> None:
        blob = uuid4()
        given = append_of(event("a"), chunks=(chunk(blob),))
        assert outcomes(await place.log.append([given, given])) == [STORED, DUPLICATE]
        assert await place.stored_blobs() == {blob}

    async def test_a_claim_says_where_to_go_on_and_fences_whoever_held_before(self, place: LogPlace) -> None:
        assert [(one.partition, one.position, one.epoch) for one in await place.log.claim("c", "l", {3: 1, 4: 1})] == [(3, 0, 1), (4, 0, 1)]
        await place.log.append([], checkpoints=[Checkpoint("c", "l", 3, 7, uuid4(), 1)])
        (claimed,) = await place.log.claim("c", "l", {3: 2})
        assert (claimed.position, claimed.epoch) == (7, 2)
        with pytest.raises(Fenced):
            await place.log.append([append_of(event("a"))], checkpoints=[Checkpoint("c", "l", 3, 8, uuid4(), 1)])
        with pytest.raises(Fenced):
            await place.log.claim("c", "l", {3: 1, 4: 2})
        assert [(one.partition, one.position, one.epoch) for one in await place.log.checkpoints("c")] == [(3, 7, 2), (4, 0, 1)]
        assert await place.log.head() == 0

    async def test_rows_without_events_are_always_applied_even_beside_a_refused_append(self, place: LogPlace) -> None:
        await place.log.append([append_of(event("a"))])
        answers = await place.log.append(
            [append_of(event("a", expected=0), work=({"n": 1},)), Append(events=(), work=({"n": 2},)), append_of(event("b"))]
        )
        assert [answer.outcome for answer in answers] == [Outcome.CONFLICT, Outcome.STORED, Outcome.STORED]
        assert answers[1] == ROWS_STORED
        await place.log.append([Append(events=(), work=({"n": 3},))], checkpoints=[mark(5)], all_or_nothing=True)
        assert await place.applied_work() == [{"n": 2}, {"n": 3}]

    async def test_work_rows_of_stored_appends_are_applied_in_order_and_no_others(self, place: LogPlace) -> None:
        known = append_of(event("a"), work=({"n": 1}, {"n": 2}))
        await place.log.append([known])
        await place.log.append([
            append_of(event("b"), work=({"n": 3},)), known, append_of(event("a", expected=0), work=({"n": 4},)),
            append_of(event("c"), work=({"n": 5},)),
        ])  # fmt: skip
        assert await place.applied_work() == [{"n": 1}, {"n": 2}, {"n": 3}, {"n": 5}]

    async def test_a_service_function_that_fails_stops_the_whole_append(self, place: LogPlace) -> None:
        with pytest.raises(Exception, match="refuse"):
            await place.log.append([append_of(chunks=(chunk(uuid4()),)), append_of(work=({"refuse": True},))])
        assert await place.log.head() == 0
        assert await place.stored_blobs() == set()
        assert await place.applied_work() == []

    async def test_checkpoints_are_committed_with_their_events(self, place: LogPlace) -> None:
        await place.log.append([append_of()], checkpoints=[mark(10), mark(11, partition=4)])
        await place.log.append([append_of()], checkpoints=[mark(12)])
        assert await place.log.checkpoints(CONSUMER) == [mark(12), mark(11, partition=4)]
        assert await place.log.checkpoints("nobody") == []

    async def test_a_batch_without_appends_moves_checkpoints(self, place: LogPlace) -> None:
        assert await place.log.append([], checkpoints=[mark(10)]) == []
        assert await place.log.checkpoints(CONSUMER) == [mark(10)]
        assert await place.log.head() == 0

    async def test_a_consumer_that_lost_its_lease_stores_nothing(self, place: LogPlace) -> None:
        await place.log.append([append_of()], checkpoints=[mark(10), mark(10, partition=4)])
        await place.fence(CONSUMER, "identity", 4, 2)
        with pytest.raises(Fenced):
            await place.log.append(
                [append_of(chunks=(chunk(uuid4()),), work=({"n": 1},))], checkpoints=[mark(20), mark(20, partition=4)], all_or_nothing=True
            )
        assert await place.log.head() == 1
        assert await place.stored_blobs() == set()
        assert await place.applied_work() == []
        assert await place.log.checkpoints(CONSUMER) == [mark(10), mark(10, partition=4, epoch=2)]
        await place.log.append([append_of()], checkpoints=[mark(20), mark(20, partition=4, epoch=2)])
        assert [checkpoint.position for checkpoint in await place.log.checkpoints(CONSUMER)] == [20, 20]

    async def test_a_partition_taken_over_before_its_first_checkpoint_fences_as_well(self, place: LogPlace) -> None:
        await place.fence(CONSUMER, "identity", 3, 5)
        assert await place.log.checkpoints(CONSUMER) == [mark(0, epoch=5)]
        with pytest.raises(Fenced):
            await place.log.append([append_of()], checkpoints=[mark(1, epoch=4)])
        with pytest.raises(Fenced):
            await place.log.append([append_of()], checkpoints=[mark(1, epoch=6)])
        await place.log.append([append_of()], checkpoints=[mark(1, epoch=5)])

    async def test_an_all_or_nothing_batch_with_conflicts_stores_nothing_and_names_them(self, place: LogPlace) -> None:
        await place.log.append([append_of(event("a"))])
        batch = [
            append_of(event("b"), chunks=(chunk(uuid4()),), work=({"n": 1},)),
            append_of(event("a", expected=0)),
            append_of(event("c")),
            append_of(event("a", expected=3)),
        ]
        with pytest.raises(BatchConflict) as raised:
            await place.log.append(batch, checkpoints=[mark(10)], all_or_nothing=True)
        assert raised.value.indexes == (1, 3)
        assert await place.log.head() == 1
        assert await place.stored_blobs() == set()
        assert await place.applied_work() == []
        assert await place.log.checkpoints(CONSUMER) == []

    async def test_a_repeat_is_no_conflict_in_an_all_or_nothing_batch(self, place: LogPlace) -> None:
        known = append_of(event("a", expected=0), work=({"n": 1},))
        await place.log.append([known], checkpoints=[mark(10)], all_or_nothing=True)
        answers = await place.log.append([known, append_of(event("b"), work=({"n": 2},))], checkpoints=[mark(11)], all_or_nothing=True)
        assert outcomes(answers) == [DUPLICATE, STORED]
        assert await place.applied_work() == [{"n": 1}, {"n": 2}]
        assert await place.log.checkpoints(CONSUMER) == [mark(11)]


class EventLogSuite(AppendLaws, AtomicLaws, LimitLaws, ReadLaws):
    """The laws of `relais.eventlog.log.EventLog`."""
