"""Documents that wait for a person, at the identity service and at the routing service, and what a person may do about them.

Decisions are made once: a lost answer is not repeated, because the person must see what became of it.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import grpc

from relais.api.identity.v1 import identity_admin_pb2 as identity
from relais.api.identity.v1.identity_admin_pb2_grpc import IdentityAdminServiceStub
from relais.api.ingestion.v1 import submission_pb2
from relais.api.routing.v1 import routing_admin_pb2 as routing
from relais.api.routing.v1.routing_admin_pb2_grpc import RoutingAdminServiceStub
from relais.client.calls import Calls
from relais.client.pages import PAGE_SIZE, pages
from relais.client.words import moment, name_of, number, word
from relais.contracts.submission import InsStatus


@dataclass(frozen=True, kw_only=True)
class HeldDocument:
    """A document that waits, or waited. `by` is `identity` or `routing`; `state` HELD, RELEASED or REJECTED; `details` are the fields that
    disagree, or the rules that hold it. Nothing here is about the patient.
    """

    by: str
    name: str
    state: str
    site: str
    type_code: str
    reasons: tuple[str, ...]
    details: tuple[str, ...]
    held_at: datetime | None
    etag: str


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """One field as the message and as the document say it. Personal data: show it, never log it."""

    field: str
    declared: str
    documented: str
    agrees: bool

    def __repr__(self) -> str:
        return f"Comparison(field={self.field!r}, agrees={self.agrees})"


class HeldByIdentity:
    """Documents whose identity is doubtful."""

    def __init__(self, channel: grpc.aio.Channel, calls: Calls, parent: str) -> None:
        self._stub = IdentityAdminServiceStub(channel)
        self._calls = calls
        self._parent = parent

    async def list(self, matching: str = "", *, limit: int = PAGE_SIZE) -> AsyncIterator[HeldDocument]:
        """The documents that wait, oldest first."""

        async def fetch(size: int, token: str) -> tuple[Sequence[identity.HeldDocument], str]:
            request = identity.ListHeldDocumentsRequest(parent=self._parent, page_size=size, page_token=token, filter=matching)
            page = await self._calls.repeated(self._stub.ListHeldDocuments, request)
            return page.held_documents, page.next_page_token

        async for message in pages(fetch, limit):
            yield _by_identity(message)

    async def evidence(self, document: str, reason: str) -> tuple[Comparison, ...]:
        """What is said about the patient, side by side. The read is itself recorded, with its reason."""
        request = identity.GetEvidenceRequest(name=self._name(document), reason=reason)
        answer = await self._calls.once(self._stub.GetEvidence, request)
        return tuple(
            Comparison(field=each.field, declared=each.declared, documented=each.documented, agrees=each.agrees)
            for each in answer.comparisons
        )

    async def release(self, document: str, ins_status: InsStatus, reason: str, etag: str = "") -> HeldDocument:
        """Let it go on with this status, the declared one or lower. With an etag, only if nothing changed since it was seen."""
        request = identity.ReleaseDocumentRequest(
            name=self._name(document),
            ins_status=number(submission_pb2.InsStatus.DESCRIPTOR, ins_status),
            reason=reason,
            etag=etag,
        )
        return _by_identity(await self._calls.once(self._stub.ReleaseDocument, request))

    async def reject(self, document: str, reason: str, etag: str = "") -> HeldDocument:
        """Decide that it goes nowhere."""
        request = identity.RejectDocumentRequest(name=self._name(document), reason=reason, etag=etag)
        return _by_identity(await self._calls.once(self._stub.RejectDocument, request))

    def _name(self, document: str) -> str:
        return name_of(self._parent, "documents", document)


class HeldByRouting:
    """Documents that the law cannot route without a person."""

    def __init__(self, channel: grpc.aio.Channel, calls: Calls, parent: str) -> None:
        self._stub = RoutingAdminServiceStub(channel)
        self._calls = calls
        self._parent = parent

    async def list(self, matching: str = "", *, limit: int = PAGE_SIZE) -> AsyncIterator[HeldDocument]:
        """The documents that wait, oldest first."""

        async def fetch(size: int, token: str) -> tuple[Sequence[routing.HeldDocument], str]:
            request = routing.ListHeldDocumentsRequest(parent=self._parent, page_size=size, page_token=token, filter=matching)
            page = await self._calls.repeated(self._stub.ListHeldDocuments, request)
            return page.held_documents, page.next_page_token

        async for message in pages(fetch, limit):
            yield _by_routing(message)

    async def release(self, document: str, reason: str, etag: str = "") -> HeldDocument:
        """Let it be routed. What the law forbids stays forbidden."""
        request = routing.ReleaseDocumentRequest(name=name_of(self._parent, "documents", document), reason=reason, etag=etag)
        return _by_routing(await self._calls.once(self._stub.ReleaseDocument, request))


def _by_identity(message: identity.HeldDocument) -> HeldDocument:
    return HeldDocument(
        by="identity",
        name=message.name,
        state=word(identity.HeldDocument.State.DESCRIPTOR, message.state),
        site=message.site,
        type_code=message.type_code,
        reasons=tuple(message.reasons),
        details=tuple(message.fields),
        held_at=moment(message.hold_time),
        etag=message.etag,
    )


def _by_routing(message: routing.HeldDocument) -> HeldDocument:
    return HeldDocument(
        by="routing",
        name=message.name,
        state="HELD" if message.held else "RELEASED",
        site=message.site,
        type_code=message.type_code,
        reasons=tuple(message.reasons),
        details=tuple(message.rules),
        held_at=moment(message.hold_time),
        etag=message.etag,
    )
