"""Attacks the door with everything bad that a sender may hand in: refused, held or suppressed as SAFETY 4 says, and nothing half-stored.

Each case goes through the real gRPC edge on every road: one message, the bulk stream (where a bad document gets a status of its own and
the stream goes on), the upload, and validation, which must say the same. Every refusal names the field and never the patient.
"""

import asyncpg
import pytest

from relais.api.ingestion.v1.document_pb2 import Receipt
from relais.client.document_messages import submit_message
from relais.contracts.submission import DeclaredIdentity
from relais.embedded.stack import Stack
from relais.sandbox.cda import Kind, generate
from tests.journey.bad_input import (
    UNARY_BYTES_MAXIMUM,
    BadInput,
    Request,
    bad_documents,
    bad_submissions,
    good_request,
    misused_ids,
    too_large,
)
from tests.journey.edge import Refusal, edge_of
from tests.journey.given import submission_of
from tests.journey.hospital import Hospital, found

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]

MEBIBYTE = 1024 * 1024


@pytest.fixture
async def hospital(journey_stack: Stack) -> Hospital:
    """A hospital of its own: what it leaves behind is counted."""
    return await found(journey_stack, "bad-input")


def assert_refused(answer: object, bad: BadInput) -> None:
    """With the reason and the fields, in both languages, and without one word about the patient."""
    assert isinstance(answer, Refusal), f"{bad.name} was taken in"
    assert (answer.reason, answer.fields) == (bad.reason, bad.fields), bad.name
    assert answer.domain == "relais"
    assert answer.french
    said = answer.raw.lower()
    for value in words_of(bad.patient.identity):
        assert value.lower().encode() not in said, f"{bad.name} tells of the patient"


def words_of(identity: DeclaredIdentity) -> list[str]:
    """What names a person, long enough not to be met by chance."""
    values = (
        identity.ins,
        identity.ins[:13],
        identity.birth_family_name,
        identity.first_birth_given_name,
        identity.local_id,
        identity.birth_date,
    )
    return [value for value in values if len(value) > 3]


async def facts(hospital: Hospital) -> dict[str, int]:
    """How many facts about documents each log holds of this hospital, and how many rows the read model and the staging area have."""
    connection = await asyncpg.connect(hospital.record_dsn())
    try:
        counts = {}
        for log in ("ingestion", "identity", "routing", "delivery"):
            counts[log] = await connection.fetchval(
                f"SELECT count(*) FROM {log}.event WHERE tenant = $1 AND stream NOT LIKE 'access/%' AND tag NOT LIKE '%policy%'",
                hospital.tenant,
            )
        counts["journeys"] = await connection.fetchval("SELECT count(*) FROM ingestion.journey WHERE tenant = $1", hospital.tenant)
        counts["staged"] = await connection.fetchval("SELECT count(*) FROM vault.staging")
        # A body belongs to a fact, or to the sweeper, or somebody half-stored it.
        counts["orphans"] = await connection.fetchval(
            """
            WITH named AS (
                SELECT (convert_from(e.payload, 'UTF8')::jsonb #>> '{submission,body,blob}')::uuid AS blob
                FROM ingestion.event AS e WHERE e.tag LIKE 'ingestion.%'
            )
            SELECT count(DISTINCT c.blob) FROM vault.chunk AS c
            WHERE c.blob NOT IN (SELECT blob FROM vault.staging) AND c.blob NOT IN (SELECT blob FROM named)
            """
        )
        return counts
    finally:
        await connection.close()


async def test_every_bad_document_is_refused_on_every_road_and_nothing_is_stored(hospital: Hospital) -> None:
    cases = list(bad_documents(5001))
    before = await facts(hospital)
    async with edge_of(hospital) as edge:
        for bad in cases:
            assert_refused(await edge.submit(bad.request), bad)
            assert_refused(await edge.validate(bad.request), bad)
            if bad.request.document:
                assert_refused(await edge.upload(bad.request), bad)
    assert await facts(hospital) == before
    assert before["orphans"] == 0


async def test_every_bad_submission_is_refused_on_every_road_and_nothing_is_stored(hospital: Hospital) -> None:
    before = await facts(hospital)
    async with edge_of(hospital) as edge:
        for bad in bad_submissions(5101):
            assert_refused(await edge.submit(bad.request), bad)
            assert_refused(await edge.validate(bad.request), bad)
            assert_refused(await edge.upload(bad.request), bad)
    assert await facts(hospital) == before


@pytest.mark.parametrize(("together", "in_one_message"), [(False, 1), (True, 1), (True, 7)], ids=["one by one", "answers", "both ways"])
async def test_in_a_bulk_stream_a_bad_document_has_a_status_of_its_own_and_the_stream_goes_on(
    hospital: Hospital, together: bool, in_one_message: int
) -> None:
    cases = [*bad_documents(5201), *bad_submissions(5301), too_large(5399)]
    requests: list[Request] = []
    wanted: list[BadInput | None] = []
    for number, bad in enumerate(cases):
        requests += [good_request(52_000 + number), bad.request]
        wanted += [None, bad]
    requests.append(good_request(52_900))
    async with edge_of(hospital) as edge:
        # Seven at a time, for the last one is as large as two that would not fit a message with it.
        *usual, large, last = requests
        answers = await edge.submit_all(usual, together=together, in_one_message=in_one_message)
        answers += await edge.submit_all([large, last], together=together)
    for answer, expected in zip(answers, [*wanted, None], strict=True):
        if expected is None:
            assert isinstance(answer, Receipt), answer
        else:
            assert_refused(answer, expected)
    assert (await facts(hospital))["orphans"] == 0


async def test_documents_within_documents_within_a_message_are_not_looked_for(hospital: Hospital) -> None:
    async with edge_of(hospital) as edge:
        first, second = await edge.submit_nested(good_request(53_000))
    assert isinstance(first, Receipt)
    assert isinstance(second, Refusal)
    assert (second.reason, second.fields) == ("FIELD_INVALID", ("more.more",))


async def test_a_document_above_the_limit_of_a_message_meets_our_own_refusal(hospital: Hospital) -> None:
    bad = too_large(5401)
    assert len(bad.request.document) == UNARY_BYTES_MAXIMUM + 1
    async with edge_of(hospital) as edge:
        assert_refused(await edge.submit(bad.request), bad)
        assert_refused(await edge.validate(bad.request), bad)


async def test_an_id_that_is_used_for_something_else_is_refused(hospital: Hospital) -> None:
    async with edge_of(hospital) as edge:
        for first, bad in misused_ids(5501):
            assert isinstance(await edge.submit(first), Receipt)
            assert_refused(await edge.submit(bad.request), bad)
            assert_refused(await edge.validate(bad.request), bad)
            assert_refused(await edge.upload(bad.request), bad)
            (answer,) = await edge.submit_all([bad.request])
            assert_refused(answer, bad)


@pytest.mark.parametrize(
    ("size_bytes", "sent_bytes", "reason", "field"),
    [
        pytest.param(101 * MEBIBYTE, 0, "TOO_LARGE", "start.size_bytes", id="101 MiB are declared"),
        pytest.param(0, 0, "TOO_LARGE", "start.size_bytes", id="nothing is declared"),
        pytest.param(2 * MEBIBYTE, MEBIBYTE, "SIZE_MISMATCH", "start.size_bytes", id="the stream ends early"),
        pytest.param(MEBIBYTE, 2 * MEBIBYTE, "SIZE_MISMATCH", "start.size_bytes", id="the stream goes on"),
    ],
)
async def test_an_upload_that_is_not_as_long_as_it_says_is_refused(
    hospital: Hospital, size_bytes: int, sent_bytes: int, reason: str, field: str
) -> None:
    document = generate(5601 + size_bytes, kind=Kind.N1, size_bytes=2 * MEBIBYTE)
    request = submit_message("", submission_of(document), document.body)
    before = await facts(hospital)
    async with edge_of(hospital) as edge:
        answer = await edge.upload(request, size_bytes=size_bytes, body=document.body[:sent_bytes])
    assert_refused(answer, BadInput("upload", request, document, reason, (field,)))
    after = await facts(hospital)
    assert after["ingestion"] == before["ingestion"]
    assert after["orphans"] == 0


async def test_a_large_upload_that_turns_out_bad_at_its_end_leaves_only_what_the_sweeper_removes(hospital: Hospital) -> None:
    document = generate(5701, kind=Kind.N1, size_bytes=3 * MEBIBYTE)
    request = submit_message("", submission_of(document), document.body[: -len("</ClinicalDocument>\n")])
    before = await facts(hospital)
    async with edge_of(hospital) as edge:
        answer = await edge.upload(request)
    assert_refused(answer, BadInput("cut", request, document, "TRUNCATED", ("document",)))
    after = await facts(hospital)
    # What was sealed on the way is on the sweeper's list, and no fact names it.
    assert after == {**before, "staged": before["staged"] + 1}
