"""Everything that is checked about one submission's identity, in one pure function over its sealed content and what is known.

Nothing here asks anybody: what INSi answered and what is known of the local id arrive as arguments.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from relais.contracts.deployment import Deployment
from relais.contracts.header import Identifier
from relais.contracts.reasons import HoldReason
from relais.contracts.submission import InsStatus, SealedContent
from relais.identity.domain.comparison import MATRICULE, OID, compare, normalise_date
from relais.identity.domain.ins import INS_OIDS, TEST_OIDS, InsFault, InsRules, Severity, canonical_matricule, fault_of, ins_of
from relais.identity.domain.links import Link, Standing
from relais.identity.domain.status import DOUBTFUL, lowest

_INSIDE_THE_DOCUMENT: Final = "document"
_DECLARED: Final = "declared"


class InsiCode(Enum):
    """What INSi said; its own codes. It confirms or lowers a status and never raises one (SAFETY 8)."""

    NOT_ASKED = "not_asked"
    FOUND = "00"
    NONE_FOUND = "01"
    SEVERAL_FOUND = "02"


@dataclass(frozen=True, slots=True)
class InsiAnswer:
    """An answer of INSi: with FOUND the active INS and the former ones (INSHISTO)."""

    code: InsiCode = InsiCode.NOT_ASKED
    active: Identifier = field(default_factory=Identifier)
    historical: tuple[Identifier, ...] = ()


NOT_ASKED: Final = InsiAnswer()


@dataclass(frozen=True, slots=True)
class Rules:
    """How this deployment checks: which world it is, and how severe a fault of an INS is under each OID."""

    deployment: Deployment
    ins: InsRules = field(default_factory=InsRules)


@dataclass(frozen=True, slots=True)
class Examination:
    """What was found. Without reasons the identity is fit to route under `status`, never above the declared one.

    `evidence` and `warnings` name fields; `checked` names the checks that had something to check.
    """

    status: InsStatus
    reasons: tuple[HoldReason, ...] = ()
    evidence: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    checked: tuple[str, ...] = ()


def examine(content: SealedContent, link: Link, mark: bytes, insi: InsiAnswer, rules: Rules) -> Examination:
    """Check one submission. `link` is what is known of the declared local id, `mark` the keyed hash of the declared INS (or empty)."""
    identity, header = content.identity, content.header
    declared = canonical_matricule(identity.ins)
    found = ins_of(header.patient_ids)
    present = bool(declared or found)
    status = _status(content, insi)
    comparison = compare(identity, header)
    historical = _is_historical(content, insi) or (bool(mark) and link.standing(mark) is Standing.FORMER)
    # A former matricule explains the difference: it is its own reason, and the people who look need to know which it is.
    disagreeing = tuple(name for name in comparison.disagreeing if not (historical and name in {MATRICULE, OID}))
    faults = tuple(_faults(content))
    errors = [(fault, where) for fault, where, oid in faults if rules.ins.severity(oid) is Severity.ERROR]
    warnings = tuple(f"ins_{fault.value}.{where}" for fault, where, oid in faults if rules.ins.severity(oid) is Severity.WARNING)
    born_after = tuple(_born_after(content))
    verdicts = {
        HoldReason.INS_FORMAT_WRONG: any(fault is InsFault.FORMAT for fault, _ in errors),
        HoldReason.INS_KEY_WRONG: any(fault is InsFault.KEY for fault, _ in errors),
        HoldReason.TEST_IDENTITY_IN_PRODUCTION: rules.deployment is Deployment.PRODUCTION and _is_test_identity(content),
        HoldReason.STATUS_DOUBTFUL: identity.ins_status in DOUBTFUL,
        HoldReason.INS_NOT_QUALIFIED_IN_DOCUMENT: bool(found) and status is not InsStatus.QUALIFIEE,
        HoldReason.IDENTITY_DISAGREES: bool(disagreeing),
        HoldReason.HISTORICAL_INS: historical,
        HoldReason.LOCAL_ID_WITH_ANOTHER_INS: bool(mark) and link.standing(mark) is Standing.ANOTHER,
        HoldReason.BORN_AFTER_DOCUMENT: bool(born_after),
    }
    checks = {
        "ins_form": present,
        "ins_key": present,
        "deployment": present,
        "status": True,
        **dict.fromkeys(comparison.compared, True),
        "local_id_link": bool(mark),
        "born_before_document": bool(header.effective_time),
    }
    return Examination(
        status=status,
        reasons=tuple(reason for reason, holds in verdicts.items() if holds),
        evidence=(*(f"ins_{fault.value}.{where}" for fault, where in errors), *disagreeing, *born_after),
        warnings=warnings,
        checked=tuple(name for name, done in checks.items() if done),
    )


def _status(content: SealedContent, insi: InsiAnswer) -> InsStatus:
    """The declared status, lowered by what contradicts it: no INS at all, or one that INSi does not confirm, is not qualified."""
    declared = canonical_matricule(content.identity.ins)
    ceilings = []
    if not declared or content.identity.ins_oid not in INS_OIDS:
        ceilings.append(InsStatus.VALIDEE)
    if insi.code in {InsiCode.NONE_FOUND, InsiCode.SEVERAL_FOUND}:
        ceilings.append(InsStatus.VALIDEE)
    if insi.code is InsiCode.FOUND and insi.active != Identifier(root=content.identity.ins_oid, extension=declared):
        ceilings.append(InsStatus.VALIDEE)
    return lowest(content.identity.ins_status, ceilings)


def _faults(content: SealedContent) -> Iterator[tuple[InsFault, str, str]]:
    """Every matricule that is not an INS by its form or key: the fault, the side it is on, its OID."""
    identity = content.identity
    declared = canonical_matricule(identity.ins)
    if declared or identity.ins_oid:
        fault = fault_of(declared) if identity.ins_oid in INS_OIDS else InsFault.FORMAT
        if fault is not None:
            yield fault, _DECLARED, identity.ins_oid
    for one in ins_of(content.header.patient_ids):
        fault = fault_of(one.extension)
        if fault is not None:
            yield fault, _INSIDE_THE_DOCUMENT, one.root


def _is_test_identity(content: SealedContent) -> bool:
    return content.identity.ins_oid in TEST_OIDS or any(one.root in TEST_OIDS for one in content.header.patient_ids)


def _is_historical(content: SealedContent, insi: InsiAnswer) -> bool:
    """Whether either side carries a matricule that the sender or INSi knows as a former one."""
    historical = set(ins_of((*content.identity.historical_ins, *insi.historical)))
    declared = Identifier(root=content.identity.ins_oid, extension=canonical_matricule(content.identity.ins))
    return declared in historical or any(one in historical for one in ins_of(content.header.patient_ids))


def _born_after(content: SealedContent) -> Iterator[str]:
    """The sides whose birth date is after the day of the document, at the precision that both have."""
    day = normalise_date(content.header.effective_time)
    births = {_DECLARED: content.identity.birth_date, _INSIDE_THE_DOCUMENT: content.header.patient_birth_time}
    for side, written in births.items():
        birth = normalise_date(written)
        known = min(len(birth), len(day))
        if birth[:known] > day[:known]:
            yield f"birth_date.{side}"
