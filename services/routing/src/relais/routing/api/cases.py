"""A made-up case of `ExplainRoute` as the law sees one: nobody's data, only what the decision depends on."""

from datetime import date, timedelta
from enum import StrEnum
from typing import Final, TypeVar

from google.protobuf.descriptor import EnumDescriptor

from relais.api.access.v1.error_reason_pb2 import ErrorReason
from relais.api.ingestion.v1 import submission_pb2
from relais.api.routing.v1 import routing_admin_pb2 as pb
from relais.chassis.api.errors import FieldsInvalid, FieldViolation
from relais.contracts.header import Code, HeaderExtract, Identifier
from relais.contracts.submission import DeclaredIdentity, Flags, InsStatus, Opposition, Recipient, RecipientKind
from relais.routing.domain.case import Case
from relais.routing.law.addresses import own_address

Word = TypeVar("Word", bound=StrEnum)

RECIPIENTS_MAXIMUM: Final = 100
AGE_YEARS_MAXIMUM: Final = 150

# The first 13 characters are the smallest that have the form of an INS, under a production OID: nobody's.
_INS: Final = "100000000000097"
_OID: Final = "1.2.250.1.213.1.4.8"
_NORMAL: Final = "N"


def case_of(message: pb.RouteCase, day: date) -> Case:
    """The case that a message describes. Raises `FieldsInvalid` naming every field that is missing or wrong."""
    violations: list[FieldViolation] = []
    flags = _flags(message.flags, violations)
    status = _word(InsStatus, submission_pb2.InsStatus.DESCRIPTOR, message.ins_status, "dry_run.ins_status", violations)
    opposition = _word(
        Opposition, submission_pb2.Opposition.DESCRIPTOR, message.dmp_feeding_opposition, "dry_run.dmp_feeding_opposition", violations
    )
    kinds = [
        _word(RecipientKind, submission_pb2.RecipientKind.DESCRIPTOR, kind, f"dry_run.recipients[{index}]", violations)
        for index, kind in enumerate(message.recipients)
    ]
    if len(kinds) > RECIPIENTS_MAXIMUM:
        violations.append(FieldViolation("dry_run.recipients", ErrorReason.ERROR_REASON_RECIPIENTS_TOO_MANY))
    if not message.type_code:
        violations.append(FieldViolation("dry_run.type_code"))
    if message.HasField("patient_age_years") and not 0 <= message.patient_age_years <= AGE_YEARS_MAXIMUM:
        violations.append(FieldViolation("dry_run.patient_age_years"))
    if violations or flags is None or status is None or opposition is None:
        raise FieldsInvalid(violations)
    birth = _birth(message, day)
    return Case(
        flags=flags,
        opposition=opposition,
        status=status,
        type_code=message.type_code,
        header=HeaderExtract(
            id=Identifier(root="2.25.0"),
            type=Code(code=message.type_code),
            confidentiality=Code(code=message.confidentiality or _NORMAL),
            patient_ids=(Identifier(root=_OID, extension=_INS),),
            patient_birth_time=birth,
        ),
        identity=DeclaredIdentity(ins=_INS, ins_oid=_OID, ins_status=status, birth_date=birth),
        recipients=tuple(_recipient(kind, index) for index, kind in enumerate(kinds) if kind is not None),
        day=day,
    )


def _flags(message: submission_pb2.Flags, violations: list[FieldViolation]) -> Flags | None:
    given = {name: getattr(message, name) for name in Flags.__struct_fields__}
    unspecified = [name for name, value in given.items() if value not in (submission_pb2.FLAG_YES, submission_pb2.FLAG_NO)]
    violations += [FieldViolation(f"dry_run.flags.{name}", ErrorReason.ERROR_REASON_FLAG_UNSPECIFIED) for name in unspecified]
    return None if unspecified else Flags(**{name: value == submission_pb2.FLAG_YES for name, value in given.items()})


def _word(words: type[Word], numbers: EnumDescriptor, number: int, field: str, violations: list[FieldViolation]) -> Word | None:
    """The word of ours that a number of the contract means; unspecified and unknown are violations."""
    prefix = numbers.values_by_number[0].name.removesuffix("UNSPECIFIED")
    value = numbers.values_by_number.get(number)
    name = value.name.removeprefix(prefix) if value is not None else ""
    if name not in words.__members__:
        violations.append(FieldViolation(field))
        return None
    return words[name]


def _birth(message: pb.RouteCase, day: date) -> str:
    """A birth date that makes the age given, or empty where none is given: an unknown age."""
    if not message.HasField("patient_age_years"):
        return ""
    # A day more than the years, so that a leap day changes no age.
    born = date(day.year - message.patient_age_years, day.month, min(day.day, 28)) - timedelta(days=1)
    return born.strftime("%Y%m%d")


def _recipient(kind: RecipientKind, index: int) -> Recipient:
    if kind is RecipientKind.PATIENT:
        return Recipient(kind=kind, address=own_address(_INS))
    return Recipient(kind=kind, address=f"recipient-{index}@organisation.mssante.fr")
