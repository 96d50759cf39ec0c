"""Attacks the other commands: what operators see, decide and register, the logs, and where the options stand."""

from pathlib import Path

import pytest
from google.rpc import code_pb2

from relais.cli.arguments import hoisted
from relais.cli.exits import ExitCode
from relais.cli.registry import credential_id
from tests.cli.conftest import Relais, lines
from tests.client.platform_admin import HELD
from tests.client.platform_delivery import EVENTS
from tests.client.platform_server import Platform
from tests.client.platform_state import Fault

ID = HELD.rpartition("/")[2]


@pytest.fixture
def relais(platform: Platform, relais: Relais) -> Relais:
    return relais


@pytest.fixture
def document(relais: Relais, letter: Path) -> str:
    name: str = lines(relais("submit", str(letter), "-o", "json"))[0]["receipt"]["document"]
    return name.rpartition("/")[2]


def test_documents_are_listed_with_what_became_of_their_destinations(relais: Relais, document: str) -> None:
    result = relais("documents")
    assert document in result.stdout
    assert "1 remis / delivered, 1 écarté / suppressed" in result.stdout
    assert relais("documents", "--filter", "site = other", "-o", "json").stdout == ""


def test_a_timeline_tells_every_step_and_why_a_destination_was_left_out(relais: Relais, document: str) -> None:
    result = relais("timeline", document)
    for words in ("identité vérifiée", "destinations décidées", "ce type de document ne va pas au DMP", "503", "MSSanté professionnel"):
        assert words in result.stdout
    [told] = lines(relais("timeline", document, "--output", "json"))
    assert len(told["steps"]) == 6


def test_a_foreign_document_is_not_allowed_and_says_what_to_look_at(relais: Relais) -> None:
    assert "--tenant" in relais("timeline", ID, code=ExitCode.NOT_ALLOWED).stderr


def test_a_document_is_followed_later_too(relais: Relais, document: str) -> None:
    assert "terminé / done" in relais("watch", document).stdout
    relais("watch", ID, code=ExitCode.NOT_ALLOWED)


def test_a_route_is_explained_by_its_rules(relais: Relais) -> None:
    result = relais("explain", ID)
    for words in ("matrix.row_3", "sandbox-one", "ne va pas au DMP", "2026-04-21", "policies/tenant/versions/1"):
        assert words in result.stdout


def test_what_is_held_is_listed_from_both_services_with_reasons(relais: Relais) -> None:
    result = relais("held")
    assert "l'identité du message et celle du document diffèrent" in result.stdout
    assert "patient mineur ou d'âge inconnu" in result.stdout
    assert "relais release" in result.stderr


def test_evidence_needs_a_reason_and_shows_both_sides(relais: Relais, platform: Platform) -> None:
    assert "--reason" in relais("evidence", ID, code=ExitCode.USAGE).stderr
    assert platform.identity.reasons_given == []
    result = relais("evidence", ID, "--reason", "appel du service")
    assert "19750101" in result.stdout
    assert "19750110" in result.stdout
    assert platform.identity.reasons_given == ["appel du service"]


def test_a_release_needs_the_status_that_somebody_answers_for(relais: Relais, platform: Platform) -> None:
    assert "--status" in relais("release", ID, "--reason", "vu", code=ExitCode.USAGE).stderr
    assert "libéré / released" in relais("release", ID, "--reason", "vu", "--status", "VALIDEE").stdout
    # The same document is held by routing still.
    assert "routing" in relais("release", ID, "--reason", "accord écrit").stdout
    relais("release", ID, "--reason", "encore", code=ExitCode.USAGE)


def test_a_rejected_document_goes_nowhere(relais: Relais) -> None:
    assert "rejeté / rejected" in relais("reject", ID, "--reason", "autre patient").stdout
    assert "routage" in relais("reject", ID, "--reason", "autre patient", code=ExitCode.USAGE).stderr


def test_deliveries_are_listed_retried_and_given_up(relais: Relais) -> None:
    assert f"{ID}/1" in relais("deliveries", ID).stdout
    assert "programmé" in relais("retry", f"{ID}/1", "--reason", "partenaire de retour").stdout
    assert "abandonné par un opérateur" in relais("abandon", f"{ID}/1", "--reason", "envoyé par la poste").stdout
    assert relais("deliveries", "other", "-o", "json").stdout == ""


def test_endpoints_are_paused_drained_and_resumed(relais: Relais) -> None:
    assert "ouvert / open" in relais("endpoint", "list").stdout
    relais("endpoint", "pause", "sandbox-one", code=ExitCode.USAGE)
    assert "suspendu" in relais("endpoint", "pause", "sandbox-one", "--reason", "maintenance").stdout
    assert "en vidange" in relais("endpoint", "drain", "sandbox-one", "--reason", "déménagement").stdout
    assert "ouvert" in relais("endpoint", "resume", "sandbox-one", "--reason", "fini").stdout


def test_a_site_is_added_by_one_command_and_may_send(relais: Relais, platform: Platform, letter: Path) -> None:
    relais("tenant", "add", "north", "--display", "GHT Nord")
    relais("group", "add", "lille")
    added = relais("site", "add", "site-new", "--finess-eg", "590000001", "--group", "lille", "--zone", "Europe/Paris")
    assert "590000001" in added.stdout
    assert "relais sender add" in added.stderr
    relais("sender", "add", "his", "--site", "site-new", "--site", "site-a")
    relais("submit", str(letter), "--site", "site-new")
    assert [each["site"] for each in lines(relais("site", "list", "-o", "json"))] == ["site-new"]
    assert "site-new, site-a" in relais("sender", "list").stdout
    assert "GHT Nord" in relais("tenant", "list").stdout
    assert "lille" in relais("group", "list").stdout


def test_a_credential_is_named_by_its_certificate(relais: Relais, platform: Platform) -> None:
    certificate = str(platform.folder / "client.pem")
    relais("credential", "add", "--certificate", certificate, "--permission", "document_submit", "--sender", "his")
    [kept] = lines(relais("credential", "list", "-o", "json"))
    assert kept["credential"] == credential_id(platform.folder / "client.pem", "")
    assert len(kept["credential"]) == len("x509:") + 64
    assert kept["permissions"] == ["DOCUMENT_SUBMIT"]
    assert "révoqué" in relais("credential", "revoke", kept["credential"], "--reason", "perdu").stdout


@pytest.mark.parametrize(
    "options",
    [
        ["--permission", "DOCUMENT_SUBMIT"],
        ["--permission", "DOCUMENT_SUBMIT", "--token", "a:b", "--certificate", "client.pem"],
        ["--permission", "DOCUMENT_SUBMIT", "--certificate", "platform.toml"],
        ["--permission", "EVERYTHING", "--token", "issuer:subject"],
    ],
)
def test_a_credential_that_cannot_be_named_is_not_registered(relais: Relais, platform: Platform, options: list[str]) -> None:
    relais("credential", "add", *options, code=ExitCode.USAGE)
    assert platform.registry.kept == {}


def test_a_policy_is_checked_applied_and_listed(relais: Relais, tmp_path: Path) -> None:
    file = tmp_path / "policy.toml"
    file.write_text('scope = "tenant"\n[[endpoints]]\nkind = "DMP"\nconnector = "https"\nendpoint = "sandbox-one"\n', "utf-8")
    assert "NO_ENDPOINT_FOR_DMP" in relais("policy", "validate", str(file)).stderr
    assert "DMP→sandbox-one" in relais("policy", "apply", str(file), "--draft").stdout
    assert "oui / yes" in relais("policy", "apply", str(file)).stdout
    assert "oui / yes" in relais("policy", "activate", "tenant", "1").stdout
    assert [each["version"] for each in lines(relais("policy", "list", "-o", "json"))] == [2, 1]
    file.write_text('scope = "tenant"\n', "utf-8")
    assert "endpoints" in relais("policy", "apply", str(file), code=ExitCode.USAGE).stderr


def test_a_log_is_read_in_its_order_with_its_facts_as_json(relais: Relais, platform: Platform) -> None:
    platform.state.faults["ReadEvents"] = [Fault(code_pb2.UNAVAILABLE, "DRAINING", after_documents=3)]
    events = lines(relais("events", "routing", "-o", "json"))
    assert [event["position"] for event in events] == list(range(1, EVENTS + 1))
    assert events[0]["payload"] == {"submission": {"site": "site-a"}}
    assert events[0]["sealed_fields"] == ["submission.sealed"]
    shown = relais("events", "--from", "4", "--tag", "access.denied.v1").stdout
    assert "access.denied.v1" in shown
    assert "stream-4" in shown
    assert "stream-5" not in shown


def test_following_a_log_goes_on_until_the_platform_has_no_more_to_say(relais: Relais) -> None:
    assert "À jour" in relais("events", "--follow").stderr


def test_sealed_parts_are_not_even_asked_for_without_a_reason(relais: Relais, platform: Platform) -> None:
    relais("events", "--reveal", code=ExitCode.USAGE)
    assert platform.state.calls == []


def test_a_log_that_does_not_exist_is_a_matter_of_usage(relais: Relais) -> None:
    assert "registry" in relais("events", "gateway", code=ExitCode.USAGE).stderr


def test_the_options_of_every_command_stand_anywhere_on_the_line() -> None:
    assert hoisted(["documents", "-o", "json", "--tenant=x"]) == ["-o", "json", "--tenant=x", "documents"]
    assert hoisted(["timeline", "--as", "a", "id", "--", "--as", "b"]) == ["--as", "a", "timeline", "id", "--", "--as", "b"]
    assert hoisted(["documents", "--output"]) == ["documents", "--output"]
