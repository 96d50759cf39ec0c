"""The event log as a port: the real one is Postgres, the verified fake is in memory; one suite runs on both."""

from collections.abc import Mapping, Sequence
from typing import Protocol
from uuid import UUID

from relais.eventlog.record import Append, Appended, Checkpoint, StoredEvent

APPENDS_MAXIMUM = 500
EVENTS_MAXIMUM = 2000
BATCH_BYTES_MAXIMUM = 8 * 1024 * 1024
READ_MAXIMUM = 500
STREAMS_MAXIMUM = 1000
STREAM_EVENTS_MAXIMUM = 5000
FACT_BYTES_MAXIMUM = 64 * 1024


class EventLogError(Exception):
    """The root of the event log's errors.

    EventLogError
     +-- Fenced          a checkpoint's epoch is no longer ours: nothing was stored, give the partitions up
     +-- BatchConflict   an all-or-nothing batch met a conflict: nothing was stored, load again and decide again
     +-- LimitExceeded   the caller handed in, or asked for, more than one call may hold
     +-- Malformed       the caller handed in what no log can hold: our own mistake, never the network's
     +-- Overloaded      the writer's queue is full: nothing was stored, try again after `retry_after_seconds`
     +-- LogUnavailable  the log cannot be reached or cannot write now: nothing was stored, try again later
     +-- OutcomeUnknown  the connection broke between COMMIT and its answer: read back by event id before anything is retried
    """


class Fenced(EventLogError):
    """Another replica holds the lease now."""


class BatchConflict(EventLogError):
    """At least one append of an all-or-nothing batch conflicted; `indexes` names them."""

    def __init__(self, indexes: Sequence[int]) -> None:
        super().__init__(f"{len(indexes)} appends of the batch conflicted")
        self.indexes = tuple(indexes)


class LimitExceeded(EventLogError):
    """A batch or a fact is larger than the log takes."""


class Malformed(EventLogError):
    """An append without events, of two streams, with a NUL in a name, and the like; `field` names what is wrong, never its value."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.field = field


class Overloaded(EventLogError):
    """More is queued than the writer may hold; the edge answers RESOURCE_EXHAUSTED with this delay."""

    def __init__(self, retry_after_seconds: float) -> None:
        super().__init__("the log's writer is full")
        self.retry_after_seconds = retry_after_seconds


class LogUnavailable(EventLogError):
    """No connection, no room on the disk, a server that is starting or stopping."""


class OutcomeUnknown(EventLogError):
    """Nobody knows whether the batch was committed."""


class EventLog(Protocol):
    """One service's immutable log. Every append is one autocommitted call; positions have no gap, by construction."""

    @property
    def name(self) -> str:
        """The log's name, one of `relais.contracts.subjects.LOGS`."""
        ...

    async def append(
        self, appends: Sequence[Append], *, checkpoints: Sequence[Checkpoint] = (), all_or_nothing: bool = False
    ) -> list[Appended]:
        """Store a batch: bodies first, then events in order, then checkpoints, then work rows; one commit.

        Duplicates and conflicts are answered one by one and never hurt their neighbours, except with `all_or_nothing`
        (consumers), where a conflict raises `BatchConflict` and nothing is stored (a duplicate is no conflict).
        A batch behaves as if its appends came one after another: the second append of a stream may expect the first one's
        version. An append is a repeat as soon as one of its event ids is stored. Nothing of a refused append is kept, its body
        included. `recorded_at` is the database's time, never earlier than the previous event's.

        Raises `Fenced` when a checkpoint row has another epoch: whoever takes a partition over gives its row the new lease's
        epoch before reading where to go on from (`relais.transport.leases`). A checkpoint without a row gets one, because nobody
        was ever there to be fenced. Raises `OutcomeUnknown` when the answer was lost, `LogUnavailable` when nothing was stored.
        An empty `appends` with checkpoints only moves the checkpoints.
        """
        ...

    async def read(
        self, after: int, limit: int = READ_MAXIMUM, *, tags: Sequence[str] = (), tenant: str | None = None
    ) -> list[StoredEvent]:
        """Events with a position above `after`, in log order; filtered when asked. Never passes a gap, because there is none."""
        ...

    async def read_streams(self, tenant_streams: Sequence[tuple[str, str]]) -> dict[tuple[str, str], list[StoredEvent]]:
        """All events of these (tenant, stream) pairs in version order, in one round trip; an unknown stream is an empty list.

        Raises `LimitExceeded` rather than return a part of a stream of more than STREAM_EVENTS_MAXIMUM events.
        """
        ...

    async def find(self, event_ids: Sequence[UUID]) -> dict[UUID, StoredEvent]:
        """The events with these ids that exist: how an unknown outcome is read back and how a repeat is recognised."""
        ...

    async def head(self) -> int:
        """The highest position, 0 for an empty log."""
        ...

    async def checkpoints(self, consumer: str) -> list[Checkpoint]:
        """Every checkpoint of a consumer, as committed."""
        ...

    async def claim(self, consumer: str, log: str, epochs: Mapping[int, int]) -> list[Checkpoint]:
        """Take partitions of `log` over under the leases' epochs (partition -> epoch), and learn where to go on from.

        Called after leases are won and before anything is read: once it returns, no append under an older epoch can move these
        checkpoints, so the positions it returns are final. A partition never checkpointed starts at position 0 with the nil
        event id. Raises `Fenced`, changing nothing, when one of them was claimed under a higher epoch.
        """
        ...
