"""From registered facts to the messages that show them."""

from typing import Protocol

from relais.api.identity.v1 import registry_admin_pb2 as pb
from relais.chassis.api.access import not_found
from relais.chassis.api.methods import permission_value
from relais.chassis.api.names import credential_name, tenant_name
from relais.contracts.registry import CredentialRegistered, GroupRegistered, SenderRegistered, SiteRegistered, TenantRegistered
from relais.identity.domain.registry import Entry


class ListRequest(Protocol):
    """What every list request has."""

    @property
    def page_size(self) -> int: ...

    @property
    def page_token(self) -> str: ...


def tenant_message(entry: Entry) -> pb.Tenant:
    """A tenant."""
    fact = entry.fact
    if not isinstance(fact, TenantRegistered):
        raise not_found()
    return pb.Tenant(name=tenant_name(fact.tenant), display_name=fact.display)


def group_message(entry: Entry) -> pb.Group:
    """A group of sites."""
    fact = entry.fact
    if not isinstance(fact, GroupRegistered):
        raise not_found()
    return pb.Group(name=f"{tenant_name(fact.tenant)}/groups/{fact.group}", display_name=fact.display)


def site_message(entry: Entry) -> pb.Site:
    """A site."""
    fact = entry.fact
    if not isinstance(fact, SiteRegistered):
        raise not_found()
    return pb.Site(
        name=f"{tenant_name(fact.tenant)}/sites/{fact.site}",
        display_name=fact.display,
        group=fact.group,
        finess_ej=fact.finess_ej,
        finess_eg=fact.finess_eg,
        time_zone=fact.zone,
    )


def sender_message(entry: Entry) -> pb.Sender:
    """A sending system."""
    fact = entry.fact
    if not isinstance(fact, SenderRegistered):
        raise not_found()
    return pb.Sender(name=f"{tenant_name(fact.tenant)}/senders/{fact.sender}", display_name=fact.display, sites=fact.sites)


def credential_message(entry: Entry) -> pb.Credential:
    """A credential; a permission that this version does not know is left out, as it is never granted."""
    fact = entry.fact
    if not isinstance(fact, CredentialRegistered):
        raise not_found()
    return pb.Credential(
        name=credential_name(fact.tenant, fact.credential),
        display_name=fact.display,
        permissions=[permission_value(word) for word in fact.permissions],
        sender=fact.sender,
        revoked=entry.revoked,
    )
