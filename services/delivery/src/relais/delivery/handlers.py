"""From routing's decisions to deliveries: one batch, at most one read of states, one append.

A plan only schedules: nothing here waits for a partner. Where this replica owns the endpoint and has room, the attempt is recorded
in the same append (`dispatcher.express`). A plan's destinations are new streams, so their states are not read at all the first time;
when that was wrong the log says conflict, the same batch comes again, and then they are read.

A fact that cannot be read parks its document: nothing of it is sent until a person has looked, because what could not be read may
have been a withdrawal.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Protocol
from uuid import UUID

from relais.clock import Clock
from relais.contracts import Fact, tags
from relais.contracts.delivery import DeliveryAttempted, DeliveryParked, DeliveryScheduled
from relais.contracts.reasons import AbandonReason, HoldReason
from relais.contracts.routing import DocumentHeld, DocumentReleased, RoutePlanned, RouteSuppressed
from relais.delivery.dispatcher.parcel import Parcel
from relais.delivery.domain.commands import Attempt, DeliveryCommand, Reinstate, Schedule, Withdraw
from relais.delivery.domain.delivery import delivery
from relais.delivery.domain.retrying import RetryPolicy
from relais.delivery.domain.standing import Withdrawal, withdrawals
from relais.delivery.ports import DeliveryId, WorkQueue
from relais.delivery.recording import event, new_parcel, parcel_of, parked_event
from relais.delivery.work import Row, moved, opened, parked
from relais.eventlog.log import EventLog
from relais.eventlog.record import Append, NewEvent, StoredEvent
from relais.transport.bus import Announcement, Delivered
from relais.transport.handling import Effects, document_of, effect_id, fact_of

CONSUMER = "delivery"
TAGS = (RoutePlanned.TAG, RouteSuppressed.TAG, DocumentHeld.TAG, DocumentReleased.TAG)
FACTS_MAXIMUM = 4


class Dispatching(Protocol):
    """What the handler asks of the replica's dispatchers (`Express` and `Fleet`)."""

    def knows(self, endpoint: str) -> bool:
        """Whether such an endpoint is configured."""
        ...

    def reserve(self, endpoint: str, delivery: DeliveryId) -> bool:
        """Whether this replica can begin the call as soon as the attempt is recorded."""
        ...

    def expect(self, event_id: UUID, parcel: Parcel) -> None:
        """The append that begins with this event records the attempt of this parcel."""
        ...

    def scheduled(self, event_id: UUID, endpoint: str) -> None:
        """A delivery for this endpoint is only scheduled in the append that begins with this event."""
        ...


@dataclass(slots=True)
class _Stream:
    """One delivery as this batch sees and changes it."""

    parcel: Parcel | None
    events: list[NewEvent] = field(default_factory=list)
    work: list[Row] = field(default_factory=list)


class PlanHandler:
    """Schedules what is planned, withdraws what is no longer wanted, reinstates what is wanted again. Built once per replica."""

    def __init__(self, log: EventLog, queue: WorkQueue, dispatching: Dispatching, clock: Clock) -> None:
        self._log = log
        self._queue = queue
        self._dispatching = dispatching
        self._clock = clock
        self._decided: dict[int, int] = {}

    async def handle(self, batch: Sequence[Delivered]) -> Effects:
        """The effects of a batch, in order. Raises `Unhandleable` before it reserves anything."""
        told = [(delivered.announcement, fact_of(delivered)) for delivered in batch if _concerns_us(delivered.announcement.tag)]
        again = any(announcement.position <= self._decided.get(announcement.partition, 0) for announcement, _ in told)
        effects = _Batch(self._dispatching, self._clock)
        effects.start_from(await self._load(told, again=again))
        for announcement, fact in told:
            effects.take(announcement, fact)
            self._decided[announcement.partition] = max(self._decided.get(announcement.partition, 0), announcement.position)
        return effects.appends()

    async def _load(self, told: Sequence[tuple[Announcement, Fact]], *, again: bool) -> dict[DeliveryId, list[StoredEvent]]:
        wanted: set[DeliveryId] = set()
        whole_documents: set[tuple[str, str]] = set()
        for announcement, fact in told:
            if again and isinstance(fact, RoutePlanned):
                wanted.update(DeliveryId(announcement.tenant, fact.submission.document, place.ordinal) for place in fact.destinations)
            if isinstance(fact, DocumentReleased):
                wanted.update(DeliveryId(announcement.tenant, fact.document, ordinal) for ordinal in fact.reinstated)
            for withdrawal in withdrawals(fact):
                if withdrawal.ordinal is None:
                    whole_documents.add((announcement.tenant, withdrawal.document))
                else:
                    wanted.add(DeliveryId(announcement.tenant, withdrawal.document, withdrawal.ordinal))
        if whole_documents:
            wanted.update(await self._queue.of_documents(sorted(whole_documents)))
        if not wanted:
            return {}
        found = await self._log.read_streams([(one.tenant, one.stream) for one in wanted])
        return {one: found[one.tenant, one.stream] for one in wanted}


class _Batch:
    """What a batch started from, folded forward fact by fact, and what is to be appended for it."""

    def __init__(self, dispatching: Dispatching, clock: Clock) -> None:
        self._dispatching = dispatching
        self._now = clock.now()
        self._streams: dict[DeliveryId, _Stream] = {}

    def start_from(self, stored: dict[DeliveryId, list[StoredEvent]]) -> None:
        """These streams were read."""
        self._streams = {one: _Stream(parcel_of(one, events)) for one, events in stored.items()}

    def take(self, announcement: Announcement, fact: Fact) -> None:
        """One fact of the routing log, in order."""
        if isinstance(fact, RoutePlanned):
            self._plan(announcement, fact)
        elif isinstance(fact, DocumentReleased):
            for ordinal in fact.reinstated:
                self._change(DeliveryId(announcement.tenant, fact.document, ordinal), Reinstate(now=self._now), announcement)
        else:
            for withdrawal in withdrawals(fact):
                self._withdraw(announcement, withdrawal)

    def appends(self) -> Effects:
        """Everything decided, one append a stream."""
        return [Append(events=tuple(one.events), work=tuple(one.work)) for one in self._streams.values() if one.events]

    def _plan(self, announcement: Announcement, fact: RoutePlanned) -> None:
        for destination in fact.destinations:
            one = DeliveryId(announcement.tenant, fact.submission.document, destination.ordinal)
            stream = self._streams.setdefault(one, _Stream(None))
            if stream.parcel is not None:
                continue
            command = Schedule(submission=fact.submission, ins_status=fact.ins_status, destination=destination, now=self._now)
            (scheduled,) = delivery.decide(command, delivery.initial)
            assert isinstance(scheduled, DeliveryScheduled)
            parcel = new_parcel(one, scheduled, announcement.partition, announcement.traceparent)
            rest = self._begin(parcel, scheduled)
            first_id = self._record(stream, parcel, [scheduled, *rest], announcement)
            stream.work.append(opened(one, scheduled, rest))
            if rest and isinstance(rest[-1], DeliveryAttempted):
                self._dispatching.expect(first_id, parcel)
            elif not rest:
                self._dispatching.scheduled(first_id, destination.endpoint)

    def _begin(self, parcel: Parcel, scheduled: DeliveryScheduled) -> list[Fact]:
        """What follows a schedule at once: its attempt, where there is room here; its end, where nobody knows the endpoint."""
        state = delivery.fold([scheduled])
        endpoint = scheduled.destination.endpoint
        if not self._dispatching.knows(endpoint):
            return list(delivery.decide(Withdraw(reason=AbandonReason.ENDPOINT_UNKNOWN), state))
        if self._dispatching.reserve(endpoint, parcel.id):
            return list(delivery.decide(Attempt(now=self._now, policy=RetryPolicy()), state))
        return []

    def _withdraw(self, announcement: Announcement, withdrawal: Withdrawal) -> None:
        for one, stream in self._streams.items():
            named = withdrawal.ordinal is None or one.ordinal == withdrawal.ordinal
            if stream.parcel is None or not named or (one.tenant, one.document) != (announcement.tenant, withdrawal.document):
                continue
            if stream.parcel.scheduled.submission.request == withdrawal.request:
                continue
            self._change(one, Withdraw(reason=withdrawal.reason), announcement)

    def _change(self, one: DeliveryId, command: DeliveryCommand, announcement: Announcement) -> None:
        """Decide over a delivery that was scheduled before."""
        stream = self._streams.get(one)
        if stream is None or stream.parcel is None:
            return
        before = stream.parcel.state
        facts = list(delivery.decide(command, before))
        if facts:
            stream.work.extend(moved(one, before, facts))
            self._record(stream, stream.parcel, facts, announcement)

    def _record(self, stream: _Stream, parcel: Parcel, facts: Sequence[Fact], announcement: Announcement) -> UUID:
        """Add these facts to the stream's append; the id of the append's first event."""
        for place, fact in enumerate(facts):
            # Ordinals are fewer than a thousand, and one fact of routing makes at most two of a delivery.
            number = parcel.id.ordinal * FACTS_MAXIMUM + place
            stream.events.append(
                event(
                    parcel.id,
                    fact,
                    event_id=effect_id(CONSUMER, announcement.log, announcement.position, number),
                    partition=announcement.partition,
                    traceparent=announcement.traceparent,
                    version=parcel.version + place,
                )
            )
        parcel.follow(list(facts), parcel.version + len(facts))
        stream.parcel = parcel
        return stream.events[0].event_id


class DeliveryParking:
    """Keeps what this build cannot read, as facts of its own log. See `relais.transport.handling.Parking`."""

    def __init__(self, queue: WorkQueue) -> None:
        self._queue = queue

    async def parked(self, partitions: Collection[int]) -> Collection[tuple[str, str]]:
        return await self._queue.parked(partitions)

    def park(self, delivered: Delivered, code: str) -> Append:
        announcement = delivered.announcement
        tenant, document = document_of(delivered)
        fact = DeliveryParked(
            document=document,
            reason=HoldReason.FACT_UNREADABLE,
            log=announcement.log,
            position=announcement.position,
            tag=announcement.tag,
            code=code,
        )
        event_id = effect_id(CONSUMER, announcement.log, announcement.position, 0)
        row = parked(tenant, document, announcement.partition)
        return Append(events=(parked_event(announcement, fact, event_id),), work=(row,))


def _concerns_us(tag: str) -> bool:
    # A tag that this build does not know may plan or withdraw something: it is parked, never passed over.
    return tag in TAGS or tag not in tags()
