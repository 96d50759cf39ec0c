"""What a later request takes back of what earlier ones planned: it may not be sent any more where it is not sent yet (SAFETY 17). And what
may go on once a person has lifted a doubt about the identity: what is neither sent nor wanted elsewhere would be lost without a word.
"""

from collections.abc import Iterable, Iterator

from relais.contracts.reasons import SuppressReason
from relais.contracts.routing import DestinationKind, SuppressedDestination
from relais.contracts.submission import Opposition
from relais.routing.domain.case import Case
from relais.routing.domain.commands import DocumentState, Served, Standing
from relais.routing.law import rules
from relais.routing.law.age import is_of_age

_PROFESSIONALS = frozenset({DestinationKind.MSSANTE_PROFESSIONAL, DestinationKind.SOFTWARE})


def withdrawals(case: Case, tightened: frozenset[str], served: Iterable[Served]) -> tuple[SuppressedDestination, ...]:
    """The planned destinations that this request takes back. `tightened` are the masking flags that it is the first to set."""
    return tuple(
        SuppressedDestination(kind=one.kind, reason=reason, rule=rule, ordinal=one.ordinal)
        for one in served
        if not one.withdrawn
        for reason, rule in _first(_reasons(case, tightened, one.kind))
    )


def reinstated(request: str, state: DocumentState, gone: Iterable[SuppressedDestination]) -> tuple[int, ...]:
    """The ordinals that identity's hold of this request stopped and that may go on, now that a person has released it.

    None while another request of the document waits at identity, or when a fact about the document could not be read.
    """
    doubted = any(known.standing is Standing.IDENTITY_HELD for other, known in state.requests.items() if other != request)
    if doubted or state.parked or state.rejected:
        return ()
    taken = {one.ordinal for one in gone}
    return tuple(sorted(one.ordinal for one in state.served.values() if not one.withdrawn and one.ordinal not in taken))


def everything(served: Iterable[Served]) -> tuple[SuppressedDestination, ...]:
    """Every planned destination, after a person rejected the document."""
    return tuple(
        SuppressedDestination(kind=one.kind, reason=SuppressReason.IDENTITY_REJECTED, rule=rules.REJECTED, ordinal=one.ordinal)
        for one in served
        if not one.withdrawn
    )


def _reasons(case: Case, tightened: frozenset[str], kind: DestinationKind) -> Iterator[tuple[SuppressReason, str]]:
    if kind is DestinationKind.DMP:
        if case.opposition is Opposition.YES:
            yield SuppressReason.OPPOSITION, rules.DMP_OPPOSITION
        if not case.qualified_ins:
            yield SuppressReason.IDENTITY_NOT_QUALIFIED, rules.DMP_QUALIFIED
    elif kind is DestinationKind.MSSANTE_PATIENT:
        if "invisible_patient" in tightened:
            yield SuppressReason.INVISIBLE_TO_PATIENT, rules.PATIENT_INVISIBLE
        births = (case.identity.birth_date, case.header.patient_birth_time)
        if "invisible_rep_legaux" in tightened and not is_of_age(births, case.day):
            yield SuppressReason.INVISIBLE_TO_REPRESENTATIVES, rules.PATIENT_MINOR
        if not case.qualified_ins:
            yield SuppressReason.IDENTITY_NOT_QUALIFIED, rules.PATIENT_QUALIFIED
    elif kind in _PROFESSIONALS and "masque_ps" in tightened:
        yield SuppressReason.MASKED_TO_PROFESSIONALS, rules.PROFESSIONAL_MASKED


def _first(reasons: Iterator[tuple[SuppressReason, str]]) -> Iterator[tuple[SuppressReason, str]]:
    for reason in reasons:
        yield reason
        return
