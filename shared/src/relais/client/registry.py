"""The registry: tenants, groups, sites, senders and credentials. Registering replaces what was said before; the same again changes nothing,
so all of it may be repeated.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import grpc

from relais.api.access.v1 import permission_pb2
from relais.api.identity.v1 import registry_admin_pb2 as wire
from relais.api.identity.v1.registry_admin_pb2_grpc import RegistryAdminServiceStub
from relais.client.calls import Calls
from relais.client.pages import pages
from relais.client.words import id_of, name_of, number, word

_PERMISSIONS = permission_pb2.Permission.DESCRIPTOR
# The registry is read whole by every replica; it is small by design.
LIST_MAXIMUM = 10_000


@dataclass(frozen=True, kw_only=True)
class Tenant:
    """A hospital group's contract; `tenant` is its id."""

    tenant: str
    display: str = ""


@dataclass(frozen=True, kw_only=True)
class Group:
    """A group of sites."""

    group: str
    display: str = ""


@dataclass(frozen=True, kw_only=True)
class Site:
    """A site: FINESS numbers of the legal entity (EJ) and the site (EG), IANA time zone."""

    site: str
    display: str = ""
    group: str = ""
    finess_ej: str = ""
    finess_eg: str = ""
    zone: str = "Europe/Paris"


@dataclass(frozen=True, kw_only=True)
class Sender:
    """A sending system and the ids of the sites it may speak for."""

    sender: str
    display: str = ""
    sites: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Credential:
    """What a certificate (`x509:<SHA-256 of the DER, hex>`) or a token's subject (`jwt:<issuer>:<subject>`) may do.

    `permissions` are words as `DOCUMENT_SUBMIT`; `sender` is empty for a person or a tool.
    """

    credential: str
    permissions: tuple[str, ...] = ()
    sender: str = ""
    display: str = ""
    revoked: bool = False


def permissions() -> tuple[str, ...]:
    """Every permission that can be given, as words."""
    return tuple(word(_PERMISSIONS, value.number) for value in _PERMISSIONS.values if value.number != 0)


class Registry:
    """The registry's part of the identity service."""

    def __init__(self, channel: grpc.aio.Channel, calls: Calls, parent: str) -> None:
        self._stub = RegistryAdminServiceStub(channel)
        self._calls = calls
        self._parent = parent

    async def register_tenant(self, tenant: Tenant) -> Tenant:
        """Needs a credential of the platform."""
        message = wire.Tenant(name=f"tenants/{tenant.tenant}", display_name=tenant.display)
        return _tenant(await self._calls.repeated(self._stub.RegisterTenant, wire.RegisterTenantRequest(tenant=message)))

    async def register_group(self, group: Group) -> Group:
        """A group under the client's tenant."""
        message = wire.Group(name=name_of(self._parent, "groups", group.group), display_name=group.display)
        return _group(await self._calls.repeated(self._stub.RegisterGroup, wire.RegisterGroupRequest(parent=self._parent, group=message)))

    async def register_site(self, site: Site) -> Site:
        """From now on the site may send; no restart."""
        message = wire.Site(
            name=name_of(self._parent, "sites", site.site),
            display_name=site.display,
            group=site.group,
            finess_ej=site.finess_ej,
            finess_eg=site.finess_eg,
            time_zone=site.zone,
        )
        return _site(await self._calls.repeated(self._stub.RegisterSite, wire.RegisterSiteRequest(parent=self._parent, site=message)))

    async def register_sender(self, sender: Sender) -> Sender:
        """A sender under the client's tenant, with all its sites."""
        message = wire.Sender(name=name_of(self._parent, "senders", sender.sender), display_name=sender.display, sites=sender.sites)
        request = wire.RegisterSenderRequest(parent=self._parent, sender=message)
        return _sender(await self._calls.repeated(self._stub.RegisterSender, request))

    async def register_credential(self, credential: Credential) -> Credential:
        """Nobody can give what they do not have. Raises ValueError for a permission that does not exist."""
        message = wire.Credential(
            name=self._credential_name(credential.credential),
            display_name=credential.display,
            permissions=[number(_PERMISSIONS, permission) for permission in credential.permissions],
            sender=credential.sender,
        )
        request = wire.RegisterCredentialRequest(parent=self._parent, credential=message)
        return _credential(await self._calls.repeated(self._stub.RegisterCredential, request))

    async def revoke_credential(self, credential: str, reason: str) -> Credential:
        """Take a credential's permissions away, at once and everywhere."""
        request = wire.RevokeCredentialRequest(name=self._credential_name(credential), reason=reason)
        return _credential(await self._calls.once(self._stub.RevokeCredential, request))

    async def tenants(self) -> list[Tenant]:
        """Every tenant; needs a credential of the platform."""

        async def fetch(size: int, token: str) -> tuple[Sequence[wire.Tenant], str]:
            page = await self._calls.repeated(self._stub.ListTenants, wire.ListTenantsRequest(page_size=size, page_token=token))
            return page.tenants, page.next_page_token

        return [_tenant(each) async for each in pages(fetch, LIST_MAXIMUM)]

    async def groups(self) -> list[Group]:
        """The tenant's groups."""

        async def fetch(size: int, token: str) -> tuple[Sequence[wire.Group], str]:
            request = wire.ListGroupsRequest(parent=self._parent, page_size=size, page_token=token)
            page = await self._calls.repeated(self._stub.ListGroups, request)
            return page.groups, page.next_page_token

        return [_group(each) async for each in pages(fetch, LIST_MAXIMUM)]

    async def sites(self) -> list[Site]:
        """The tenant's sites."""

        async def fetch(size: int, token: str) -> tuple[Sequence[wire.Site], str]:
            request = wire.ListSitesRequest(parent=self._parent, page_size=size, page_token=token)
            page = await self._calls.repeated(self._stub.ListSites, request)
            return page.sites, page.next_page_token

        return [_site(each) async for each in pages(fetch, LIST_MAXIMUM)]

    async def senders(self) -> list[Sender]:
        """The tenant's senders."""

        async def fetch(size: int, token: str) -> tuple[Sequence[wire.Sender], str]:
            request = wire.ListSendersRequest(parent=self._parent, page_size=size, page_token=token)
            page = await self._calls.repeated(self._stub.ListSenders, request)
            return page.senders, page.next_page_token

        return [_sender(each) async for each in pages(fetch, LIST_MAXIMUM)]

    async def credentials(self) -> list[Credential]:
        """The tenant's credentials, revoked ones included."""

        async def fetch(size: int, token: str) -> tuple[Sequence[wire.Credential], str]:
            request = wire.ListCredentialsRequest(parent=self._parent, page_size=size, page_token=token)
            page = await self._calls.repeated(self._stub.ListCredentials, request)
            return page.credentials, page.next_page_token

        return [_credential(each) async for each in pages(fetch, LIST_MAXIMUM)]

    def _credential_name(self, credential: str) -> str:
        # A credential's id holds colons and may hold slashes (an issuer is a URL), so it is never taken for a whole name.
        return f"{self._parent}/credentials/{_percent_encoded(credential)}"


def _percent_encoded(credential: str) -> str:
    return credential.replace("%", "%25").replace("/", "%2F")


def _percent_decoded(name: str) -> str:
    return name.replace("%2F", "/").replace("%25", "%")


def _tenant(message: wire.Tenant) -> Tenant:
    return Tenant(tenant=id_of(message.name), display=message.display_name)


def _group(message: wire.Group) -> Group:
    return Group(group=id_of(message.name), display=message.display_name)


def _site(message: wire.Site) -> Site:
    return Site(
        site=id_of(message.name),
        display=message.display_name,
        group=message.group,
        finess_ej=message.finess_ej,
        finess_eg=message.finess_eg,
        zone=message.time_zone,
    )


def _sender(message: wire.Sender) -> Sender:
    return Sender(sender=id_of(message.name), display=message.display_name, sites=tuple(message.sites))


def _credential(message: wire.Credential) -> Credential:
    return Credential(
        credential=_percent_decoded(id_of(message.name)),
        permissions=tuple(word(_PERMISSIONS, each) for each in message.permissions),
        sender=message.sender,
        display=message.display_name,
        revoked=message.revoked,
    )
