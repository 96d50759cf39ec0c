"""Where one delivery stands: what the next decision needs, folded from its facts."""

from enum import Enum

import msgspec
from msgspec.structs import replace

from relais.contracts import Fact
from relais.contracts.delivery import (
    DeliveryAbandoned,
    DeliveryAccepted,
    DeliveryAttempted,
    DeliveryDeferred,
    DeliveryReinstated,
    DeliveryRetryRequested,
    DeliveryScheduled,
    DeliverySucceeded,
)
from relais.contracts.reasons import AbandonReason
from relais.delivery.domain.commands import NotStarted

_NOT_STARTED_CODES = frozenset(reason.value for reason in NotStarted)
_WITHDRAWALS = frozenset(
    {
        AbandonReason.OPPOSITION,
        AbandonReason.IDENTITY_NO_LONGER_RELEASED,
        AbandonReason.FLAGS_TIGHTENED,
        AbandonReason.DOCUMENT_DELETED,
        AbandonReason.DOCUMENT_REPLACED,
    }
)
_ENDED_WITHOUT_ANSWER = _WITHDRAWALS | {AbandonReason.ABANDONED_BY_OPERATOR, AbandonReason.ATTEMPTS_EXHAUSTED}


class Phase(Enum):
    """Where a delivery stands."""

    UNPLANNED = "unplanned"
    WAITING = "waiting"
    ATTEMPTED = "attempted"
    ACCEPTED = "accepted"
    SUCCEEDED = "succeeded"
    ABANDONED = "abandoned"


class DeliveryState(msgspec.Struct, frozen=True, kw_only=True):
    """What the next decision needs. `attempts` counts all of them; `uncounted` those before a person's retry and those never begun.

    `withdrawn` is why routing took it back, and `given_up` says that it had ended without success before that.
    """

    phase: Phase = Phase.UNPLANNED
    document: str = ""
    ordinal: int = 0
    endpoint: str = ""
    attempts: int = 0
    uncounted: int = 0
    since: str = ""
    due_at: str = ""
    possible_repeat: bool = False
    withdrawn: AbandonReason | None = None
    given_up: bool = False


def evolve(state: DeliveryState, fact: Fact) -> DeliveryState:
    """The state after one fact of this stream; facts of other kinds change nothing, because newer builds may add some."""
    match fact:
        case DeliveryScheduled():
            return DeliveryState(
                phase=Phase.WAITING,
                document=fact.submission.document,
                ordinal=fact.destination.ordinal,
                endpoint=fact.destination.endpoint,
                since=fact.due_at,
                due_at=fact.due_at,
            )
        case DeliveryAttempted():
            return replace(state, phase=Phase.ATTEMPTED, attempts=fact.attempt)
        case DeliveryDeferred():
            return replace(
                state,
                phase=Phase.WAITING,
                due_at=fact.due_at,
                uncounted=state.uncounted + (fact.code in _NOT_STARTED_CODES),
                possible_repeat=state.possible_repeat or fact.unknown,
            )
        case DeliveryAccepted():
            return replace(state, phase=Phase.ACCEPTED)
        case DeliverySucceeded():
            return replace(state, phase=Phase.SUCCEEDED)
        case DeliveryAbandoned():
            # Unless the partner refused it, the attempt under way may have arrived: an attempt after this one must not hide that.
            under_way = state.phase is Phase.ATTEMPTED and fact.reason in _ENDED_WITHOUT_ANSWER
            return replace(
                state,
                phase=Phase.ABANDONED,
                possible_repeat=state.possible_repeat or under_way,
                withdrawn=fact.reason if fact.reason in _WITHDRAWALS else state.withdrawn,
                given_up=state.phase is Phase.ABANDONED,
            )
        case DeliveryRetryRequested():
            at = fact.due_at or state.due_at
            return replace(state, phase=Phase.WAITING, uncounted=state.attempts, since=at, due_at=at)
        case DeliveryReinstated():
            state = replace(state, withdrawn=None, given_up=False)
            if not fact.due_at:
                return state
            return replace(state, phase=Phase.WAITING, uncounted=state.attempts, since=fact.due_at, due_at=fact.due_at)
        case _:
            return state
