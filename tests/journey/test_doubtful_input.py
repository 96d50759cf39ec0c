"""Attacks what is not refused at the door: the doubtful is held after its receipt, the law suppresses one destination and no other.

And names with every trick that Unicode has: none may crash anything, none may make two persons one, none may part one person in two.
"""

import zlib
from dataclasses import replace

import msgspec
import pytest

from relais.client.document_records import Document, Submission
from relais.client.words import id_of
from relais.contracts.submission import DeclaredIdentity, InsStatus, Opposition, Recipient, RecipientKind
from relais.demo.cast import EVERYWHERE
from relais.embedded.stack import Stack
from relais.sandbox.cda import INS_NIR, SyntheticDocument, generate
from tests.journey.bad_input import changed
from tests.journey.given import DOCTOR, submission_of
from tests.journey.hospital import Hospital, found, outcome
from tests.journey.partners import Partners

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]

SIZE_BYTES = 20_000


@pytest.fixture
async def hospital(journey_stack: Stack) -> Hospital:
    return await found(journey_stack, "doubtful")


async def settled(hospital: Hospital, submission: Submission, body: bytes) -> Document:
    """Where the document is when nothing more happens by itself."""
    async with hospital.as_sender() as sender:
        receipt = await sender.documents.submit(submission, body)
        return await outcome(sender, receipt.document)


def seed_of(request: pytest.FixtureRequest) -> int:
    """A seed for each case of a test, the same in every run."""
    return zlib.crc32(request.node.name.encode())


def reasons(document: Document) -> set[str]:
    return {code for step in document.steps if step.tag in ("identity.held.v1", "routing.document_held.v1") for code in step.codes}


def suppressed(document: Document) -> dict[str, str]:
    return {each.kind: each.code for each in document.destinations if each.outcome == "SUPPRESSED"}


def with_wrong_key(document: SyntheticDocument) -> tuple[DeclaredIdentity, bytes]:
    """Sender and document agree on a matricule whose key is wrong."""
    ins = document.identity.ins
    wrong = f"{ins[:13]}{int(ins[13:]) % 97 + 1:02d}"
    return msgspec.structs.replace(document.identity, ins=wrong), document.body.replace(ins.encode(), wrong.encode())


async def test_a_wrong_key_under_a_production_oid_is_held_and_under_a_test_oid_is_only_noted(hospital: Hospital) -> None:
    for seed, oid, state, why in ((6001, INS_NIR, "HELD", {"INS_KEY_WRONG"}), (6002, "1.2.250.1.213.1.4.10", "DONE", set())):
        document = generate(seed, size_bytes=SIZE_BYTES, ins_oid=oid)
        identity, body = with_wrong_key(document)
        found = await settled(hospital, submission_of(document, patient=identity), body)
        assert (found.state, reasons(found)) == (state, why)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        pytest.param({"birth_family_name": "QUELQUUNDAUTRE"}, "IDENTITY_DISAGREES", id="another name"),
        pytest.param({"birth_date": "19010101"}, "IDENTITY_DISAGREES", id="another birth date"),
        pytest.param({"ins": "", "ins_oid": ""}, "INS_NOT_QUALIFIED_IN_DOCUMENT", id="no INS declared"),
        pytest.param({"ins_status": InsStatus.VALIDEE}, "INS_NOT_QUALIFIED_IN_DOCUMENT", id="not qualified"),
        pytest.param({"ins_status": InsStatus.DOUTEUSE}, "STATUS_DOUBTFUL", id="doubtful"),
        pytest.param({"ins_status": InsStatus.FICTIVE}, "STATUS_DOUBTFUL", id="fictitious"),
    ],
)
async def test_a_doubtful_identity_is_held_after_its_receipt_and_nobody_gets_the_document(
    hospital: Hospital, request: pytest.FixtureRequest, change: dict[str, object], why: str
) -> None:
    document = generate(seed_of(request), size_bytes=SIZE_BYTES)
    patient = msgspec.structs.replace(document.identity, **change)
    found = await settled(hospital, submission_of(document, patient=patient), document.body)
    assert found.state == "HELD"
    assert why in reasons(found)
    assert Partners(hospital.stack).have(id_of(found.name)) == []


async def test_a_patient_address_that_is_not_this_patients_holds_the_document(hospital: Hospital) -> None:
    document = generate(6201, size_bytes=SIZE_BYTES)
    neighbour = Recipient(kind=RecipientKind.PROFESSIONAL, address=f"{generate(6202).identity.ins}@patient.mssante.fr")
    found = await settled(hospital, submission_of(document, recipients=(DOCTOR, neighbour)), document.body)
    assert (found.state, reasons(found)) == ("HELD", {"PATIENT_ADDRESS_IS_NOT_THE_PATIENT"})
    assert Partners(hospital.stack).have(id_of(found.name)) == []


async def test_what_the_law_refuses_to_one_destination_reaches_the_others(hospital: Hospital) -> None:
    measures = generate(6301, size_bytes=SIZE_BYTES, type_code="29274-8")
    found = await settled(hospital, submission_of(measures), measures.body)
    assert (found.state, suppressed(found)) == ("DONE", {"dmp": "TYPE_NOT_FOR_DMP"})
    opposed = generate(6302, size_bytes=SIZE_BYTES)
    found = await settled(hospital, submission_of(opposed, opposition=Opposition.YES), opposed.body)
    assert (found.state, suppressed(found)) == ("DONE", {"dmp": "OPPOSITION"})
    assert [one.endpoint for one in Partners(hospital.stack).have(id_of(found.name))] == ["sandbox-two", "sandbox-three"]


async def test_flags_that_no_row_of_the_matrix_knows_wait_for_a_person(hospital: Hospital) -> None:
    document = generate(6401, size_bytes=SIZE_BYTES)
    flags = msgspec.structs.replace(EVERYWHERE, destmssantepat=False)
    found = await settled(hospital, submission_of(document, flags=flags), document.body)
    assert (found.state, reasons(found)) == ("HELD", {"MATRIX_COMBINATION_UNKNOWN"})


@pytest.mark.parametrize(
    ("declared", "written", "state"),
    [
        pytest.param("LEFÈVRE", "LEFE\u0300VRE", "DONE", id="composed and decomposed"),
        pytest.param("Lefevre", "LEFEVRE", "DONE", id="case"),
        pytest.param("LEFEVRE", "\uff2c\uff25\uff26\uff25\uff36\uff32\uff25", "DONE", id="full width"),
        pytest.param("LEFEVRE", "LE\u200dFE\u200bVRE\ufeff", "DONE", id="signs without width"),
        pytest.param("D’ARC-LEFEVRE", "D'ARC LEFEVRE", "DONE", id="apostrophes and hyphens"),
        pytest.param("LE&<FEVRE>", "LE&amp;&lt;FEVRE&gt;", "DONE", id="signs that XML escapes"),
        pytest.param("L" + "\u0301" * 200 + "EFEVRE", "LEFEVRE", "DONE", id="two hundred accents on a letter"),
        pytest.param("LEFEVRE", "LEF\u0415VRE", "HELD", id="a Cyrillic letter that looks alike"),
        pytest.param("LEFEVRE", "\u202eERVEFEL\u202c", "HELD", id="written from right to left"),
        pytest.param("LEFEVRE", "𝐋𝐄𝐅𝐄𝐕𝐑𝐄", "DONE", id="mathematical letters"),
        pytest.param("LEFEVRE", "LEFEVRE 🏥", "DONE", id="a picture beside the name"),
        pytest.param("-- ' --", "-- ' --", "HELD", id="signs alone"),
        pytest.param("", "LEFEVRE", "HELD", id="no name on one side"),
    ],
)
async def test_a_name_with_every_trick_is_the_same_person_or_is_held(
    hospital: Hospital, request: pytest.FixtureRequest, declared: str, written: str, state: str
) -> None:
    document = generate(seed_of(request), size_bytes=SIZE_BYTES)
    family = document.identity.birth_family_name
    body = changed(document.body, f'<family qualifier="BR">{family}</family>', f'<family qualifier="BR">{written}</family>')
    patient = msgspec.structs.replace(document.identity, birth_family_name=declared)
    found = await settled(hospital, replace(submission_of(document), patient=patient), body)
    assert found.state == state
    assert reasons(found) == ({"IDENTITY_DISAGREES"} if state == "HELD" else set())
