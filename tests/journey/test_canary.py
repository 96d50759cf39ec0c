"""Attacks secrecy: one invented patient goes every road, and then every byte of theirs is searched for where it must not be.

Roads: carried, held and looked at, released, rejected, refused at the door in many ways, tried again, given up, uploaded, cut and resumed,
validated, listed, read by an auditor without and with the right to see. Places: every log file (Postgres's own included), every span,
every metrics page, the broker's files, the database's files, every refusal and every answer to somebody who may not see.
"""

import dataclasses
import urllib.request
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import grpc.aio
import msgspec
import pytest

from relais.api.ingestion.v1 import ingestion_pb2 as pb
from relais.client.audit import CaughtUp, Event, Question
from relais.client.client import RelaisClient
from relais.client.document_messages import submit_message
from relais.client.document_records import Submission
from relais.client.errors import ClientError
from relais.client.settings import open_channel
from relais.client.words import id_of
from relais.contracts.submission import InsStatus, Recipient, RecipientKind
from relais.embedded.stack import Stack
from relais.embedded.topology import part_names
from relais.sandbox.cda import Kind
from tests.journey.canary import ADDRESS, FAMILY, GIVEN, INS, LOCAL_ID, CanaryDocument, canary_document, files_below, traces_in
from tests.journey.conftest import REPLICAS
from tests.journey.edge import Edge, Refusal, edge_of
from tests.journey.given import submission_of
from tests.journey.hospital import Hospital, found, outcome
from tests.journey.partners import Partners
from tests.journey.test_traces import spans_by_every_service

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]

LOGS = ("ingestion", "identity", "routing", "delivery")
UPLOAD_BYTES = 2 * 1024 * 1024
REASON = "a test of secrecy"
DOCTOR = Recipient(kind=RecipientKind.PROFESSIONAL, address=ADDRESS, name=f"Dr {FAMILY}")


@dataclasses.dataclass
class Journal:
    """What the roads brought: documents of the canary, refusals as bytes, and everything that was answered to whoever may not see."""

    documents: list[CanaryDocument] = dataclasses.field(default_factory=list)
    refusals: list[bytes] = dataclasses.field(default_factory=list)
    answers: list[bytes] = dataclasses.field(default_factory=list)

    def of(self, seed: int, *, kind: Kind = Kind.N3, size_bytes: int = 20_000) -> CanaryDocument:
        self.documents.append(canary_document(seed, kind=kind, size_bytes=size_bytes))
        return self.documents[-1]

    def answered(self, *records: Any) -> None:
        for record in records:
            self.answers.append(repr(dataclasses.asdict(record)).encode())


def canary_submission(canary: CanaryDocument, **changes: Any) -> Submission:
    return submission_of(canary.document, recipients=(DOCTOR,), **changes)


async def carried(hospital: Hospital, journal: Journal) -> str:
    """Validated, carried, tried again, given up, followed, listed, explained."""
    partners = Partners(hospital.stack)
    partners.treat("sandbox-two", "unavailable", "error")
    partners.treat("sandbox-three", "refuse")
    canary = journal.of(7001)
    async with hospital.as_sender() as sender:
        journal.answered(await sender.documents.validate(canary_submission(canary), canary.body))
        receipt = await sender.documents.submit(canary_submission(canary), canary.body)
        async for change in sender.documents.watch(receipt.document):
            journal.answered(change.document, *change.steps)
        done = await sender.documents.get(receipt.document)
        journal.answered(done, *[each async for each in sender.documents.list("state = DONE")])
    assert {each.kind: each.outcome for each in done.destinations} == {
        "dmp": "SUCCEEDED",
        "mssante_professional": "SUCCEEDED",
        "mssante_patient": "ABANDONED",
    }
    assert any(step.tag == "delivery.deferred.v1" for step in done.steps)
    # The control of the whole search: where the canary may be, it is found.
    for arrived in partners.have(id_of(receipt.document)):
        assert traces_in(arrived.body)
    return id_of(receipt.document)


async def held(hospital: Hospital, operator: RelaisClient, journal: Journal) -> None:
    """Held for another name, looked at, released or rejected by a person."""
    for seed, decide in ((7101, "release"), (7102, "reject")):
        canary = journal.of(seed)
        other = msgspec.structs.replace(canary.document.identity, birth_family_name=f"{FAMILY}S")
        async with hospital.as_sender() as sender:
            receipt = await sender.documents.submit(canary_submission(canary, patient=other), canary.body)
            journal.answered(await outcome(sender, receipt.document, "HELD"))
        journal.answered(*[each async for each in operator.held_by_identity.list()])
        # Whoever may see, with a reason, sees: the search must not be empty for want of something to find.
        seen = await operator.held_by_identity.evidence(receipt.document, REASON)
        assert any(FAMILY in each.documented for each in seen)
        if decide == "release":
            journal.answered(await operator.held_by_identity.release(receipt.document, InsStatus.QUALIFIEE, REASON))
        else:
            journal.answered(await operator.held_by_identity.reject(receipt.document, REASON))
        journal.answered(await outcome(operator, receipt.document, "DONE", "REJECTED"))


def bad_requests(journal: Journal) -> Iterator[pb.SubmitDocumentRequest]:
    """Every way to be refused, with the canary in the very thing that is refused."""
    canary = journal.of(7201)
    body = canary.body
    for bad in (
        body[:5000],
        body[:-9],
        f"<{FAMILY}>{GIVEN}</{FAMILY}>".encode(),
        FAMILY.encode(),
        body.replace(b"?>\n", f'?>\n<!DOCTYPE {FAMILY} [<!ENTITY {GIVEN} "{INS}">]>'.encode(), 1),
        body.replace(b'code="11502-2"', f'code="{FAMILY}"'.encode(), 1),
        body.replace(b"<title>", f"<title>{FAMILY * 300}".encode(), 1),
        body.replace(b"<birthTime value=", f'<birthTime value="{INS}"/><birthTime value='.encode(), 1),
        body.replace(b"<versionNumber value=", f'<versionNumber nullFlavor="{FAMILY}" value="{GIVEN}" x='.encode(), 1),
        body.replace(b"</patientRole>", f"</patientRole><patientRole><{FAMILY}/></patientRole>".encode(), 1),
        body.replace(b"</paragraph>", f"</{FAMILY}>".encode(), 1),
    ):
        yield submit_message("", canary_submission(canary), bad)
    for field, value in (("site", FAMILY), ("request_id", INS), ("sha256", INS.encode()), ("replaces", f"tenants/{FAMILY}")):
        request = submit_message("", canary_submission(canary), body)
        setattr(request.submission, field, value)
        yield request
    for field, value in (("birth_date", FAMILY), ("birth_family_name", FAMILY * 30), ("ins", INS * 9), ("local_id", LOCAL_ID * 9)):
        request = submit_message("", canary_submission(canary), body)
        setattr(request.submission.patient, field, value)
        yield request
    crowd = submit_message("", canary_submission(canary), body)
    crowd.submission.recipients.extend([crowd.submission.recipients[0]] * 101)
    yield crowd
    yield submit_message(f"tenants/{FAMILY.lower()}", canary_submission(canary), body)


async def refused(edge: Edge, hospital: Hospital, journal: Journal) -> None:
    """Refused at the door on every road, and in calls that name what they should not."""
    requests = list(bad_requests(journal))
    for request in requests:
        for answer in (await edge.submit(request), await edge.validate(request), await edge.upload(request)):
            assert isinstance(answer, Refusal), answer
            journal.refusals.append(answer.raw)
    same_tenant = [request for request in requests if not request.parent]
    for answer in await edge.submit_all(same_tenant):
        assert isinstance(answer, Refusal), answer
        journal.refusals.append(answer.raw)
    async with hospital.as_sender() as sender:
        for call in (
            sender.documents.get(f"tenants/{hospital.tenant}/documents/{FAMILY}"),
            sender.documents.get_upload(FAMILY),
            anext(sender.documents.list(f"state = {FAMILY}")),
            anext(sender.documents.list(f'patient = "{INS}"')),
        ):
            with pytest.raises(ClientError) as failure:
                await call
            journal.refusals.append(repr(failure.value.explanation).encode())


async def garbled(hospital: Hospital, journal: Journal) -> None:
    """Bytes that are no message of the contract, and a method that does not exist."""
    async with open_channel(hospital.settings(hospital.certificate("sender")), "ingestion") as channel:
        for method in ("/relais.api.ingestion.v1.IngestionService/SubmitDocument", f"/relais.api.ingestion.v1.IngestionService/{FAMILY}"):
            call = channel.unary_unary(method, request_serializer=bytes, response_deserializer=bytes)
            with pytest.raises(grpc.aio.AioRpcError) as failure:
                await call(b"\xff\xff" + FAMILY.encode(), timeout=10, metadata=(("x-patient", INS),))
            said = f"{failure.value.details()} {failure.value.debug_error_string()} {failure.value.trailing_metadata()}"
            # grpc's own word for an unknown method names the method, to the caller who named it; that is no leak.
            journal.refusals.append(said.replace(FAMILY, "").encode())


async def uploaded(hospital: Hospital, edge: Edge, journal: Journal, folder: Path) -> None:
    """Uploaded in pieces: cut in the middle, gone on with, and once cut for good."""
    canary = journal.of(7301, kind=Kind.N1, size_bytes=UPLOAD_BYTES)
    file = folder / "large.xml"
    file.write_bytes(canary.body)
    submission = canary_submission(canary)
    cut = await edge.upload(submit_message("", submission, canary.body), body=canary.body[: UPLOAD_BYTES // 2])
    assert isinstance(cut, Refusal)
    async with hospital.as_sender() as sender:
        journal.answered(await sender.documents.get_upload(submission.request_id))
        receipt = await sender.documents.upload(submission, file)
        journal.answered(await outcome(sender, receipt.document, "DONE"))
    lost = journal.of(7302, kind=Kind.N1, size_bytes=UPLOAD_BYTES)
    request = submit_message("", canary_submission(lost), lost.body)
    assert isinstance(await edge.upload(request, body=lost.body[: UPLOAD_BYTES // 2]), Refusal)


async def audited(hospital: Hospital, operator: RelaisClient, journal: Journal, document: str) -> None:
    """Every log read without the right to see; then with it, which shows the patient, and is a fact."""
    for log in LOGS:
        journal.answered(*[event async for event in _events(operator, log, Question())])
        journal.answered(*await operator.audit(log).stream(document))
    shown = await operator.audit("ingestion").stream(document, reveal=True, reason=REASON)
    assert any(FAMILY.encode() in event.opened for event in shown)
    reads = [
        msgspec.json.decode(event.payload) async for event in _events(operator, "ingestion", Question(tags=("access.document_read.v1",)))
    ]
    revealed = [fact for fact in reads if fact.get("revealed")]
    assert [(fact["documents"], fact["reason"]) for fact in revealed] == [[document], REASON] or ([document], REASON) in [
        (fact["documents"], fact["reason"]) for fact in revealed
    ]
    evidence = [
        msgspec.json.decode(event.payload) async for event in _events(operator, "identity", Question(tags=("access.document_read.v1",)))
    ]
    assert any(fact["reason"] == REASON for fact in evidence if fact.get("revealed"))


async def _events(operator: RelaisClient, log: str, question: Question) -> AsyncIterator[Event]:
    async for frame in operator.audit(log).read(question):
        if isinstance(frame, Event):
            yield frame
        if isinstance(frame, CaughtUp):
            return


def metrics_pages(stack: Stack) -> Iterator[tuple[str, bytes]]:
    for part in part_names(REPLICAS):
        with urllib.request.urlopen(f"http://{stack.report().part(part).addresses['metrics']}/metrics", timeout=10) as response:
            yield part, response.read()


async def test_no_byte_of_a_patient_is_anywhere_but_where_it_belongs(journey_stack: Stack, tmp_path: Path) -> None:
    hospital, journal = await found(journey_stack, "canary"), Journal()
    async with hospital.as_operator() as operator, edge_of(hospital) as edge:
        document = await carried(hospital, journal)
        await held(hospital, operator, journal)
        await refused(edge, hospital, journal)
        await garbled(hospital, journal)
        await uploaded(hospital, edge, journal, tmp_path)
        await audited(hospital, operator, journal, document)
        (first, *_) = await operator.audit("ingestion").stream(document)
    await spans_by_every_service(journey_stack, first.traceparent.split("-")[1])

    places: dict[str, list[str]] = {}
    state = journey_stack.state
    for file in files_below(state.root, without=[state.sandbox]):
        places[str(file.relative_to(state.root))] = traces_in(file.read_bytes(), journal.documents)
    assert {"logs/postgres.log", "logs/nats-server.log", "logs/delivery-2.log", "traces.jsonl"} <= set(places)
    assert any(place.startswith("nats/jetstream") for place in places)
    assert any(place.startswith("postgres/data/pg_wal") for place in places)
    for part, page in metrics_pages(journey_stack):
        places[f"metrics of {part}"] = traces_in(page, journal.documents)
    for number, refusal in enumerate(journal.refusals):
        places[f"refusal {number}"] = traces_in(refusal)
    for number, answer in enumerate(journal.answers):
        places[f"answer {number}"] = traces_in(answer)
    assert len(journal.refusals) > 60
    assert len(journal.answers) > 60
    assert {place: found for place, found in places.items() if found} == {}
