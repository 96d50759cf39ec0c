"""The identity and routing services of the contract, each with a handful of things in memory."""

from typing import Any, TypeVar

from google.rpc import code_pb2

from relais.api.identity.v1 import identity_admin_pb2 as identity
from relais.api.identity.v1 import registry_admin_pb2 as registry
from relais.api.identity.v1.identity_admin_pb2_grpc import IdentityAdminServiceServicer
from relais.api.identity.v1.registry_admin_pb2_grpc import RegistryAdminServiceServicer
from relais.api.routing.v1 import routing_admin_pb2 as routing
from relais.api.routing.v1.routing_admin_pb2_grpc import RoutingAdminServiceServicer
from tests.client.platform_ingestion import at
from tests.client.platform_state import State, plan, refuse, status_of

HELD = "tenants/north/documents/11111111-1111-8111-8111-111111111111"

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
