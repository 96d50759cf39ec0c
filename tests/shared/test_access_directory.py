"""Attacks the directory: no tenant takes another's credential, nobody becomes everybody, no file opens by half."""

from pathlib import Path

import pytest

from relais.chassis.access.directory import Directory
from relais.chassis.access.operators import OperatorsRefused, read_operators
from relais.chassis.access.principal import NobodyCalls, Principal, caller
from relais.contracts.fact import Fact
from relais.contracts.identity import IdentityRejected
from relais.contracts.registry import (
    CredentialRegistered,
    CredentialRevoked,
    GroupRegistered,
    SenderRegistered,
    SiteRegistered,
    TenantRegistered,
)

CERTIFICATE = "x509:" + "ab" * 32
WORDS = frozenset({"DOCUMENT_READ", "AUDIT_READ"})


def given(*facts: Fact, operators: dict[str, Principal] | None = None) -> Directory:
    directory = Directory(operators)
    for fact in facts:
        assert directory.evolve(fact)
    return directory


def registered(tenant: str = "chu", *permissions: str, sender: str = "") -> CredentialRegistered:
    return CredentialRegistered(tenant=tenant, credential=CERTIFICATE, permissions=permissions, sender=sender)


def test_a_credential_stands_for_its_tenant_sender_and_sites() -> None:
    directory = given(
        TenantRegistered(tenant="chu"),
        SenderRegistered(tenant="chu", sender="his", sites=("north", "south")),
        registered("chu", "DOCUMENT_SUBMIT", sender="his"),
    )
    principal = directory.principal(CERTIFICATE)
    assert principal is not None
    assert (principal.tenant, principal.sender, principal.sites) == ("chu", "his", frozenset({"north", "south"}))
    assert principal.may("DOCUMENT_SUBMIT")
    assert not principal.may("AUDIT_READ")
    assert principal.reaches("north")
    assert not principal.reaches("east")
    assert not principal.acts_for("clinic")


def test_the_order_of_facts_does_not_matter() -> None:
    directory = given(registered("chu", "DOCUMENT_SUBMIT", sender="his"))
    assert directory.principal(CERTIFICATE) is None
    directory.evolve(TenantRegistered(tenant="chu"))
    principal = directory.principal(CERTIFICATE)
    assert principal is not None
    assert principal.sites == frozenset()
    directory.evolve(SenderRegistered(tenant="chu", sender="his", sites=("north",)))
    principal = directory.principal(CERTIFICATE)
    assert principal is not None
    assert principal.sites == frozenset({"north"})


def test_no_tenant_takes_anothers_credential_until_it_is_revoked() -> None:
    directory = given(TenantRegistered(tenant="chu"), TenantRegistered(tenant="clinic"), registered("chu", "AUDIT_READ"))
    directory.evolve(registered("clinic", "DOCUMENT_READ"))
    assert directory.holder(CERTIFICATE) == "chu"
    directory.evolve(CredentialRevoked(tenant="clinic", credential=CERTIFICATE))
    principal = directory.principal(CERTIFICATE)
    assert principal is not None
    assert principal.tenant == "chu"
    directory.evolve(CredentialRevoked(tenant="chu", credential=CERTIFICATE))
    assert directory.principal(CERTIFICATE) is None
    directory.evolve(registered("clinic", "DOCUMENT_READ"))
    assert directory.holder(CERTIFICATE) == "clinic"


@pytest.mark.parametrize("tenant", ["*", "-", "", "platform"])
def test_the_registry_never_makes_a_caller_of_the_whole_platform(tenant: str) -> None:
    directory = given(TenantRegistered(tenant=tenant), registered(tenant, "*", "AUDIT_READ"))
    assert directory.principal(CERTIFICATE) is None


def test_a_star_among_registered_permissions_means_nothing() -> None:
    principal = given(TenantRegistered(tenant="chu"), registered("chu", "*")).principal(CERTIFICATE)
    assert principal is not None
    assert not principal.may("AUDIT_READ")


def test_an_operator_cannot_be_changed_by_the_registry() -> None:
    operator = Principal(credential=CERTIFICATE, tenant="*", sender="", sites=None, permissions=frozenset({"*"}))
    directory = given(TenantRegistered(tenant="chu"), registered("chu"), operators={CERTIFICATE: operator})
    directory.evolve(CredentialRevoked(tenant="chu", credential=CERTIFICATE))
    assert directory.principal(CERTIFICATE) is operator
    assert operator.acts_for("anything")
    assert operator.of_platform


def test_sites_keep_their_zone_and_what_is_said_again_replaces() -> None:
    directory = given(
        GroupRegistered(tenant="chu", group="antilles"),
        SiteRegistered(tenant="chu", site="fort", zone="America/Martinique"),
        SiteRegistered(tenant="chu", site="fort", group="antilles", zone="America/Guadeloupe"),
    )
    site = directory.site("chu", "fort")
    assert site is not None
    assert (site.group, site.zone) == ("antilles", "America/Guadeloupe")
    assert directory.has_group("chu", "antilles")
    assert directory.site("clinic", "fort") is None


def test_a_fact_of_another_vocabulary_changes_nothing() -> None:
    directory = given(TenantRegistered(tenant="chu"))
    before = directory.generation
    assert not directory.evolve(IdentityRejected(document="d", request="r", reason="x"))
    assert directory.generation == before


def test_outside_a_call_nobody_calls() -> None:
    with pytest.raises(NobodyCalls):
        caller()


def operators(folder: Path, text: str) -> dict[str, Principal]:
    file = folder / "operators.toml"
    file.write_text(text)
    return read_operators(file, WORDS)


def entry(credential: str = CERTIFICATE, tenant: str = '"*"', permissions: str = '["*"]', more: str = "") -> str:
    return f'[[operator]]\ncredential = "{credential}"\ntenant = {tenant}\npermissions = {permissions}\n{more}\n'


def test_the_first_operators_come_from_a_file(tmp_path: Path) -> None:
    token = "jwt:https://issuer.test:alice"
    read = operators(tmp_path, entry(more='name = "first"') + entry(token, '"chu"', '["AUDIT_READ"]'))
    assert read[CERTIFICATE].of_platform
    assert read[CERTIFICATE].may("DOCUMENT_READ")
    assert read[token].tenant == "chu"
    assert not read[token].may("DOCUMENT_READ")


def test_an_empty_file_is_nobody(tmp_path: Path) -> None:
    assert operators(tmp_path, "# nobody yet\n") == {}


@pytest.mark.parametrize(
    "text",
    [
        "not toml",
        "operator = 3",
        entry(credential="x509:AB"),
        entry(credential="x509:" + "AB" * 32),
        entry(tenant='""'),
        entry(permissions="[]"),
        entry(permissions='["EVERYTHING"]'),
        entry(more="admin = true"),
        entry() + entry(),
        "[[operator]]\n",
        "[more]\n" + entry(),
    ],
)
def test_a_file_with_one_wrong_entry_opens_nothing(tmp_path: Path, text: str) -> None:
    with pytest.raises(OperatorsRefused):
        operators(tmp_path, text)
