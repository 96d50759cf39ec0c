"""Group commit: batches grow by themselves, tenants take turns, the queue is bounded, and a lost answer is read back before a retry."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from relais.eventlog.log import APPENDS_MAXIMUM, BATCH_BYTES_MAXIMUM, LogUnavailable, Malformed, OutcomeUnknown, Overloaded
from relais.eventlog.memory import MemoryEventLog
from relais.eventlog.record import Append, Appended, Checkpoint, Outcome
from relais.eventlog.writer import READ_BACKS_MAXIMUM, BatchingWriter
from relais.testing.clock import ManualClock
from relais.testing.eventlog_place import append_of, chunk, event


class SlowLog(MemoryEventLog):
    """A log in memory whose calls wait at a gate, and whose answers can be lost or refused, as Postgres's can."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__("ingestion", clock)
        self.gate = asyncio.Event()
        self.gate.set()
        self.batches: list[list[str]] = []
        self.running = 0
        self.most_running = 0
        self.before: list[Exception] = []
        self.after: list[Exception] = []

    async def append(
        self, appends: Sequence[Append], *, checkpoints: Sequence[Checkpoint] = (), all_or_nothing: bool = False
    ) -> list[Appended]:
        self.batches.append([append.events[0].tenant for append in appends])
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        try:
            await self.gate.wait()
            if self.before:
                raise self.before.pop(0)
            if any(b"poison" in append.events[0].payload for append in appends):
                raise ValueError("no row can hold this")
            answers = await super().append(appends, checkpoints=checkpoints, all_or_nothing=all_or_nothing)
            if self.after:
                raise self.after.pop(0)
            return answers
        finally:
            self.running -= 1


class Bench:
    """A writer at work on such a log."""

    def __init__(self, **limits: int) -> None:
        self.clock = ManualClock()
        self.log = SlowLog(self.clock)
        self.bells = 0
        self.writer = BatchingWriter(self.log, self.clock, self.ring, **limits)

    def ring(self) -> None:
        self.bells += 1

    def send(self, *appends: Append) -> list[asyncio.Task[Appended]]:
        return [asyncio.create_task(self.writer.append(append)) for append in appends]

    async def stop_at_gate(self, count: int) -> list[asyncio.Task[Appended]]:
        """Hold so many calls in flight, one append each."""
        self.log.gate.clear()
        tasks = []
        for _ in range(count):
            tasks += self.send(append_of(event(tenant="first")))
            await self.clock.settle()
        assert self.log.running == count
        return tasks


@asynccontextmanager
async def bench(**limits: int) -> AsyncIterator[Bench]:
    made = Bench(**limits)
    async with asyncio.TaskGroup() as group:
        group.create_task(made.writer.run())
        try:
            yield made
        finally:
            made.log.gate.set()
            made.writer.close()


async def test_an_append_that_finds_nobody_before_it_goes_at_once() -> None:
    async with bench() as made:
        answer = await made.writer.append(append_of(event("a")))
        assert (answer.outcome, answer.position) == (Outcome.STORED, 1)
        assert made.bells == 1


async def test_what_queues_up_behind_calls_in_flight_goes_as_one_batch() -> None:
    async with bench() as made:
        tasks = await made.stop_at_gate(2)
        tasks += made.send(*[append_of() for _ in range(50)])
        await made.clock.settle()
        assert made.log.running == 2
        made.log.gate.set()
        answers = await asyncio.gather(*tasks)
        assert [len(batch) for batch in made.log.batches] == [1, 1, 50]
        assert sorted(answer.position for answer in answers) == list(range(1, 53))
        assert made.log.most_running == 2
        assert made.bells == 3


async def test_a_tenant_that_floods_waits_behind_its_own_appends() -> None:
    async with bench(calls_in_flight=1) as made:
        tasks = await made.stop_at_gate(1)
        tasks += made.send(*[append_of(event(tenant="flood")) for _ in range(1500)])
        await made.clock.settle()
        tasks += made.send(*[append_of(event(tenant="small")) for _ in range(3)])
        await made.clock.settle()
        made.log.gate.set()
        await asyncio.gather(*tasks)
        assert [len(batch) for batch in made.log.batches] == [1, APPENDS_MAXIMUM, APPENDS_MAXIMUM, APPENDS_MAXIMUM, 3]
        assert made.log.batches[1][:7] == ["flood", "small", "flood", "small", "flood", "small", "flood"]


async def test_a_batch_never_holds_more_bytes_than_one_call_may() -> None:
    async with bench(calls_in_flight=1) as made:
        tasks = await made.stop_at_gate(1)
        body = chunk(event().event_id, size=BATCH_BYTES_MAXIMUM // 3)
        tasks += made.send(*[append_of(chunks=(body,)) for _ in range(7)])
        await made.clock.settle()
        made.log.gate.set()
        await asyncio.gather(*tasks)
        assert [len(batch) for batch in made.log.batches] == [1, 2, 2, 2, 1]


async def test_a_full_queue_is_overloaded_with_a_delay_and_leaves_room_for_another_tenant() -> None:
    async with bench(queue_appends_maximum=10) as made:
        tasks = await made.stop_at_gate(2)
        tasks += made.send(*[append_of(event(tenant="flood")) for _ in range(5)])
        await made.clock.settle()
        with pytest.raises(Overloaded) as raised:
            await made.writer.append(append_of(event(tenant="flood")))
        assert raised.value.retry_after_seconds > 0
        tasks += made.send(*[append_of(event(tenant="other")) for _ in range(5)])
        await made.clock.settle()
        with pytest.raises(Overloaded):
            await made.writer.append(append_of(event(tenant="third")))
        made.log.gate.set()
        assert {answer.outcome for answer in await asyncio.gather(*tasks)} == {Outcome.STORED}


async def test_the_queue_is_bounded_in_bytes_too() -> None:
    async with bench(queue_bytes_maximum=1000) as made:
        tasks = await made.stop_at_gate(2)
        tasks += made.send(append_of(event(payload=b"x" * 400)))
        await made.clock.settle()
        with pytest.raises(Overloaded):
            await made.writer.append(append_of(event(payload=b"x" * 101)))
        made.log.gate.set()
        await asyncio.gather(*tasks)


async def test_a_caller_that_gave_up_while_queued_is_not_stored() -> None:
    async with bench() as made:
        tasks = await made.stop_at_gate(2)
        gone, kept = made.send(append_of(event("gone")), append_of(event("kept")))
        await made.clock.settle()
        gone.cancel()
        made.log.gate.set()
        await asyncio.gather(*tasks, kept)
        streams = [stored.stream for stored in await made.log.read(0)]
        assert len(streams) == 3
        assert "kept" in streams
        assert "gone" not in streams


async def test_a_lost_answer_is_read_back_and_only_what_is_missing_is_sent_again() -> None:
    async with bench() as made:
        made.log.after = [OutcomeUnknown()]
        answer = await made.writer.append(append_of(event("a", expected=0)))
        assert (answer.outcome, answer.position) == (Outcome.DUPLICATE, 1)
        assert len(made.log.batches) == 1
        made.log.before = [OutcomeUnknown()]
        answer = await made.writer.append(append_of(event("b", expected=0)))
        assert (answer.outcome, answer.position) == (Outcome.STORED, 2)
        assert len(made.log.batches) == 3
        assert made.bells == 2


async def test_an_outcome_that_stays_unknown_is_told_after_some_time_and_not_for_ever() -> None:
    async with bench() as made:
        made.log.before = [OutcomeUnknown() for _ in range(READ_BACKS_MAXIMUM + 1)]
        (task,) = made.send(append_of())
        await made.clock.advance(60)
        with pytest.raises(OutcomeUnknown):
            await task
        assert (await made.writer.append(append_of())).outcome is Outcome.STORED


async def test_a_log_that_is_away_is_told_at_once() -> None:
    async with bench() as made:
        made.log.before = [LogUnavailable()]
        with pytest.raises(LogUnavailable):
            await made.writer.append(append_of())
        assert await made.log.head() == 0


async def test_an_append_that_poisons_its_batch_fails_alone() -> None:
    async with bench(calls_in_flight=1) as made:
        tasks = await made.stop_at_gate(1)
        good = made.send(append_of(event("a")), append_of(event("b")))
        (bad,) = made.send(append_of(event(payload=b"poison")))
        good += made.send(append_of(event("c")))
        await made.clock.settle()
        made.log.gate.set()
        assert {answer.outcome for answer in await asyncio.gather(*tasks, *good)} == {Outcome.STORED}
        with pytest.raises(ValueError, match="no row"):
            await bad


async def test_what_no_log_can_hold_is_refused_before_it_is_queued() -> None:
    async with bench() as made:
        for malformed in (append_of(event("a"), event("b")), Append((), work=({"n": 1},)), Append(())):
            with pytest.raises(Malformed):
                await made.writer.append(malformed)
        assert made.log.batches == []


async def test_closing_takes_nothing_in_and_answers_all_that_was_queued() -> None:
    async with bench() as made:
        tasks = await made.stop_at_gate(2)
        tasks += made.send(*[append_of() for _ in range(10)])
        await made.clock.settle()
        made.writer.close()
        with pytest.raises(LogUnavailable):
            await made.writer.append(append_of())
        made.log.gate.set()
        assert {answer.outcome for answer in await asyncio.gather(*tasks)} == {Outcome.STORED}
    assert await made.log.head() == 12


async def test_a_writer_that_is_cancelled_tells_whoever_waits_what_it_knows() -> None:
    made = Bench(calls_in_flight=1)
    running = asyncio.create_task(made.writer.run())
    (in_flight,) = await made.stop_at_gate(1)
    (queued,) = made.send(append_of())
    await made.clock.settle()
    running.cancel()
    with pytest.raises(OutcomeUnknown):
        await in_flight
    with pytest.raises(LogUnavailable):
        await queued
    with pytest.raises(asyncio.CancelledError):
        await running
