"""What delivery asks of the world: connectors that carry, a queue of what is due, a lease, and the bodies to carry."""

from collections.abc import AsyncIterator, Collection, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple, Protocol, Self

from relais.contracts.routing import PlannedDestination
from relais.contracts.submission import Recipient, SealedContent
from relais.delivery.domain.answers import Answer
from relais.delivery.domain.endpoint import EndpointMode
from relais.eventlog.log import LogUnavailable


class DeliveryId(NamedTuple):
    """One delivery: a document of a tenant, and the ordinal of a destination."""

    tenant: str
    document: str
    ordinal: int

    @property
    def stream(self) -> str:
        """The delivery's stream in the log."""
        return f"{self.document}/{self.ordinal}"

    @classmethod
    def of_stream(cls, tenant: str, stream: str) -> Self:
        """The delivery whose stream this is."""
        document, _, ordinal = stream.partition("/")
        return cls(tenant, document, int(ordinal))


class BodyUnreadable(Exception):
    """The body is gone, does not open, or is not the bytes that were taken in: it must not be sent, nor any more of it."""


class BodyUnavailable(Exception):
    """The rest of a large body cannot be read now: what was sent so far is no document, and a later attempt may go through."""


class LargeBody(Protocol):
    """A body that is read and opened part by part, so that no memory has to hold it."""

    @property
    def size(self) -> int:
        """Plaintext bytes in all."""
        ...

    def parts(self) -> AsyncIterator[bytes]:
        """The bytes in order, from the beginning at every call. Raises `BodyUnreadable`, `BodyUnavailable`."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One attempt, ready to go. Whatever is personal stays out of the printed form.

    `body` are the exact bytes that were taken in, `content.document_sha256` their hash. `idempotency_key` is the same over all
    attempts of one delivery. The answer must be there `timeout_seconds` after the call begins, or it is unknown.
    """

    delivery: DeliveryId
    attempt: int
    idempotency_key: str
    possible_repeat: bool
    destination: PlannedDestination
    received_at: str
    timeout_seconds: float
    content: SealedContent = field(repr=False)
    body: bytes | LargeBody = field(repr=False)

    @property
    def recipient(self) -> Recipient | None:
        """The recipient this destination is for; None for the patient's own record or mailbox."""
        index = self.destination.recipient
        return None if index is None else self.content.recipients[index]


class Connector(Protocol):
    """One partner's protocol. Every implementation passes `relais.testing.connector_suite`."""

    async def deliver(self, call: Call) -> Answer:
        """Carry the document once and say what became of it, within the call's time.

        Only what reading the body raises may be raised, with the partner unable to take what was sent for the whole document;
        everything else that can happen to a call has an answer. Nothing is repeated inside one call. Cancelled, it breaks the
        connection off.
        """
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...


class WorkUnavailable(LogUnavailable):
    """The queue, which lives beside the log, cannot be asked now; try again later."""


@dataclass(frozen=True, slots=True)
class Due:
    """What one look at the queue found, longest due first, and the endpoint's mode at the same moment."""

    mode: EndpointMode
    deliveries: Sequence[DeliveryId]


@dataclass(frozen=True, slots=True)
class OpenDelivery:
    """One row of the queue, as an operator sees it. `state` is `waiting`, `accepted` or `abandoned`."""

    id: DeliveryId
    endpoint: str
    connector: str
    kind: str
    site: str
    state: str
    attempts: int
    code: str
    reason: str
    scheduled_at: datetime
    due_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Backlog:
    """What waits for one endpoint, and since when the oldest does."""

    endpoint: str
    mode: EndpointMode
    waiting: int
    oldest: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueFilter:
    """Which rows a person asks for; an empty word asks for all. `attempted` tells deferred from never attempted.

    `sites` are those the caller may see, None for every one.
    """

    tenant: str
    state: str = ""
    attempted: bool | None = None
    endpoint: str = ""
    kind: str = ""
    sites: frozenset[str] | None = None


class WorkQueue(Protocol):
    """Deliveries without a success yet. Written only by the log's own append (`delivery.apply_work`), never here.

    Every method is one round trip and raises `WorkUnavailable` when nobody answers.
    """

    async def due(self, endpoint: str, now: datetime, limit: int, skip: Collection[DeliveryId]) -> Due:
        """At most `limit` deliveries that are due. Left out are the documents to skip, parked ones, and what the mode forbids."""
        ...

    async def closed_among(self, deliveries: Sequence[DeliveryId]) -> AbstractSet[DeliveryId]:
        """Which of these must not be sent now: withdrawn, given up or delivered since, or parked. The last look (SAFETY 17)."""
        ...

    async def of_documents(self, documents: Sequence[tuple[str, str]]) -> Sequence[DeliveryId]:
        """The deliveries of these (tenant, document) that have no success yet."""
        ...

    async def parked(self, partitions: Collection[int]) -> Collection[tuple[str, str]]:
        """The (tenant, document) of these partitions that are parked."""
        ...

    async def page(self, wanted: QueueFilter, after: tuple[datetime, str, int] | None, limit: int) -> Sequence[OpenDelivery]:
        """A page of rows, newest first, behind (scheduled_at, document, ordinal) of the last row of the page before."""
        ...

    async def scheduled(self, tenant: str, before: int | None, limit: int) -> Sequence[tuple[int, DeliveryId]]:
        """The tenant's deliveries by their schedule in the log, newest first, with a tenant sequence below `before`."""
        ...

    async def backlogs(self, endpoints: Sequence[str]) -> Sequence[Backlog]:
        """What waits for these endpoints, in their order."""
        ...


class EndpointLease(Protocol):
    """The right to call one endpoint. While it holds, no other replica calls it. `relais.transport.leases.Lease` is one."""

    def outlasts(self, seconds: float) -> bool:
        """Whether it is still ours after so long, even if it cannot be renewed any more."""
        ...
