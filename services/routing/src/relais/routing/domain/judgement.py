"""The law applied to one request: every destination that was wished for, and for each the rule that plans, refuses or holds it.

A pure function of flags, identity status, type, consent, recipients, the day, and the policy version (SAFETY 5, 10 to 16). It
says why before anybody says what: the decider turns it into facts, `ExplainRoute` shows it as it is.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from relais.contracts.deployment import Deployment
from relais.contracts.reasons import HoldReason, SuppressReason
from relais.contracts.routing import DestinationKind
from relais.contracts.submission import Opposition, RecipientKind
from relais.routing.domain.case import Case, Judgement, Law, Verdict, Wish
from relais.routing.domain.policy import EffectivePolicy
from relais.routing.law import rules
from relais.routing.law.addresses import (
    canonical_address,
    in_patient_domain,
    is_own_address,
    is_plain,
    own_address,
)
from relais.routing.law.age import is_of_age
from relais.routing.law.matrix import LENIENT_ROW, NEWEST, STRICT, Reading, read_matrix

_NORMAL: Final = "N"


@dataclass(frozen=True, slots=True)
class _No:
    """A check that failed: refuse this destination, or hold it."""

    rule: str
    suppressed: SuppressReason | None = None
    held: HoldReason | None = None
    whole: bool = False


@dataclass(frozen=True, slots=True)
class _Desk:
    """Everything the checks of one case look at."""

    case: Case
    law: Law
    policy: EffectivePolicy | None
    reading: Reading
    addresses: tuple[str, ...] = field(default=())


def judge(case: Case, law: Law, policy: EffectivePolicy | None) -> Judgement:
    """Judge one case. Without a policy everything is held."""
    matrix = policy.matrix if policy else NEWEST
    reading = read_matrix(case.flags, matrix, policy.matrix_mode if policy else STRICT)
    addresses = tuple(canonical_address(recipient.address) for recipient in case.recipients)
    desk = _Desk(case, law, policy, reading, addresses)
    holds = []
    if policy is None:
        holds.append((HoldReason.POLICY_MISSING, rules.POLICY))
    if case.loosened and not case.released:
        holds.append((HoldReason.MASKING_LOOSENED, rules.MASKING))
    if not reading.known and not case.released:
        holds.append((HoldReason.MATRIX_COMBINATION_UNKNOWN, rules.MATRIX))
    return Judgement(tuple(_wishes(desk)), tuple(holds), matrix, reading.row)


def _wishes(desk: _Desk) -> Iterator[Wish]:
    case = desk.case
    if case.flags.destdmp:
        yield _wish(desk, DestinationKind.DMP, None, "dmp", _dmp_checks(desk), rules.DMP_FEED)
    patients = [index for index in range(len(case.recipients)) if _is_patient(desk, index)]
    if case.flags.destmssantepat and not patients:
        yield _patient(desk, None)
    professionals = 0
    for index, recipient in enumerate(case.recipients):
        if index in patients:
            yield _patient(desk, index)
        elif recipient.kind is RecipientKind.SOFTWARE:
            yield _wish(desk, DestinationKind.SOFTWARE, index, _name(desk, index), _software_checks(desk, index), rules.SOFTWARE_NAMED)
        else:
            professionals += 1
            checks = _professional_checks(desk, index)
            yield _wish(desk, DestinationKind.MSSANTE_PROFESSIONAL, index, _name(desk, index), checks, desk.reading.row or LENIENT_ROW)
    if case.flags.destmssanteps and not professionals:
        yield Wish(
            kind=DestinationKind.MSSANTE_PROFESSIONAL,
            verdict=Verdict.SUPPRESSED,
            rule=rules.PROFESSIONAL_NAMED,
            suppressed=SuppressReason.NO_RECIPIENT,
        )


def _is_patient(desk: _Desk, index: int) -> bool:
    """An address in the patient domain is a patient route, whatever flag or field named it (SAFETY 11)."""
    recipient = desk.case.recipients[index]
    return recipient.kind is RecipientKind.PATIENT or in_patient_domain(desk.addresses[index], desk.law.patient_domains)


def _patient(desk: _Desk, index: int | None) -> Wish:
    matricule = desk.case.qualified_ins
    address = desk.addresses[index] if index is not None else ""
    name = f"{DestinationKind.MSSANTE_PATIENT}\0{address or own_address(matricule)}"
    checks = (*_address_checks(desk, index), *_patient_checks(desk))
    # A patient who is named without an address is reached where every patient is, and not through the recipient's own field.
    return _wish(desk, DestinationKind.MSSANTE_PATIENT, index if address else None, name, checks, desk.reading.row)


def _wish(desk: _Desk, kind: DestinationKind, index: int | None, name: str, checks: Iterable[_No], rule: str) -> Wish:
    """The first check that fails decides; where none does, the policy's endpoint does."""
    no = next(iter(checks), None)
    if no is not None:
        verdict = Verdict.HELD if no.held is not None else Verdict.SUPPRESSED
        return Wish(
            kind=kind, verdict=verdict, rule=no.rule, name=name, recipient=index, suppressed=no.suppressed, held=no.held, whole=no.whole
        )
    endpoint = desk.policy.endpoint_for(kind, desk.case.type_code) if desk.policy else None
    if endpoint is None:
        return Wish(
            kind=kind,
            verdict=Verdict.SUPPRESSED,
            rule=rules.ENDPOINT,
            name=name,
            recipient=index,
            suppressed=SuppressReason.NO_ENDPOINT,
        )
    return Wish(
        kind=kind, verdict=Verdict.PLANNED, rule=rule, name=name, recipient=index, endpoint=endpoint, fallback=_fallback(desk, kind, index)
    )


def _dmp_checks(desk: _Desk) -> Iterator[_No]:
    case, tables = desk.case, desk.law.tables
    if case.opposition is Opposition.YES:
        yield _No(rules.DMP_OPPOSITION, SuppressReason.OPPOSITION)
    if not case.qualified_ins:
        yield _No(rules.DMP_QUALIFIED, SuppressReason.IDENTITY_NOT_QUALIFIED)
    if desk.law.deployment is Deployment.PRODUCTION and case.is_test_identity:
        yield _No(rules.DMP_TEST, SuppressReason.TEST_IDENTITY)
    if case.type_code not in tables.dmp_types:
        yield _No(rules.DMP_TYPE, SuppressReason.TYPE_NOT_FOR_DMP)
    if tables.class_of(case.type_code) is None:
        yield _No(rules.DMP_CLASS, SuppressReason.TYPE_WITHOUT_CLASS)
    if case.header.confidentiality is None or case.header.confidentiality.code != _NORMAL:
        yield _No(rules.DMP_CONFIDENTIALITY, SuppressReason.CONFIDENTIALITY)
    if case.header.id.extension:
        yield _No(rules.DMP_ID, SuppressReason.DOCUMENT_ID_HAS_EXTENSION)


def _address_checks(desk: _Desk, index: int | None) -> Iterator[_No]:
    """A named patient address must be this patient's own; anything else may be another person's, and holds the document."""
    if index is None:
        return
    recipient, matricule = desk.case.recipients[index], desk.case.qualified_ins
    address_is_own = not desk.addresses[index] or is_own_address(desk.addresses[index], matricule, desk.law.patient_domains)
    named = "".join(recipient.identifier.split()).upper()
    # Only a recipient named as the patient carries an INS; a professional's identifier beside a patient's address is its own.
    identifier_is_own = recipient.kind is not RecipientKind.PATIENT or not named or named == matricule
    if matricule and address_is_own and identifier_is_own:
        return
    if desk.case.released:
        yield _No(rules.PATIENT_ADDRESS, SuppressReason.PATIENT_ADDRESS_IS_NOT_THE_PATIENT)
    else:
        yield _No(rules.PATIENT_ADDRESS, held=HoldReason.PATIENT_ADDRESS_IS_NOT_THE_PATIENT, whole=True)


def _patient_checks(desk: _Desk) -> Iterator[_No]:
    case, flags = desk.case, desk.case.flags
    if flags.invisible_patient:
        yield _No(rules.PATIENT_INVISIBLE, SuppressReason.INVISIBLE_TO_PATIENT)
    if not flags.destmssantepat:
        yield _No(rules.PATIENT_REQUESTED, SuppressReason.NOT_REQUESTED)
    if not desk.reading.known:
        if flags.connexion_secrete:
            yield _No(rules.PATIENT_SECRET, SuppressReason.SECRET_CONNECTION)
        yield _No(rules.MATRIX, SuppressReason.OUTSIDE_THE_MATRIX)
    if not case.qualified_ins:
        yield _No(rules.PATIENT_QUALIFIED, SuppressReason.IDENTITY_NOT_QUALIFIED)
    if desk.law.deployment is Deployment.PRODUCTION and case.is_test_identity:
        yield _No(rules.PATIENT_TEST, SuppressReason.TEST_IDENTITY)
    if flags.invisible_rep_legaux and not is_of_age((case.identity.birth_date, case.header.patient_birth_time), case.day):
        if case.released:
            yield _No(rules.PATIENT_MINOR, SuppressReason.INVISIBLE_TO_REPRESENTATIVES)
        else:
            yield _No(rules.PATIENT_MINOR, held=HoldReason.MINOR_OR_AGE_UNKNOWN)


def _professional_checks(desk: _Desk, index: int) -> Iterator[_No]:
    flags, recipient = desk.case.flags, desk.case.recipients[index]
    if not flags.destmssanteps:
        yield _No(rules.PROFESSIONAL_REQUESTED, SuppressReason.NOT_REQUESTED)
    if not desk.reading.known and flags.masque_ps:
        yield _No(rules.PROFESSIONAL_MASKED, SuppressReason.MASKED_TO_PROFESSIONALS)
    usable = is_plain(desk.addresses[index]) if desk.addresses[index] else bool(recipient.identifier.strip())
    if not usable:
        yield _No(rules.PROFESSIONAL_ADDRESS, SuppressReason.ADDRESS_UNUSABLE)


def _software_checks(desk: _Desk, index: int) -> Iterator[_No]:
    if desk.case.flags.masque_ps:
        yield _No(rules.SOFTWARE_MASKED, SuppressReason.MASKED_TO_PROFESSIONALS)
    if not desk.addresses[index] and not desk.case.recipients[index].identifier.strip():
        yield _No(rules.PROFESSIONAL_ADDRESS, SuppressReason.ADDRESS_UNUSABLE)


def _name(desk: _Desk, index: int) -> str:
    recipient = desk.case.recipients[index]
    kind = DestinationKind.SOFTWARE if recipient.kind is RecipientKind.SOFTWARE else DestinationKind.MSSANTE_PROFESSIONAL
    return f"{kind}\0{desk.addresses[index]}" if desk.addresses[index] else f"{kind}\0\0{recipient.identifier.strip()}"


def _fallback(desk: _Desk, kind: DestinationKind, index: int | None) -> bool:
    """A fallback is another address of the same recipient under the same flags, never a wider audience (SAFETY 16)."""
    if index is None or not desk.case.recipients[index].fallback_address:
        return False
    other = canonical_address(desk.case.recipients[index].fallback_address)
    if kind is DestinationKind.MSSANTE_PATIENT:
        return is_own_address(other, desk.case.qualified_ins, desk.law.patient_domains)
    return is_plain(other) and not in_patient_domain(other, desk.law.patient_domains)
