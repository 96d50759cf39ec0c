"""Attacks the registry: names that do not exist, forms that are wrong, credentials that were revoked or are another tenant's."""

from dataclasses import replace

import msgspec
import pytest

from relais.contracts.fact import Fact
from relais.contracts.registry import (
    CredentialRegistered,
    CredentialRevoked,
    GroupRegistered,
    SenderRegistered,
    SiteRegistered,
    TenantRegistered,
)
from relais.identity.domain.errors import IdentityRefusal, Invalid, NotYours, Revoked, TakenElsewhere, Unknown
from relais.identity.domain.registry import (
    Command,
    Context,
    Entry,
    RegisterCredential,
    RegisterSite,
    decide,
    evolve,
    streams_of,
)

TENANT = TenantRegistered(tenant="chu", display="CHU de Relais")
GROUP = GroupRegistered(tenant="chu", group="nord")
SITE = SiteRegistered(tenant="chu", site="site-a", group="nord", finess_ej="750712184", finess_eg="2A0000014", zone="Indian/Reunion")
SENDER = SenderRegistered(tenant="chu", sender="his", sites=("site-a",))
CREDENTIAL = CredentialRegistered(tenant="chu", credential="x509:" + "a" * 64, permissions=("DOCUMENT_SUBMIT",), sender="his")
ZONES = frozenset({"Europe/Paris", "Indian/Reunion"})
PERMISSIONS = frozenset({"DOCUMENT_SUBMIT", "AUDIT_READ"})


def site(**changes: object) -> RegisterSite:
    return RegisterSite(msgspec.structs.replace(SITE, **changes), ZONES)


def credential(**changes: object) -> RegisterCredential:
    return RegisterCredential(msgspec.structs.replace(CREDENTIAL, **changes), PERMISSIONS, PERMISSIONS)


class Registry:
    """All entries of one log, folded; it gives each command the context that the API would load."""

    def __init__(self) -> None:
        self.entries: dict[tuple[str, str], Entry] = {}

    def context(self, command: Command) -> Context:
        tenant, own, others = streams_of(command)
        known = {stream: self.entries.get((tenant, stream), Entry()) for stream in others}
        return Context(self.entries.get((tenant, own), Entry()), known)

    def take(self, command: Command) -> list[Fact]:
        facts = list(decide(command, self.context(command)))
        tenant, own, _ = streams_of(command)
        for fact in facts:
            self.entries[tenant, own] = evolve(self.entries.get((tenant, own), Entry()), fact)
        return facts


@pytest.fixture
def registry() -> Registry:
    filled = Registry()
    for command in (TENANT, GROUP, site(), SENDER, credential()):
        assert len(filled.take(command)) == 1
    return filled


def test_a_site_is_one_command_and_one_fact(registry: Registry) -> None:
    (fact,) = registry.take(site(site="site-b"))
    assert fact == msgspec.structs.replace(SITE, site="site-b")


@pytest.mark.parametrize("command", [TENANT, GROUP, site(), SENDER, credential()])
def test_registering_the_same_again_is_no_fact(registry: Registry, command: Command) -> None:
    assert registry.take(command) == []


def test_registering_otherwise_replaces_what_was_said(registry: Registry) -> None:
    (fact,) = registry.take(site(display="Hôpital Nord"))
    assert registry.entries["chu", "site/site-a"].fact == fact
    assert registry.entries["chu", "site/site-a"].version == 2


@pytest.mark.parametrize(
    ("command", "field"),
    [
        (msgspec.structs.replace(TENANT, tenant="CHU"), "tenant"),
        (msgspec.structs.replace(TENANT, tenant="chu/../x"), "tenant"),
        (msgspec.structs.replace(TENANT, tenant=""), "tenant"),
        (msgspec.structs.replace(TENANT, display="x" * 201), "display"),
        (msgspec.structs.replace(TENANT, display="a\nb"), "display"),
        (msgspec.structs.replace(TENANT, tenant="platform"), "tenant"),
        (msgspec.structs.replace(TENANT, tenant="-"), "tenant"),
        (msgspec.structs.replace(GROUP, group="-nord"), "group"),
        (site(site="Site A"), "site"),
        (site(finess_ej="75071218"), "finess_ej"),
        (site(finess_eg="2C0000014"), "finess_eg"),
        (site(zone="Europe/Atlantis"), "zone"),
        (msgspec.structs.replace(SENDER, sites=()), "sites"),
        (msgspec.structs.replace(SENDER, sites=("site-a", "site-a")), "sites"),
        (credential(credential="x509:abc"), "credential"),
        (credential(credential="jwt:issuer"), "credential"),
        (credential(permissions=()), "permissions"),
        (credential(permissions=("DOCUMENT_SUBMIT", "everything")), "permissions[1]"),
    ],
)
def test_a_wrong_form_is_refused_by_the_name_of_its_field(registry: Registry, command: Command, field: str) -> None:
    with pytest.raises(Invalid) as refusal:
        registry.take(command)
    assert refusal.value.field == field


@pytest.mark.parametrize(
    ("command", "field"),
    [
        (msgspec.structs.replace(GROUP, tenant="other"), "tenant"),
        (site(tenant="other", group=""), "tenant"),
        (site(group="sud"), "group"),
        (msgspec.structs.replace(SENDER, sites=("site-a", "site-z")), "sites[1]"),
        (credential(sender="ris"), "sender"),
        (CredentialRevoked(tenant="chu", credential="x509:" + "b" * 64), "credential"),
    ],
)
def test_what_is_named_must_exist(registry: Registry, command: Command, field: str) -> None:
    with pytest.raises(Unknown) as refusal:
        registry.take(command)
    assert refusal.value.field == field


def test_another_tenants_group_of_the_same_name_is_not_ours(registry: Registry) -> None:
    registry.take(msgspec.structs.replace(TENANT, tenant="other"))
    with pytest.raises(Unknown):
        registry.take(site(tenant="other"))


def test_a_revoked_credential_never_acts_again(registry: Registry) -> None:
    revoke = CredentialRevoked(tenant="chu", credential=CREDENTIAL.credential, reason="stolen")
    assert registry.take(revoke) == [revoke]
    assert registry.take(revoke) == []
    with pytest.raises(Revoked):
        registry.take(credential())


def test_a_credential_speaks_for_one_tenant_only(registry: Registry) -> None:
    with pytest.raises(TakenElsewhere):
        registry.take(replace(credential(), owner="other"))
    assert registry.take(replace(credential(), owner="chu")) == []


def test_nobody_gives_a_permission_that_they_do_not_have(registry: Registry) -> None:
    with pytest.raises(NotYours) as refusal:
        registry.take(replace(credential(permissions=("DOCUMENT_SUBMIT", "AUDIT_READ")), permissions_given=frozenset({"DOCUMENT_SUBMIT"})))
    assert refusal.value.field == "permissions[1]"


def test_a_refusal_carries_a_code_and_a_field_and_no_value(registry: Registry) -> None:
    with pytest.raises(IdentityRefusal) as refusal:
        registry.take(credential(credential="jwt:DUPONT"))
    assert str(refusal.value) == "INVALID_FIELD at credential"
