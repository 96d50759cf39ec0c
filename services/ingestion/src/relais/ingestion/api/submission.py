"""From a protobuf submission to a decided one: every field is looked at, everything wrong is named at once, no value is repeated."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeVar
from uuid import UUID

from relais.api.access.v1.error_reason_pb2 import ErrorReason
from relais.api.ingestion.v1 import submission_pb2 as pb
from relais.contracts.submission import DeclaredIdentity, Flags, InsStatus, Opposition, Professional, Recipient, RecipientKind
from relais.ingestion.request import RECIPIENTS_MAXIMUM, SubmissionRequest

Choice = TypeVar("Choice")

NAME_CHARACTERS_MAXIMUM: Final = 256
ADDRESS_CHARACTERS_MAXIMUM: Final = 320
IDENTIFIER_CHARACTERS_MAXIMUM: Final = 64
SHA256_BYTES: Final = 32

_FLAGS: Final = tuple(pb.Flags.DESCRIPTOR.fields_by_name)
_STATUS: Final[dict[int, InsStatus]] = {pb.InsStatus.Value(f"INS_STATUS_{status.name}"): status for status in InsStatus}
_OPPOSITION: Final[dict[int, Opposition]] = {pb.Opposition.Value(f"OPPOSITION_{opposition.name}"): opposition for opposition in Opposition}
_KIND: Final[dict[int, RecipientKind]] = {pb.RecipientKind.Value(f"RECIPIENT_KIND_{kind.name}"): kind for kind in RecipientKind}
_SEX: Final[dict[int, str]] = {pb.SEX_UNSPECIFIED: "", pb.SEX_MALE: "M", pb.SEX_FEMALE: "F", pb.SEX_UNDETERMINED: "UN"}


@dataclass(frozen=True, slots=True)
class Violation:
    """One thing wrong with one field, by the field's path in the request; never by its value."""

    field: str
    reason: "ErrorReason.ValueType"


class SubmissionInvalid(Exception):
    """The submission cannot be read as one. `violations` is never empty."""

    def __init__(self, violations: list[Violation]) -> None:
        super().__init__(", ".join(violation.field for violation in violations))
        self.violations = violations


@dataclass(frozen=True, slots=True)
class Sender:
    """Who submits, by their credential (`relais.chassis.access`), and for which sites they may."""

    tenant: str
    sender: str
    actor: str
    may_send_for: Callable[[str], bool]


def read_submission(message: pb.Submission, sender: Sender, traceparent: str = "") -> SubmissionRequest:
    """The decided submission. Raises `SubmissionInvalid` with every violation found."""
    reader = _Reader()
    flags = reader.flags(message)
    if not message.HasField("patient"):
        reader.wrong("submission.patient")
    request = SubmissionRequest(
        tenant=sender.tenant,
        request=reader.uuid("submission.request_id", message.request_id),
        site=reader.site(message.site, sender.may_send_for),
        sender=sender.sender,
        actor=sender.actor,
        professional=reader.professional(message.professional),
        identity=reader.identity(message.patient) if message.HasField("patient") else DeclaredIdentity(),
        flags=flags,
        opposition=reader.choice("submission.dmp_feeding_opposition", message.dmp_feeding_opposition, _OPPOSITION, Opposition.UNKNOWN),
        recipients=reader.recipients(message),
        traceparent=traceparent,
    )
    if message.sha256 and len(message.sha256) != SHA256_BYTES:
        reader.wrong("submission.sha256")
    if message.replaces:
        reader.wrong("submission.replaces", ErrorReason.ERROR_REASON_NOT_IMPLEMENTED)
    if reader.violations:
        raise SubmissionInvalid(reader.violations)
    return request


class _Reader:
    """Collects violations while it reads, so that a sender mends everything in one go."""

    def __init__(self) -> None:
        self.violations: list[Violation] = []

    def wrong(self, field: str, reason: "ErrorReason.ValueType" = ErrorReason.ERROR_REASON_FIELD_INVALID) -> None:
        self.violations.append(Violation(field, reason))

    def text(self, field: str, value: str, characters_maximum: int = NAME_CHARACTERS_MAXIMUM, *, required: bool = False) -> str:
        if len(value) > characters_maximum or "\x00" in value or (required and not value.strip()):
            self.wrong(field)
        return value.strip()

    def uuid(self, field: str, value: str) -> str:
        try:
            return str(UUID(value))
        except ValueError:
            self.wrong(field)
            return ""

    def choice(self, field: str, value: int, choices: dict[int, Choice], otherwise: Choice) -> Choice:
        chosen = choices.get(value)
        if chosen is None:
            self.wrong(field)
        return otherwise if chosen is None else chosen

    def site(self, value: str, allowed: Callable[[str], bool]) -> str:
        if not allowed(value):
            # A site that is not the sender's own and a site that does not exist are told apart by nobody.
            self.wrong("submission.site", ErrorReason.ERROR_REASON_SITE_UNKNOWN)
        return value

    def flags(self, message: pb.Submission) -> Flags:
        decided: dict[str, bool] = {}
        for name in _FLAGS:
            value = getattr(message.flags, name)
            if value not in (pb.FLAG_YES, pb.FLAG_NO):
                self.wrong(f"submission.flags.{name}", ErrorReason.ERROR_REASON_FLAG_UNSPECIFIED)
            decided[name] = value == pb.FLAG_YES
        return Flags(**decided)

    def professional(self, message: pb.Professional) -> Professional:
        path = "submission.professional"
        return Professional(
            identifier=self.text(f"{path}.identifier", message.identifier, IDENTIFIER_CHARACTERS_MAXIMUM, required=True),
            family_name=self.text(f"{path}.family_name", message.family_name),
            given_name=self.text(f"{path}.given_name", message.given_name),
            organisation=self.text(f"{path}.organisation", message.organisation),
        )

    def identity(self, message: pb.PatientIdentity) -> DeclaredIdentity:
        path = "submission.patient"
        if not (message.ins or message.local_id or message.birth_family_name):
            self.wrong(path)
        if message.ins and not message.ins_oid:
            self.wrong(f"{path}.ins_oid")
        if not message.birth_date.isdecimal() and message.birth_date:
            self.wrong(f"{path}.birth_date")
        return DeclaredIdentity(
            ins=self.text(f"{path}.ins", message.ins, IDENTIFIER_CHARACTERS_MAXIMUM),
            ins_oid=self.text(f"{path}.ins_oid", message.ins_oid, IDENTIFIER_CHARACTERS_MAXIMUM),
            ins_status=self.choice(f"{path}.ins_status", message.ins_status, _STATUS, InsStatus.PROVISOIRE),
            birth_family_name=self.text(f"{path}.birth_family_name", message.birth_family_name),
            first_birth_given_name=self.text(f"{path}.first_birth_given_name", message.first_birth_given_name),
            given_names=self.text(f"{path}.given_names", message.given_names),
            sex=_SEX.get(message.sex, ""),
            birth_date=self.text(f"{path}.birth_date", message.birth_date, 8),
            birth_place=self.text(f"{path}.birth_place", message.birth_place, 5),
            local_id=self.text(f"{path}.local_id", message.local_id, IDENTIFIER_CHARACTERS_MAXIMUM),
            local_id_authority=self.text(f"{path}.local_id_authority", message.local_id_authority, IDENTIFIER_CHARACTERS_MAXIMUM),
        )

    def recipients(self, message: pb.Submission) -> tuple[Recipient, ...]:
        if len(message.recipients) > RECIPIENTS_MAXIMUM:
            self.wrong("submission.recipients", ErrorReason.ERROR_REASON_RECIPIENTS_TOO_MANY)
            return ()
        return tuple(self._recipient(f"submission.recipients[{n}]", one) for n, one in enumerate(message.recipients))

    def _recipient(self, path: str, message: pb.Recipient) -> Recipient:
        return Recipient(
            kind=self.choice(f"{path}.kind", message.kind, _KIND, RecipientKind.PROFESSIONAL),
            address=self.text(f"{path}.address", message.address, ADDRESS_CHARACTERS_MAXIMUM, required=True),
            identifier=self.text(f"{path}.identifier", message.identifier, IDENTIFIER_CHARACTERS_MAXIMUM),
            name=self.text(f"{path}.name", message.name),
            fallback_address=self.text(f"{path}.fallback_address", message.fallback_address, ADDRESS_CHARACTERS_MAXIMUM),
        )
