"""Facts of deliveries as events to append: one place decides names, streams, actors and identifiers."""

from collections.abc import Sequence
from uuid import UUID, uuid4

from relais.contracts import Fact, decode, encode
from relais.contracts.delivery import DeliveryScheduled
from relais.delivery.dispatcher.parcel import Parcel
from relais.delivery.domain.delivery import delivery
from relais.delivery.domain.state import DeliveryState
from relais.delivery.ports import DeliveryId
from relais.delivery.work import moved
from relais.eventlog.record import Append, NewEvent, StoredEvent
from relais.transport.bus import Announcement

ACTOR = "service:delivery"
ENDPOINT_TENANT = "relais"


def event(
    delivery_id: DeliveryId, fact: Fact, *, event_id: UUID, partition: int, traceparent: str, version: int, actor: str = ACTOR
) -> NewEvent:
    """One fact of one delivery, to be stored behind `version` of its stream."""
    return NewEvent(
        tenant=delivery_id.tenant,
        stream=delivery_id.stream,
        tag=fact.TAG,
        payload=encode(fact),
        event_id=event_id,
        partition=partition,
        actor=actor,
        traceparent=traceparent,
        expected_version=version,
    )


def parked_event(announcement: Announcement, fact: Fact, event_id: UUID) -> NewEvent:
    """A fact about a whole document, in the document's own stream."""
    return NewEvent(
        tenant=announcement.tenant,
        stream=announcement.stream,
        tag=fact.TAG,
        payload=encode(fact),
        event_id=event_id,
        partition=announcement.partition,
        actor=ACTOR,
        traceparent=announcement.traceparent,
    )


def append_of(parcel: Parcel, facts: Sequence[Fact], actor: str = ACTOR) -> Append:
    """These facts behind the version the parcel knows, with what they change in the queue."""
    events = tuple(
        event(
            parcel.id,
            fact,
            event_id=uuid4(),
            partition=parcel.partition,
            traceparent=parcel.traceparent,
            version=parcel.version + number,
            actor=actor,
        )
        for number, fact in enumerate(facts)
    )
    return Append(events=events, work=moved(parcel.id, parcel.state, facts))


def parcel_of(delivery_id: DeliveryId, events: Sequence[StoredEvent]) -> Parcel | None:
    """The delivery as its stream tells it; None when nothing was ever scheduled there."""
    facts = [decode(stored.tag, stored.payload) for stored in events]
    if not facts or not isinstance(facts[0], DeliveryScheduled):
        return None
    return Parcel(
        id=delivery_id,
        scheduled=facts[0],
        partition=events[0].partition,
        traceparent=events[0].traceparent,
        state=delivery.fold(facts),
        version=events[-1].version,
    )


def new_parcel(delivery_id: DeliveryId, scheduled: DeliveryScheduled, partition: int, traceparent: str) -> Parcel:
    """A delivery that nothing is recorded of yet."""
    return Parcel(delivery_id, scheduled, partition, traceparent, state=DeliveryState(), version=0)
