"""Attacks contexts: none, several, broken ones, relative files, the embedded stack's own; and the sentences the command speaks in."""

import re
import textwrap
from pathlib import Path

import pytest

from relais.cli import sentences, submission
from relais.cli.exits import ExitCode
from relais.cli.main import app
from relais.contracts import tags
from relais.contracts.reasons import AbandonReason, HoldReason, SuppressReason
from tests.cli.conftest import Relais, lines
from tests.client.platform_server import Platform


def test_without_any_context_the_command_says_how_to_get_one(relais: Relais) -> None:
    result = relais("documents", code=ExitCode.USAGE)
    assert "relais context add" in result.stderr
    assert "make up" in result.stderr


def test_a_context_is_remembered_with_what_was_chosen_for_it(
    relais: Relais, platform: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    relais("context", "add", "prod", "platform.toml", "--tenant", "south", "--as", "operator", "--site", "site-z")
    relais("context", "add", "test", "platform.toml")
    monkeypatch.chdir(tmp_path.parent)
    assert [(each["name"], each["current"]) for each in lines(relais("context", "list", "-o", "json"))] == [("prod", False), ("test", True)]
    relais("context", "use", "prod")
    [shown] = lines(relais("context", "show", "-o", "json"))
    assert (shown["name"], shown["tenant"], shown["site"], shown["credential"]) == ("prod", "south", "site-z", "operator")
    [other] = lines(relais("context", "show", "--context", "test", "--tenant", "east", "-o", "json"))
    assert (other["tenant"], other["site"]) == ("east", "site-a")
    relais("documents", "--context", "test")
    relais("context", "remove", "prod")
    assert "prod" not in relais("context", "list").stdout
    relais("context", "use", "prod", code=ExitCode.USAGE)


def test_the_embedded_stack_below_which_one_stands_is_found(
    relais: Relais, platform: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / ".relais" / "configuration"
    folder.mkdir(parents=True)
    content = (tmp_path / "platform.toml").read_text("utf-8")
    for name in ("authority.pem", "client.pem", "client.key"):
        content = content.replace(f'"{name}"', f'"{tmp_path / name}"')
    (folder / "context.toml").write_text(content, "utf-8")
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    monkeypatch.chdir(deep)
    relais("documents")


@pytest.mark.parametrize(
    ("content", "word"),
    [("services = 5", "services"), ("[services", "forme"), ('authority_file = "x"', "services")],
)
def test_a_platform_file_that_cannot_be_read_is_said_with_its_fault(relais: Relais, tmp_path: Path, content: str, word: str) -> None:
    (tmp_path / "broken.toml").write_text(content, "utf-8")
    assert word in relais("documents", "--context", str(tmp_path / "broken.toml"), code=ExitCode.USAGE).stderr


def test_a_name_that_is_neither_context_nor_file_is_said(relais: Relais) -> None:
    assert "nowhere" in relais("documents", "--context", "nowhere", code=ExitCode.USAGE).stderr


def test_a_credential_that_the_file_does_not_name_is_said_with_those_it_does(platform: Platform, relais: Relais, tmp_path: Path) -> None:
    result = relais("documents", "--context", str(tmp_path / "platform.toml"), "--as", "nobody", code=ExitCode.USAGE)
    assert "operator" in result.stderr


def test_with_several_credentials_and_none_chosen_nobody_knocks_without_one(platform: Platform, relais: Relais, tmp_path: Path) -> None:
    file = tmp_path / "platform.toml"
    content = file.read_text("utf-8").replace('credential = "operator"\n', "") + '[credentials.sender]\ntoken_file = "token"\n'
    file.write_text(content, "utf-8")
    assert "operator, sender" in relais("documents", "--context", str(file), code=ExitCode.USAGE).stderr
    relais("documents", "--context", str(file), "--as", "operator")


def test_a_tenant_is_asked_for_where_one_is_needed(platform: Platform, relais: Relais, tmp_path: Path) -> None:
    file = tmp_path / "platform.toml"
    file.write_text(file.read_text("utf-8").replace('tenant = "north"\n', ""), "utf-8")
    assert "--tenant" in relais("documents", "--context", str(file), code=ExitCode.USAGE).stderr
    relais("tenant", "list", "--context", str(file))


def test_a_certificate_that_is_not_there_is_said_by_name(platform: Platform, relais: Relais, tmp_path: Path) -> None:
    (tmp_path / "client.key").unlink()
    assert "client.key" in relais("documents", "--context", str(tmp_path / "platform.toml"), code=ExitCode.USAGE).stderr


@pytest.mark.parametrize(
    ("reasons", "spoken"),
    [(HoldReason, sentences.HOLD), (SuppressReason, sentences.SUPPRESS), (AbandonReason, sentences.ABANDON)],
)
def test_every_reason_has_its_sentences(reasons: type[HoldReason], spoken: dict[str, sentences.Sentence]) -> None:
    assert set(spoken) == {reason.value for reason in reasons}


def test_every_announced_fact_about_a_document_has_its_sentences() -> None:
    told = {tag for tag, kind in tags().items() if kind.ANNOUNCED and tag.partition(".")[0] not in ("registry", "access")}
    assert told - set(sentences.STEP) <= {"routing.policy_created.v1", "routing.policy_activated.v1"}


def test_a_word_that_nobody_knows_is_shown_as_it_is() -> None:
    assert sentences.said("503") == "503"
    assert sentences.said("") == ""


def test_the_readme_names_every_exit_code_and_only_commands_that_exist() -> None:
    readme = (Path(__file__).parents[2] / "services" / "cli" / "README.md").read_text("utf-8")
    assert [int(code) for code in re.findall(r"^\| (\d+) \|", readme, re.MULTILINE)] == sorted(ExitCode)
    shown = {line.split()[1] for line in re.findall(r"^relais .*", readme, re.MULTILINE)}
    known = {command.name or command.callback.__name__ for command in app.registered_commands if command.callback}
    assert shown <= known | {group.name for group in app.registered_groups}


def test_the_sidecar_that_is_shown_can_be_read(tmp_path: Path) -> None:
    assert submission.__doc__ is not None
    shown = textwrap.dedent(submission.__doc__.partition("`letter.relais.toml`):\n")[2])
    (tmp_path / "shown.toml").write_text(shown, "utf-8")
    sidecar = submission.read_file(tmp_path / "shown.toml", submission.Sidecar)
    assert sidecar.patient is not None
    assert submission.decided_flags(sidecar.flags).destdmp
