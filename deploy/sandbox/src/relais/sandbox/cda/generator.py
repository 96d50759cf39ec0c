"""One seed, one document: the same bytes on every machine and in every run."""

from datetime import date, datetime, timedelta, timezone
from enum import StrEnum
from random import Random
from typing import Final

import msgspec

from relais.contracts.header import Code, Identifier
from relais.contracts.submission import DeclaredIdentity, Professional
from relais.sandbox.cda.body import structured_body, unstructured_body
from relais.sandbox.cda.header import HeaderFacts, write_header
from relais.sandbox.cda.people import INS_NIR_TEST, Person, invent_doctor, invent_patient
from relais.sandbox.cda.types import DOCUMENT_TYPES

BENCH_BYTES: Final = 51 * 1024
"""What hospitals send in the mean, and what the benches are measured with."""

_DOCUMENT_ROOT: Final = "2.25"
"""Identifiers made of a UUID need no authority (ISO/IEC 9834-8)."""

_FIRST_DOCUMENT: Final = datetime(2025, 1, 6, 8, tzinfo=timezone(timedelta(hours=1)))
_DOCUMENTS_SECONDS: Final = 28 * 24 * 3600
_END: Final = "\n</ClinicalDocument>\n"


class Kind(StrEnum):
    """N1 is a PDF inside a header; N3 is sections and entries."""

    N1 = "N1"
    N3 = "N3"


class SyntheticDocument(msgspec.Struct, frozen=True, kw_only=True):
    """A document with what its sender would declare beside it, which agrees with its header."""

    body: bytes
    kind: Kind
    identifier: Identifier
    set_id: Identifier
    version_number: int
    type: Code
    title: str
    written_at: datetime
    identity: DeclaredIdentity
    professional: Professional


def generate(
    seed: int,
    *,
    kind: Kind = Kind.N3,
    size_bytes: int | None = None,
    type_code: str = "11502-2",
    ins_oid: str = INS_NIR_TEST,
    version_number: int = 1,
    born: date | None = None,
) -> SyntheticDocument:
    """The document of this seed, of `size_bytes` (BENCH_BYTES when not said) to within a few bytes.

    Versions above 1 keep patient and set, and say which document they replace. `type_code` is one of DOCUMENT_TYPES, else
    KeyError. A size too small for a header and the least body gives the smallest document instead.
    """
    # The patient and the set depend on the seed alone; what a version holds depends on its number too.
    chance = Random(f"set {seed}")
    patient = invent_patient(chance, ins_oid, born=born)
    doctor = invent_doctor(chance)
    set_id = _identifier(chance)
    written_at = _FIRST_DOCUMENT + timedelta(seconds=chance.randrange(_DOCUMENTS_SECONDS), days=version_number - 1)
    document_type = DOCUMENT_TYPES[type_code]
    facts = HeaderFacts(
        identifier=_version_identifier(seed, version_number),
        set_id=set_id,
        version_number=version_number,
        replaces=_version_identifier(seed, version_number - 1) if version_number > 1 else None,
        type=document_type,
        structured=kind is Kind.N3,
        patient=patient,
        doctor=doctor,
        written_at=written_at,
    )
    header = write_header(facts) + "\n"
    room = (size_bytes if size_bytes is not None else BENCH_BYTES) - len((header + _END).encode())
    content = Random(f"content {seed} {version_number}")
    if kind is Kind.N3:
        component = structured_body(content, room, written_at)
    else:
        component = unstructured_body(content, room, _page_lines(document_type.title, patient, written_at))
    return SyntheticDocument(
        body=(header + component + _END).encode(),
        kind=kind,
        identifier=facts.identifier,
        set_id=set_id,
        version_number=version_number,
        type=document_type.code,
        title=document_type.title,
        written_at=written_at,
        identity=patient.identity,
        professional=doctor.professional,
    )


def _page_lines(title: str, patient: Person, written_at: datetime) -> tuple[str, ...]:
    identity = patient.identity
    name = f"{identity.birth_family_name} {identity.first_birth_given_name}"
    return (title, f"Patient : {name}, {identity.birth_date}", f"Le {written_at:%d/%m/%Y}", "Document d'essai, patient inventé.")


def _version_identifier(seed: int, version_number: int) -> Identifier:
    return _identifier(Random(f"version {seed} {version_number}"))


def _identifier(chance: Random) -> Identifier:
    return Identifier(root=f"{_DOCUMENT_ROOT}.{chance.getrandbits(127) + 1}")
