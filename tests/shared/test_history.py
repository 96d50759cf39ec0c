"""The history checker is given good histories and histories with one planted lie each; it must let the first pass and name the second."""

import itertools
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import msgspec
import pytest

from relais.eventlog.log import BatchConflict, LogUnavailable, OutcomeUnknown
from relais.eventlog.memory import MemoryEventLog
from relais.eventlog.record import Append, Appended, Outcome, StoredEvent
from relais.testing.clock import ManualClock
from relais.testing.eventlog_place import append_of, event
from relais.testing.history import History, Inbox, LogContent, check, content_of
from relais.testing.history_records import Ended, Invoked, Read
from relais.testing.recording import RecordingLog

LOG = "ingestion"


class Told:
    """A good history of a small log, to be bent by a test."""

    def __init__(self) -> None:
        self.history = History(now=itertools.count(1).__next__)
        self.memory = MemoryEventLog(LOG, ManualClock())
        self.log = RecordingLog(self.memory, self.history)
        self.events: list[StoredEvent] = []

    def report(self) -> set[str]:
        return check(self.history, [LogContent(LOG, self.events)]).broken

    def replace_ending(self, place: int, **changes: object) -> None:
        """Change the answer that the append at this place of the history got."""
        endings = [index for index, record in enumerate(self.history.records) if isinstance(record, Ended)]
        old = self.history.records[endings[place]]
        assert isinstance(old, Ended)
        self.history.records[endings[place]] = Ended(**{
            "operation": old.operation, "at": old.at, "outcome": old.outcome, "position": old.position, "version": old.version, **changes
        })  # type: ignore[arg-type]  # fmt: skip

    def replace_event(self, place: int, **changes: object) -> None:
        self.events[place] = msgspec.structs.replace(self.events[place], **changes)


@pytest.fixture
async def told() -> Told:
    told = Told()
    await told.log.append([append_of(event("a", expected=0)), append_of(event("b"))])
    await told.log.append([append_of(event("a", expected=0))])
    repeat = append_of(event("a", expected=1), event("a"))
    await told.log.append([repeat])
    await told.log.append([repeat, append_of(event("c", tenant="chu-sud", partition=9))])
    for after in (0, 2, 4, 5):
        await told.log.read(after, 2)
    await told.log.read(0, tenant="chu-sud")
    told.events = list((await content_of(told.memory)).events)
    return told


def test_a_true_history_passes(told: Told) -> None:
    assert told.report() == set()
    check(told.history, [LogContent(LOG, told.events)]).require()


def lose_an_acknowledged_event(told: Told) -> None:
    told.events.pop()


def store_an_event_twice(told: Told) -> None:
    told.events.append(msgspec.structs.replace(told.events[-1], position=6, version=2, tenant_sequence=2))


def acknowledge_another_place(told: Told) -> None:
    told.replace_ending(1, position=7)


def keep_what_was_refused(told: Told) -> None:
    refused = next(record for record in told.history.records if isinstance(record, Invoked) and record.operation == told_conflict(told))
    extra = msgspec.structs.replace(told.events[-1], position=6, tenant_sequence=2, version=2, event_id=uuid4())
    told.events.append(extra)
    told.history.records[told.history.records.index(refused)] = Invoked(
        refused.operation, refused.at, refused.log, refused.tenant, refused.stream, (str(extra.event_id),), refused.expected_version
    )


def told_conflict(told: Told) -> str:
    return next(record.operation for record in told.history.records if isinstance(record, Ended) and record.outcome == "conflict")


def leave_a_gap_in_positions(told: Told) -> None:
    told.replace_event(4, position=6)
    told.replace_ending(5, position=6)


def leave_a_gap_in_a_stream(told: Told) -> None:
    told.replace_event(3, version=4)
    told.replace_ending(3, version=4)
    told.replace_ending(4, version=4)


def leave_a_gap_in_a_tenant(told: Told) -> None:
    told.replace_event(4, tenant_sequence=2)


def let_time_run_backwards(told: Told) -> None:
    told.replace_event(4, recorded_at=told.events[3].recorded_at - timedelta(seconds=1))


def put_an_event_before_what_was_known(told: Told) -> None:
    """The append at position 5 is said to have begun only after somebody had been told of position 9."""
    last = next(record for record in told.history.records if isinstance(record, Invoked) and record.tenant == "chu-sud")
    told.history.records.append(Read("spy", 0, LOG, 8, ((9, "x"),)))
    told.history.records[told.history.records.index(last)] = Invoked(
        last.operation, 1, last.log, last.tenant, last.stream, last.event_ids, last.expected_version
    )


def store_over_a_wrong_expectation(told: Told) -> None:
    first = next(record for record in told.history.records if isinstance(record, Invoked) and record.expected_version == 1)
    told.history.records[told.history.records.index(first)] = Invoked(
        first.operation, first.at, first.log, first.tenant, first.stream, first.event_ids, 0
    )


def claim_a_conflict_nobody_caused(told: Told) -> None:
    told.replace_ending(2, version=9)


def claim_a_conflict_with_what_was_expected(told: Told) -> None:
    told.replace_ending(2, version=0)


def _reread(told: Told, bend: Callable[[Read], Read]) -> None:
    place, read = next((index, record) for index, record in enumerate(told.history.records) if isinstance(record, Read))
    told.history.records[place] = bend(read)


def skip_an_event_while_reading(told: Told) -> None:
    _reread(told, lambda read: Read(read.reader, read.at, read.log, 0, read.seen[1:]))


def read_in_another_order(told: Told) -> None:
    _reread(told, lambda read: Read(read.reader, read.at, read.log, 0, read.seen[::-1]))


def read_an_event_that_is_not_there(told: Told) -> None:
    _reread(told, lambda read: Read(read.reader, read.at, read.log, 0, ((1, str(uuid4())), *read.seen[1:])))


def jump_forward_between_two_pages(told: Told) -> None:
    told.history.read("jumper", LOG, 0, told.events[:1])
    told.history.read("jumper", LOG, 3, told.events[3:])


def ignore_the_filter(told: Told) -> None:
    told.history.read("filtered", LOG, 0, told.events, partitions=(9,))


@pytest.mark.parametrize(
    ("lie", "invariant"),
    [
        (lose_an_acknowledged_event, "a"),
        (store_an_event_twice, "a"),
        (acknowledge_another_place, "a"),
        (keep_what_was_refused, "b"),
        (leave_a_gap_in_positions, "c"),
        (leave_a_gap_in_a_stream, "c"),
        (leave_a_gap_in_a_tenant, "c"),
        (let_time_run_backwards, "c"),
        (put_an_event_before_what_was_known, "d"),
        (store_over_a_wrong_expectation, "e"),
        (claim_a_conflict_nobody_caused, "e"),
        (claim_a_conflict_with_what_was_expected, "e"),
        (skip_an_event_while_reading, "f"),
        (read_in_another_order, "f"),
        (read_an_event_that_is_not_there, "f"),
        (jump_forward_between_two_pages, "f"),
        (ignore_the_filter, "f"),
    ],
    ids=lambda value: value.__name__ if callable(value) else value,
)
def test_a_planted_lie_is_found_and_named(told: Told, lie: Callable[[Told], None], invariant: str) -> None:
    lie(told)
    assert invariant in told.report()
    with pytest.raises(AssertionError, match=f"invariant {invariant}"):
        check(told.history, [LogContent(LOG, told.events)]).require()


@pytest.mark.parametrize("done", [["1"], ["1", "2", "2"], ["1", "2", "3"], []], ids=["missing", "twice", "unasked", "none"])
def test_effects_that_are_not_exactly_the_inbox_are_found(done: list[str]) -> None:
    history = History()
    for key in done:
        history.effect("dispatcher", key)
    assert check(history, [], [Inbox("dispatcher", frozenset({"1", "2"}))]).broken == {"g"}


def test_effects_that_are_exactly_the_inbox_pass() -> None:
    history = History()
    for key in ("2", "1"):
        history.effect("dispatcher", key)
    assert check(history, [], [Inbox("dispatcher", frozenset({"1", "2"}))]).broken == set()


async def test_a_retry_excuses_the_refusal_before_it_and_an_unknown_outcome_may_be_either() -> None:
    told = Told()
    given = append_of(event("a"))
    refused = told.history.invoke(LOG, given)
    told.history.failed(refused)
    lost = told.history.invoke(LOG, append_of(event("b")))
    told.history.unknown(lost)
    told.history.invoke(LOG, append_of(event("c")))
    await told.log.append([given])
    told.events = list((await content_of(told.memory)).events)
    assert told.report() == set()


def test_a_history_about_a_log_that_was_not_given_is_a_mistake_of_the_test() -> None:
    history = History()
    history.invoke("delivery", append_of())
    with pytest.raises(ValueError, match="delivery"):
        check(history, [LogContent(LOG, [])])


async def test_histories_of_several_processes_are_put_together_in_the_order_of_time(tmp_path: Path) -> None:
    memory, clock = MemoryEventLog(LOG, ManualClock()), itertools.count(1)
    paths = [tmp_path / "one.jsonl", tmp_path / "two.jsonl"]
    histories = [History(clock.__next__, path) for path in paths]
    logs = [RecordingLog(memory, history, path.stem) for history, path in zip(histories, paths, strict=True)]
    for turn in range(6):
        await logs[turn % 2].append([append_of(event("a", expected=turn))])
        await logs[turn % 2].read(0)
    for history in histories:
        history.close()
    together = History.load(*paths)
    assert len(together.records) == 18
    assert [record.at for record in together.records] == sorted(record.at for record in together.records)
    assert check(together, [await content_of(memory)]).broken == set()
    assert {"a", "c"} <= check(together, [LogContent(LOG, (await memory.read(0))[1:])]).broken


class Refusing(MemoryEventLog):
    """A log whose next answer is this error."""

    error: Exception | None = None

    async def append(self, appends: object, **options: object) -> list[Appended]:
        assert self.error is not None
        raise self.error


@pytest.mark.parametrize(
    ("error", "outcome"), [(OutcomeUnknown(), "unknown"), (LogUnavailable(), "failed"), (BatchConflict([0]), "failed")], ids=str
)
async def test_errors_are_recorded_as_what_they_mean(error: Exception, outcome: str) -> None:
    history, memory = History(), Refusing(LOG, ManualClock())
    memory.error = error
    given: list[Append] = [append_of(), append_of(), Append((), work=({"n": 1},))]
    with pytest.raises(type(error)):
        await RecordingLog(memory, history).append(given)
    assert [record.outcome for record in history.records if isinstance(record, Ended)] == [outcome, outcome]


def test_outcomes_are_written_with_the_words_of_the_record() -> None:
    assert {outcome.value for outcome in Outcome} == {"stored", "duplicate", "conflict"}
