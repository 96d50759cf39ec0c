"""What routing's later decisions do to deliveries of the same document that are not sent yet (SAFETY 17).

A document can be submitted again with other flags, another opposition or another identity status. What routing then decides
is about the patient as they are known now, so it also binds what an earlier request still waits to send: the objection is
noted on the waiting deliveries, and looked at just before each sending. A later release lifts what the hold noted.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from relais.contracts import Fact
from relais.contracts.reasons import AbandonReason, HoldReason, SuppressReason
from relais.contracts.routing import DestinationKind, DocumentHeld, DocumentReleased, RoutePlanned, RouteSuppressed
from relais.contracts.submission import InsStatus, Opposition

# What routing may say of one destination kind and that earlier requests did not know. Reasons that lie in the document itself
# (its type, its confidentiality code) or in the configuration were already true when the earlier plan was made.
_SUPPRESSIONS = {
    SuppressReason.OPPOSITION: AbandonReason.OPPOSITION,
    SuppressReason.IDENTITY_NOT_QUALIFIED: AbandonReason.IDENTITY_NO_LONGER_RELEASED,
    SuppressReason.TEST_IDENTITY: AbandonReason.IDENTITY_NO_LONGER_RELEASED,
    SuppressReason.INVISIBLE_TO_PATIENT: AbandonReason.FLAGS_TIGHTENED,
    SuppressReason.SECRET_CONNECTION: AbandonReason.FLAGS_TIGHTENED,
}
_IDENTITY_HOLDS = frozenset(
    {
        HoldReason.IDENTITY_DISAGREES,
        HoldReason.INS_KEY_WRONG,
        HoldReason.INS_FORMAT_WRONG,
        HoldReason.STATUS_DOUBTFUL,
        HoldReason.LOCAL_ID_WITH_ANOTHER_INS,
        HoldReason.BORN_AFTER_DOCUMENT,
        HoldReason.HISTORICAL_INS,
        HoldReason.TEST_IDENTITY_IN_PRODUCTION,
    }
)
_FEEDS = (DestinationKind.DMP,)
# SAFETY 10: no feed and no patient mail without a qualified INS.
_NEED_QUALIFIED = (DestinationKind.DMP, DestinationKind.MSSANTE_PATIENT)
_EVERY_KIND = tuple(DestinationKind)


@dataclass(frozen=True, slots=True, kw_only=True)
class Objection:
    """Deliveries of this document to these kinds, planned by *other and earlier* requests, must not be sent any more."""

    document: str
    request: str
    kinds: tuple[DestinationKind, ...]
    reason: AbandonReason


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifted:
    """A person released this request's hold: what it objected to may go again."""

    document: str
    request: str


def consequences(fact: Fact) -> Sequence[Objection | Lifted]:
    """What one fact of the routing log says to earlier deliveries of its document."""
    match fact:
        case RoutePlanned():
            return _of_plan(fact)
        case RouteSuppressed():
            return [
                Objection(document=fact.document, request=fact.request, kinds=(entry.kind,), reason=_SUPPRESSIONS[entry.reason])
                for entry in fact.suppressed
                if entry.reason in _SUPPRESSIONS
            ]
        case DocumentHeld() if _IDENTITY_HOLDS.intersection(fact.reasons):
            submission = fact.submission
            reason = AbandonReason.IDENTITY_NO_LONGER_RELEASED
            return [Objection(document=submission.document, request=submission.request, kinds=_EVERY_KIND, reason=reason)]
        case DocumentReleased():
            return [Lifted(document=fact.document, request=fact.request)]
        case _:
            return []


def _of_plan(fact: RoutePlanned) -> Sequence[Objection]:
    submission = fact.submission
    found: list[tuple[tuple[DestinationKind, ...], AbandonReason]] = []
    if submission.opposition is Opposition.YES:
        found.append((_FEEDS, AbandonReason.OPPOSITION))
    if fact.ins_status is not InsStatus.QUALIFIEE:
        found.append((_NEED_QUALIFIED, AbandonReason.IDENTITY_NO_LONGER_RELEASED))
    if submission.flags.invisible_patient:
        found.append(((DestinationKind.MSSANTE_PATIENT,), AbandonReason.FLAGS_TIGHTENED))
    return [Objection(document=submission.document, request=submission.request, kinds=kinds, reason=reason) for kinds, reason in found]
