"""What routing's later decisions do to deliveries of the same document that are not sent yet (SAFETY 17).

A document can be submitted again with other flags, another opposition or another identity status. Routing then withdraws, by
ordinal, what an earlier request was promised, or holds the document. What is not sent yet is abandoned with that reason. When a person
has lifted the doubt about the identity, routing names by ordinal what may go on (`DocumentReleased.reinstated`).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from relais.contracts import Fact
from relais.contracts.reasons import AbandonReason, HoldReason, SuppressReason
from relais.contracts.routing import DocumentHeld, RouteSuppressed

_WITHDRAWALS = {
    SuppressReason.OPPOSITION: AbandonReason.OPPOSITION,
    SuppressReason.IDENTITY_NOT_QUALIFIED: AbandonReason.IDENTITY_NO_LONGER_RELEASED,
    SuppressReason.TEST_IDENTITY: AbandonReason.IDENTITY_NO_LONGER_RELEASED,
    SuppressReason.PATIENT_ADDRESS_IS_NOT_THE_PATIENT: AbandonReason.IDENTITY_NO_LONGER_RELEASED,
    SuppressReason.IDENTITY_REJECTED: AbandonReason.IDENTITY_NO_LONGER_RELEASED,
}
# Holds that doubt whose document it is. The others concern one kind of destination, which routing withdraws by ordinal.
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
        HoldReason.REJECTED_BEFORE,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Withdrawal:
    """What *other and earlier* requests planned for this document must not be sent any more: one ordinal, or (None) all of it."""

    document: str
    request: str
    ordinal: int | None
    reason: AbandonReason


def withdrawals(fact: Fact) -> Sequence[Withdrawal]:
    """What one fact of the routing log says to earlier deliveries of its document."""
    match fact:
        case RouteSuppressed():
            return [
                Withdrawal(
                    document=fact.document,
                    request=fact.request,
                    ordinal=entry.ordinal,
                    reason=_WITHDRAWALS.get(entry.reason, AbandonReason.FLAGS_TIGHTENED),
                )
                for entry in fact.suppressed
                if entry.ordinal is not None
            ]
        case DocumentHeld() if _IDENTITY_HOLDS.intersection(fact.reasons):
            submission = fact.submission
            reason = AbandonReason.IDENTITY_NO_LONGER_RELEASED
            return [Withdrawal(document=submission.document, request=submission.request, ordinal=None, reason=reason)]
        case _:
            return []
