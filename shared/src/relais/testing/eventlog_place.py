"""What the suite of the event log is run on, and the events it makes."""

import itertools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

from relais.eventlog.log import EventLog
from relais.eventlog.record import Append, Checkpoint, NewEvent, SealedChunk

TENANT = "chu-nord"
TAG = "ingestion.document_received.v1"
CONSUMER = "routing"

_numbers = itertools.count(1)


@dataclass(frozen=True)
class LogPlace:
    """A new, empty log, and what lies around it.

    `stored_blobs` says which bodies are stored, `applied_work` which work rows were applied, in order; a work row `{"refuse": true}`
    makes the service's function fail. `fence(consumer, log, partition, epoch)` takes a partition over, as a lease does.
    """

    log: EventLog
    stored_blobs: Callable[[], Awaitable[set[UUID]]]
    applied_work: Callable[[], Awaitable[list[dict[str, Any]]]]
    fence: Callable[[str, str, int, int], Awaitable[None]]


class WorkRefused(Exception):
    """What a memory log's `apply_work` raises for a row that says so."""


def event(
    stream: str = "",
    *,
    tenant: str = TENANT,
    tag: str = TAG,
    payload: bytes = b"{}",
    event_id: UUID | None = None,
    partition: int = 7,
    expected: int | None = None,
) -> NewEvent:
    """One event of a stream; of a stream of its own where none is named."""
    return NewEvent(
        tenant=tenant,
        stream=stream or f"stream-{next(_numbers)}",
        tag=tag,
        payload=payload,
        event_id=event_id or uuid4(),
        partition=partition,
        actor="x509:test",
        traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        expected_version=expected,
    )


def append_of(*events: NewEvent, chunks: tuple[SealedChunk, ...] = (), work: tuple[dict[str, object], ...] = ()) -> Append:
    """One append of these events."""
    return Append(events or (event(),), chunks, work)


def chunk(blob: UUID, number: int = 0, *, last: bool = True, size: int = 64) -> SealedChunk:
    """One chunk of a body."""
    return SealedChunk(blob, number, last, bytes([number]) * size)


def mark(position: int, *, partition: int = 3, epoch: int = 1, event_id: UUID | None = None) -> Checkpoint:
    """A checkpoint of the suite's consumer in the identity log."""
    return Checkpoint(CONSUMER, "identity", partition, position, event_id or UUID(int=position), epoch)
