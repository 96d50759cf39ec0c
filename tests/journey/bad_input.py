"""Everything bad that a sender may hand in, as requests of the contract, with the refusal that each must meet at the door."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from relais.api.ingestion.v1 import ingestion_pb2 as pb
from relais.api.ingestion.v1 import submission_pb2
from relais.client.document_messages import submit_message
from relais.sandbox.cda import Kind, SyntheticDocument, generate
from tests.journey.given import submission_of

UNARY_BYTES_MAXIMUM: Final = 4 * 1024 * 1024
LEVELS: Final = 10_000
RECIPIENTS: Final = 101
SIZE_BYTES: Final = 20_000
_LAUGHS: Final = "".join(f'<!ENTITY l{level} "{f"&l{level - 1};" * 10}">' for level in range(1, 12))
_OPPOSITION: Final = "dmp_feeding_opposition"
_FAMILY: Final = "birth_family_name"
_ANOTHER_TARGET: Final = '<recordTarget><patientRole><id root="1.2" extension="3"/><patient/></patientRole></recordTarget>'

Request = pb.SubmitDocumentRequest
Change = Callable[[submission_pb2.Submission], object]


@dataclass(frozen=True)
class BadInput:
    """One bad request, with the reason and the fields that its refusal must name, and whose patient it must not name."""

    name: str
    request: Request
    patient: SyntheticDocument
    reason: str
    fields: tuple[str, ...]


def good_request(seed: int) -> Request:
    """A request that nothing is wrong with."""
    document = generate(seed, size_bytes=SIZE_BYTES)
    return submit_message("", submission_of(document), document.body)


def changed(body: bytes, old: str, new: str) -> bytes:
    """The document with the first `old` replaced; it must be there, or the case would attack nothing."""
    assert old.encode() in body
    return body.replace(old.encode(), new.encode(), 1)


def bad_documents(seed: int) -> Iterator[BadInput]:
    """Bytes that are not a CDA R2 document that anybody could read without doubt."""
    n3, n1 = generate(seed, size_bytes=SIZE_BYTES), generate(seed + 1, kind=Kind.N1, size_bytes=SIZE_BYTES)
    body = n3.body
    prolog = "?>\n"
    without = re.sub(rb"<recordTarget>.*</recordTarget>", b"", body, flags=re.DOTALL)
    deep = changed(body, "<paragraph>", f"<paragraph>{'<content>' * LEVELS}{'</content>' * LEVELS}")
    laughing = changed(body, prolog, f'{prolog}<!DOCTYPE x [<!ENTITY l0 "l">{_LAUGHS}]>').replace(b"Remarque", b"&l11;")
    target = "document:ClinicalDocument/recordTarget"
    for name, bad, reason, field in (
        ("nothing", b"", "NOT_XML", "document"),
        ("not XML", b"MSH|^~\\&|A|B", "NOT_XML", "document"),
        ("a PDF", b"%PDF-1.4\n", "NOT_XML", "document"),
        ("wrong root", b"<html/>", "WRONG_ROOT", "document"),
        ("a DTD", changed(body, prolog, f"{prolog}<!DOCTYPE ClinicalDocument>"), "DTD_FORBIDDEN", "document"),
        ("an external entity", _external_entity(body, prolog), "DTD_FORBIDDEN", "document"),
        ("a billion laughs", laughing, "DTD_FORBIDDEN", "document"),
        ("10,000 levels", deep, "TOO_DEEP", "document"),
        ("cut in the header", body[:3000], "TRUNCATED", "document"),
        ("cut in the last tag", body[:-4], "TRUNCATED", "document"),
        ("another encoding", body.decode().encode("utf-16"), "WRONG_ENCODING", "document"),
        (
            "unknown type code",
            changed(body, 'code="11502-2"', 'code="00000-0"'),
            "TYPE_CODE_UNKNOWN",
            "document:ClinicalDocument/code/@code",
        ),
        ("two record targets", changed(body, "<recordTarget>", f"{_ANOTHER_TARGET}<recordTarget>"), "MULTIPLE_RECORD_TARGETS", target),
        ("no patient", without, "PATIENT_MISSING", target),
        ("a title without end", changed(body, "<title>", f"<title>{'t' * 2048}"), "FIELD_TOO_LONG", "document:ClinicalDocument/title"),
    ):
        yield BadInput(name, submit_message("", submission_of(n3), bad), n3, reason, (field,))
    bad = changed(n1.body, 'representation="B64">', 'representation="B64">*')
    text = "document:ClinicalDocument/component/nonXMLBody/text"
    yield BadInput("bad Base64", submit_message("", submission_of(n1), bad), n1, "BAD_BASE64", (text,))


def bad_submissions(seed: int) -> Iterator[BadInput]:
    """A good document with something bad said beside it."""
    document = generate(seed, size_bytes=SIZE_BYTES)
    crowd = [
        submission_pb2.Recipient(kind=submission_pb2.RECIPIENT_KIND_PROFESSIONAL, address=f"a{n}@b.example") for n in range(RECIPIENTS)
    ]
    flag, patient = "submission.flags", "submission.patient"
    cases: tuple[tuple[str, Change, str, tuple[str, ...]], ...] = (
        ("unspecified flag", lambda one: one.flags.ClearField("destdmp"), "FLAG_UNSPECIFIED", (f"{flag}.destdmp",)),
        ("a flag of no known value", lambda one: setattr(one.flags, "masque_ps", 7), "FLAG_UNSPECIFIED", (f"{flag}.masque_ps",)),
        ("no opposition said", lambda one: one.ClearField(_OPPOSITION), "FIELD_INVALID", (f"submission.{_OPPOSITION}",)),
        ("unknown site", lambda one: setattr(one, "site", "site-of-nobody"), "SITE_UNKNOWN", ("submission.site",)),
        ("no site", lambda one: one.ClearField("site"), "SITE_UNKNOWN", ("submission.site",)),
        ("101 recipients", lambda one: one.recipients.extend(crowd[1:]), "RECIPIENTS_TOO_MANY", ("submission.recipients",)),
        ("wrong declared hash", lambda one: setattr(one, "sha256", bytes(32)), "HASH_MISMATCH", ("submission.sha256",)),
        ("a hash of another length", lambda one: setattr(one, "sha256", b"abc"), "FIELD_INVALID", ("submission.sha256",)),
        ("a request_id that is no UUID", lambda one: setattr(one, "request_id", "1"), "FIELD_INVALID", ("submission.request_id",)),
        ("no patient said", lambda one: one.ClearField("patient"), "FIELD_INVALID", (patient,)),
        ("no INS status", lambda one: one.patient.ClearField("ins_status"), "FIELD_INVALID", (f"{patient}.ins_status",)),
        ("a birth date of letters", lambda one: setattr(one.patient, "birth_date", "1er mai"), "FIELD_INVALID", (f"{patient}.birth_date",)),
        ("a name with a NUL", lambda one: setattr(one.patient, _FAMILY, "A\x00B"), "FIELD_INVALID", (f"{patient}.{_FAMILY}",)),
        ("a name without end", lambda one: setattr(one.patient, _FAMILY, "A" * 257), "FIELD_INVALID", (f"{patient}.{_FAMILY}",)),
        ("no sender", lambda one: one.ClearField("professional"), "FIELD_INVALID", ("submission.professional.identifier",)),
        ("a recipient of no kind", lambda one: one.recipients[0].ClearField("kind"), "FIELD_INVALID", ("submission.recipients[0].kind",)),
        ("a replacement", lambda one: setattr(one, "replaces", "tenants/t/documents/d"), "NOT_IMPLEMENTED", ("submission.replaces",)),
        ("everything at once", _everything, "FIELD_INVALID", (f"{flag}.destdmp", "submission.request_id", "submission.site")),
    )
    for name, change, reason, fields in cases:
        request = submit_message("", submission_of(document), document.body)
        change(request.submission)
        yield BadInput(name, request, document, reason, fields)


def too_large(seed: int) -> BadInput:
    """One byte more than a message may hold."""
    document = generate(seed, kind=Kind.N1, size_bytes=UNARY_BYTES_MAXIMUM + 4096)
    small = submit_message("", submission_of(document), b"")
    body = (document.body + b"\n" * UNARY_BYTES_MAXIMUM)[: UNARY_BYTES_MAXIMUM + 1]
    small.document = body
    small.submission.ClearField("sha256")
    return BadInput("4 MiB and a byte", small, document, "TOO_LARGE", ("document",))


def misused_ids(seed: int) -> Iterator[tuple[Request, BadInput]]:
    """First a good request, then one that misuses its identifiers."""
    document = generate(seed, size_bytes=SIZE_BYTES)
    first = submission_of(document)
    other_bytes = changed(document.body, "Remarque", "Retouche")
    sent = submit_message("", first, document.body)
    yield (
        sent,
        BadInput(
            "the id of a document with other bytes",
            submit_message("", submission_of(document), other_bytes),
            document,
            "DOCUMENT_ID_REUSED",
            ("document:ClinicalDocument/id",),
        ),
    )
    elsewhere = replace(submission_of(document), request_id=first.request_id, recipients=())
    yield (
        sent,
        BadInput(
            "a request_id twice", submit_message("", elsewhere, document.body), document, "REQUEST_ID_REUSED", ("submission.request_id",)
        ),
    )


def _external_entity(body: bytes, prolog: str) -> bytes:
    return changed(body, prolog, f'{prolog}<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>').replace(b"Remarque", b"&e;")


def _everything(one: submission_pb2.Submission) -> None:
    one.flags.ClearField("destdmp")
    one.request_id = "1"
    one.site = "site-of-nobody"
