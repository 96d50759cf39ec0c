"""Attacks the queue: one set of laws for memory and for Postgres, where rows are written by the log's append with the service's role."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import asyncpg
import pytest

from relais.contracts import Fact
from relais.contracts.delivery import DeliveryScheduled
from relais.contracts.reasons import AbandonReason
from relais.contracts.routing import DestinationKind
from relais.contracts.submission import InsStatus
from relais.delivery.adapters.work_memory import MemoryWorkQueue
from relais.delivery.adapters.work_postgres import PostgresWorkQueue
from relais.delivery.dispatcher.parcel import Parcel
from relais.delivery.domain.answers import Refused, Retry, Succeeded
from relais.delivery.domain.commands import Attempt, DeliveryCommand, RecordAnswer, RetryNow, Schedule, Withdraw
from relais.delivery.domain.delivery import delivery
from relais.delivery.domain.endpoint import EndpointMode
from relais.delivery.domain.retrying import RetryPolicy
from relais.delivery.ports import DeliveryId, QueueFilter, WorkQueue, WorkUnavailable
from relais.delivery.recording import append_of, new_parcel
from relais.delivery.work import opened, parked, switched, unparked
from relais.eventlog.log import EventLog
from relais.eventlog.memory import MemoryEventLog
from relais.eventlog.postgres import PostgresEventLog
from relais.eventlog.record import Append
from relais.testing.clock import ManualClock
from relais.testing.postgres import TestPostgres
from tests.delivery.given import NOON, TENANT, destination, document_id, later, submission
from tests.delivery.postgres_place import delivery_pool

POLICY = RetryPolicy(delay_seconds_first=10, delay_seconds_maximum=10)


@dataclass
class Place:
    """A log and the queue that its appends keep."""

    log: EventLog
    queue: WorkQueue

    async def schedule(self, name: str, seconds: float = 0, *, ordinal: int = 1, endpoint: str = "lab", tenant: str = TENANT) -> Parcel:
        command = Schedule(
            submission=submission(name), ins_status=InsStatus.QUALIFIEE, destination=destination(ordinal, endpoint), now=later(seconds)
        )
        (scheduled,) = delivery.decide(command, delivery.initial)
        assert isinstance(scheduled, DeliveryScheduled)
        parcel = new_parcel(DeliveryId(tenant, document_id(name), ordinal), scheduled, 7, "")
        append = append_of(parcel, [scheduled])
        await self.log.append([Append(events=append.events, work=(opened(parcel.id, scheduled, []),))])
        parcel.follow([scheduled], 1)
        return parcel

    async def do(self, parcel: Parcel, *commands: DeliveryCommand) -> None:
        for command in commands:
            facts: list[Fact] = list(delivery.decide(command, parcel.state))
            await self.log.append([append_of(parcel, facts)])
            parcel.follow(facts, parcel.version + len(facts))

    async def append_row(self, row: dict[str, object]) -> None:
        """A work row beside some event, as every work row comes."""
        spare = await self.schedule(f"spare {row['op']} {row.get('state')}", endpoint="elsewhere")
        facts = list(delivery.decide(Attempt(now=NOON, policy=POLICY), spare.state))
        await self.log.append([Append(events=append_of(spare, facts).events, work=(row,))])

    async def due(self, seconds: float = 0, limit: int = 100, *skip: Parcel, endpoint: str = "lab") -> list[str]:
        found = await self.queue.due(endpoint, later(seconds), limit, {parcel.id for parcel in skip})
        return [one.document for one in found.deliveries]


@pytest.fixture(params=["memory", "postgres"])
async def place(request: pytest.FixtureRequest, postgres: TestPostgres) -> AsyncIterator[Place]:
    if request.param == "memory":
        clock = ManualClock()
        queue = MemoryWorkQueue(clock)
        yield Place(MemoryEventLog("delivery", clock, apply_work=queue.apply_work), queue)
        return
    async with delivery_pool(postgres) as pool:
        yield Place(PostgresEventLog(pool, "delivery"), PostgresWorkQueue(pool))


def answered(answer: Retry | Refused | Succeeded, attempt: int = 1, seconds: float = 0) -> RecordAnswer:
    return RecordAnswer(attempt=attempt, answer=answer, now=later(seconds), jitter=0, policy=POLICY)


ATTEMPT = Attempt(now=NOON, policy=POLICY)


async def test_what_is_scheduled_is_due_for_its_endpoint_longest_first(place: Place) -> None:
    for number in (3, 1, 2):
        await place.schedule(f"letter {number}", number)
    await place.schedule("elsewhere", endpoint="other")
    assert await place.due(2) == [document_id("letter 1"), document_id("letter 2")]
    assert await place.due(9, 2) == [document_id("letter 1"), document_id("letter 2")]
    assert await place.due(9, endpoint="other") == [document_id("elsewhere")]
    assert await place.due(9, 0) == []


async def test_what_is_in_flight_is_skipped_and_an_attempt_does_not_move_it(place: Place) -> None:
    one, two = await place.schedule("one"), await place.schedule("two", 1)
    await place.do(one, ATTEMPT)
    assert await place.due(5) == [document_id("one"), document_id("two")]
    assert await place.due(5, 100, one) == [document_id("two")]
    assert await place.due(5, 100, one, two) == []


async def test_a_deferred_delivery_is_due_later_and_a_finished_one_never(place: Place) -> None:
    away, done, refused = await place.schedule("away"), await place.schedule("done"), await place.schedule("refused")
    await place.do(away, ATTEMPT, answered(Retry(code="503")))
    await place.do(done, ATTEMPT, answered(Succeeded(status="200")))
    await place.do(refused, ATTEMPT, answered(Refused(code="422")))
    assert await place.due(4.9) == []
    assert await place.due(5) == [document_id("away")]
    await place.do(refused, RetryNow(reason="", now=later(3)))
    assert await place.due(4) == [document_id("refused")]


async def test_a_paused_endpoint_gives_nothing_and_a_draining_one_what_was_attempted(place: Place) -> None:
    attempted, fresh = await place.schedule("attempted"), await place.schedule("fresh")
    await place.do(attempted, ATTEMPT)
    assert (await place.queue.due("lab", NOON, 9, ())).mode is EndpointMode.OPEN
    await place.append_row(switched("lab", EndpointMode.PAUSED))
    assert (await place.queue.due("lab", NOON, 9, ())).mode is EndpointMode.PAUSED
    assert await place.due() == []
    await place.append_row(switched("lab", EndpointMode.DRAINING))
    assert await place.due() == [attempted.id.document]
    await place.append_row(switched("lab", EndpointMode.OPEN))
    assert sorted(await place.due()) == sorted([attempted.id.document, fresh.id.document])


async def test_the_last_look_finds_what_must_not_be_sent_any_more(place: Place) -> None:
    names = ("waiting", "withdrawn", "delivered", "parked")
    waiting, withdrawn, delivered, one_parked = [await place.schedule(name) for name in names]
    unknown = DeliveryId(TENANT, document_id("never seen"), 1)
    foreign = DeliveryId("another", waiting.id.document, 1)
    await place.do(withdrawn, Withdraw(reason=AbandonReason.OPPOSITION))
    await place.do(delivered, ATTEMPT, answered(Succeeded(status="200")))
    await place.append_row(parked(TENANT, one_parked.id.document, 7))
    everything = [waiting.id, withdrawn.id, delivered.id, one_parked.id, unknown, foreign]
    assert await place.queue.closed_among(everything) == {withdrawn.id, delivered.id, one_parked.id, unknown, foreign}
    assert await place.queue.closed_among([]) == set()


async def test_a_parked_document_waits_until_a_person_has_looked(place: Place) -> None:
    letter = await place.schedule("letter")
    await place.append_row(parked(TENANT, letter.id.document, 7))
    await place.append_row(parked(TENANT, letter.id.document, 7) | {"state": "again"})
    assert await place.due() == []
    assert list(await place.queue.parked([7, 8])) == [(TENANT, letter.id.document)]
    assert list(await place.queue.parked([8])) == []
    await place.append_row(unparked(TENANT, letter.id.document))
    assert await place.due() == [letter.id.document]


async def test_the_deliveries_of_a_document_that_have_no_success_are_found(place: Place) -> None:
    first, second = await place.schedule("letter", ordinal=1), await place.schedule("letter", ordinal=2)
    other = await place.schedule("other")
    await place.do(second, ATTEMPT, answered(Succeeded(status="200")))
    found = await place.queue.of_documents([(TENANT, first.id.document), (TENANT, other.id.document), (TENANT, document_id("none"))])
    assert set(found) == {first.id, other.id}
    assert list(await place.queue.of_documents([])) == []


async def test_lists_go_from_the_newest_in_pages_and_keep_to_what_is_asked(place: Place) -> None:
    for number in range(5):
        parcel = await place.schedule(f"letter {number}", number, endpoint="ab"[number % 2])
        if number == 3:
            await place.do(parcel, Attempt(now=later(9), policy=POLICY), answered(Retry(code="503"), seconds=9))
        if number == 4:
            await place.do(parcel, Withdraw(reason=AbandonReason.OPPOSITION))
    await place.schedule("foreign", tenant="another")
    every = QueueFilter(tenant=TENANT)
    first = await place.queue.page(every, None, 3)
    second = await place.queue.page(every, (first[-1].scheduled_at, first[-1].id.document, first[-1].id.ordinal), 3)
    assert [row.id.document for row in (*first, *second)] == [document_id(f"letter {number}") for number in (4, 3, 2, 1, 0)]
    assert (first[0].state, first[0].reason, first[1].code, first[1].attempts) == ("abandoned", "OPPOSITION", "503", 1)

    async def names(wanted: QueueFilter) -> list[str]:
        return [row.id.document for row in await place.queue.page(wanted, None, 9)]

    assert await names(QueueFilter(tenant=TENANT, state="waiting", attempted=True)) == [document_id("letter 3")]
    assert await names(QueueFilter(tenant=TENANT, state="waiting", attempted=False, endpoint="b")) == [document_id("letter 1")]
    assert await names(QueueFilter(tenant=TENANT, kind=DestinationKind.DMP.value)) == []
    assert await names(QueueFilter(tenant=TENANT, sites=frozenset({"sud"}))) == []
    assert len(await names(QueueFilter(tenant=TENANT, sites=frozenset({"nord", "sud"})))) == 5


async def test_the_log_lists_what_was_scheduled_even_when_it_is_delivered(place: Place) -> None:
    for name in ("one", "two", "three"):
        parcel = await place.schedule(name)
        await place.do(parcel, ATTEMPT, answered(Succeeded(status="200")))
    await place.schedule("foreign", tenant="another")
    newest = await place.queue.scheduled(TENANT, None, 2)
    assert [one.document for _, one in newest] == [document_id("three"), document_id("two")]
    assert [one.document for _, one in await place.queue.scheduled(TENANT, newest[-1][0], 2)] == [document_id("one")]


async def test_what_waits_is_counted_by_endpoint(place: Place) -> None:
    for number in (2, 1):
        await place.schedule(f"letter {number}", number)
    gone = await place.schedule("gone")
    await place.do(gone, Withdraw(reason=AbandonReason.OPPOSITION))
    lab, nobody = await place.queue.backlogs(["lab", "nobody"])
    assert (lab.endpoint, lab.waiting, lab.oldest) == ("lab", 2, later(1))
    assert (nobody.waiting, nobody.oldest, nobody.mode) == (0, None, EndpointMode.OPEN)


async def test_several_changes_of_one_delivery_in_one_batch_end_as_the_last_says(place: Place) -> None:
    one, two = await place.schedule("one"), await place.schedule("two")
    facts: list[list[Fact]] = []
    appends = []
    for parcel, last in ((one, Retry(code="503")), (two, Succeeded(status="200"))):
        facts = []
        for command in (ATTEMPT, answered(Retry(code="500")), Attempt(now=later(60), policy=POLICY), answered(last, 2, 60)):
            facts.append(list(delivery.decide(command, parcel.state)))
            appends.append(append_of(parcel, facts[-1]))
            parcel.follow(facts[-1], parcel.version + len(facts[-1]))
    await place.log.append(appends)
    assert await place.due(1000) == [one.id.document]
    (row,) = await place.queue.page(QueueFilter(tenant=TENANT), None, 9)
    assert (row.code, row.attempts, row.due_at) == ("503", 2, later(65))


async def test_the_service_cannot_change_the_log_and_a_lost_database_is_told_as_such(postgres: TestPostgres) -> None:
    async with delivery_pool(postgres) as pool:
        queue = PostgresWorkQueue(pool)
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await pool.execute("DELETE FROM delivery.event")
        await pool.close()
        with pytest.raises(WorkUnavailable):
            await queue.backlogs(["lab"])
