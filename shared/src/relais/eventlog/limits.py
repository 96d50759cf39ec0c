"""What one append and one batch may hold, checked before anything is sent, so that a bad append never fails its neighbours in the database.

The sizes of names are the database's own (`event_fits` in schema.sql): with them the leaf of every event fits 65,535 bytes.
"""

from collections.abc import Sequence

from relais.contracts.subjects import PARTITIONS
from relais.eventlog.log import APPENDS_MAXIMUM, BATCH_BYTES_MAXIMUM, EVENTS_MAXIMUM, FACT_BYTES_MAXIMUM, LimitExceeded, Malformed
from relais.eventlog.record import Append, Checkpoint, NewEvent

NAME_BYTES_MAXIMUM = 255
TAG_BYTES_MAXIMUM = 127


def append_bytes(append: Append) -> int:
    """What an append counts towards a batch: payloads, sealed chunks, and its work rows as the caller sized them."""
    return sum(len(event.payload) for event in append.events) + sum(len(chunk.ciphertext) for chunk in append.chunks) + append.work_bytes


def check_append(append: Append) -> None:
    """Raise `Malformed` or `LimitExceeded` when no log may take this append, whatever else is in its batch."""
    if not append.events:
        if append.chunks or not append.work:
            raise Malformed("events", "an append without events carries work rows and nothing else")
        return
    first = append.events[0]
    for place, event in enumerate(append.events):
        if (event.tenant, event.stream) != (first.tenant, first.stream):
            raise Malformed("stream", "events of two streams in one append")
        if (
            place
            and event.expected_version is not None
            and (first.expected_version is None or event.expected_version != first.expected_version + place)
        ):
            raise Malformed("expected_version", "does not follow from the first event's")
        _check_event(event)
    if len(append.events) > 1 and len({event.event_id for event in append.events}) < len(append.events):
        raise Malformed("event_id", "the same id twice in one append")
    if append_bytes(append) > BATCH_BYTES_MAXIMUM:
        raise LimitExceeded("an append is larger than a batch may be")


def check_batch(appends: Sequence[Append], checkpoints: Sequence[Checkpoint]) -> None:
    """Raise `Malformed` or `LimitExceeded` when this is more than one call, or something in it cannot be stored."""
    if len(appends) > APPENDS_MAXIMUM:
        raise LimitExceeded(f"more than {APPENDS_MAXIMUM} appends in one batch")
    for append in appends:
        check_append(append)
    if sum(len(append.events) for append in appends) > EVENTS_MAXIMUM:
        raise LimitExceeded(f"more than {EVENTS_MAXIMUM} events in one batch")
    if sum(map(append_bytes, appends)) > BATCH_BYTES_MAXIMUM:
        raise LimitExceeded(f"more than {BATCH_BYTES_MAXIMUM} bytes in one batch")
    if len({(mark.consumer, mark.log, mark.partition) for mark in checkpoints}) < len(checkpoints):
        raise Malformed("checkpoints", "the same checkpoint twice in one batch")


def _check_event(event: NewEvent) -> None:
    if len(event.payload) > FACT_BYTES_MAXIMUM:
        raise LimitExceeded(f"a fact of more than {FACT_BYTES_MAXIMUM} bytes")
    if not 0 <= event.partition < PARTITIONS:
        raise Malformed("partition", f"not in 0..{PARTITIONS - 1}")
    if event.expected_version is not None and event.expected_version < 0:
        raise Malformed("expected_version", "below 0")
    _check_name("tenant", event.tenant, NAME_BYTES_MAXIMUM)
    _check_name("stream", event.stream, NAME_BYTES_MAXIMUM)
    _check_name("tag", event.tag, TAG_BYTES_MAXIMUM)
    _check_name("actor", event.actor, NAME_BYTES_MAXIMUM)
    _check_name("traceparent", event.traceparent, TAG_BYTES_MAXIMUM, may_be_empty=True)


def _check_name(field: str, value: str, bytes_maximum: int, *, may_be_empty: bool = False) -> None:
    # Nearly every name is short ASCII, and then its length in characters is its length in bytes.
    if value.isascii():
        size = len(value)
    else:
        try:
            size = len(value.encode())
        except UnicodeEncodeError:
            raise Malformed(field, "not Unicode text") from None
    if size > bytes_maximum:
        raise LimitExceeded(f"{field} of more than {bytes_maximum} bytes")
    if not size and not may_be_empty:
        raise Malformed(field, "empty")
    if "\0" in value:
        raise Malformed(field, "holds a NUL, which Postgres has no place for")
