"""Attacks uploads: cut anywhere and resumed anywhere, a large document arrives as it was sent, or not at all."""

import hashlib
from uuid import UUID, uuid4

import pytest

from relais.contracts import decode
from relais.contracts.ingestion import DocumentReceived
from relais.ingestion.cda import DocumentRefused
from relais.ingestion.domain import SubmissionRefused
from relais.ingestion.request import SubmissionRequest
from relais.ingestion.uploads import UploadMismatch
from relais.sandbox.cda import Kind, generate
from relais.vault.seal import document_key, open_body
from tests.ingestion.given import Bench, request_for, running_intake

LARGE = generate(11, kind=Kind.N1, size_bytes=5 * 1024 * 1024)
SHA256 = hashlib.sha256(LARGE.body).digest()
PIECE = 100_000


async def send(bench: Bench, request: SubmissionRequest, body: bytes, *, until: int | None = None) -> int:
    """Send from where the platform says, to the end or to a cut; where the connection was lost."""
    upload = await bench.desk.begin(request, len(LARGE.body), SHA256)
    at = upload.committed_bytes
    end = len(body) if until is None else until
    while at < end:
        await upload.feed(body[at : min(at + PIECE, end)])
        at = min(at + PIECE, end)
    if until is None:
        await upload.finish()
    return at


async def stored_body(bench: Bench) -> bytes:
    (event,) = await bench.log.read(0)
    fact = decode(event.tag, event.payload)
    assert isinstance(fact, DocumentReceived)
    (subject,) = await bench.keys.subjects([("chu", UUID(fact.submission.subject))])
    assert subject is not None
    blob = UUID(fact.submission.body.blob)
    return open_body(document_key(subject, fact.submission.document), (await bench.blobs.get_many([blob]))[blob])


async def test_an_upload_arrives_byte_for_byte_and_is_no_longer_staged() -> None:
    async with running_intake() as bench:
        await send(bench, request_for(LARGE), LARGE.body)
        assert await stored_body(bench) == LARGE.body
        assert not bench.uploads.rows
        assert await bench.blobs.sweep(0.0) == 0


@pytest.mark.parametrize("cut", [1, 300_000, 1_500_000, 5_000_000])
async def test_an_upload_that_was_cut_goes_on_where_it_was_durable(cut: int) -> None:
    async with running_intake() as bench:
        request = request_for(LARGE)
        await send(bench, request, LARGE.body, until=cut)
        progress = await bench.desk.progress("chu", request.request)
        assert progress is None or progress.committed_bytes <= cut
        await send(bench, request, LARGE.body)
        assert await stored_body(bench) == LARGE.body


async def test_nothing_is_recorded_before_the_whole_body_is_there() -> None:
    async with running_intake() as bench:
        await send(bench, request_for(LARGE), LARGE.body, until=4_000_000)
        assert await bench.log.read(0) == []


async def test_other_bytes_than_declared_are_refused_and_nothing_is_recorded() -> None:
    async with running_intake() as bench:
        upload = await bench.desk.begin(request_for(LARGE), len(LARGE.body), bytes(32))
        await upload.feed(LARGE.body)
        with pytest.raises(UploadMismatch) as refused:
            await upload.finish()
        assert refused.value.field == "sha256"
        assert await bench.log.read(0) == []


async def test_more_bytes_than_declared_are_refused_at_once() -> None:
    async with running_intake() as bench:
        upload = await bench.desk.begin(request_for(LARGE), 1000, SHA256)
        with pytest.raises(UploadMismatch):
            await upload.feed(LARGE.body[:2000])


async def test_a_stream_that_ends_early_is_refused() -> None:
    async with running_intake() as bench:
        upload = await bench.desk.begin(request_for(LARGE), len(LARGE.body), SHA256)
        await upload.feed(LARGE.body[:-1])
        with pytest.raises(UploadMismatch):
            await upload.finish()


async def test_what_cannot_be_a_document_is_refused_before_it_has_all_arrived() -> None:
    async with running_intake() as bench:
        upload = await bench.desk.begin(request_for(LARGE), 10_000_000, SHA256)
        with pytest.raises(DocumentRefused):
            await upload.feed(b"\x00" * 1_000_000)


async def test_an_upload_cannot_go_on_under_another_declaration() -> None:
    async with running_intake() as bench:
        request = request_for(LARGE, request=str(uuid4()))
        await send(bench, request, LARGE.body, until=2_000_000)
        with pytest.raises(SubmissionRefused):
            await bench.desk.begin(request, len(LARGE.body), bytes(32))


async def test_an_upload_under_a_key_that_was_retired_meanwhile_must_start_anew() -> None:
    async with running_intake() as bench:
        request = request_for(LARGE)
        upload = await bench.desk.begin(request, len(LARGE.body), SHA256)
        await upload.feed(LARGE.body)
        await bench.keys.retire("chu", bench.uploads.rows["chu", request.request].subject)
        with pytest.raises(UploadMismatch):
            await upload.finish()
        assert await bench.log.read(0) == []
        await send(bench, request, LARGE.body)
        assert await stored_body(bench) == LARGE.body
