"""Attacks the whole road with one document: does it arrive everywhere it should, once, byte for byte, and can everybody see it?"""

import asyncio
import hashlib
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest

from relais.client.document_records import Receipt
from relais.client.errors import Conflict
from relais.client.words import id_of
from relais.contracts.submission import Recipient, RecipientKind
from relais.sandbox.cda import Kind, generate
from tests.journey.given import DOCTOR, submission_of
from tests.journey.hospital import ENDPOINT_OF_KIND, Hospital, outcome, sent
from tests.journey.partners import Partners

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]

UPLOAD_BYTES = 6 * 1024 * 1024


async def test_a_document_goes_from_its_receipt_to_every_partner_byte_for_byte(hospital: Hospital) -> None:
    document = generate(1001, kind=Kind.N1)
    async with sent(hospital, document, submission_of(document)) as (sender, receipt):
        assert receipt.sha256 == hashlib.sha256(document.body).hexdigest()
        assert receipt.tenant_sequence > 0
        assert receipt.recorded_at is not None
        done = await outcome(sender, receipt.document, "DONE")

    assert {(each.kind, each.outcome) for each in done.destinations} == {(kind, "SUCCEEDED") for kind in ENDPOINT_OF_KIND}
    tags = [step.tag for step in done.steps]
    assert tags[:3] == ["ingestion.document_received.v1", "identity.verified.v1", "routing.planned.v1"]
    assert tags[3:] == ["delivery.succeeded.v1"] * 3
    partners = Partners(hospital.stack)
    arrived = partners.have(id_of(receipt.document))
    assert sorted(one.endpoint for one in arrived) == sorted(ENDPOINT_OF_KIND.values())
    assert all(one.body == document.body for one in arrived)
    assert all(one.sha256.hex() == receipt.sha256 for one in arrived)
    # The partner verifies digest and signature with code of its own before it keeps anything.
    assert partners.disbelieved() == []


async def test_only_the_partner_that_needs_it_learns_who_the_recipient_is(hospital: Hospital) -> None:
    document = generate(1002)
    async with sent(hospital, document, submission_of(document)) as (sender, receipt):
        await outcome(sender, receipt.document, "DONE")
    recipients = {one.endpoint: one.recipient.get("address", "") for one in Partners(hospital.stack).have(id_of(receipt.document))}
    assert recipients["sandbox-one"] == ""
    assert recipients["sandbox-two"] == DOCTOR.address


async def test_the_same_request_again_is_the_same_receipt_and_nothing_is_delivered_twice(hospital: Hospital) -> None:
    document = generate(1003)
    submission = submission_of(document)
    async with hospital.as_sender() as sender:
        # At once, so that they meet on both replicas, and then again when everything is over.
        receipts = list(await asyncio.gather(*(sender.documents.submit(submission, document.body) for _ in range(8))))
        await outcome(sender, receipts[0].document, "DONE")
        async with sender.documents.bulk() as bulk:
            receipts.append(await (await bulk.send(submission, document.body)))
        receipts.append(await sender.documents.submit(submission, document.body))
        again = await sender.documents.get(receipts[0].document)

    assert {_as_first(receipt) for receipt in receipts} == {_as_first(receipts[0])}
    assert sum(not receipt.duplicate for receipt in receipts) == 1
    assert again.state == "DONE"
    assert [one.times for one in Partners(hospital.stack).have(id_of(again.name))] == [1, 1, 1]


async def test_the_same_document_for_one_more_recipient_reaches_that_one_alone(hospital: Hospital) -> None:
    document = generate(1004)
    first = submission_of(document)
    other = Recipient(kind=RecipientKind.PROFESSIONAL, address="autre.cabinet@essai.mssante.fr")
    async with sent(hospital, document, first) as (sender, receipt):
        await outcome(sender, receipt.document, "DONE")
        second = await sender.documents.submit(replace(first, request_id=str(uuid4()), recipients=(DOCTOR, other)), document.body)
        assert second.document == receipt.document
        async with asyncio.timeout(60):
            async for change in sender.documents.watch(receipt.document):
                if [each.outcome for each in change.document.destinations].count("SUCCEEDED") == 4:
                    break
    arrived = Partners(hospital.stack).have(id_of(receipt.document))
    assert [one.times for one in arrived] == [1, 1, 1, 1]
    assert sorted(one.recipient.get("address", "") for one in arrived if one.endpoint == "sandbox-two") == [other.address, DOCTOR.address]


async def test_one_request_id_cannot_name_two_submissions(hospital: Hospital) -> None:
    document, other = generate(1005), generate(1006)
    submission = submission_of(document)
    async with sent(hospital, document, submission) as (sender, receipt):
        with pytest.raises(Conflict) as refused:
            await sender.documents.submit(replace(submission_of(other), request_id=submission.request_id), other.body)
        assert refused.value.reason == "REQUEST_ID_REUSED"
        assert (await outcome(sender, receipt.document)).state == "DONE"


async def test_a_large_document_is_uploaded_in_pieces_and_arrives_whole(hospital: Hospital, tmp_path: Path) -> None:
    document = generate(1007, kind=Kind.N1, size_bytes=UPLOAD_BYTES)
    file = tmp_path / "large.xml"
    file.write_bytes(document.body)
    async with hospital.as_sender() as sender:
        receipt = await sender.documents.upload(submission_of(document), file)
        assert receipt.sha256 == hashlib.sha256(document.body).hexdigest()
        await outcome(sender, receipt.document, "DONE")
    arrived = Partners(hospital.stack).have(id_of(receipt.document))
    assert len(arrived) == 3
    assert all(one.body == document.body for one in arrived)


async def test_validating_says_what_submitting_would_and_stores_nothing(hospital: Hospital) -> None:
    document = generate(1008)
    submission = submission_of(document)
    async with hospital.as_sender() as sender:
        before = await sender.documents.validate(submission, document.body)
        assert [one async for one in sender.documents.list(limit=1000) if one.name == before.document] == []
        receipt = await sender.documents.submit(submission, document.body)
        after = await sender.documents.validate(submission, document.body)
        await outcome(sender, receipt.document, "DONE")
    assert (before.verdict, after.verdict) == ("NEW_DOCUMENT", "REPEAT")
    assert before.document == after.document == receipt.document
    assert before.sha256 == receipt.sha256


def _as_first(receipt: Receipt) -> Receipt:
    return replace(receipt, duplicate=False)
