"""The event log as a port: the real one is Postgres, the verified fake is in memory; one suite runs on both."""

from collections.abc import Sequence
from typing import Protocol
from uuid import UUID

from relais.eventlog.record import Append, Appended, Checkpoint, StoredEvent

APPENDS_MAXIMUM = 500
BATCH_BYTES_MAXIMUM = 8 * 1024 * 1024
READ_MAXIMUM = 500
FACT_BYTES_MAXIMUM = 64 * 1024


class EventLogError(Exception):
    """The root of the event log's errors.

    EventLogError
     +-- Fenced          a checkpoint's epoch is no longer ours: nothing was stored, give the partitions up
     +-- BatchConflict   an all-or-nothing batch met a conflict: nothing was stored, load again and decide again
     +-- LimitExceeded   the caller handed in more than one batch or one fact may hold
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
        Raises `Fenced` when a checkpoint row has another epoch, `OutcomeUnknown` when the answer was lost.
        An empty `appends` with checkpoints only moves the checkpoints.
        """
        ...

    async def read(
        self, after: int, limit: int = READ_MAXIMUM, *, tags: Sequence[str] = (), tenant: str | None = None
    ) -> list[StoredEvent]:
        """Events with a position above `after`, in log order; filtered when asked. Never passes a gap, because there is none."""
        ...

    async def read_streams(self, tenant_streams: Sequence[tuple[str, str]]) -> dict[tuple[str, str], list[StoredEvent]]:
        """All events of these (tenant, stream) pairs in version order, in one round trip; an unknown stream is an empty list."""
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
