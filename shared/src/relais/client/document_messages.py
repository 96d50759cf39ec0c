"""The documents' part of the contract, between protobuf and our records."""

from hashlib import sha256

from msgspec.structs import asdict

from relais.api.ingestion.v1 import document_pb2, ingestion_pb2, submission_pb2
from relais.client.document_records import (
    UNARY_BYTES_MAXIMUM,
    Change,
    Destination,
    Document,
    Receipt,
    Step,
    Submission,
    Upload,
    Validation,
)
from relais.client.errors import Explanation, Invalid
from relais.client.words import moment, number, word
from relais.contracts.submission import Flags

_SEXES = {"M": "MALE", "F": "FEMALE", "UN": "UNDETERMINED"}


def submission_message(submission: Submission, digest: bytes) -> submission_pb2.Submission:
    """The submission as it travels, with the SHA-256 of the bytes that go with it."""
    patient, professional = submission.patient, submission.professional
    return submission_pb2.Submission(
        request_id=submission.request_id,
        site=submission.site,
        professional=submission_pb2.Professional(
            identifier=professional.identifier,
            family_name=professional.family_name,
            given_name=professional.given_name,
            organisation=professional.organisation,
        ),
        patient=submission_pb2.PatientIdentity(
            ins=patient.ins,
            ins_oid=patient.ins_oid,
            ins_status=number(submission_pb2.InsStatus.DESCRIPTOR, patient.ins_status),
            birth_family_name=patient.birth_family_name,
            first_birth_given_name=patient.first_birth_given_name,
            given_names=patient.given_names,
            sex=number(submission_pb2.Sex.DESCRIPTOR, _SEXES.get(patient.sex, "UNSPECIFIED")),
            birth_date=patient.birth_date,
            birth_place=patient.birth_place,
            local_id=patient.local_id,
            local_id_authority=patient.local_id_authority,
        ),
        flags=flags_message(submission.flags),
        dmp_feeding_opposition=number(submission_pb2.Opposition.DESCRIPTOR, submission.opposition),
        recipients=[
            submission_pb2.Recipient(
                kind=number(submission_pb2.RecipientKind.DESCRIPTOR, recipient.kind),
                address=recipient.address,
                identifier=recipient.identifier,
                name=recipient.name,
                fallback_address=recipient.fallback_address,
            )
            for recipient in submission.recipients
        ],
        sha256=digest,
    )


def flags_message(flags: Flags) -> submission_pb2.Flags:
    """Every flag decided; ours are truth values, so none can be left out."""
    yes, no = (number(submission_pb2.Flag.DESCRIPTOR, word) for word in ("YES", "NO"))
    return submission_pb2.Flags(**{name: yes if decided else no for name, decided in asdict(flags).items()})


def submit_message(parent: str, submission: Submission, body: bytes) -> ingestion_pb2.SubmitDocumentRequest:
    """One document with its submission."""
    if len(body) > UNARY_BYTES_MAXIMUM:
        # Far above it gRPC itself would break the whole stream; the platform's own word is more useful.
        raise Invalid(Explanation(code="INVALID_ARGUMENT", reason="TOO_LARGE", message="above 4 MiB a document is uploaded, not submitted"))
    return ingestion_pb2.SubmitDocumentRequest(
        parent=parent, submission=submission_message(submission, sha256(body).digest()), document=body
    )


def receipt(message: document_pb2.Receipt) -> Receipt:
    """The record of a message."""
    return Receipt(
        document=message.document,
        sha256=message.sha256.hex(),
        tenant_sequence=message.tenant_sequence,
        recorded_at=moment(message.record_time),
        duplicate=message.duplicate,
    )


def validation(message: ingestion_pb2.ValidateDocumentResponse) -> Validation:
    """The record of a message."""
    return Validation(
        document=message.document,
        sha256=message.sha256.hex(),
        verdict=word(ingestion_pb2.ValidateDocumentResponse.Verdict.DESCRIPTOR, message.verdict),
        type_code=message.type_code,
    )


def upload(message: ingestion_pb2.Upload) -> Upload:
    """The record of a message."""
    return Upload(
        name=message.name,
        size_bytes=message.size_bytes,
        committed_bytes=message.committed_bytes,
        expires_at=moment(message.expire_time),
        receipt=receipt(message.receipt) if message.HasField("receipt") else None,
    )


def step(message: document_pb2.Step) -> Step:
    """The record of a message."""
    return Step(
        log=message.log,
        position=message.position,
        tag=message.tag,
        recorded_at=moment(message.record_time),
        codes=tuple(message.codes),
        ordinal=message.ordinal if message.HasField("ordinal") else None,
    )


def destination(message: document_pb2.Destination) -> Destination:
    """The record of a message."""
    return Destination(
        ordinal=message.ordinal if message.HasField("ordinal") else None,
        kind=message.kind,
        outcome=word(document_pb2.Destination.Outcome.DESCRIPTOR, message.outcome),
        code=message.code,
        due_at=moment(message.due_time),
    )


def document(message: document_pb2.Document) -> Document:
    """The record of a message."""
    return Document(
        name=message.name,
        state=word(document_pb2.Document.State.DESCRIPTOR, message.state),
        site=message.site,
        sender=message.sender,
        request_id=message.request_id,
        type_code=message.type_code,
        size_bytes=message.size_bytes,
        tenant_sequence=message.tenant_sequence,
        received_at=moment(message.receive_time),
        updated_at=moment(message.update_time),
        steps=tuple(map(step, message.steps)),
        destinations=tuple(map(destination, message.destinations)),
    )


def change(message: ingestion_pb2.WatchDocumentResponse) -> Change:
    """The record of a message."""
    return Change(document=document(message.document), steps=tuple(map(step, message.steps)))
