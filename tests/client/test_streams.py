"""Attacks what goes on for long: uploads that are cut, documents that are followed, logs that are read; and lists in pages."""

from pathlib import Path
from uuid import uuid4

import pytest
from google.rpc import code_pb2

from relais.client.audit import CaughtUp, Event, Question
from relais.client.calls import CallPolicy
from relais.client.client import RelaisClient
from relais.client.errors import Invalid, NotAllowed, SettingsError, Unavailable
from relais.client.uploads import UPLOAD_BYTES_MAXIMUM
from tests.client.given import BODY, submission
from tests.client.platform_delivery import EVENTS
from tests.client.platform_server import Platform
from tests.client.platform_state import Fault

LARGE = b"<ClinicalDocument>" + b"0123456789abcdef" * 400_000 + b"</ClinicalDocument>"

cut_with = pytest.mark.parametrize("code", [code_pb2.UNAVAILABLE, code_pb2.CANCELLED])


@pytest.fixture
def large(tmp_path: Path) -> Path:
    file = tmp_path / "large.xml"
    file.write_bytes(LARGE)
    return file


async def test_a_large_document_arrives_whole(client: RelaisClient, platform: Platform, large: Path) -> None:
    told: list[tuple[int, int]] = []
    sent = submission()
    receipt = await client.documents.upload(sent, large, lambda done, size: told.append((done, size)))
    assert bytes(platform.state.uploads[sent.request_id]) == LARGE
    assert receipt.tenant_sequence == 1
    assert told[0] == (0, len(LARGE))
    assert told[-1] == (len(LARGE), len(LARGE))
    assert told == sorted(told)


@cut_with
async def test_an_upload_that_is_cut_goes_on_where_it_was(client: RelaisClient, platform: Platform, large: Path, code: int) -> None:
    platform.state.faults["UploadDocument"] = [Fault(code, "DRAINING", after_bytes=count * 1_000_000) for count in (1, 2, 1)]
    sent = submission()
    await client.documents.upload(sent, large)
    assert bytes(platform.state.uploads[sent.request_id]) == LARGE
    # What is sent again is at most what was not durable yet at each cut.
    assert platform.state.bytes_uploaded < len(LARGE) + 3 * 1_100_000


async def test_an_upload_goes_on_in_another_process(platform: Platform, large: Path) -> None:
    sent = submission()
    refusals = [Fault(code_pb2.PERMISSION_DENIED, "PERMISSION_MISSING") for _ in range(9)]
    platform.state.faults["UploadDocument"] = [Fault(code_pb2.PERMISSION_DENIED, "PERMISSION_MISSING", after_bytes=3_000_000), *refusals]
    async with RelaisClient(platform.settings()) as first:
        with pytest.raises(NotAllowed):
            await first.documents.upload(sent, large)
    platform.state.faults.clear()
    before = platform.state.bytes_uploaded
    async with RelaisClient(platform.settings()) as second:
        await second.documents.upload(sent, large)
        assert (await second.documents.get_upload(sent.request_id)).receipt is not None
    assert bytes(platform.state.uploads[sent.request_id]) == LARGE
    assert platform.state.bytes_uploaded - before < len(LARGE) - 2_500_000


async def test_an_upload_whose_answer_was_lost_gives_the_receipt_without_sending_again(
    client: RelaisClient, platform: Platform, large: Path
) -> None:
    platform.state.faults["UploadDocument"] = [Fault(code_pb2.UNAVAILABLE, "OUTCOME_UNKNOWN", after_work=True)]
    await client.documents.upload(submission(), large)
    assert platform.state.bytes_uploaded == len(LARGE)


async def test_an_upload_that_gets_nowhere_is_given_up(platform: Platform, large: Path) -> None:
    platform.state.faults["UploadDocument"] = [Fault(code_pb2.UNAVAILABLE, "DRAINING", retry_after_seconds=0.01) for _ in range(99)]
    async with RelaisClient(platform.settings(), CallPolicy(attempts_maximum=3)) as client:
        with pytest.raises(Unavailable):
            await client.documents.upload(submission(), large)
    assert platform.state.calls.count("UploadDocument") == 3


async def test_a_refused_upload_is_not_tried_again(client: RelaisClient, platform: Platform, large: Path) -> None:
    platform.state.faults["UploadDocument"] = [Fault(code_pb2.INVALID_ARGUMENT, "HASH_MISMATCH", after_work=True)]
    with pytest.raises(Invalid):
        await client.documents.upload(submission(), large)
    assert platform.state.calls.count("UploadDocument") == 1


async def test_a_file_that_is_absent_or_too_large_is_not_even_announced(client: RelaisClient, platform: Platform, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be read"):
        await client.documents.upload(submission(), tmp_path / "absent.xml")
    huge = tmp_path / "huge.xml"
    with huge.open("wb") as opened:
        opened.truncate(UPLOAD_BYTES_MAXIMUM + 1)
    with pytest.raises(SettingsError, match="at most"):
        await client.documents.upload(submission(), huge)
    assert platform.state.calls == []


@cut_with
async def test_a_followed_document_tells_each_step_once_even_when_the_stream_breaks(
    client: RelaisClient, platform: Platform, code: int
) -> None:
    receipt = await client.documents.submit(submission(), BODY)
    platform.state.faults["WatchDocument"] = [Fault(code, "DRAINING", after_documents=count) for count in (2, 4)]
    changes = [change async for change in client.documents.watch(receipt.document)]
    steps = [step for change in changes for step in change.steps]
    assert [step.tag for step in steps] == [step.tag for step in (await client.documents.get(receipt.document)).steps]
    assert changes[-1].document.state == "DONE"
    assert platform.state.calls.count("WatchDocument") == 3


async def test_following_what_is_not_ones_own_is_refused_and_not_tried_again(client: RelaisClient, platform: Platform) -> None:
    with pytest.raises(NotAllowed):
        _ = [change async for change in client.documents.watch(str(uuid4()))]
    assert platform.state.calls == ["WatchDocument"]


async def test_following_gives_up_when_the_platform_stays_away(client: RelaisClient, platform: Platform) -> None:
    platform.state.faults["WatchDocument"] = [Fault(code_pb2.UNAVAILABLE, "DRAINING", retry_after_seconds=0.01) for _ in range(99)]
    with pytest.raises(Unavailable):
        _ = [change async for change in client.documents.watch("x")]
    assert platform.state.calls.count("WatchDocument") == 6


async def test_a_document_comes_with_its_steps_and_destinations(client: RelaisClient) -> None:
    receipt = await client.documents.submit(submission(), BODY)
    document = await client.documents.get(receipt.document.rpartition("/")[2])
    assert document.name == receipt.document
    assert [(each.outcome, each.ordinal, each.code) for each in document.destinations] == [
        ("SUCCEEDED", 1, "200"),
        ("SUPPRESSED", None, "TYPE_NOT_FOR_DMP"),
    ]
    assert document.steps[4].ordinal == 1
    assert document.steps[3].codes == ("TYPE_NOT_FOR_DMP",)


async def test_a_list_goes_over_its_pages_and_ends_at_its_limit(client: RelaisClient, platform: Platform) -> None:
    for number in range(8):
        await client.documents.submit(submission(), b"<a>%d</a>" % number)
    assert len([each async for each in client.documents.list()]) == 8
    assert len([each async for each in client.documents.list(limit=4)]) == 4
    assert [each async for each in client.documents.list("site = other")] == []


@cut_with
async def test_a_log_that_is_cut_in_the_middle_is_read_once_and_whole(client: RelaisClient, platform: Platform, code: int) -> None:
    platform.state.faults["ReadEvents"] = [Fault(code, "DRAINING", after_documents=2)]
    frames = [frame async for frame in client.audit("ingestion").read(Question())]
    events = [frame for frame in frames if isinstance(frame, Event)]
    assert [event.position for event in events] == list(range(1, EVENTS + 1))
    assert frames[-1] == CaughtUp(position=EVENTS)
    assert events[0].sealed_fields == ("submission.sealed",)
    assert "site-a" not in repr(events[0])


async def test_a_log_is_read_from_a_position_and_by_tag(client: RelaisClient) -> None:
    question = Question(from_position=3, tags=("access.denied.v1",))
    frames = [frame async for frame in client.audit("routing").read(question)]
    assert [frame.position for frame in frames if isinstance(frame, Event)] == [4]


async def test_a_stream_of_a_log_is_a_list(client: RelaisClient) -> None:
    assert [event.log for event in await client.audit("registry").stream("site-a")] == ["registry"]


async def test_a_log_that_does_not_exist_is_said_before_any_call(client: RelaisClient) -> None:
    with pytest.raises(SettingsError, match="no log"):
        client.audit("gateway")
