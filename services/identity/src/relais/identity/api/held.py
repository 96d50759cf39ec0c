"""IdentityAdminService on gRPC: documents that are held because it is doubtful whose they are."""

from datetime import datetime
from typing import Final

import msgspec
from google.protobuf.timestamp_pb2 import Timestamp

from relais.api.access.v1.error_reason_pb2 import ErrorReason
from relais.api.identity.v1 import identity_admin_pb2 as pb
from relais.api.identity.v1 import identity_admin_pb2_grpc
from relais.api.ingestion.v1 import submission_pb2
from relais.chassis.access.principal import caller
from relais.chassis.access.recorder import AccessRecorder
from relais.chassis.api.access import not_found, require_reason, require_site
from relais.chassis.api.errors import ApiError, FieldsInvalid, FieldViolation
from relais.chassis.api.filters import parse_filter
from relais.chassis.api.names import document_name, parse_name
from relais.chassis.api.pages import PageTokens, page_size
from relais.chassis.api.server import Offer
from relais.chassis.tracing import current_traceparent
from relais.contracts.reasons import HoldReason
from relais.contracts.submission import InsStatus
from relais.eventlog.acts import Act
from relais.identity.held_desk import HeldDesk, HeldDocument
from relais.identity.ports import Held, HeldRow

PATTERN: Final = "tenants/{tenant}/documents/{document}"
FILTER_FIELDS: Final = {"site": frozenset({"="}), "reason": frozenset({"="})}

NO_SITE: Final = "-"
"""No site can have this id."""

_EVIDENCE: Final = "/relais.api.identity.v1.IdentityAdminService/GetEvidence"
_PREFIX: Final = "INS_STATUS_"


class Cursor(msgspec.Struct, frozen=True, array_like=True):
    """The last row of a page: the next one begins after it."""

    held_at: datetime
    document: str


class IdentityAdminService(identity_admin_pb2_grpc.IdentityAdminServiceServicer):
    """The methods of the contract. The gate has already judged the caller and the tenant."""

    def __init__(self, desk: HeldDesk, held: Held, recorder: AccessRecorder, pages: PageTokens) -> None:
        self._desk = desk
        self._held = held
        self._recorder = recorder
        self._pages = pages

    def offer(self) -> Offer:
        """What to hand to the server."""
        descriptor = pb.DESCRIPTOR.services_by_name["IdentityAdminService"]
        return Offer(descriptor, self, identity_admin_pb2_grpc.add_IdentityAdminServiceServicer_to_server)

    async def ListHeldDocuments(self, request: pb.ListHeldDocumentsRequest, context: object) -> pb.ListHeldDocumentsResponse:
        """A page, oldest first."""
        (tenant,) = parse_name(request.parent, "tenants/{tenant}", "parent")
        size = page_size(request.page_size)
        arguments = ("ListHeldDocuments", request.parent, request.filter)
        cursor = self._pages.read(request.page_token, arguments, Cursor)
        after = (cursor.held_at, cursor.document) if cursor else None
        sites, reasons = _narrowing(request.filter, caller().sites)
        rows = await self._held.list(tenant, sites, reasons, size + 1, after)
        page = rows[:size]
        token = self._pages.make(arguments, Cursor(page[-1].held_at, page[-1].document)) if len(rows) > size else ""
        return pb.ListHeldDocumentsResponse(held_documents=[_row_message(row) for row in page], next_page_token=token)

    async def GetEvidence(self, request: pb.GetEvidenceRequest, context: object) -> pb.Evidence:
        """Message and document side by side; the read is a fact before it is answered (SAFETY 26)."""
        tenant, document = parse_name(request.name, PATTERN)
        reason = require_reason(request.reason)
        await self._found(tenant, document)
        await self._recorder.read(caller(), _EVIDENCE, tenant=tenant, documents=[document], revealed=True, reason=reason)
        sides = await self._desk.evidence(tenant, document)
        comparisons = [
            pb.Comparison(field=side.field, declared=side.declared, documented=side.documented, agrees=side.agrees) for side in sides
        ]
        return pb.Evidence(name=request.name, comparisons=comparisons)

    async def ReleaseDocument(self, request: pb.ReleaseDocumentRequest, context: object) -> pb.HeldDocument:
        """Let a held document go on under a status that is not above the declared one."""
        tenant, document = parse_name(request.name, PATTERN)
        reason = require_reason(request.reason)
        status = _status(request.ins_status)
        await self._found(tenant, document)
        await self._desk.release(_act(tenant), document, status, reason, request.etag)
        return _message(await self._found(tenant, document))

    async def RejectDocument(self, request: pb.RejectDocumentRequest, context: object) -> pb.HeldDocument:
        """Decide that a held document goes nowhere."""
        tenant, document = parse_name(request.name, PATTERN)
        reason = require_reason(request.reason)
        await self._found(tenant, document)
        await self._desk.reject(_act(tenant), document, reason, request.etag)
        return _message(await self._found(tenant, document))

    async def _found(self, tenant: str, document: str) -> HeldDocument:
        """The document, where it is or was held and the caller may touch its site. Raises `ApiError`."""
        found = await self._desk.find(tenant, document)
        if found is None:
            raise not_found()
        require_site(found.site)
        return found


def _act(tenant: str) -> Act:
    return Act(tenant, caller().credential, current_traceparent())


def _status(number: "submission_pb2.InsStatus.ValueType") -> InsStatus:
    try:
        return InsStatus(submission_pb2.InsStatus.Name(number).removeprefix(_PREFIX))
    except ValueError:
        # Unspecified, or a number that this version does not know: a status is never guessed.
        raise FieldsInvalid([FieldViolation("ins_status")]) from None


def _narrowing(text: str, own_sites: frozenset[str] | None) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Sites and reasons that a list is narrowed to, within the caller's own sites; empty means all."""
    narrowed: dict[str, str] = {}
    for term in parse_filter(text, FILTER_FIELDS):
        if term.field in narrowed or (term.field == "reason" and term.value not in HoldReason.__members__):
            raise ApiError(ErrorReason.ERROR_REASON_FILTER_INVALID)
        narrowed[term.field] = term.value
    sites: tuple[str, ...] = (narrowed["site"],) if "site" in narrowed else ()
    if own_sites is not None:
        # A caller without any site, or who asks for another's, sees nothing: an impossible site, not an absent filter.
        sites = tuple(sorted(own_sites & set(sites) if sites else own_sites)) or (NO_SITE,)
    return sites, (narrowed["reason"],) if "reason" in narrowed else ()


def _row_message(row: HeldRow) -> pb.HeldDocument:
    return pb.HeldDocument(
        name=document_name(row.tenant, row.document),
        state=pb.HeldDocument.STATE_HELD,
        site=row.site,
        type_code=row.type_code,
        reasons=row.reasons,
        fields=row.evidence,
        hold_time=_timestamp(row.held_at),
        etag=row.etag,
    )


def _message(found: HeldDocument) -> pb.HeldDocument:
    return pb.HeldDocument(
        name=document_name(found.tenant, found.document),
        state=pb.HeldDocument.State.Value(f"STATE_{found.state.name}"),
        site=found.site,
        type_code=found.type_code,
        reasons=found.reasons,
        fields=found.fields,
        hold_time=_timestamp(found.held_at),
        etag=found.etag,
    )


def _timestamp(at: datetime) -> Timestamp:
    message = Timestamp()
    message.FromDatetime(at)
    return message
