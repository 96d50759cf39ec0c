"""Attacks the intake: a receipt is only given for what is durable and can be opened again, byte for byte, exactly once."""

import asyncio
import hashlib
import os
from uuid import UUID

import pytest

from relais.contracts import decode
from relais.contracts.ingestion import DistributionRequested, DocumentReceived
from relais.contracts.submission import Recipient, RecipientKind
from relais.ingestion.domain import RefusalReason, SubmissionRefused, Verdict
from relais.ingestion.handlers import DocumentTooLarge, HashMismatch
from relais.ingestion.intake import ASK_FIRST_SECONDS, SUPPOSED_MAXIMUM
from relais.sandbox.cda import Kind, generate
from relais.vault.seal import document_key, open_body, open_content
from relais.vault.vault import SubjectErased
from tests.ingestion.given import Bench, request_for, running_intake

DOCUMENT = generate(1)
OTHER = generate(2)
DOCTOR = Recipient(kind=RecipientKind.PROFESSIONAL, address="dr@medecin.mssante.fr")


async def received(bench: Bench) -> list[DocumentReceived | DistributionRequested]:
    facts = [decode(event.tag, event.payload) for event in await bench.log.read(0)]
    return [fact for fact in facts if isinstance(fact, DocumentReceived | DistributionRequested)]


async def opened_body(bench: Bench, fact: DocumentReceived | DistributionRequested) -> bytes:
    submission = fact.submission
    (subject,) = await bench.keys.subjects([("chu", UUID(submission.subject))])
    assert subject is not None
    chunks = (await bench.blobs.get_many([UUID(submission.body.blob)]))[UUID(submission.body.blob)]
    return open_body(document_key(subject, submission.document), chunks, deflated=submission.body.deflated)


@pytest.mark.parametrize("kind", [Kind.N1, Kind.N3])
@pytest.mark.parametrize("size", [None, 300_000, 2_000_000])
async def test_a_receipt_means_that_the_exact_bytes_can_be_opened_again(kind: Kind, size: int | None) -> None:
    document = generate(3, kind=kind, size_bytes=size)
    async with running_intake() as bench:
        receipt = await bench.submit(request_for(document), document.body)
        (fact,) = await received(bench)
        assert await opened_body(bench, fact) == document.body
        assert fact.submission.body.deflated == (kind is Kind.N3)
        assert receipt.sha256 == hashlib.sha256(document.body).digest()
        assert (receipt.document, receipt.tenant_sequence) == (fact.submission.document, 1)
        assert bench.rings


async def test_the_sealed_part_opens_to_what_was_declared_and_nothing_of_it_is_clear() -> None:
    async with running_intake() as bench:
        await bench.submit(request_for(DOCUMENT, recipients=(DOCTOR,)), DOCUMENT.body)
        (event,) = await bench.log.read(0)
        (fact,) = await received(bench)
        (subject,) = await bench.keys.subjects([("chu", UUID(fact.submission.subject))])
        assert subject is not None
        content = open_content(document_key(subject, fact.submission.document), fact.submission.document, fact.submission.sealed)
        assert (content.identity, content.recipients) == (DOCUMENT.identity, (DOCTOR,))
        for secret in (DOCUMENT.identity.ins, DOCUMENT.identity.birth_family_name, DOCTOR.address):
            assert secret.encode() not in event.payload


async def test_the_same_request_again_gives_the_first_receipt_and_stores_nothing() -> None:
    async with running_intake() as bench:
        request = request_for(DOCUMENT)
        first = await bench.submit(request, DOCUMENT.body)
        again = await bench.submit(request, DOCUMENT.body)
        assert again.repeat
        assert (again.document, again.tenant_sequence, again.recorded_at) == (first.document, first.tenant_sequence, first.recorded_at)
        assert len(await received(bench)) == 1


async def test_a_new_document_costs_no_question_and_a_known_one_has_them_asked_for_a_while() -> None:
    async with running_intake() as bench:
        for number in (11, 12):
            await bench.submit(request_for(generate(number)), generate(number).body)
        assert bench.log.streams_asked == 0
        await bench.submit(request_for(DOCUMENT), DOCUMENT.body)
        await bench.submit(request_for(DOCUMENT), DOCUMENT.body)
        assert bench.log.streams_asked == 1
        await bench.clock.advance(ASK_FIRST_SECONDS - 0.1)
        await bench.submit(request_for(generate(13)), generate(13).body)
        assert bench.log.streams_asked == 2
        await bench.clock.advance(0.1)
        await bench.submit(request_for(generate(14)), generate(14).body)
        assert bench.log.streams_asked == 2
        assert len(bench.blobs._chunks) == 5


async def test_many_at_once_are_asked_for_together() -> None:
    documents = [generate(number) for number in range(100, 100 + SUPPOSED_MAXIMUM)]
    async with running_intake() as bench:
        await asyncio.gather(*(bench.submit(request_for(document), document.body) for document in documents))
        assert bench.log.streams_asked == SUPPOSED_MAXIMUM
        assert len(await received(bench)) == SUPPOSED_MAXIMUM


async def test_a_large_body_is_never_staged_before_the_log_was_asked() -> None:
    large = generate(15, size_bytes=2_000_000)
    async with running_intake() as bench:
        await bench.submit(request_for(large), large.body)
        assert bench.log.streams_asked == 1
        await bench.submit(request_for(large), large.body)
        assert len(bench.blobs._chunks) == 1


@pytest.mark.parametrize("known_for_seconds", [0.0, ASK_FIRST_SECONDS], ids=["asked first", "supposed new"])
async def test_what_a_known_document_becomes_does_not_depend_on_when_the_log_was_asked(known_for_seconds: float) -> None:
    changed = DOCUMENT.body.replace(b"</ClinicalDocument>", b" </ClinicalDocument>")
    async with running_intake() as bench:
        request = request_for(DOCUMENT)
        first = await bench.submit(request, DOCUMENT.body)
        (fact,) = await received(bench)
        await bench.submit(request, DOCUMENT.body)

        await bench.clock.advance(known_for_seconds)
        again = await bench.submit(request, DOCUMENT.body)
        assert (again.repeat, again.tenant_sequence) == (True, first.tenant_sequence)
        await bench.clock.advance(known_for_seconds)
        for refused, body in ((request_for(DOCUMENT), changed), (request_for(OTHER, request=request.request), OTHER.body)):
            with pytest.raises(SubmissionRefused):
                await bench.submit(refused, body)
            await bench.clock.advance(known_for_seconds)
        await bench.submit(request_for(DOCUMENT, identity=OTHER.identity), DOCUMENT.body)
        second = (await received(bench))[1]
        assert second.submission.subject == fact.submission.subject, "sealed under the key of the first receipt, whoever is declared now"
        assert await opened_body(bench, second) == DOCUMENT.body
        assert len(bench.blobs._chunks) == 1


async def test_a_hundred_repeats_at_once_store_one_document_and_give_one_receipt() -> None:
    async with running_intake() as bench:
        request = request_for(DOCUMENT)
        receipts = await asyncio.gather(*(bench.submit(request, DOCUMENT.body) for _ in range(100)))
        assert {(one.document, one.tenant_sequence) for one in receipts} == {(receipts[0].document, 1)}
        assert len(await received(bench)) == 1


async def test_another_request_on_the_same_bytes_names_the_body_that_is_there() -> None:
    async with running_intake() as bench:
        await bench.submit(request_for(DOCUMENT), DOCUMENT.body)
        await bench.submit(request_for(DOCUMENT, recipients=(DOCTOR,)), DOCUMENT.body)
        first, second = await received(bench)
        assert isinstance(second, DistributionRequested)
        assert second.submission.body == first.submission.body
        assert await opened_body(bench, second) == DOCUMENT.body


async def test_a_request_id_is_one_request_even_across_documents() -> None:
    async with running_intake() as bench:
        request = request_for(DOCUMENT)
        await bench.submit(request, DOCUMENT.body)
        with pytest.raises(SubmissionRefused) as refused:
            await bench.submit(request_for(OTHER, request=request.request), OTHER.body)
        assert refused.value.reason is RefusalReason.REQUEST_ID_REUSED
        assert len(await received(bench)) == 1


async def test_other_bytes_under_the_same_document_id_are_refused_and_leave_no_body() -> None:
    changed = DOCUMENT.body.replace(b"</ClinicalDocument>", b" </ClinicalDocument>")
    async with running_intake() as bench:
        await bench.submit(request_for(DOCUMENT), DOCUMENT.body)
        with pytest.raises(SubmissionRefused) as refused:
            await bench.submit(request_for(DOCUMENT), changed)
        assert refused.value.reason is RefusalReason.DOCUMENT_ID_REUSED
        assert len(bench.blobs._chunks) == 1


async def test_one_tenants_request_ids_and_documents_are_nothing_to_another() -> None:
    async with running_intake() as bench:
        request = request_for(DOCUMENT)
        mine = await bench.submit(request, DOCUMENT.body)
        theirs = await bench.submit(request_for(DOCUMENT, tenant="ghu", request=request.request), DOCUMENT.body)
        assert mine.document != theirs.document
        assert not theirs.repeat


async def test_an_erased_subjects_document_takes_no_further_request() -> None:
    async with running_intake() as bench:
        await bench.submit(request_for(DOCUMENT), DOCUMENT.body)
        (fact,) = await received(bench)
        await bench.keys.erase("chu", UUID(fact.submission.subject))
        with pytest.raises(SubjectErased):
            await bench.submit(request_for(DOCUMENT), DOCUMENT.body)


async def test_a_preview_says_what_would_be_and_stores_nothing() -> None:
    async with running_intake() as bench:
        request = request_for(DOCUMENT)
        assert (await bench.reception.preview(request, DOCUMENT.body, b""))[1] is Verdict.NEW_DOCUMENT
        assert not await received(bench)
        await bench.submit(request, DOCUMENT.body)
        assert (await bench.reception.preview(request, DOCUMENT.body, b""))[1] is Verdict.REPEAT


async def test_a_wrong_declared_hash_and_a_document_over_the_limit_are_refused() -> None:
    async with running_intake() as bench:
        with pytest.raises(HashMismatch):
            await bench.reception.receive(request_for(DOCUMENT), DOCUMENT.body, bytes(32))
        with pytest.raises(DocumentTooLarge):
            await bench.reception.receive(request_for(DOCUMENT), DOCUMENT.body + b" " * 4 * 1024 * 1024, b"")
        assert not await received(bench)


async def test_recipients_that_no_later_fact_could_carry_are_refused_at_the_door() -> None:
    # Chance does not deflate: a letter of a hundred real addresses would fit.
    crowd = tuple(
        Recipient(kind=RecipientKind.PROFESSIONAL, address=os.urandom(160).hex(), fallback_address=os.urandom(320).hex())
        for _ in range(100)
    )
    async with running_intake() as bench:
        with pytest.raises(SubmissionRefused) as refused:
            await bench.submit(request_for(DOCUMENT, recipients=crowd), DOCUMENT.body)
        assert refused.value.reason is RefusalReason.FIELD_TOO_LONG
        assert not await received(bench)
