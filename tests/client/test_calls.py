"""Attacks the client's calls: refusals and what they carry, a platform that is away, lost answers, credentials, deadlines, its log."""

import asyncio
import logging
from dataclasses import replace
from pathlib import Path

import pytest
import stamina
from google.rpc import code_pb2

from relais.client.calls import CallPolicy
from relais.client.client import RelaisClient
from relais.client.errors import Conflict, Invalid, NotAllowed, NotOffered, Overloaded, SettingsError, TooLate, Unavailable
from relais.client.settings import TokenCredential
from relais.contracts.submission import InsStatus
from tests.client.given import BODY, CANARY, submission
from tests.client.platform_admin import HELD
from tests.client.platform_server import Platform, make_certificates
from tests.client.platform_state import Fault


async def test_a_receipt_comes_back_as_it_was_given(client: RelaisClient, platform: Platform) -> None:
    sent = submission()
    receipt = await client.documents.submit(sent, BODY)
    [kept] = platform.state.submissions.values()
    assert receipt.document.startswith("tenants/north/documents/")
    assert receipt.tenant_sequence == 1
    assert receipt.recorded_at is not None
    assert receipt.recorded_at.tzinfo is not None
    assert not receipt.duplicate
    assert kept.patient.birth_family_name == CANARY
    assert (kept.flags.destdmp, kept.flags.masque_ps) == (1, 2)
    assert kept.sha256.hex() == receipt.sha256


async def test_a_refusal_carries_its_reason_the_fields_and_the_sentence_in_french(client: RelaisClient) -> None:
    with pytest.raises(Invalid) as refused:
        await client.documents.submit(submission(site="elsewhere"), BODY)
    explanation = refused.value.explanation
    assert refused.value.reason == "SITE_UNKNOWN"
    assert [violation.field for violation in refused.value.violations] == ["submission.site"]
    assert explanation.localized == "refus : SITE_UNKNOWN"
    assert explanation.metadata == {"place": "test"}
    assert CANARY not in f"{refused.value!r} {refused.value} {explanation!r}"


async def test_a_request_id_used_for_something_else_is_a_conflict(client: RelaisClient) -> None:
    sent = submission()
    await client.documents.submit(sent, BODY)
    with pytest.raises(Conflict) as refused:
        await client.documents.submit(replace(sent, recipients=()), BODY)
    assert refused.value.reason == "REQUEST_ID_REUSED"


async def test_a_lost_answer_is_asked_for_again_and_is_the_same_receipt(client: RelaisClient, platform: Platform) -> None:
    platform.state.faults["SubmitDocument"] = [Fault(code_pb2.UNAVAILABLE, "OUTCOME_UNKNOWN", after_work=True)]
    receipt = await client.documents.submit(submission(), BODY)
    assert receipt.duplicate
    assert platform.state.calls == ["SubmitDocument", "SubmitDocument"]
    assert len(platform.state.requests) == 1


async def test_a_call_that_the_server_cancelled_is_made_again(client: RelaisClient, platform: Platform) -> None:
    platform.state.faults["SubmitDocument"] = [Fault(code_pb2.CANCELLED), Fault(code_pb2.CANCELLED, after_work=True)]
    receipt = await client.documents.submit(submission(), BODY)
    assert receipt.duplicate
    assert platform.state.calls == ["SubmitDocument"] * 3
    assert len(platform.state.requests) == 1


async def test_a_server_that_cancels_every_call_is_given_up(platform: Platform) -> None:
    platform.state.faults["GetDocument"] = [Fault(code_pb2.CANCELLED) for _ in range(9)]
    async with RelaisClient(platform.settings(), CallPolicy(attempts_maximum=3)) as client:
        with pytest.raises(Unavailable) as away:
            await client.documents.get("x")
    assert away.value.explanation.code == "CANCELLED"
    assert platform.state.calls == ["GetDocument"] * 3


async def test_a_call_that_its_caller_gives_up_is_cancelled_and_not_made_again(client: RelaisClient, platform: Platform) -> None:
    await client.documents.submit(submission(), BODY)
    platform.state.faults["GetDocument"] = [Fault(code_pb2.OK, silent=True)]
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.5):
            await client.documents.get("x")
    assert platform.state.calls == ["SubmitDocument", "GetDocument"]


async def test_the_delay_that_the_platform_asks_for_is_kept(client: RelaisClient, platform: Platform) -> None:
    platform.state.faults["SubmitDocument"] = [Fault(code_pb2.RESOURCE_EXHAUSTED, "OVERLOADED", retry_after_seconds=0.3)]
    waits: list[float] = []

    def note(details: stamina.instrumentation.RetryDetails) -> None:
        waits.append(details.wait_for)

    stamina.instrumentation.set_on_retry_hooks([note])
    try:
        await client.documents.submit(submission(), BODY)
    finally:
        stamina.instrumentation.set_on_retry_hooks(None)
    assert waits == [pytest.approx(0.3)]


async def test_a_limit_without_a_delay_is_not_run_into_again(client: RelaisClient, platform: Platform) -> None:
    platform.state.faults["SubmitDocument"] = [Fault(code_pb2.RESOURCE_EXHAUSTED, "OVERLOADED")]
    with pytest.raises(Overloaded):
        await client.documents.submit(submission(), BODY)
    assert platform.state.calls == ["SubmitDocument"]


async def test_a_platform_that_stays_away_is_given_up(platform: Platform) -> None:
    platform.state.faults["GetDocument"] = [Fault(code_pb2.UNAVAILABLE, "DRAINING", retry_after_seconds=0.01) for _ in range(9)]
    async with RelaisClient(platform.settings(), CallPolicy(attempts_maximum=3)) as client:
        with pytest.raises(Unavailable) as away:
            await client.documents.get("x")
    assert away.value.reason == "DRAINING"
    assert platform.state.calls == ["GetDocument"] * 3


async def test_a_port_where_nobody_listens_is_unavailable(platform: Platform) -> None:
    async with RelaisClient(platform.settings(addresses=("127.0.0.1:1",)), CallPolicy(attempts_maximum=1)) as client:
        with pytest.raises(Unavailable):
            await client.documents.get("x")


@pytest.mark.parametrize("code", [code_pb2.UNAVAILABLE, code_pb2.CANCELLED])
async def test_a_persons_decision_is_never_repeated_by_itself(client: RelaisClient, platform: Platform, code: int) -> None:
    platform.state.faults["ReleaseDocument"] = [Fault(code, "OUTCOME_UNKNOWN")]
    with pytest.raises(Unavailable):
        await client.held_by_identity.release(HELD, InsStatus.VALIDEE, "checked by telephone")
    assert platform.state.calls == ["ReleaseDocument"]


async def test_a_refusal_is_never_repeated(client: RelaisClient, platform: Platform) -> None:
    platform.state.faults["ValidateDocument"] = [Fault(code_pb2.UNIMPLEMENTED, "NOT_IMPLEMENTED")]
    with pytest.raises(NotOffered):
        await client.documents.validate(submission(), BODY)
    assert platform.state.calls == ["ValidateDocument"]


async def test_a_token_opens_the_door_and_a_wrong_one_does_not(platform: Platform) -> None:
    async with RelaisClient(platform.settings("token")) as client:
        assert (await client.documents.submit(submission(), BODY)).tenant_sequence == 1
        (platform.folder / "token").write_text("expired")
        with pytest.raises(NotAllowed) as refused:
            await client.documents.submit(submission(), BODY)
    assert refused.value.reason == "TOKEN_INVALID"


async def test_a_caller_who_shows_nothing_is_told_so(platform: Platform) -> None:
    async with RelaisClient(platform.settings("nothing")) as client:
        with pytest.raises(NotAllowed) as refused:
            await client.documents.get("x")
    assert refused.value.reason == "CREDENTIAL_MISSING"


async def test_several_addresses_of_one_service_are_one_service(platform: Platform) -> None:
    async with RelaisClient(platform.settings(addresses=(platform.address, "127.0.0.1:1"))) as client:
        for _ in range(4):
            await client.documents.submit(submission(), BODY)


async def test_a_server_with_a_strangers_certificate_is_not_spoken_to(platform: Platform, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    make_certificates(other)
    settings = replace(platform.settings("token"), authority_file=other / "authority.pem")
    async with RelaisClient(settings, CallPolicy(attempts_maximum=1)) as client:
        with pytest.raises(Unavailable):
            await client.documents.get("x")


async def test_every_call_has_a_deadline(platform: Platform) -> None:
    async with RelaisClient(platform.settings(), CallPolicy(timeout_seconds=0.0001, attempts_maximum=1)) as client:
        with pytest.raises(TooLate):
            await client.documents.submit(submission(), BODY)


async def test_a_repeated_call_writes_nothing_about_a_person_to_the_log(
    client: RelaisClient, platform: Platform, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    platform.state.faults["SubmitDocument"] = [Fault(code_pb2.UNAVAILABLE, "DRAINING")]
    with caplog.at_level(logging.DEBUG):
        await client.documents.submit(submission(), BODY)
    printed = capsys.readouterr()
    written = caplog.text + str([vars(record) for record in caplog.records]) + printed.out + printed.err
    assert "retry" in written, "the log must hold the retry, or this test looks at nothing"
    assert CANARY not in written
    assert CANARY not in repr(submission())


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"addresses": {}}, "no address"),
        ({"addresses": {"ingestion": ("a.example:1", "b.example:1")}}, "DNS name"),
        ({"authority_file": Path("absent.pem")}, "absent.pem"),
        ({"credential": TokenCredential(token_file=Path("absent.jwt"))}, "absent.jwt"),
    ],
)
async def test_settings_that_cannot_work_are_found_before_any_call(platform: Platform, change: dict[str, object], word: str) -> None:
    settings = replace(platform.settings(), **change)  # type: ignore[arg-type]
    async with RelaisClient(settings) as client:
        with pytest.raises(SettingsError, match=word):
            _ = client.documents
