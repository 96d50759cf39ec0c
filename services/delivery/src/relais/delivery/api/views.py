"""Deliveries and endpoints as messages."""

from collections.abc import Sequence
from datetime import datetime

from google.protobuf.timestamp_pb2 import Timestamp

from relais.api.delivery.v1 import delivery_admin_pb2
from relais.chassis.api.names import delivery_name
from relais.contracts import decode
from relais.contracts.delivery import (
    DeliveryAbandoned,
    DeliveryAccepted,
    DeliveryAttempted,
    DeliveryDeferred,
    DeliveryReinstated,
    DeliveryRetryRequested,
    DeliverySucceeded,
)
from relais.delivery.desk import Told
from relais.delivery.domain.endpoint import EndpointMode
from relais.delivery.domain.retrying import read
from relais.delivery.domain.state import DeliveryState, Phase
from relais.delivery.ports import Backlog, OpenDelivery
from relais.eventlog.record import StoredEvent

_PHASES = {
    Phase.ATTEMPTED: delivery_admin_pb2.Delivery.STATE_ATTEMPTING,
    Phase.ACCEPTED: delivery_admin_pb2.Delivery.STATE_ACCEPTED,
    Phase.SUCCEEDED: delivery_admin_pb2.Delivery.STATE_SUCCEEDED,
    Phase.ABANDONED: delivery_admin_pb2.Delivery.STATE_ABANDONED,
}
_ROWS = {"accepted": delivery_admin_pb2.Delivery.STATE_ACCEPTED, "abandoned": delivery_admin_pb2.Delivery.STATE_ABANDONED}
_MODES = {
    EndpointMode.OPEN: delivery_admin_pb2.Endpoint.STATE_OPEN,
    EndpointMode.DRAINING: delivery_admin_pb2.Endpoint.STATE_DRAINING,
    EndpointMode.PAUSED: delivery_admin_pb2.Endpoint.STATE_PAUSED,
}


def state_of(state: DeliveryState) -> "delivery_admin_pb2.Delivery.State.ValueType":
    """How far a delivery is, by its log."""
    waiting = delivery_admin_pb2.Delivery.STATE_DEFERRED if state.attempts else delivery_admin_pb2.Delivery.STATE_SCHEDULED
    return _PHASES.get(state.phase, waiting)


def told_message(told: Told, *, attempts: bool) -> delivery_admin_pb2.Delivery:
    """One delivery by its log."""
    parcel = told.parcel
    destination, state = parcel.scheduled.destination, parcel.state
    message = delivery_admin_pb2.Delivery(
        name=delivery_name(*parcel.id),
        state=state_of(state),
        kind=destination.kind.value,
        connector=destination.connector,
        endpoint=destination.endpoint,
        attempt_count=state.attempts,
        create_time=_timestamp(told.events[0].recorded_at),
        update_time=_timestamp(told.events[-1].recorded_at),
    )
    if state.phase is Phase.WAITING:
        message.due_time.CopyFrom(_timestamp(read(state.due_at)))
    message.code, message.abandon_reason = _last_words(told.events)
    if attempts:
        message.attempts.extend(_attempts(told.events))
    return message


def row_message(row: OpenDelivery) -> delivery_admin_pb2.Delivery:
    """One delivery by its row in the queue."""
    waiting = delivery_admin_pb2.Delivery.STATE_DEFERRED if row.attempts else delivery_admin_pb2.Delivery.STATE_SCHEDULED
    message = delivery_admin_pb2.Delivery(
        name=delivery_name(*row.id),
        state=_ROWS.get(row.state, waiting),
        kind=row.kind,
        connector=row.connector,
        endpoint=row.endpoint,
        attempt_count=row.attempts,
        code=row.code,
        abandon_reason=row.reason,
        create_time=_timestamp(row.scheduled_at),
        update_time=_timestamp(row.updated_at),
    )
    if row.state == "waiting":
        message.due_time.CopyFrom(_timestamp(row.due_at))
    return message


def endpoint_message(backlog: Backlog, connector: str, *, broken: bool) -> delivery_admin_pb2.Endpoint:
    """One endpoint. `broken` is known only to the replica that calls it."""
    state = delivery_admin_pb2.Endpoint.STATE_BROKEN if broken and backlog.mode is EndpointMode.OPEN else _MODES[backlog.mode]
    message = delivery_admin_pb2.Endpoint(
        name=f"endpoints/{backlog.endpoint}", connector=connector, state=state, waiting_count=backlog.waiting
    )
    if backlog.oldest is not None:
        message.oldest_waiting_time.CopyFrom(_timestamp(backlog.oldest))
    return message


def _last_words(events: Sequence[StoredEvent]) -> tuple[str, str]:
    """The partner's last code, and why the delivery was given up if it is."""
    code = reason = ""
    for event in events:
        match decode(event.tag, event.payload):
            case DeliverySucceeded() as fact:
                code, reason = fact.status, ""
            case DeliveryDeferred() as fact:
                code, reason = fact.code, ""
            case DeliveryAbandoned() as fact:
                code, reason = fact.code or code, fact.reason.value
            case DeliveryRetryRequested():
                reason = ""
            case DeliveryReinstated() as fact:
                reason = "" if fact.due_at else reason
            case _:
                continue
    return code, reason


def _attempts(events: Sequence[StoredEvent]) -> list[delivery_admin_pb2.Attempt]:
    attempts: dict[int, delivery_admin_pb2.Attempt] = {}
    for event in events:
        fact = decode(event.tag, event.payload)
        at = _timestamp(event.recorded_at)
        if isinstance(fact, DeliveryAttempted):
            attempts[fact.attempt] = delivery_admin_pb2.Attempt(number=fact.attempt, begin_time=at, possible_repeat=fact.possible_repeat)
        elif isinstance(fact, (DeliverySucceeded, DeliveryDeferred, DeliveryAccepted, DeliveryAbandoned)) and fact.attempt in attempts:
            _end(attempts[fact.attempt], fact, at)
    return list(attempts.values())


def _end(
    attempt: delivery_admin_pb2.Attempt, fact: DeliverySucceeded | DeliveryDeferred | DeliveryAccepted | DeliveryAbandoned, at: Timestamp
) -> None:
    if attempt.HasField("end_time") and not isinstance(fact, DeliverySucceeded):
        # A delivery that is given up between two attempts does not end the last one again.
        return
    attempt.end_time.CopyFrom(at)
    match fact:
        case DeliverySucceeded():
            attempt.code, attempt.unknown = fact.status, False
        case DeliveryDeferred():
            attempt.code, attempt.unknown = fact.code, fact.unknown
        case DeliveryAbandoned():
            attempt.code = fact.code
        case DeliveryAccepted():
            attempt.code = "accepted"


def _timestamp(moment: datetime) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(moment)
    return stamp
