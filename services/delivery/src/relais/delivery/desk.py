"""What a person may see and do: deliveries and endpoints. Independent of how it is called."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from uuid import uuid4

from relais.clock import Clock
from relais.contracts import Fact, decode, encode
from relais.contracts.subjects import partition_of
from relais.delivery.dispatcher.parcel import Parcel
from relais.delivery.domain.commands import Abandon, DeliveryCommand, RetryNow
from relais.delivery.domain.delivery import DeliveryUnknown, delivery
from relais.delivery.domain.endpoint import EndpointCommand, EndpointState
from relais.delivery.domain.endpoint import endpoint as endpoint_decider
from relais.delivery.ports import DeliveryId, WorkQueue
from relais.delivery.recording import append_of, parcel_of
from relais.delivery.work import Row, switched, unparked
from relais.eventlog.log import BatchConflict, EventLog, OutcomeUnknown
from relais.eventlog.record import Append, NewEvent, StoredEvent

PLATFORM = "platform"
CONFLICTS_MAXIMUM = 5
# Ordinals of a document are counted without gaps; so many are looked at in one round trip.
ORDINALS_BLOCK = 128


class EndpointUnknown(Exception):
    """No such endpoint is configured."""


@dataclass(frozen=True, slots=True)
class Act:
    """Who asks, and in which trace."""

    actor: str
    traceparent: str = ""


@dataclass(frozen=True, slots=True)
class Told:
    """One delivery with the events that tell its life."""

    parcel: Parcel
    events: Sequence[StoredEvent]


class DeliveryDesk:
    """Deliveries of any endpoint. `committed` is called after each decision that was stored, `wake` with the endpoint it concerns."""

    def __init__(self, log: EventLog, queue: WorkQueue, clock: Clock, committed: Callable[[], None], wake: Callable[[str], None]) -> None:
        self._log = log
        self._queue = queue
        self._clock = clock
        self._committed = committed
        self._wake = wake

    @property
    def queue(self) -> WorkQueue:
        """For lists."""
        return self._queue

    async def tell(self, deliveries: Sequence[DeliveryId]) -> list[Told]:
        """Those of these deliveries that exist, in the same order; one round trip."""
        found = await self._log.read_streams([(one.tenant, one.stream) for one in deliveries])
        told = ((parcel_of(one, found[one.tenant, one.stream]), found[one.tenant, one.stream]) for one in deliveries)
        return [Told(parcel, events) for parcel, events in told if parcel is not None]

    async def of_document(self, tenant: str, document: str) -> list[Told]:
        """All deliveries of one document, by ordinal."""
        told: list[Told] = []
        for first in range(0, 1_000_000, ORDINALS_BLOCK):
            block = await self.tell([DeliveryId(tenant, document, ordinal) for ordinal in range(first, first + ORDINALS_BLOCK)])
            told += block
            if not block:
                break
        return told

    async def retry(self, one: DeliveryId, reason: str, act: Act) -> Told:
        """Another attempt, now. Raises `DeliveryRefusal`."""
        # A person who asks for this has looked at whatever parked the document.
        return await self._decide(one, RetryNow(reason=reason, now=self._clock.now()), act, (unparked(one.tenant, one.document),))

    async def abandon(self, one: DeliveryId, reason: str, act: Act) -> Told:
        """No further attempt. Raises `DeliveryRefusal`."""
        return await self._decide(one, Abandon(reason=reason), act)

    async def _decide(self, one: DeliveryId, command: DeliveryCommand, act: Act, more: Sequence[Row] = ()) -> Told:
        for _ in range(CONFLICTS_MAXIMUM):
            told = await self.tell([one])
            if not told:
                raise DeliveryUnknown
            parcel = told[0].parcel
            facts = list(delivery.decide(command, parcel.state))
            if not facts:
                return told[0]
            decided = append_of(parcel, facts, act.actor)
            try:
                await _store(self._log, Append(events=decided.events, work=(*decided.work, *more)))
            except BatchConflict:
                continue
            self._committed()
            self._wake(parcel.state.endpoint)
            return (await self.tell([one]))[0]
        raise BatchConflict([0])


class EndpointDesk:
    """Endpoints as configured here. An endpoint belongs to no tenant: its facts are the platform's."""

    def __init__(self, log: EventLog, endpoints: Sequence[str], committed: Callable[[], None], wake: Callable[[str], None]) -> None:
        self._log = log
        self._endpoints = frozenset(endpoints)
        self._committed = committed
        self._wake = wake

    async def decide(self, endpoint: str, command: EndpointCommand, act: Act) -> None:
        """Pause, drain or resume. Every replica notices at its next look at the queue. Raises `EndpointUnknown`."""
        if endpoint not in self._endpoints:
            raise EndpointUnknown
        stream = f"endpoint/{endpoint}"
        for _ in range(CONFLICTS_MAXIMUM):
            events = (await self._log.read_streams([(PLATFORM, stream)]))[PLATFORM, stream]
            state = endpoint_decider.fold([decode(event.tag, event.payload) for event in events])
            facts = list(endpoint_decider.decide(command, state))
            if not facts:
                return
            append = _endpoint_append(endpoint, stream, facts, state, events[-1].version if events else 0, act)
            try:
                await _store(self._log, append)
            except BatchConflict:
                continue
            self._committed()
            self._wake(endpoint)
            return
        raise BatchConflict([0])


def _endpoint_append(endpoint: str, stream: str, facts: Sequence[Fact], state: EndpointState, version: int, act: Act) -> Append:
    events = tuple(
        NewEvent(
            tenant=PLATFORM,
            stream=stream,
            tag=fact.TAG,
            payload=encode(fact),
            event_id=uuid4(),
            partition=partition_of(PLATFORM, stream),
            actor=act.actor,
            traceparent=act.traceparent,
            expected_version=version + number,
        )
        for number, fact in enumerate(facts)
    )
    return Append(events=events, work=(switched(endpoint, endpoint_decider.fold(facts, state).mode),))


async def _store(log: EventLog, append: Append) -> None:
    try:
        await log.append([append], all_or_nothing=True)
    except OutcomeUnknown:
        # The same ids again: what was stored without our hearing of it is a duplicate, and no conflict.
        await log.append([append], all_or_nothing=True)
