"""RegistryAdminService on gRPC: tenants, groups, sites, senders, credentials."""

from collections.abc import Callable
from typing import Final, TypeVar

from relais.api.identity.v1 import registry_admin_pb2 as pb
from relais.api.identity.v1 import registry_admin_pb2_grpc
from relais.chassis.access.directory import Directory
from relais.chassis.access.principal import EVERY_PERMISSION, caller
from relais.chassis.api.access import not_found, require_reason
from relais.chassis.api.errors import FieldsInvalid, FieldViolation
from relais.chassis.api.methods import permission_word, permission_words
from relais.chassis.api.names import parse_name
from relais.chassis.api.pages import PageTokens, page_size
from relais.chassis.api.server import Offer
from relais.chassis.tracing import current_traceparent
from relais.contracts.fact import Fact
from relais.contracts.registry import (
    CredentialRegistered,
    CredentialRevoked,
    GroupRegistered,
    SenderRegistered,
    SiteRegistered,
    TenantRegistered,
)
from relais.eventlog.acts import Act
from relais.identity.api import organisations
from relais.identity.domain.errors import Invalid, Unknown
from relais.identity.domain.registry import (
    Command,
    Entry,
    RegisterCredential,
    RegisterSite,
    credential_stream,
    group_stream,
    sender_stream,
    site_stream,
    tenant_stream,
)
from relais.identity.registry_desk import RegistryDesk

TENANT: Final = "tenants/{tenant}"
ZONE_DEFAULT: Final = "Europe/Paris"

_FIELDS: Final = {"display": "display_name", "zone": "time_zone", "tenant": "name"}

Message = TypeVar("Message")


class RegistryAdminService(registry_admin_pb2_grpc.RegistryAdminServiceServicer):
    """The methods of the contract. The gate has already judged the caller and the tenant."""

    def __init__(self, desk: RegistryDesk, directory: Directory, zones: frozenset[str], pages: PageTokens) -> None:
        self._desk = desk
        self._directory = directory
        self._zones = zones
        self._pages = pages

    def offer(self) -> Offer:
        """What to hand to the server."""
        descriptor = pb.DESCRIPTOR.services_by_name["RegistryAdminService"]
        return Offer(descriptor, self, registry_admin_pb2_grpc.add_RegistryAdminServiceServicer_to_server)

    async def RegisterTenant(self, request: pb.RegisterTenantRequest, context: object) -> pb.Tenant:
        """Register a hospital group's contract."""
        (tenant,) = parse_name(request.tenant.name, TENANT, "tenant.name")
        entry = await self._apply(tenant, TenantRegistered(tenant=tenant, display=request.tenant.display_name), "tenant")
        return organisations.tenant_message(entry)

    async def GetTenant(self, request: pb.GetTenantRequest, context: object) -> pb.Tenant:
        """One tenant."""
        (tenant,) = parse_name(request.name, TENANT)
        return organisations.tenant_message(await self._get(tenant, tenant_stream(tenant)))

    async def ListTenants(self, request: pb.ListTenantsRequest, context: object) -> pb.ListTenantsResponse:
        """Every tenant."""
        found, token = await self._page("ListTenants", None, request, organisations.tenant_message, TenantRegistered)
        return pb.ListTenantsResponse(tenants=found, next_page_token=token)

    async def RegisterGroup(self, request: pb.RegisterGroupRequest, context: object) -> pb.Group:
        """Register a group of sites."""
        tenant, group = _under(request.parent, request.group.name, "group")
        entry = await self._apply(tenant, GroupRegistered(tenant=tenant, group=group, display=request.group.display_name), "group")
        return organisations.group_message(entry)

    async def GetGroup(self, request: pb.GetGroupRequest, context: object) -> pb.Group:
        """One group."""
        tenant, group = parse_name(request.name, TENANT + "/groups/{group}")
        return organisations.group_message(await self._get(tenant, group_stream(group)))

    async def ListGroups(self, request: pb.ListGroupsRequest, context: object) -> pb.ListGroupsResponse:
        """The groups of a tenant."""
        found, token = await self._page("ListGroups", request.parent, request, organisations.group_message, GroupRegistered)
        return pb.ListGroupsResponse(groups=found, next_page_token=token)

    async def RegisterSite(self, request: pb.RegisterSiteRequest, context: object) -> pb.Site:
        """Register a site: from now on it may send."""
        tenant, site = _under(request.parent, request.site.name, "site")
        fact = SiteRegistered(
            tenant=tenant,
            site=site,
            group=request.site.group,
            display=request.site.display_name,
            finess_ej=request.site.finess_ej,
            finess_eg=request.site.finess_eg,
            zone=request.site.time_zone or ZONE_DEFAULT,
        )
        return organisations.site_message(await self._apply(tenant, RegisterSite(fact, self._zones), "site"))

    async def GetSite(self, request: pb.GetSiteRequest, context: object) -> pb.Site:
        """One site."""
        tenant, site = parse_name(request.name, TENANT + "/sites/{site}")
        return organisations.site_message(await self._get(tenant, site_stream(site)))

    async def ListSites(self, request: pb.ListSitesRequest, context: object) -> pb.ListSitesResponse:
        """The sites of a tenant."""
        found, token = await self._page("ListSites", request.parent, request, organisations.site_message, SiteRegistered)
        return pb.ListSitesResponse(sites=found, next_page_token=token)

    async def RegisterSender(self, request: pb.RegisterSenderRequest, context: object) -> pb.Sender:
        """Register a sending system and its sites."""
        tenant, sender = _under(request.parent, request.sender.name, "sender")
        fact = SenderRegistered(
            tenant=tenant, sender=sender, sites=tuple(sorted(request.sender.sites)), display=request.sender.display_name
        )
        return organisations.sender_message(await self._apply(tenant, fact, "sender"))

    async def GetSender(self, request: pb.GetSenderRequest, context: object) -> pb.Sender:
        """One sender."""
        tenant, sender = parse_name(request.name, TENANT + "/senders/{sender}")
        return organisations.sender_message(await self._get(tenant, sender_stream(sender)))

    async def ListSenders(self, request: pb.ListSendersRequest, context: object) -> pb.ListSendersResponse:
        """The senders of a tenant."""
        found, token = await self._page("ListSenders", request.parent, request, organisations.sender_message, SenderRegistered)
        return pb.ListSendersResponse(senders=found, next_page_token=token)

    async def RegisterCredential(self, request: pb.RegisterCredentialRequest, context: object) -> pb.Credential:
        """Register a credential; nobody can give what they do not have."""
        tenant, credential = _under(request.parent, request.credential.name, "credential")
        known = permission_words()
        fact = CredentialRegistered(
            tenant=tenant,
            credential=credential,
            permissions=_permissions(request.credential),
            sender=request.credential.sender,
            display=request.credential.display_name,
        )
        mine = caller().permissions
        given = known if EVERY_PERMISSION in mine else frozenset(mine)
        command = RegisterCredential(fact, known, given, self._directory.holder(credential) or "")
        return organisations.credential_message(await self._apply(tenant, command, "credential"))

    async def GetCredential(self, request: pb.GetCredentialRequest, context: object) -> pb.Credential:
        """One credential."""
        tenant, credential = parse_name(request.name, TENANT + "/credentials/{credential}")
        return organisations.credential_message(await self._get(tenant, credential_stream(credential)))

    async def ListCredentials(self, request: pb.ListCredentialsRequest, context: object) -> pb.ListCredentialsResponse:
        """The credentials of a tenant, the revoked ones too."""
        kinds = (CredentialRegistered, CredentialRevoked)
        found, token = await self._page("ListCredentials", request.parent, request, organisations.credential_message, *kinds)
        return pb.ListCredentialsResponse(credentials=found, next_page_token=token)

    async def RevokeCredential(self, request: pb.RevokeCredentialRequest, context: object) -> pb.Credential:
        """Take a credential's permissions away, at once and everywhere."""
        tenant, credential = parse_name(request.name, TENANT + "/credentials/{credential}")
        reason = require_reason(request.reason)
        # The entry is asked for first: a credential that is not there is a resource that is not found, not a wrong field.
        await self._get(tenant, credential_stream(credential))
        command = CredentialRevoked(tenant=tenant, credential=credential, reason=reason)
        return organisations.credential_message(await self._apply(tenant, command, "credential"))

    async def _apply(self, tenant: str, command: Command, message: str) -> Entry:
        """Decide and store; a wrong field is named as it is called in the request's message."""
        try:
            return await self._desk.apply(Act(tenant, caller().credential, current_traceparent()), command)
        except (Invalid, Unknown) as refusal:
            field, bracket, index = refusal.field.partition("[")
            named = "name" if field == message else _FIELDS.get(field, field)
            raise FieldsInvalid([FieldViolation(f"{message}.{named}{bracket}{index}")]) from None

    async def _get(self, tenant: str, stream: str) -> Entry:
        entry = await self._desk.get(tenant, stream)
        if entry.fact is None:
            raise not_found()
        return entry

    async def _page(
        self, method: str, parent: str | None, request: organisations.ListRequest, message: Callable[[Entry], Message], *kinds: type[Fact]
    ) -> tuple[list[Message], str]:
        """One page of a list, by name, and the token of the next."""
        tenant = None if parent is None else parse_name(parent, TENANT, "parent")[0]
        size = page_size(request.page_size)
        arguments = (method, parent)
        after = self._pages.read(request.page_token, arguments, tuple[str, str]) or ("", "")
        entries = [(key, entry) for key, entry in (await self._desk.list(kinds, tenant)).items() if key > after and entry.fact is not None]
        page = entries[:size]
        token = self._pages.make(arguments, page[-1][0]) if len(entries) > size else ""
        return [message(entry) for _, entry in page], token


def _under(parent: str, name: str, kind: str) -> tuple[str, str]:
    """Tenant and id of a resource that must lie under its parent. Raises `FieldsInvalid`."""
    (tenant,) = parse_name(parent, TENANT, "parent")
    named, identifier = parse_name(name, f"{TENANT}/{kind}s/{{{kind}}}", f"{kind}.name")
    if named != tenant:
        raise FieldsInvalid([FieldViolation(f"{kind}.name")])
    return tenant, identifier


def _permissions(credential: pb.Credential) -> tuple[str, ...]:
    try:
        return tuple(sorted({permission_word(number) for number in credential.permissions}))
    except ValueError:
        raise FieldsInvalid([FieldViolation("credential.permissions")]) from None
