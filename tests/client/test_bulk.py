"""Attacks the bulk stream: the window, bad documents among good ones, a stream that breaks, a platform that is busy or away."""

import asyncio

import pytest
from google.rpc import code_pb2

from relais.client.bulk import UNANSWERED_BYTES_MAXIMUM, UNANSWERED_DOCUMENTS_MAXIMUM
from relais.client.client import RelaisClient
from relais.client.document_records import Receipt
from relais.client.errors import Broken, Invalid, NotAllowed, Unavailable
from tests.client.given import submission
from tests.client.platform_server import Platform
from tests.client.platform_state import Fault


def body(number: int, size: int = 0) -> bytes:
    return b"<ClinicalDocument>%d%s</ClinicalDocument>" % (number, b" " * size)


async def send_all(client: RelaisClient, bodies: list[bytes]) -> list[Receipt | BaseException]:
    async with client.documents.bulk() as bulk:
        answers = [await bulk.send(submission(), each) for each in bodies]
    return await asyncio.gather(*answers, return_exceptions=True)


async def test_each_document_gets_its_own_receipt(client: RelaisClient, platform: Platform) -> None:
    ends = await send_all(client, [body(number) for number in range(300)])
    assert len({end.document for end in ends if isinstance(end, Receipt)}) == 300
    assert platform.state.calls == ["SubmitDocuments"]
    assert platform.state.together_most > 1


async def test_what_waits_travels_in_one_message(client: RelaisClient, platform: Platform) -> None:
    ends = await send_all(client, [body(number) for number in range(300)])
    assert all(isinstance(end, Receipt) for end in ends)
    assert 1 < platform.state.sent_together_most <= UNANSWERED_DOCUMENTS_MAXIMUM


async def test_a_platform_that_does_not_know_of_that_gets_one_document_in_a_message(client: RelaisClient, platform: Platform) -> None:
    platform.state.takes_more = False
    ends = await send_all(client, [body(number) for number in range(300)])
    assert all(isinstance(end, Receipt) for end in ends)
    assert platform.state.sent_together_most == 1


async def test_a_call_broken_by_a_newer_platform_is_made_again_with_an_older_one(client: RelaisClient, platform: Platform) -> None:
    platform.state.faults["SubmitDocuments"] = [Fault(code_pb2.UNAVAILABLE, "DRAINING", after_documents=40)]
    async with client.documents.bulk() as bulk:
        answers = [await bulk.send(submission(), body(number)) for number in range(64)]
        await answers[0]
        platform.state.takes_more = False
        answers += [await bulk.send(submission(), body(number)) for number in range(64, 200)]
    assert all(isinstance(end, Receipt) for end in await asyncio.gather(*answers))
    assert platform.state.calls == ["SubmitDocuments"] * 2


async def test_no_more_is_unanswered_than_the_contract_allows(client: RelaisClient, platform: Platform) -> None:
    await send_all(client, [body(number) for number in range(400)])
    assert 1 < platform.state.unanswered_most <= UNANSWERED_DOCUMENTS_MAXIMUM
    await send_all(client, [body(number, 3_000_000) for number in range(8)])
    assert platform.state.unanswered_bytes_most <= UNANSWERED_BYTES_MAXIMUM


async def test_a_bad_document_is_refused_alone(client: RelaisClient) -> None:
    ends = await send_all(client, [body(1), b"%PDF-1.4", body(2)])
    assert isinstance(ends[0], Receipt)
    assert isinstance(ends[2], Receipt)
    assert isinstance(ends[1], Invalid)
    assert ends[1].reason == "NOT_XML"


async def test_a_document_too_large_for_the_stream_is_refused_before_it_breaks_it(client: RelaisClient, platform: Platform) -> None:
    async with client.documents.bulk() as bulk:
        with pytest.raises(Invalid) as refused:
            await bulk.send(submission(), bytes(4 * 1024 * 1024 + 1))
        assert refused.value.reason == "TOO_LARGE"
        assert isinstance(await (await bulk.send(submission(), body(1))), Receipt)


@pytest.mark.parametrize("code", [code_pb2.UNAVAILABLE, code_pb2.CANCELLED])
async def test_a_stream_that_breaks_is_made_again_and_nothing_is_lost_or_doubled(
    client: RelaisClient, platform: Platform, code: int
) -> None:
    platform.state.faults["SubmitDocuments"] = [Fault(code, "DRAINING", after_documents=count) for count in (1, 37, 90)]
    ends = await send_all(client, [body(number) for number in range(300)])
    assert all(isinstance(end, Receipt) for end in ends)
    assert len(platform.state.requests) == 300
    assert platform.state.calls == ["SubmitDocuments"] * 4


async def test_a_document_that_cannot_be_taken_in_now_is_sent_again_after_the_delay(client: RelaisClient, platform: Platform) -> None:
    platform.state.faults["one document"] = [Fault(code_pb2.RESOURCE_EXHAUSTED, "OVERLOADED", retry_after_seconds=0.01) for _ in range(3)]
    ends = await send_all(client, [body(number) for number in range(10)])
    assert all(isinstance(end, Receipt) for end in ends)


async def test_a_document_that_is_never_taken_in_is_given_up_alone(client: RelaisClient, platform: Platform) -> None:
    platform.state.faults["one document"] = [
        Fault(code_pb2.UNAVAILABLE, "SERVICE_UNAVAILABLE", retry_after_seconds=0.01) for _ in range(99)
    ]
    async with client.documents.bulk() as bulk:
        answer = await bulk.send(submission(), body(1))
        with pytest.raises(Unavailable):
            await answer
        platform.state.faults.clear()
        assert isinstance(await (await bulk.send(submission(), body(2))), Receipt)


async def test_a_platform_that_stays_away_ends_every_wait(client: RelaisClient, platform: Platform) -> None:
    platform.state.faults["SubmitDocuments"] = [Fault(code_pb2.UNAVAILABLE, "DRAINING", retry_after_seconds=0.01) for _ in range(99)]
    async with client.documents.bulk() as bulk:
        answers = [await bulk.send(submission(), body(number)) for number in range(5)]
        for end in await asyncio.gather(*answers, return_exceptions=True):
            assert isinstance(end, Unavailable)
        with pytest.raises(Unavailable):
            await bulk.send(submission(), body(6))


async def test_a_stream_that_is_refused_says_why_although_grpc_may_hide_it_from_a_writer(client: RelaisClient, platform: Platform) -> None:
    platform.state.faults["SubmitDocuments"] = [Fault(code_pb2.PERMISSION_DENIED, "PERMISSION_MISSING") for _ in range(99)]
    ends = await send_all(client, [body(number) for number in range(20)])
    assert {type(end) for end in ends} == {NotAllowed}
    assert len(platform.state.calls) <= 2


async def test_leaving_early_leaves_no_wait_behind(client: RelaisClient) -> None:
    bulk = client.documents.bulk()
    await bulk.__aenter__()
    answers = [await bulk.send(submission(), body(number)) for number in range(5)]
    impatience = RuntimeError("the caller has seen enough")
    await bulk.__aexit__(RuntimeError, impatience, None)
    assert all(answer.done() for answer in answers)


async def test_a_stream_that_was_never_used_never_calls(client: RelaisClient, platform: Platform) -> None:
    async with client.documents.bulk():
        pass
    assert platform.state.calls == []


async def test_a_defect_in_the_reader_does_not_leave_callers_waiting(client: RelaisClient, platform: Platform) -> None:
    # Code 0 is no failure, so an answer that is neither a receipt nor a failure is a defect of the platform.
    platform.state.faults["one document"] = [Fault(code_pb2.OK, "")]
    [end] = await send_all(client, [body(1)])
    assert isinstance(end, Broken)
