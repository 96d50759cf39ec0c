"""The records that go into and come out of an event log.

None of them can be part of a cycle, so the collector need not know of them: thousands are made each second.
"""

from datetime import datetime
from enum import Enum
from uuid import UUID

import msgspec


class NewEvent(msgspec.Struct, frozen=True, gc=False):
    """One event to append. `payload` are the exact bytes that will be stored and hashed.

    `expected_version` is the version of `stream` that the decision saw (0 for a new stream); None appends at the end.
    `event_id` decides what a repeat is: the same id again stores nothing and returns the first event's place.
    """

    tenant: str
    stream: str
    tag: str
    payload: bytes
    event_id: UUID
    partition: int
    actor: str
    traceparent: str = ""
    expected_version: int | None = None


class StoredEvent(msgspec.Struct, frozen=True, gc=False):
    """One event as the log holds it. Positions count from 1 without a gap; so do a tenant's sequence and a stream's versions."""

    position: int
    tenant: str
    tenant_sequence: int
    stream: str
    version: int
    event_id: UUID
    tag: str
    partition: int
    recorded_at: datetime
    actor: str
    traceparent: str
    payload: bytes


class Checkpoint(msgspec.Struct, frozen=True, gc=False):
    """How far one consumer has come in one partition of one log; `epoch` is the lease's, and fences a consumer that slept."""

    consumer: str
    log: str
    partition: int
    position: int
    event_id: UUID
    epoch: int


class SealedChunk(msgspec.Struct, frozen=True, gc=False):
    """One sealed row of a body that travels in the append's own call (`relais.vault`)."""

    blob: UUID
    number: int
    last: bool
    ciphertext: bytes


class Outcome(Enum):
    """What became of one append: stored; already there (same event id); or another writer was first on the stream."""

    STORED = "stored"
    DUPLICATE = "duplicate"
    CONFLICT = "conflict"


class Appended(msgspec.Struct, frozen=True, gc=False):
    """The place of the last event of one append.

    For DUPLICATE it is where the append's last known event was stored the first time; for CONFLICT `version` is the stream's current
    version and the other numbers are 0.
    """

    outcome: Outcome
    position: int
    tenant_sequence: int
    version: int
    recorded_at: datetime | None


ROWS_STORED = Appended(Outcome.STORED, 0, 0, 0, None)


class Append(msgspec.Struct, frozen=True, gc=False):
    """One unit of appending: its events (of one stream, in order), its body and its work rows are stored together or not at all.

    `work` are the service's own rows (JSON-ready), handed to the service's SQL function in the same transaction. An append of work
    rows alone, without events, is how a read model is kept: it is always stored, and its answer is `ROWS_STORED`.
    """

    events: tuple[NewEvent, ...]
    chunks: tuple[SealedChunk, ...] = ()
    work: tuple[dict[str, object], ...] = ()
    work_bytes: int = 0
