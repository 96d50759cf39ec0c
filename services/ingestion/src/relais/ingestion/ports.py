"""What ingestion asks of the world, apart from the log, the vault and the bus, which are shared."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID


@dataclass(frozen=True, slots=True)
class StagedUpload:
    """An upload under way: where its sealed chunks go and under whose key.

    `size` is what the sender declared, `declared` the HMAC (tenant key) of the declared SHA-256: a plain hash would name the document.
    """

    tenant: str
    request: str
    blob: UUID
    document: str
    subject: UUID
    size: int
    declared: bytes
    started_at: datetime


class Uploads(Protocol):
    """Uploads under way, so that any replica can go on with one. Rows live 24 h at most."""

    async def find(self, tenant: str, request: str) -> StagedUpload | None:
        """The upload of this request, if one is under way."""
        ...

    async def start(self, upload: StagedUpload) -> StagedUpload:
        """Remember an upload; the one already there wins and is returned."""
        ...

    async def finish(self, tenant: str, request: str) -> None:
        """Forget an upload whose fact is recorded."""
        ...


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a document's journey: which log said it, where, when, and its codes; nothing about a person."""

    log: str
    position: int
    tag: str
    at: str
    codes: tuple[str, ...] = ()
    ordinal: int | None = None


@dataclass(frozen=True, slots=True)
class DestinationView:
    """One destination of a document and how far it is: `planned`, `suppressed`, `deferred`, `accepted`, `succeeded`, `abandoned`."""

    ordinal: int | None
    kind: str
    outcome: str
    code: str = ""
    due_at: str = ""


@dataclass(frozen=True, slots=True)
class Journey:
    """Where a document is. `state` is RECEIVED, VERIFIED, HELD, REJECTED, DELIVERING, WAITING or DONE."""

    tenant: str
    document: str
    request: str
    site: str
    sender: str
    type_code: str
    size: int
    tenant_sequence: int
    received_at: datetime | None
    updated_at: datetime
    state: str
    steps: tuple[Step, ...]
    destinations: tuple[DestinationView, ...]


@dataclass(frozen=True, slots=True)
class JourneyFilter:
    """What a list is narrowed to; empty means everything of the tenant. `sites` is what the caller may see."""

    sites: tuple[str, ...] = ()
    states: tuple[str, ...] = ()
    type_codes: tuple[str, ...] = ()
    received_after: datetime | None = None
    received_before: datetime | None = None


class Journeys(Protocol):
    """The read model over all logs, as the API reads it."""

    async def get(self, tenant: str, document: str) -> Journey | None:
        """One document's journey."""
        ...

    async def get_many(self, tenant_documents: Sequence[tuple[str, str]]) -> dict[tuple[str, str], Journey]:
        """Several journeys in one round trip."""
        ...

    async def list(self, tenant: str, narrowed: JourneyFilter, limit: int, before: tuple[datetime, str] | None) -> list[Journey]:
        """A page, newest first, after the keyset cursor (received_at, document)."""
        ...
