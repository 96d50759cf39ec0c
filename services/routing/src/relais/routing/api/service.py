"""RoutingAdminService on gRPC: policies, explanations, and what the law could not route without a person."""

from datetime import datetime
from typing import Final
from uuid import UUID, uuid5

import msgspec

from relais.api.access.v1.error_reason_pb2 import ErrorReason
from relais.api.routing.v1 import routing_admin_pb2 as pb
from relais.api.routing.v1 import routing_admin_pb2_grpc
from relais.chassis.access.principal import caller
from relais.chassis.access.recorder import AccessRecorder
from relais.chassis.api.access import not_found, require_reason, require_site
from relais.chassis.api.errors import ApiError, FieldsInvalid, FieldViolation
from relais.chassis.api.filters import parse_filter
from relais.chassis.api.names import parse_name
from relais.chassis.api.pages import PageTokens, page_size
from relais.chassis.api.server import Offer
from relais.chassis.tracing import current_traceparent
from relais.clock import Clock
from relais.contracts.reasons import HoldReason
from relais.eventlog.acts import Act
from relais.routing.api.cases import case_of
from relais.routing.api.messages import explanation_message, held_message, policy_message, policy_of, row_message
from relais.routing.domain.case import Law
from relais.routing.domain.explanation import explain
from relais.routing.held_desk import HeldDesk, HeldDocument
from relais.routing.law.age import day_of_sending
from relais.routing.policy_desk import PolicyDesk
from relais.routing.ports import Held

TENANT: Final = "tenants/{tenant}"
DOCUMENT: Final = TENANT + "/documents/{document}"
VERSION: Final = TENANT + "/policies/{scope}/versions/{version}"
NO_SITE: Final = "-"
"""No site can have this id."""

REQUEST_NAMESPACE: Final = UUID("b0b5a0a9-4c0b-5f7f-8c8a-2f9a6f3c7d11")
_EXPLAIN: Final = "/relais.api.routing.v1.RoutingAdminService/ExplainRoute"


class Cursor(msgspec.Struct, frozen=True, array_like=True):
    """The last row of a page of held documents: the next one begins after it."""

    held_at: datetime
    document: str


class RoutingAdminService(routing_admin_pb2_grpc.RoutingAdminServiceServicer):
    """The methods of the contract. The gate has already judged the caller and the tenant."""

    def __init__(
        self, policies: PolicyDesk, desk: HeldDesk, held: Held, law: Law, recorder: AccessRecorder, pages: PageTokens, clock: Clock
    ) -> None:
        self._policies = policies
        self._desk = desk
        self._held = held
        self._law = law
        self._recorder = recorder
        self._pages = pages
        self._clock = clock

    def offer(self) -> Offer:
        """What to hand to the server."""
        descriptor = pb.DESCRIPTOR.services_by_name["RoutingAdminService"]
        return Offer(descriptor, self, routing_admin_pb2_grpc.add_RoutingAdminServiceServicer_to_server)

    async def CreatePolicy(self, request: pb.CreatePolicyRequest, context: object) -> pb.Policy:
        """Create a draft of the next version of a scope's policy."""
        (tenant,) = parse_name(request.parent, TENANT, "parent")
        act = _act(tenant, _request_id(tenant, request.request_id))
        created = await self._policies.create(act, request.policy.scope, policy_of(request.policy))
        return policy_message(tenant, created)

    async def ValidatePolicy(self, request: pb.ValidatePolicyRequest, context: object) -> pb.ValidatePolicyResponse:
        """Whether CreatePolicy would take a policy; nothing is stored."""
        (tenant,) = parse_name(request.parent, TENANT, "parent")
        return pb.ValidatePolicyResponse(warnings=self._policies.check(tenant, request.policy.scope, policy_of(request.policy)))

    async def ActivatePolicy(self, request: pb.ActivatePolicyRequest, context: object) -> pb.Policy:
        """Let a version decide from now on."""
        tenant, scope, version = parse_name(request.name, VERSION)
        if not version.isascii() or not version.isdecimal():
            raise not_found()
        if not request.etag:
            raise FieldsInvalid([FieldViolation("etag")])
        return policy_message(tenant, await self._policies.activate(_act(tenant), scope, int(version), request.etag))

    async def GetPolicy(self, request: pb.GetPolicyRequest, context: object) -> pb.Policy:
        """One version of a policy; the version `-` means the active one."""
        tenant, scope, version = parse_name(request.name, VERSION)
        return policy_message(tenant, await self._policies.get(tenant, scope, version))

    async def ListPolicies(self, request: pb.ListPoliciesRequest, context: object) -> pb.ListPoliciesResponse:
        """The versions of a tenant's policies."""
        (tenant,) = parse_name(request.parent, TENANT, "parent")
        size = page_size(request.page_size)
        arguments = ("ListPolicies", request.parent, request.filter)
        skip = self._pages.read(request.page_token, arguments, int) or 0
        terms = _terms(request.filter, {"scope", "active"})
        if terms.get("active", "true") not in {"true", "false"}:
            raise ApiError(ErrorReason.ERROR_REASON_FILTER_INVALID)
        found = [
            one
            for one in await self._policies.list(tenant)
            if one.scope == terms.get("scope", one.scope) and ("active" not in terms or one.active is (terms["active"] == "true"))
        ]
        page = found[skip : skip + size]
        token = self._pages.make(arguments, skip + size) if len(found) > skip + size else ""
        return pb.ListPoliciesResponse(policies=[policy_message(tenant, one) for one in page], next_page_token=token)

    async def ExplainRoute(self, request: pb.ExplainRouteRequest, context: object) -> pb.ExplainRouteResponse:
        """Why a document goes where it goes, or where a made-up case would go."""
        (tenant,) = parse_name(request.parent, TENANT, "parent")
        match request.WhichOneof("subject"):
            case "document":
                return await self._explain_document(tenant, request.document)
            case "dry_run":
                require_site(request.dry_run.site)
                case = case_of(request.dry_run, day_of_sending(self._clock.now()))
                policy = await self._desk.policy_of(tenant, request.dry_run.site)
                return explanation_message(tenant, explain(case, self._law, policy), None)
            case _:
                raise FieldsInvalid([FieldViolation("subject")])

    async def ListHeldDocuments(self, request: pb.ListHeldDocumentsRequest, context: object) -> pb.ListHeldDocumentsResponse:
        """A page of what waits, oldest first."""
        (tenant,) = parse_name(request.parent, TENANT, "parent")
        size = page_size(request.page_size)
        arguments = ("ListHeldDocuments", request.parent, request.filter)
        cursor = self._pages.read(request.page_token, arguments, Cursor)
        after = (cursor.held_at, cursor.document) if cursor else None
        sites, reasons = _narrowing(request.filter, caller().sites)
        rows = await self._held.list(tenant, sites, reasons, size + 1, after)
        page = rows[:size]
        token = self._pages.make(arguments, Cursor(page[-1].held_at, page[-1].document)) if len(rows) > size else ""
        return pb.ListHeldDocumentsResponse(held_documents=[row_message(row) for row in page], next_page_token=token)

    async def ReleaseDocument(self, request: pb.ReleaseDocumentRequest, context: object) -> pb.HeldDocument:
        """Let a held document be routed, as far as the law allows."""
        tenant, document = parse_name(request.name, DOCUMENT)
        reason = require_reason(request.reason)
        await self._found(tenant, document)
        await self._desk.release(_act(tenant), document, reason, request.etag)
        return held_message(await self._found(tenant, document))

    async def _found(self, tenant: str, document: str) -> HeldDocument:
        found = await self._desk.find(tenant, document)
        if found is None:
            raise not_found()
        require_site(found.site)
        return found

    async def _explain_document(self, tenant: str, name: str) -> pb.ExplainRouteResponse:
        owner, document = parse_name(name, DOCUMENT, "document")
        if owner != tenant:
            raise ApiError(ErrorReason.ERROR_REASON_RESOURCE_FOREIGN)
        told = await self._desk.explain(tenant, document)
        if told is None:
            raise not_found()
        require_site(told.site)
        await self._recorder.read(caller(), _EXPLAIN, tenant=tenant, documents=[document])
        return explanation_message(tenant, told.explanation, told.decided_at)


def _act(tenant: str, request: UUID | None = None) -> Act:
    return Act(tenant, caller().credential, current_traceparent(), request)


def _request_id(tenant: str, given: str) -> UUID | None:
    if not given:
        return None
    try:
        return uuid5(REQUEST_NAMESPACE, f"{tenant}/{UUID(given)}")
    except ValueError:
        raise FieldsInvalid([FieldViolation("request_id")]) from None


def _terms(text: str, fields: set[str]) -> dict[str, str]:
    """The terms of a filter that knows only `=`, each field at most once. Raises `ApiError` with FILTER_INVALID."""
    terms: dict[str, str] = {}
    for term in parse_filter(text, dict.fromkeys(fields, frozenset({"="}))):
        if term.field in terms:
            raise ApiError(ErrorReason.ERROR_REASON_FILTER_INVALID)
        terms[term.field] = term.value
    return terms


def _narrowing(text: str, own_sites: frozenset[str] | None) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Sites and reasons that a list is narrowed to, within the caller's own sites; empty means all."""
    terms = _terms(text, {"site", "reason"})
    if terms.get("reason", HoldReason.POLICY_MISSING) not in HoldReason.__members__:
        raise ApiError(ErrorReason.ERROR_REASON_FILTER_INVALID)
    sites: tuple[str, ...] = (terms["site"],) if "site" in terms else ()
    if own_sites is not None:
        # A caller without any site, or who asks for another's, sees nothing: an impossible site, not an absent filter.
        sites = tuple(sorted(own_sites & set(sites) if sites else own_sites)) or (NO_SITE,)
    return sites, (terms["reason"],) if "reason" in terms else ()
