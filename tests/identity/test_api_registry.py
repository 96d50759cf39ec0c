"""Attacks the registry through the real gate: what a tenant may name, what nobody may give, what a revocation means."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from relais.api.access.v1.permission_pb2 import PERMISSION_AUDIT_REVEAL, PERMISSION_DOCUMENT_SUBMIT, PERMISSION_REGISTRY_ADMIN
from relais.api.identity.v1 import registry_admin_pb2 as pb
from relais.api.identity.v1 import registry_admin_pb2_grpc
from relais.contracts import decode
from relais.contracts.registry import SiteRegistered
from relais.eventlog.memory import MemoryEventLog
from relais.identity.api.refusals import translate
from relais.identity.api.registry import RegistryAdminService
from relais.identity.domain.registry import FRENCH_ZONES
from relais.identity.registry_desk import RegistryDesk
from relais.testing.clock import ManualClock
from tests.identity.edge import SECONDS, TENANT, Edge, refusal, running

CREDENTIAL = f"{TENANT}/credentials/x509:{'a' * 64}"


class Office:
    """A registry log in memory with the service on top of it."""

    def __init__(self) -> None:
        self.log = MemoryEventLog("registry", ManualClock())
        self.rung = 0
        self.edge: Edge | None = None

    def ring(self) -> None:
        self.rung += 1

    async def stub(self, caller: str = "admin") -> Any:
        assert self.edge is not None
        return registry_admin_pb2_grpc.RegistryAdminServiceStub(await self.edge.channel(caller))


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    made = Office()
    desk = RegistryDesk(made.log, made.ring)
    build = lambda ground: [RegistryAdminService(desk, ground.directory, FRENCH_ZONES, ground.pages).offer()]  # noqa: E731
    async with running(tmp_path, made.log, translate, build) as edge:
        made.edge = edge
        stub = await made.stub("platform")
        await stub.RegisterTenant(pb.RegisterTenantRequest(tenant=pb.Tenant(name=TENANT, display_name="CHU")), timeout=SECONDS)
        yield made


def site(name: str = "site-b", **fields: Any) -> pb.RegisterSiteRequest:
    return pb.RegisterSiteRequest(parent=TENANT, site=pb.Site(name=f"{TENANT}/sites/{name}", **fields))


def credential(*permissions: Any, name: str = CREDENTIAL, sender: str = "") -> pb.RegisterCredentialRequest:
    return pb.RegisterCredentialRequest(parent=TENANT, credential=pb.Credential(name=name, permissions=permissions, sender=sender))


async def test_adding_a_site_is_one_command_and_one_fact(office: Office) -> None:
    stub = await office.stub()
    answer = await stub.RegisterSite(site(time_zone="Indian/Reunion", finess_eg="970400024"), timeout=SECONDS)
    assert (answer.name, answer.time_zone) == (f"{TENANT}/sites/site-b", "Indian/Reunion")
    event = (await office.log.read(0))[-1]
    assert decode(event.tag, event.payload) == SiteRegistered(tenant="chu", site="site-b", finess_eg="970400024", zone="Indian/Reunion")
    assert office.edge is not None
    assert event.actor == office.edge.callers["admin"].credential
    assert await stub.GetSite(pb.GetSiteRequest(name=answer.name), timeout=SECONDS) == answer


async def test_registering_the_same_again_changes_nothing(office: Office) -> None:
    stub = await office.stub()
    first = await stub.RegisterSite(site(), timeout=SECONDS)
    head, rung = await office.log.head(), office.rung
    assert await stub.RegisterSite(site(), timeout=SECONDS) == first
    assert (await office.log.head(), office.rung) == (head, rung)


@pytest.mark.parametrize(
    ("request_", "fields"),
    [
        (site(time_zone="Mars/Olympus"), ["site.time_zone"]),
        (site(finess_ej="75"), ["site.finess_ej"]),
        (site("Site_B"), ["site.name"]),
        (site(group="sud"), ["site.group"]),
        (site(display_name="x" * 300), ["site.display_name"]),
        (pb.RegisterSiteRequest(parent=TENANT, site=pb.Site(name="tenants/clinic/sites/site-b")), ["site.name"]),
    ],
)
async def test_a_wrong_field_is_named_as_the_request_calls_it(office: Office, request_: Any, fields: list[str]) -> None:
    assert await refusal((await office.stub()).RegisterSite(request_, timeout=SECONDS)) == ("FIELD_INVALID", fields)


async def test_a_sender_speaks_for_registered_sites_only(office: Office) -> None:
    stub = await office.stub()
    await stub.RegisterSite(site(), timeout=SECONDS)
    wanted = pb.Sender(name=f"{TENANT}/senders/his", sites=["site-b", "site-z"])
    request = pb.RegisterSenderRequest(parent=TENANT, sender=wanted)
    assert await refusal(stub.RegisterSender(request, timeout=SECONDS)) == ("FIELD_INVALID", ["sender.sites[1]"])
    wanted.sites[:] = ["site-b"]
    answer = await stub.RegisterSender(pb.RegisterSenderRequest(parent=TENANT, sender=wanted), timeout=SECONDS)
    assert list(answer.sites) == ["site-b"]


async def test_only_the_platform_registers_and_lists_tenants(office: Office) -> None:
    request = pb.RegisterTenantRequest(tenant=pb.Tenant(name="tenants/mine"))
    assert (await refusal((await office.stub()).RegisterTenant(request, timeout=SECONDS)))[0] == "RESOURCE_FOREIGN"
    platform = await office.stub("platform")
    await platform.RegisterTenant(request, timeout=SECONDS)
    listed = await platform.ListTenants(pb.ListTenantsRequest(), timeout=SECONDS)
    assert [tenant.name for tenant in listed.tenants] == [TENANT, "tenants/mine"]
    reserved = pb.RegisterTenantRequest(tenant=pb.Tenant(name="tenants/platform"))
    assert await refusal(platform.RegisterTenant(reserved, timeout=SECONDS)) == ("FIELD_INVALID", ["tenant.name"])


async def test_another_tenants_administrator_registers_nothing_here(office: Office) -> None:
    stub = await office.stub("foreign")
    assert (await refusal(stub.RegisterSite(site(), timeout=SECONDS)))[0] == "RESOURCE_FOREIGN"
    assert (await refusal(stub.ListSites(pb.ListSitesRequest(parent=TENANT), timeout=SECONDS)))[0] == "RESOURCE_FOREIGN"


async def test_a_credential_is_registered_revoked_and_never_revived(office: Office) -> None:
    stub = await office.stub()
    answer = await stub.RegisterCredential(credential(PERMISSION_DOCUMENT_SUBMIT), timeout=SECONDS)
    assert (answer.name, list(answer.permissions), answer.revoked) == (CREDENTIAL, [PERMISSION_DOCUMENT_SUBMIT], False)
    unexplained = pb.RevokeCredentialRequest(name=CREDENTIAL)
    assert (await refusal(stub.RevokeCredential(unexplained, timeout=SECONDS)))[0] == "REASON_MISSING"
    revoked = await stub.RevokeCredential(pb.RevokeCredentialRequest(name=CREDENTIAL, reason="stolen"), timeout=SECONDS)
    assert revoked.revoked
    assert (await refusal(stub.RegisterCredential(credential(PERMISSION_DOCUMENT_SUBMIT), timeout=SECONDS)))[0] == "STATE_CONFLICT"
    listed = await stub.ListCredentials(pb.ListCredentialsRequest(parent=TENANT), timeout=SECONDS)
    assert [one.revoked for one in listed.credentials] == [True]


async def test_a_token_subject_with_a_slash_keeps_its_name(office: Office) -> None:
    stub = await office.stub()
    name = f"{TENANT}/credentials/jwt:https:%2F%2Fissuer.test%2Frealm:user-1"
    answer = await stub.RegisterCredential(credential(PERMISSION_DOCUMENT_SUBMIT, name=name), timeout=SECONDS)
    assert answer.name == name
    assert (await stub.GetCredential(pb.GetCredentialRequest(name=name), timeout=SECONDS)).name == name


async def test_nobody_gives_a_permission_that_they_do_not_have(office: Office, tmp_path: Path) -> None:
    assert office.edge is not None
    platform = await office.stub("platform")
    narrow = office.edge.callers["south"].credential
    from relais.contracts.registry import CredentialRegistered

    office.edge.directory.evolve(CredentialRegistered(tenant="chu", credential=narrow, permissions=("REGISTRY_ADMIN",)))
    stub = await office.stub("south")
    asked = credential(PERMISSION_REGISTRY_ADMIN, PERMISSION_AUDIT_REVEAL)
    assert (await refusal(stub.RegisterCredential(asked, timeout=SECONDS)))[0] == "PERMISSION_MISSING"
    assert (await platform.RegisterCredential(asked, timeout=SECONDS)).name == CREDENTIAL


async def test_a_credential_that_speaks_for_another_tenant_is_not_taken(office: Office) -> None:
    assert office.edge is not None
    theirs = f"{TENANT}/credentials/{office.edge.callers['foreign'].credential}"
    request = credential(PERMISSION_DOCUMENT_SUBMIT, name=theirs)
    assert (await refusal((await office.stub()).RegisterCredential(request, timeout=SECONDS)))[0] == "RESOURCE_EXISTS"


async def test_lists_come_in_pages_by_name(office: Office) -> None:
    stub = await office.stub()
    for number in (3, 1, 2):
        await stub.RegisterSite(site(f"site-{number}"), timeout=SECONDS)
    first = await stub.ListSites(pb.ListSitesRequest(parent=TENANT, page_size=2), timeout=SECONDS)
    second = await stub.ListSites(pb.ListSitesRequest(parent=TENANT, page_size=2, page_token=first.next_page_token), timeout=SECONDS)
    assert [one.name[-1] for one in (*first.sites, *second.sites)] == ["1", "2", "3"]
    assert second.next_page_token == ""
    stolen = pb.ListGroupsRequest(parent=TENANT, page_token=first.next_page_token)
    assert (await refusal(stub.ListGroups(stolen, timeout=SECONDS)))[0] == "PAGE_TOKEN_INVALID"


async def test_what_is_not_registered_is_not_found(office: Office) -> None:
    stub = await office.stub()
    for call in (
        stub.GetSite(pb.GetSiteRequest(name=f"{TENANT}/sites/none"), timeout=SECONDS),
        stub.GetGroup(pb.GetGroupRequest(name=f"{TENANT}/groups/none"), timeout=SECONDS),
        stub.RevokeCredential(pb.RevokeCredentialRequest(name=CREDENTIAL, reason="x"), timeout=SECONDS),
    ):
        assert (await refusal(call))[0] == "RESOURCE_NOT_FOUND"
    assert (await refusal(stub.GetSite(pb.GetSiteRequest(name=f"{TENANT}/groups/x"), timeout=SECONDS)))[0] == "RESOURCE_NAME_INVALID"
