"""What travels in a demonstration: invented patients, N1 and N3, several types, and some that must be held or must not go everywhere.

The same seed gives the same documents. Every fiftieth document has the same twist; all the others are carried to all three destinations.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date
from types import MappingProxyType
from typing import Final
from uuid import UUID, uuid5

import msgspec

from relais.client.document_records import Submission
from relais.contracts.submission import Flags, InsStatus, Opposition, Recipient, RecipientKind
from relais.sandbox.cda import DOCUMENT_TYPES, INS_NIR, INS_NIR_TEST, Kind, SyntheticDocument, generate

DOCUMENTS_MAXIMUM: Final = 10_000
SITES: Final = ("hopital-amont", "hopital-aval")
_REQUESTS: Final = UUID("b7b8a0c6-5e0e-5a53-9a0d-8f4b2b1f7f3c")
_TWIST_EVERY: Final = 50
_SIZES_BYTES: Final = (12 * 1024, 51 * 1024, 120 * 1024)
_BORN_LATER: Final = date(2025, 11, 2)
_A_CHILD: Final = date(2016, 5, 21)

EVERYWHERE: Final = Flags(
    masque_ps=False,
    invisible_patient=False,
    invisible_rep_legaux=False,
    connexion_secrete=False,
    modif_conf_code=False,
    destdmp=True,
    destmssanteps=True,
    destmssantepat=True,
    ack_reception=True,
    ack_lecture_mss=True,
)
"""The full set: the DMP, the professional who is named, the patient. Row 1 of the MSSanté matrix."""

_TO_THE_PATIENT_NOT_THE_PARENTS: Final = msgspec.structs.replace(EVERYWHERE, invisible_rep_legaux=True, destdmp=False, destmssanteps=False)
_IN_NO_ROW: Final = msgspec.structs.replace(EVERYWHERE, destmssantepat=False)


@dataclass(frozen=True, kw_only=True)
class Parcel:
    """One document to carry. `held_for` is the reason for which it must be held, empty where it must be carried."""

    name: str
    submission: Submission
    body: bytes
    held_for: str = ""


@dataclass(frozen=True)
class _Twist:
    """What is special about one document."""

    change: "Callable[[Parcel, SyntheticDocument], Parcel]"
    held_for: str = ""
    born: date | None = None
    ins_oid: str = INS_NIR_TEST


def synthetic_parcels(count: int, seed: int) -> Iterator[Parcel]:
    """`count` documents of this seed, at most `DOCUMENTS_MAXIMUM`. Other seeds give other patients and other documents."""
    types = tuple(DOCUMENT_TYPES)
    for number in range(count):
        twist = _TWISTS.get(number % _TWIST_EVERY, _AS_IT_IS)
        document = generate(
            # Far enough from every other seed's numbers that no two runs share a patient.
            seed * DOCUMENTS_MAXIMUM + number,
            kind=Kind.N1 if number % 2 else Kind.N3,
            size_bytes=_SIZES_BYTES[number % len(_SIZES_BYTES)],
            type_code=types[number % len(types)],
            ins_oid=twist.ins_oid,
            born=twist.born,
        )
        parcel = Parcel(
            name=f"{document.kind.value} {document.type.code} n°{number + 1}",
            submission=Submission(
                request_id=request_id(f"synthetic {seed} {number}"),
                site=SITES[number % len(SITES)],
                patient=document.identity,
                flags=EVERYWHERE,
                opposition=Opposition.NO,
                professional=document.professional,
                recipients=(_doctor(number),),
            ),
            body=document.body,
            held_for=twist.held_for,
        )
        yield twist.change(parcel, document)


def request_id(name: str) -> str:
    """The request_id of a document of this name: the same wish in every run, so that a repeat is recognised."""
    return str(uuid5(_REQUESTS, name))


def _doctor(number: int) -> Recipient:
    return Recipient(kind=RecipientKind.PROFESSIONAL, address=f"cabinet{number % 7 + 1}@essai.mssante.fr")


def _as_it_is(parcel: Parcel, _document: SyntheticDocument) -> Parcel:
    return parcel


def _wrong_key(parcel: Parcel, document: SyntheticDocument) -> Parcel:
    """Document and sender agree on an INS whose key is wrong."""
    ins = document.identity.ins
    wrong = f"{ins[:13]}{int(ins[13:]) % 97 + 1:02d}"
    submission = replace(parcel.submission, patient=msgspec.structs.replace(document.identity, ins=wrong))
    return replace(parcel, submission=submission, body=parcel.body.replace(ins.encode(), wrong.encode()))


def _other_name(parcel: Parcel, document: SyntheticDocument) -> Parcel:
    """The sender's patient is not the document's: the accident that must never travel."""
    return replace(
        parcel,
        submission=replace(parcel.submission, patient=msgspec.structs.replace(document.identity, birth_family_name="MALAVOY")),
    )


def _with_status(status: InsStatus) -> "Callable[[Parcel, SyntheticDocument], Parcel]":
    def change(parcel: Parcel, document: SyntheticDocument) -> Parcel:
        return replace(parcel, submission=replace(parcel.submission, patient=msgspec.structs.replace(document.identity, ins_status=status)))

    return change


def _with_flags(flags: Flags) -> "Callable[[Parcel, SyntheticDocument], Parcel]":
    def change(parcel: Parcel, _document: SyntheticDocument) -> Parcel:
        return replace(parcel, submission=replace(parcel.submission, flags=flags))

    return change


def _opposed(parcel: Parcel, _document: SyntheticDocument) -> Parcel:
    return replace(parcel, submission=replace(parcel.submission, opposition=Opposition.YES))


_AS_IT_IS: Final = _Twist(_as_it_is)
_TWISTS: Final[Mapping[int, _Twist]] = MappingProxyType(
    {
        3: _Twist(_wrong_key, "INS_KEY_WRONG", ins_oid=INS_NIR),
        9: _Twist(_other_name, "IDENTITY_DISAGREES"),
        15: _Twist(_with_status(InsStatus.DOUTEUSE), "STATUS_DOUBTFUL"),
        21: _Twist(_with_status(InsStatus.VALIDEE), "INS_NOT_QUALIFIED_IN_DOCUMENT"),
        27: _Twist(_as_it_is, "BORN_AFTER_DOCUMENT", born=_BORN_LATER),
        33: _Twist(_with_flags(_TO_THE_PATIENT_NOT_THE_PARENTS), "MINOR_OR_AGE_UNKNOWN", born=_A_CHILD),
        39: _Twist(_with_flags(_IN_NO_ROW), "MATRIX_COMBINATION_UNKNOWN"),
        45: _Twist(_opposed),
    }
)
