"""The other services of the contract, each with a handful of things in memory."""

from collections.abc import AsyncIterator
from typing import Any, TypeVar

from google.rpc import code_pb2

from relais.api.audit.v1 import audit_pb2
from relais.api.audit.v1.audit_pb2_grpc import AuditServiceServicer
from relais.api.delivery.v1 import delivery_admin_pb2 as delivery
from relais.api.delivery.v1.delivery_admin_pb2_grpc import DeliveryAdminServiceServicer
from relais.api.identity.v1 import identity_admin_pb2 as identity
from relais.api.identity.v1 import registry_admin_pb2 as registry
from relais.api.identity.v1.identity_admin_pb2_grpc import IdentityAdminServiceServicer
from relais.api.identity.v1.registry_admin_pb2_grpc import RegistryAdminServiceServicer
from relais.api.routing.v1 import routing_admin_pb2 as routing
from relais.api.routing.v1.routing_admin_pb2_grpc import RoutingAdminServiceServicer
from tests.client.platform_ingestion import at
from tests.client.platform_state import State, plan, refuse, status_of

HELD = "tenants/north/documents/11111111-1111-8111-8111-111111111111"
EVENTS = 5

Thing = TypeVar("Thing", registry.Tenant, registry.Group, registry.Site, registry.Sender, registry.Credential)


class Registry(RegistryAdminServiceServicer):
    """Keeps what was registered; registering again replaces."""

    def __init__(self, state: State) -> None:
        self._state = state
        self.kept: dict[str, Any] = {}

    async def RegisterTenant(self, request: registry.RegisterTenantRequest, context: Any) -> registry.Tenant:
        return await self._keep("RegisterTenant", request.tenant, context)

    async def RegisterGroup(self, request: registry.RegisterGroupRequest, context: Any) -> registry.Group:
        return await self._keep("RegisterGroup", request.group, context)

    async def RegisterSite(self, request: registry.RegisterSiteRequest, context: Any) -> registry.Site:
        self._state.sites.add(request.site.name.rpartition("/")[2])
        return await self._keep("RegisterSite", request.site, context)

    async def RegisterSender(self, request: registry.RegisterSenderRequest, context: Any) -> registry.Sender:
        return await self._keep("RegisterSender", request.sender, context)

    async def RegisterCredential(self, request: registry.RegisterCredentialRequest, context: Any) -> registry.Credential:
        return await self._keep("RegisterCredential", request.credential, context)

    async def RevokeCredential(self, request: registry.RevokeCredentialRequest, context: Any) -> registry.Credential:
        await plan(self._state, context, "RevokeCredential")
        if request.name not in self.kept:
            await refuse(context, status_of(code_pb2.NOT_FOUND, "RESOURCE_NOT_FOUND"))
        credential: registry.Credential = self.kept[request.name]
        credential.revoked = True
        return credential

    async def ListTenants(self, request: registry.ListTenantsRequest, context: Any) -> registry.ListTenantsResponse:
        return registry.ListTenantsResponse(tenants=[each for each in self.kept.values() if isinstance(each, registry.Tenant)])

    async def ListGroups(self, request: registry.ListGroupsRequest, context: Any) -> registry.ListGroupsResponse:
        return registry.ListGroupsResponse(groups=self._under(request.parent, registry.Group))

    async def ListSites(self, request: registry.ListSitesRequest, context: Any) -> registry.ListSitesResponse:
        return registry.ListSitesResponse(sites=self._under(request.parent, registry.Site))

    async def ListSenders(self, request: registry.ListSendersRequest, context: Any) -> registry.ListSendersResponse:
        return registry.ListSendersResponse(senders=self._under(request.parent, registry.Sender))

    async def ListCredentials(self, request: registry.ListCredentialsRequest, context: Any) -> registry.ListCredentialsResponse:
        return registry.ListCredentialsResponse(credentials=self._under(request.parent, registry.Credential))

    async def GetTenant(self, request: registry.GetTenantRequest, context: Any) -> registry.Tenant:
        raise AssertionError("the client lists")

    async def GetGroup(self, request: registry.GetGroupRequest, context: Any) -> registry.Group:
        raise AssertionError("the client lists")

    async def GetSite(self, request: registry.GetSiteRequest, context: Any) -> registry.Site:
        raise AssertionError("the client lists")

    async def GetSender(self, request: registry.GetSenderRequest, context: Any) -> registry.Sender:
        raise AssertionError("the client lists")

    async def GetCredential(self, request: registry.GetCredentialRequest, context: Any) -> registry.Credential:
        raise AssertionError("the client lists")

    async def _keep(self, method: str, thing: Thing, context: Any) -> Thing:
        await plan(self._state, context, method)
        self.kept[thing.name] = thing
        return thing

    def _under(self, parent: str, kind: type) -> list[Any]:
        return [each for name, each in self.kept.items() if name.startswith(parent + "/") and isinstance(each, kind)]


class Identity(IdentityAdminServiceServicer):
    """Holds one document."""

    def __init__(self, state: State) -> None:
        self._state = state
        self.held = identity.HeldDocument(
            name=HELD,
            state=identity.HeldDocument.STATE_HELD,
            site="site-a",
            type_code="11490-0",
            reasons=["IDENTITY_DISAGREES"],
            fields=["birth_date"],
            hold_time=at(1),
            etag="1",
        )
        self.reasons_given: list[str] = []

    async def ListHeldDocuments(self, request: identity.ListHeldDocumentsRequest, context: Any) -> identity.ListHeldDocumentsResponse:
        await plan(self._state, context, "ListHeldDocuments")
        waiting = self.held.state == identity.HeldDocument.STATE_HELD
        return identity.ListHeldDocumentsResponse(held_documents=[self.held] if waiting else [])

    async def GetEvidence(self, request: identity.GetEvidenceRequest, context: Any) -> identity.Evidence:
        await plan(self._state, context, "GetEvidence")
        self.reasons_given.append(request.reason)
        disagrees = identity.Comparison(field="birth_date", declared="19750101", documented="19750110", agrees=False)
        agrees = identity.Comparison(field="sex", declared="F", documented="F", agrees=True)
        return identity.Evidence(name=request.name, comparisons=[disagrees, agrees])

    async def ReleaseDocument(self, request: identity.ReleaseDocumentRequest, context: Any) -> identity.HeldDocument:
        await plan(self._state, context, "ReleaseDocument")
        return await self._decide(request.name, request.etag, request.reason, identity.HeldDocument.STATE_RELEASED, context)

    async def RejectDocument(self, request: identity.RejectDocumentRequest, context: Any) -> identity.HeldDocument:
        await plan(self._state, context, "RejectDocument")
        return await self._decide(request.name, request.etag, request.reason, identity.HeldDocument.STATE_REJECTED, context)

    async def _decide(self, name: str, etag: str, reason: str, state: Any, context: Any) -> identity.HeldDocument:
        if name != self.held.name or self.held.state != identity.HeldDocument.STATE_HELD:
            await refuse(context, status_of(code_pb2.FAILED_PRECONDITION, "STATE_CONFLICT"))
        if etag not in ("", self.held.etag):
            await refuse(context, status_of(code_pb2.ABORTED, "ETAG_MISMATCH"))
        self.reasons_given.append(reason)
        self.held.state = state
        self.held.etag = "2"
        return self.held


class Routing(RoutingAdminServiceServicer):
    """Explains one decision, holds one document, and keeps versions of policies."""

    def __init__(self, state: State) -> None:
        self._state = state
        self.versions: list[routing.Policy] = []
        self.held = routing.HeldDocument(
            name=HELD, held=True, site="site-a", type_code="11490-0", reasons=["MINOR_OR_AGE_UNKNOWN"], rules=["minors.1"], etag="1"
        )

    async def ExplainRoute(self, request: routing.ExplainRouteRequest, context: Any) -> routing.ExplainRouteResponse:
        await plan(self._state, context, "ExplainRoute")
        planned = routing.ExplainedDestination(
            kind=routing.DESTINATION_KIND_MSSANTE_PROFESSIONAL,
            planned=True,
            ordinal=1,
            connector="https",
            endpoint="sandbox-one",
            rule="matrix.row_3",
            recipient=0,
        )
        suppressed = routing.ExplainedDestination(kind=routing.DESTINATION_KIND_DMP, rule="dmp.types", suppress_reason="TYPE_NOT_FOR_DMP")
        decided = at(2) if request.WhichOneof("subject") == "document" else None
        policy = "tenants/north/policies/tenant/versions/1"
        return routing.ExplainRouteResponse(destinations=[planned, suppressed], policy=policy, matrix="2026-04-21", decide_time=decided)

    async def CreatePolicy(self, request: routing.CreatePolicyRequest, context: Any) -> routing.Policy:
        await plan(self._state, context, "CreatePolicy")
        policy = routing.Policy()
        policy.CopyFrom(request.policy)
        policy.version = len(self.versions) + 1
        policy.name = f"{request.parent}/policies/{policy.scope}/versions/{policy.version}"
        policy.etag = "e1"
        self.versions.append(policy)
        return policy

    async def ValidatePolicy(self, request: routing.ValidatePolicyRequest, context: Any) -> routing.ValidatePolicyResponse:
        await plan(self._state, context, "ValidatePolicy")
        return routing.ValidatePolicyResponse(warnings=["NO_ENDPOINT_FOR_DMP"])

    async def ActivatePolicy(self, request: routing.ActivatePolicyRequest, context: Any) -> routing.Policy:
        await plan(self._state, context, "ActivatePolicy")
        policy = next(each for each in self.versions if each.name == request.name)
        if request.etag != policy.etag:
            await refuse(context, status_of(code_pb2.ABORTED, "ETAG_MISMATCH"))
        policy.active = True
        return policy

    async def GetPolicy(self, request: routing.GetPolicyRequest, context: Any) -> routing.Policy:
        await plan(self._state, context, "GetPolicy")
        return next(each for each in self.versions if each.name == request.name or (each.active and request.name.endswith("/-")))

    async def ListPolicies(self, request: routing.ListPoliciesRequest, context: Any) -> routing.ListPoliciesResponse:
        await plan(self._state, context, "ListPolicies")
        return routing.ListPoliciesResponse(policies=self.versions[::-1])

    async def ListHeldDocuments(self, request: routing.ListHeldDocumentsRequest, context: Any) -> routing.ListHeldDocumentsResponse:
        return routing.ListHeldDocumentsResponse(held_documents=[self.held] if self.held.held else [])

    async def ReleaseDocument(self, request: routing.ReleaseDocumentRequest, context: Any) -> routing.HeldDocument:
        await plan(self._state, context, "ReleaseDocument")
        self.held.held = False
        return self.held


class Delivery(DeliveryAdminServiceServicer):
    """Keeps one delivery and one endpoint."""

    def __init__(self, state: State) -> None:
        self._state = state
        self.delivery = delivery.Delivery(
            name=f"{HELD}/deliveries/1",
            state=delivery.Delivery.STATE_DEFERRED,
            kind="mssante_professional",
            connector="https",
            endpoint="sandbox-one",
            attempt_count=2,
            code="503",
            due_time=at(60),
            create_time=at(2),
            update_time=at(9),
            attempts=[delivery.Attempt(number=1, begin_time=at(3), end_time=at(4), code="503")],
        )
        self.endpoint = delivery.Endpoint(
            name="endpoints/sandbox-one", connector="https", state=delivery.Endpoint.STATE_OPEN, waiting_count=1
        )

    async def ListDeliveries(self, request: delivery.ListDeliveriesRequest, context: Any) -> delivery.ListDeliveriesResponse:
        await plan(self._state, context, "ListDeliveries")
        return delivery.ListDeliveriesResponse(deliveries=[self.delivery] if self.delivery.name.startswith(request.parent + "/") else [])

    async def GetDelivery(self, request: delivery.GetDeliveryRequest, context: Any) -> delivery.Delivery:
        if request.name != self.delivery.name:
            await refuse(context, status_of(code_pb2.NOT_FOUND, "RESOURCE_NOT_FOUND"))
        return self.delivery

    async def RetryDelivery(self, request: delivery.RetryDeliveryRequest, context: Any) -> delivery.Delivery:
        await plan(self._state, context, "RetryDelivery")
        self.delivery.state = delivery.Delivery.STATE_SCHEDULED
        return self.delivery

    async def AbandonDelivery(self, request: delivery.AbandonDeliveryRequest, context: Any) -> delivery.Delivery:
        await plan(self._state, context, "AbandonDelivery")
        self.delivery.state = delivery.Delivery.STATE_ABANDONED
        self.delivery.abandon_reason = "ABANDONED_BY_OPERATOR"
        return self.delivery

    async def ListEndpoints(self, request: delivery.ListEndpointsRequest, context: Any) -> delivery.ListEndpointsResponse:
        return delivery.ListEndpointsResponse(endpoints=[self.endpoint])

    async def PauseEndpoint(self, request: delivery.PauseEndpointRequest, context: Any) -> delivery.Endpoint:
        return await self._become(delivery.Endpoint.STATE_PAUSED)

    async def ResumeEndpoint(self, request: delivery.ResumeEndpointRequest, context: Any) -> delivery.Endpoint:
        return await self._become(delivery.Endpoint.STATE_OPEN)

    async def DrainEndpoint(self, request: delivery.DrainEndpointRequest, context: Any) -> delivery.Endpoint:
        return await self._become(delivery.Endpoint.STATE_DRAINING)

    async def _become(self, state: Any) -> delivery.Endpoint:
        self.endpoint.state = state
        return self.endpoint


class Audit(AuditServiceServicer):
    """A log of EVENTS events, cut in the middle where a fault says so."""

    def __init__(self, state: State) -> None:
        self._state = state

    async def ReadEvents(self, request: audit_pb2.ReadEventsRequest, context: Any) -> AsyncIterator[audit_pb2.ReadEventsResponse]:
        fault = await plan(self._state, context, "ReadEvents")
        for count, position in enumerate(range(max(1, request.from_position), EVENTS + 1)):
            if fault is not None and count == fault.after_documents:
                await refuse(context, status_of(fault.code, fault.reason))
            if not request.tags or event(request.log, position).tag in request.tags:
                yield audit_pb2.ReadEventsResponse(event=event(request.log, position))
        yield audit_pb2.ReadEventsResponse(caught_up=audit_pb2.CaughtUp(position=EVENTS))

    async def GetStream(self, request: audit_pb2.GetStreamRequest, context: Any) -> audit_pb2.GetStreamResponse:
        await plan(self._state, context, "GetStream")
        return audit_pb2.GetStreamResponse(events=[event(request.log, 1)])


def event(log: str, position: int) -> audit_pb2.Event:
    tag = "ingestion.document_received.v1" if position % 2 else "access.denied.v1"
    return audit_pb2.Event(
        log=log,
        position=position,
        tenant="north",
        tenant_sequence=position,
        stream=f"stream-{position}",
        version=1,
        event_id=f"00000000-0000-8000-8000-00000000000{position}",
        tag=tag,
        partition=3,
        record_time=at(position),
        actor="sender:his",
        payload=b'{"submission":{"site":"site-a"}}',
        sealed_fields=["submission.sealed"],
    )
