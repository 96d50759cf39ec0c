"""After a bench the logs are looked through: nothing lost, nothing twice, every document at the one destination its type has.

What senders were told and what the sink saw is laid beside all four logs by the history checker (`relais.testing.history`). The effects
asked for are one verified identity, one plan, one success and one arrival for each acknowledged document, and no others.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import uuid5

import msgspec
from msgspec.structs import replace

from relais.contracts.delivery import DeliveryScheduled, DeliverySucceeded
from relais.contracts.fact import decode
from relais.contracts.identity import IdentityVerified
from relais.contracts.routing import RoutePlanned
from relais.eventlog.log import READ_MAXIMUM
from relais.eventlog.postgres import PostgresEventLog, open_pool
from relais.eventlog.record import StoredEvent
from relais.ingestion.request import REQUEST_NAMESPACE
from relais.testing.history import History, Inbox, LogContent, check
from relais.testing.history_check import Report
from relais.testing.history_records import Effect, Ended, Invoked
from tests.bench.documents import TENANT, destination_of, request_id
from tests.bench.generator import Line
from tests.bench.stage import Stage

LOGS: Final = ("ingestion", "identity", "routing", "delivery")
CONNECTIONS_MAXIMUM: Final = 2

# Which fact of which log each document must have exactly once.
_ONE_EACH: Final = ((IdentityVerified.TAG, "identity"), (RoutePlanned.TAG, "routing"), (DeliverySucceeded.TAG, "delivery"))


class Audit(msgspec.Struct, frozen=True, kw_only=True):
    """What was looked at, and what was wrong; `violations` is empty when nothing was lost and nothing happened twice."""

    documents: int
    events: dict[str, int]
    violations: list[str]


@dataclass(frozen=True, slots=True)
class Told:
    """One load as its sender saw it."""

    run: int
    lines: Sequence[Line]


@dataclass(slots=True)
class _Log:
    """A log with the payloads taken out, and what they said about destinations."""

    content: LogContent
    misplaced: list[str]


async def audit(stage: Stage, told: Sequence[Told], arrivals: Sequence[tuple[str, int]]) -> Audit:
    """Read every log to its end and compare."""
    pool = await open_pool(stage.dsn(), connections_maximum=CONNECTIONS_MAXIMUM, application="bench-audit")
    try:
        logs = [await _read(PostgresEventLog(pool, name)) for name in LOGS]
    finally:
        await pool.close()
    report = _compare([log.content for log in logs], told, arrivals)
    violations = [str(violation) for violation in report.violations]
    violations += [f"{stream} was delivered to a destination that its type does not have" for log in logs for stream in log.misplaced]
    documents = sum(len(one.lines) for one in told)
    return Audit(documents=documents, events={log.content.name: len(log.content.events) for log in logs}, violations=violations)


def _compare(contents: Sequence[LogContent], told: Sequence[Told], arrivals: Sequence[tuple[str, int]]) -> Report:
    history = History()
    history.records += _acknowledgements(contents[0], told)
    for tag, name in _ONE_EACH:
        content = next(content for content in contents if content.name == name)
        history.records += [Effect(tag, 0, _document(event)) for event in content.events if event.tag == tag]
    history.records += [Effect("sink", at, identifier) for identifier, at in arrivals]
    documents = frozenset(line.document for one in told for line in one.lines)
    inboxes = [Inbox(tag, documents) for tag, _ in _ONE_EACH]
    inboxes.append(Inbox("sink", frozenset(f"{document}-1" for document in documents)))
    return check(history, contents, inboxes)


def _acknowledgements(ingestion: LogContent, told: Sequence[Told]) -> Iterable[Invoked | Ended]:
    """What each receipt claims, as the checker reads it. A receipt says the tenant's sequence; the log says at which position that is."""
    positions = {event.tenant_sequence: event.position for event in ingestion.events if event.tenant == TENANT}
    for one in told:
        for line in one.lines:
            operation, request = f"{one.run}-{line.number}", request_id(one.run, line.number)
            event_id = str(uuid5(REQUEST_NAMESPACE, f"{TENANT}/{request}"))
            yield Invoked(operation, line.sent_ns, ingestion.name, TENANT, line.document, (event_id,), 0)
            yield Ended(operation, line.answered_ns, "stored", positions.get(line.tenant_sequence, 0), 1)


async def _read(log: PostgresEventLog) -> _Log:
    """A log page by page. Payloads are looked into and let go: a hundred thousand documents of them are gigabytes."""
    events: list[StoredEvent] = []
    misplaced: list[str] = []
    while page := await log.read(events[-1].position if events else 0, READ_MAXIMUM):
        misplaced += [event.stream for event in page if _misplaced(event)]
        events += [replace(event, payload=b"") for event in page]
    return _Log(LogContent(log.name, events), misplaced)


def _misplaced(event: StoredEvent) -> bool:
    """Whether this schedules a delivery for a destination that the document's type does not have."""
    if event.tag != DeliveryScheduled.TAG:
        return False
    fact = decode(event.tag, event.payload)
    assert isinstance(fact, DeliveryScheduled)
    return fact.destination.endpoint != destination_of(fact.submission.type_code)


def _document(event: StoredEvent) -> str:
    """The document of an event; a delivery's stream is `<document>/<ordinal>`, and here there is one ordinal only."""
    return event.stream.partition("/")[0]
