"""What delivery asks of the world: connectors that carry, a queue of what is due, a lease, and the bodies to carry."""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple, Protocol

from relais.contracts.reasons import AbandonReason
from relais.contracts.routing import PlannedDestination
from relais.contracts.submission import Recipient, SealedContent
from relais.delivery.domain.answers import Answer
from relais.delivery.domain.endpoint import EndpointMode


class DeliveryId(NamedTuple):
    """One delivery: a document of a tenant, and the ordinal of a destination."""

    tenant: str
    document: str
    ordinal: int

    @property
    def stream(self) -> str:
        """The delivery's stream in the log."""
        return f"{self.document}/{self.ordinal}"


class BodyUnreadable(Exception):
    """The body is gone, does not open, or is not the bytes that were taken in: it must not be sent, nor any more of it."""


class LargeBody(Protocol):
    """A body that is read and opened part by part, so that no memory has to hold it."""

    @property
    def size(self) -> int:
        """Plaintext bytes in all."""
        ...

    def parts(self) -> AsyncIterator[bytes]:
        """The bytes in order, from the beginning at every call. Raises `BodyUnreadable`."""
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

        Only `BodyUnreadable` may be raised, and only when the partner cannot take what was sent for the whole document;
        everything that can happen to a call has an answer. Nothing is repeated inside one call. Cancelled, it breaks the
        connection off.
        """
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...


@dataclass(frozen=True, slots=True)
class DueDelivery:
    """One row of the queue: a delivery whose next attempt is due."""

    delivery: DeliveryId
    due_at: datetime
    size: int


@dataclass(frozen=True, slots=True)
class Due:
    """What one look at the queue found, and the endpoint's mode at the same moment."""

    mode: EndpointMode
    deliveries: Sequence[DueDelivery]


class WorkQueue(Protocol):
    """The open deliveries by endpoint. It is written only by the log's own append (`delivery.apply_work`), never here."""

    async def due(self, endpoint: str, now: datetime, limit: int, skip: Collection[DeliveryId]) -> Due:
        """At most `limit` deliveries that are due, longest first, without those to skip; those the endpoint's mode forbids are left out."""
        ...

    async def objections(self, deliveries: Sequence[DeliveryId]) -> Mapping[DeliveryId, AbandonReason]:
        """Which of these must not be sent any more, by what routing decided since; one round trip."""
        ...


class EndpointLease(Protocol):
    """The right to call one endpoint. While it holds, no other replica calls it."""

    def lasts(self, seconds: float) -> bool:
        """Whether it certainly outlasts the next `seconds`, even if it cannot be renewed."""
        ...
