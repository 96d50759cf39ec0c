"""Attacks the record of access: no read is answered before its fact is durable, no denial is lost, no flood grows without end."""

import asyncio
from collections.abc import Sequence

import pytest

from relais.chassis.access.principal import Principal
from relais.chassis.access.recorder import DENIAL_KINDS_MAXIMUM, AccessRecorder, ReadsOverloaded
from relais.contracts import decode
from relais.contracts.access import AccessDenied, DocumentRead
from relais.eventlog.log import LogUnavailable, OutcomeUnknown
from relais.eventlog.memory import MemoryEventLog
from relais.eventlog.record import Append, Appended, Checkpoint
from relais.testing.clock import ManualClock

AUDITOR = Principal(credential="x509:" + "01" * 32, tenant="chu", sender="", sites=None, permissions=frozenset())


class BreakingLog(MemoryEventLog):
    """The log in memory, whose next appends fail as asked: `answer_lost` stores and loses the answer, `down` stores nothing."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__("ingestion", clock)
        self.faults: list[str] = []

    async def append(
        self, appends: Sequence[Append], *, checkpoints: Sequence[Checkpoint] = (), all_or_nothing: bool = False
    ) -> list[Appended]:
        fault = self.faults.pop(0) if self.faults else ""
        if fault == "down":
            raise LogUnavailable
        stored = await super().append(appends, checkpoints=checkpoints, all_or_nothing=all_or_nothing)
        if fault == "answer_lost":
            raise OutcomeUnknown
        return stored


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def log(clock: ManualClock) -> BreakingLog:
    return BreakingLog(clock)


@pytest.fixture
def recorder(log: BreakingLog, clock: ManualClock) -> AccessRecorder:
    return AccessRecorder(log, clock)


async def facts(log: MemoryEventLog) -> list[object]:
    events = [event for after in range(0, await log.head(), 500) for event in await log.read(after)]
    return [decode(event.tag, event.payload) for event in events]


async def test_a_read_returns_once_its_fact_is_stored_with_who_read_and_why(recorder: AccessRecorder, log: BreakingLog) -> None:
    running = asyncio.create_task(recorder.run())
    await recorder.read(AUDITOR, "/m", tenant="chu", documents=["d1"], revealed=True, reason="complaint 12")
    event = (await log.read(0))[0]
    assert decode(event.tag, event.payload) == DocumentRead(method="/m", documents=("d1",), revealed=True, reason="complaint 12")
    assert (event.tenant, event.actor, event.stream) == ("chu", AUDITOR.credential, "access/2026-03-01")
    running.cancel()


async def test_a_read_whose_fact_cannot_be_stored_is_not_answered(recorder: AccessRecorder, log: BreakingLog) -> None:
    running = asyncio.create_task(recorder.run())
    log.faults = ["down"]
    with pytest.raises(LogUnavailable):
        await recorder.read(AUDITOR, "/m", tenant="chu")
    await recorder.read(AUDITOR, "/m", tenant="chu")
    assert len(await facts(log)) == 1
    running.cancel()


async def test_a_lost_answer_does_not_write_a_read_twice(recorder: AccessRecorder, log: BreakingLog) -> None:
    running = asyncio.create_task(recorder.run())
    log.faults = ["answer_lost"]
    await recorder.read(AUDITOR, "/m", tenant="chu")
    assert len(await facts(log)) == 1
    running.cancel()


async def test_reads_of_many_documents_are_several_facts_of_at_most_500(recorder: AccessRecorder, log: BreakingLog) -> None:
    running = asyncio.create_task(recorder.run())
    await recorder.read(AUDITOR, "/m", tenant="chu", documents=[f"d{n}" for n in range(1100)])
    stored = [fact for fact in await facts(log) if isinstance(fact, DocumentRead)]
    assert [len(fact.documents) for fact in stored] == [500, 500, 100]
    running.cancel()


async def test_reads_that_nobody_writes_are_refused_before_they_fill_the_memory(recorder: AccessRecorder) -> None:
    waiting = [asyncio.ensure_future(recorder.read(AUDITOR, "/m", tenant="chu")) for _ in range(2000)]
    await asyncio.sleep(0)
    with pytest.raises(ReadsOverloaded):
        await recorder.read(AUDITOR, "/m", tenant="chu")
    for one in waiting:
        one.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


async def test_denials_are_counted_together_and_written_each_second(recorder: AccessRecorder, log: BreakingLog, clock: ManualClock) -> None:
    running = asyncio.create_task(recorder.run())
    await clock.settle()
    for _ in range(5):
        recorder.denied(method="/m", code="PERMISSION_MISSING", credential="c", tenant="chu")
    recorder.denied(method="/m", code="CREDENTIAL_MISSING")
    await clock.advance(1)
    assert await facts(log) == [
        AccessDenied(method="/m", code="PERMISSION_MISSING", credential="c", count=5),
        AccessDenied(method="/m", code="CREDENTIAL_MISSING", count=1),
    ]
    assert [event.tenant for event in await log.read(0)] == ["chu", "platform"]
    running.cancel()


async def test_denials_that_cannot_be_written_are_kept(recorder: AccessRecorder, log: BreakingLog) -> None:
    recorder.denied(method="/m", code="X", tenant="chu")
    log.faults = ["down"]
    await recorder.flush()
    recorder.denied(method="/m", code="Y", tenant="chu")
    assert recorder.denials_waiting == 2
    await recorder.flush()
    assert [fact.code for fact in await facts(log) if isinstance(fact, AccessDenied)] == ["X", "Y"]
    assert recorder.denials_waiting == 0


async def test_a_lost_answer_does_not_write_a_denial_twice(recorder: AccessRecorder, log: BreakingLog) -> None:
    recorder.denied(method="/m", code="X", tenant="chu")
    log.faults = ["answer_lost", "answer_lost", "answer_lost"]
    await recorder.flush()
    await recorder.flush()
    assert len(await facts(log)) == 1
    assert recorder.denials_waiting == 0


async def test_what_is_left_is_written_when_the_process_stops(recorder: AccessRecorder, log: BreakingLog, clock: ManualClock) -> None:
    running = asyncio.create_task(recorder.run())
    await clock.settle()
    recorder.denied(method="/m", code="X")
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert len(await facts(log)) == 1


async def test_a_flood_of_unlike_denials_is_bounded_and_none_goes_uncounted(recorder: AccessRecorder, log: BreakingLog) -> None:
    for number in range(DENIAL_KINDS_MAXIMUM + 500):
        recorder.denied(method="/m", code="X", credential=f"x509:{number}")
    await recorder.flush()
    written = [fact for fact in await facts(log) if isinstance(fact, AccessDenied)]
    assert len(written) == DENIAL_KINDS_MAXIMUM + 1
    assert sum(fact.count for fact in written) == DENIAL_KINDS_MAXIMUM + 500
