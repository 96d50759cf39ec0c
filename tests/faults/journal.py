"""The logs as they stand, and what they say of each request: read again and again, only what is new, straight from the database."""

from collections import defaultdict
from typing import Final
from uuid import UUID

from relais.contracts import decode
from relais.contracts.delivery import DeliveryAbandoned, DeliveryScheduled, DeliverySucceeded
from relais.contracts.fact import Fact
from relais.contracts.identity import IdentityHeld, IdentityVerified
from relais.contracts.ingestion import DocumentReceived
from relais.contracts.routing import DocumentHeld, PlannedDestination, RoutePlanned
from relais.eventlog.log import READ_MAXIMUM, EventLogError
from relais.eventlog.postgres import PostgresEventLog
from relais.eventlog.record import StoredEvent
from relais.testing.history import LogContent

LOGS: Final = ("ingestion", "identity", "registry", "routing", "delivery")

Place = tuple[str, int]


class Journal:
    """What was recorded. `decided`, `scheduled` and `ended` count, because a fact that is there twice is a decision taken twice."""

    def __init__(self) -> None:
        self.events: dict[str, list[StoredEvent]] = {log: [] for log in LOGS}
        self.received: dict[str, DocumentReceived] = {}
        self.verified: dict[str, list[UUID]] = defaultdict(list)
        self.waiting: dict[str, str] = {}
        self.planned: dict[str, list[tuple[PlannedDestination, ...]]] = defaultdict(list)
        self.scheduled: dict[Place, int] = defaultdict(int)
        self.succeeded: dict[Place, list[float]] = defaultdict(list)
        self.abandoned: dict[Place, list[str]] = defaultdict(list)
        self.endpoint_of: dict[Place, str] = {}
        self.parked: list[str] = []

    async def refresh(self, logs: dict[str, PostgresEventLog]) -> bool:
        """Read what is new; False while the database is away."""
        for name, log in logs.items():
            known = self.events[name]
            try:
                while page := await log.read(known[-1].position if known else 0, READ_MAXIMUM):
                    known += page
                    for event in page:
                        self._note(event)
            except EventLogError:
                return False
        return True

    def content(self) -> list[LogContent]:
        """For the checker."""
        return [LogContent(name, events) for name, events in self.events.items()]

    def settled(self, document: str, request: str) -> bool:
        """Whether every planned destination has an outcome, or somebody visibly has to look at it."""
        if request in self.waiting:
            return True
        plans = self.planned.get(request)
        if not plans:
            return False
        places = [(document, planned.ordinal) for planned in plans[0]]
        return all(place in self.succeeded or place in self.abandoned for place in places)

    def delivered_since(self, since: float, requests: set[str]) -> bool:
        """Whether a document of these requests has arrived somewhere after that moment."""
        documents = {fact.submission.document for request in requests if (fact := self.received.get(request)) is not None}
        return any(place[0] in documents and max(moments) > since for place, moments in self.succeeded.items())

    def _note(self, event: StoredEvent) -> None:
        if event.tag.endswith(".parked.v1"):
            self.parked.append(f"{event.tag} at {event.position}")
        self._note_fact(event, decode(event.tag, event.payload))

    def _note_fact(self, event: StoredEvent, fact: Fact) -> None:
        match fact:
            case DocumentReceived():
                self.received[fact.submission.request] = fact
            case IdentityVerified():
                self.verified[fact.submission.request].append(event.event_id)
            case IdentityHeld() | DocumentHeld():
                self.waiting[fact.submission.request] = event.tag
            case RoutePlanned():
                self.planned[fact.submission.request].append(fact.destinations)
                for planned in fact.destinations:
                    self.endpoint_of[fact.submission.document, planned.ordinal] = planned.endpoint
            case DeliveryScheduled():
                self.scheduled[fact.submission.document, fact.destination.ordinal] += 1
            case DeliverySucceeded():
                self.succeeded[fact.document, fact.ordinal].append(event.recorded_at.timestamp())
            case DeliveryAbandoned():
                self.abandoned[fact.document, fact.ordinal].append(fact.code or fact.reason.value)
            case _:
                return
