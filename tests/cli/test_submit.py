"""Attacks `relais submit`: what is declared and what is missing, many files, large files, repeats, refusals, following to the outcome."""

from pathlib import Path

import pytest
from google.rpc import code_pb2

from relais.cli.exits import ExitCode
from tests.cli.conftest import SIDECAR, Relais, lines
from tests.client.platform_server import Platform
from tests.client.platform_state import Fault

CANARY = "Canari"


@pytest.fixture
def relais(platform: Platform, relais: Relais) -> Relais:
    return relais


def test_a_document_with_its_sidecar_is_one_word(relais: Relais, platform: Platform, letter: Path) -> None:
    result = relais("submit", str(letter))
    [sent] = platform.state.submissions.values()
    assert sent.patient.birth_family_name == CANARY
    assert (sent.site, sent.flags.destdmp, sent.flags.destmssanteps, sent.flags.masque_ps) == ("site-a", 1, 1, 2)
    assert sent.recipients[0].address == "doc@x.mssante.fr"
    assert "letter.xml" in result.stdout
    assert CANARY not in result.output


def test_the_same_command_again_is_the_same_receipt(relais: Relais, platform: Platform, letter: Path) -> None:
    first, second = lines(relais("submit", str(letter), "-o", "json")), lines(relais("submit", str(letter), "-o", "json"))
    assert first[0]["receipt"]["document"] == second[0]["receipt"]["document"]
    assert (first[0]["receipt"]["duplicate"], second[0]["receipt"]["duplicate"]) == (False, True)
    assert len(platform.state.requests) == 1


def test_a_request_id_tells_nothing_to_who_has_not_the_users_key(relais: Relais, platform: Platform, letter: Path, tmp_path: Path) -> None:
    relais("submit", str(letter))
    key = tmp_path / "config" / "request.key"
    assert key.stat().st_mode & 0o777 == 0o600
    key.unlink()
    relais("submit", str(letter))
    assert len(platform.state.requests) == 2


def test_options_go_before_the_sidecar(relais: Relais, platform: Platform, letter: Path) -> None:
    platform.state.sites.add("site-b")
    relais(
        "submit", str(letter), "--site", "site-b", "--opposition", "YES", "--flag", "destdmp=N", "--to", "software:lab", "--flag", "REST=N"
    )
    [sent] = platform.state.submissions.values()
    assert (sent.site, sent.dmp_feeding_opposition, sent.flags.destdmp) == ("site-b", 3, 2)
    assert [each.address for each in sent.recipients] == ["lab"]


def test_what_is_missing_is_named_at_once_and_nothing_is_sent(relais: Relais, platform: Platform, tmp_path: Path) -> None:
    bare = tmp_path / "bare.xml"
    bare.write_bytes(b"<a/>")
    result = relais("submit", str(bare), code=ExitCode.USAGE)
    for option in ("--identity", "--professional", "--opposition", "bare.relais.toml"):
        assert option in result.stderr
    assert platform.state.calls == []


def test_a_flag_that_nobody_decided_is_never_sent_as_no(relais: Relais, platform: Platform, letter: Path, tmp_path: Path) -> None:
    (tmp_path / "letter.relais.toml").write_text(SIDECAR.replace('rest = "N"\n', ""), "utf-8")
    result = relais("submit", str(letter), code=ExitCode.USAGE)
    assert "INVISIBLE_PATIENT" in result.stderr
    assert "DESTDMP," not in result.stderr
    assert platform.state.calls == []


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (["--flag", "DESTDMP"], "NAME=Y"),
        (["--flag", "DESTDPM=Y"], "DESTDPM"),
        (["--flag", "DESTDMP=maybe"], "Y or N"),
        (["--to", "nobody"], "KIND:ADDRESS"),
        (["--to", "FRIEND:x@y"], "PROFESSIONAL"),
        (["--identity", "identity.toml"], "identity.toml"),
    ],
)
def test_an_option_that_cannot_be_read_is_said_with_its_form(
    relais: Relais, platform: Platform, letter: Path, tmp_path: Path, options: list[str], word: str
) -> None:
    (tmp_path / "identity.toml").write_text("ins = 5\n", "utf-8")
    result = relais("submit", str(letter), *options, code=ExitCode.USAGE)
    assert word in result.stderr
    assert platform.state.calls == []


def test_a_sidecar_with_a_word_that_means_nothing_is_refused(relais: Relais, letter: Path, tmp_path: Path) -> None:
    (tmp_path / "letter.relais.toml").write_text('sight = "site-a"\n' + SIDECAR, "utf-8")
    assert "sight" in relais("submit", str(letter), code=ExitCode.USAGE).stderr


def test_an_old_spelling_of_a_flag_is_its_new_name_and_not_a_second_one(relais: Relais, platform: Platform, letter: Path) -> None:
    relais("submit", str(letter), "--flag", "INVISIBLE_REPRENSANTS_LEGAUX=Y")
    [sent] = platform.state.submissions.values()
    assert sent.flags.invisible_rep_legaux == 1
    relais("submit", str(letter), "--flag", "INVISIBLE_REP_LEGAUX=N", "--flag", "INVISIBLE_REPRESENTANTS_LEGAUX=Y", code=ExitCode.USAGE)


def test_many_files_go_over_one_stream_and_a_bad_one_is_refused_alone(relais: Relais, platform: Platform, tmp_path: Path) -> None:
    (tmp_path / "all.toml").write_text(SIDECAR, "utf-8")
    files = []
    for number in range(100):
        file = tmp_path / f"{number}.xml"
        file.write_bytes(b"%%PDF" if number == 7 else b"<a>%d</a>" % number)
        files.append(str(file))
    result = relais("submit", *files, "--with", "all.toml", "--output", "json", code=ExitCode.REFUSED)
    ends = lines(result)
    assert len([end for end in ends if "receipt" in end]) == 99
    [refused] = [end for end in ends if "error" in end]
    assert refused["file"].endswith("7.xml")
    assert refused["error"]["reason"] == "NOT_XML"
    assert platform.state.calls == ["SubmitDocuments"]


def test_a_large_file_is_uploaded(relais: Relais, platform: Platform, letter: Path) -> None:
    letter.write_bytes(b"<a>" + b"x" * 5_000_000 + b"</a>")
    relais("submit", str(letter))
    assert "UploadDocument" in platform.state.calls
    assert platform.state.bytes_uploaded == 5_000_007


def test_a_refusal_names_the_field_says_it_in_french_and_what_to_do_next(relais: Relais, letter: Path) -> None:
    result = relais("submit", str(letter), "--site", "nowhere", code=ExitCode.REFUSED)
    for word in ("SITE_UNKNOWN", "submission.site", "refus : SITE_UNKNOWN", "relais site add"):
        assert word in result.stderr
    assert CANARY not in result.output


@pytest.mark.parametrize(
    ("status", "reason", "code"),
    [
        (code_pb2.UNAVAILABLE, "DRAINING", ExitCode.UNAVAILABLE),
        (code_pb2.RESOURCE_EXHAUSTED, "OVERLOADED", ExitCode.UNAVAILABLE),
        (code_pb2.PERMISSION_DENIED, "PERMISSION_MISSING", ExitCode.NOT_ALLOWED),
        (code_pb2.UNAUTHENTICATED, "TOKEN_EXPIRED", ExitCode.NOT_ALLOWED),
        (code_pb2.NOT_FOUND, "RESOURCE_NOT_FOUND", ExitCode.NOT_FOUND),
        (code_pb2.ABORTED, "ETAG_MISMATCH", ExitCode.REFUSED),
        (code_pb2.INTERNAL, "INTERNAL", ExitCode.BROKEN),
    ],
)
def test_each_way_to_fail_has_its_exit_code(
    relais: Relais, platform: Platform, letter: Path, status: int, reason: str, code: ExitCode
) -> None:
    platform.state.faults["SubmitDocument"] = [Fault(status, reason, retry_after_seconds=0.01) for _ in range(20)]
    assert reason in relais("submit", str(letter), code=code).stderr


def test_a_repeat_is_told_to_the_person_and_not_to_the_output(relais: Relais, platform: Platform, letter: Path) -> None:
    platform.state.faults["SubmitDocument"] = [Fault(code_pb2.UNAVAILABLE, "DRAINING", retry_after_seconds=0.01)]
    result = relais("submit", str(letter), "-o", "json")
    assert len(lines(result)) == 1
    assert "nouvel essai" in result.stderr


def test_validating_sends_nothing(relais: Relais, platform: Platform, letter: Path) -> None:
    assert "NEW_DOCUMENT" in relais("submit", str(letter), "--validate").stdout
    assert platform.state.requests == {}


def test_watching_tells_each_step_and_ends_with_the_outcome(relais: Relais, letter: Path) -> None:
    result = relais("submit", str(letter), "--watch")
    for words in ("document reçu / document received", "différé / deferred", "1 remis / delivered", "terminé / done"):
        assert words in result.stdout


@pytest.mark.parametrize("outcome", ["HELD", "REJECTED"])
def test_watching_a_document_that_does_not_arrive_is_no_success(relais: Relais, platform: Platform, letter: Path, outcome: str) -> None:
    platform.state.outcomes["site-a"] = outcome
    result = relais("submit", str(letter), "--watch", code=ExitCode.UNFINISHED)
    assert "la clé du matricule INS est fausse" in result.stdout
    assert ("relais held" in result.stderr) == (outcome == "HELD")


def test_watching_writes_one_object_a_step_for_programs(relais: Relais, letter: Path) -> None:
    objects = lines(relais("submit", str(letter), "--watch", "--output=json"))
    assert [each["step"]["log"] for each in objects[1:]] == ["ingestion", "identity", "routing", "routing", "delivery", "delivery"]


def test_one_request_id_is_not_for_two_files(relais: Relais, platform: Platform, letter: Path) -> None:
    relais("submit", str(letter), str(letter), "--request-id", "11111111-1111-4111-8111-111111111111", code=ExitCode.USAGE)
    relais("submit", str(letter), "--request-id", "11111111-1111-4111-8111-111111111111")
    assert list(platform.state.requests) == ["11111111-1111-4111-8111-111111111111"]


def test_a_file_that_is_not_there_is_a_matter_of_usage(relais: Relais) -> None:
    relais("submit", "absent.xml", code=ExitCode.USAGE)
