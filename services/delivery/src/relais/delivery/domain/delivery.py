"""The decision over one delivery: one stream per (document, ordinal of destination), from scheduled to an outcome.

    UNPLANNED --schedule--> WAITING --attempt--> ATTEMPTED --answer--> SUCCEEDED | ACCEPTED | ABANDONED | WAITING again
                               ^                     |
                               +---- no answer was ever recorded: deferred as unknown, then attempted as a possible repeat

What a doubt about the identity stopped (ABANDONED) is reinstated once a person has lifted it: WAITING again, unless it had been given up.

Nothing to do is the empty list: everything may be said twice.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import assert_never

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
from relais.decider import Decider
from relais.delivery.domain.answers import Accepted, Refused, Retry, Succeeded, Unknown
from relais.delivery.domain.commands import (
    Abandon,
    Attempt,
    CannotSend,
    DeliveryCommand,
    GiveBack,
    RecordAnswer,
    Reinstate,
    RetryNow,
    Schedule,
    Withdraw,
)
from relais.delivery.domain.retrying import read, written
from relais.delivery.domain.state import DeliveryState, Phase, evolve

NO_ANSWER_RECORDED = "NO_ANSWER_RECORDED"


class DeliveryRefusal(Exception):
    """The root of what a person cannot ask of a delivery as it stands.

    DeliveryRefusal
     +-- DeliveryUnknown    there is no such delivery
     +-- DeliveryFinished   it has succeeded, or the partner holds it: there is nothing to retry or to abandon
     +-- DeliveryWithdrawn  routing no longer wants it sent: only routing can change that
     +-- AttemptUnderWay    the partner is being called at this moment: ask again when it has answered
    """


class DeliveryUnknown(DeliveryRefusal):
    """Nothing was ever scheduled under this document and ordinal."""


class DeliveryFinished(DeliveryRefusal):
    """The delivery has its outcome."""


class DeliveryWithdrawn(DeliveryRefusal):
    """Opposition, doubt about the identity, tighter flags, a deletion or a replacement came in between."""


class AttemptUnderWay(DeliveryRefusal):
    """An attempt has no answer yet."""


def idempotency_key(document: str, ordinal: int) -> str:
    """The same over all attempts of one delivery, for ever; opaque, because the document id is a keyed hash."""
    return f"{document}-{ordinal}"


def decide(command: DeliveryCommand, state: DeliveryState) -> Sequence[Fact]:
    """The facts that follow from a command; raises `DeliveryRefusal` for what a person cannot ask."""
    match command:
        case Schedule():
            return _schedule(command, state)
        case Attempt():
            return _attempt(command, state)
        case CannotSend():
            return [_abandoned(state, command.reason)] if _is_current(state, command.attempt) else []
        case Withdraw():
            return [_abandoned(state, command.reason)] if _can_be_withdrawn(state, command.reason) else []
        case Reinstate():
            return _reinstate(command, state)
        case GiveBack():
            due = command.now + timedelta(seconds=command.delay_seconds)
            return [_deferred(state, command.reason.value, due)] if _is_current(state, command.attempt) else []
        case RecordAnswer():
            return _record_answer(command, state)
        case RetryNow():
            return _retry(command, state)
        case Abandon():
            return _abandon(command, state)
    assert_never(command)


def _schedule(command: Schedule, state: DeliveryState) -> Sequence[Fact]:
    if state.phase is not Phase.UNPLANNED:
        return []
    return [
        DeliveryScheduled(
            submission=command.submission,
            ins_status=command.ins_status,
            destination=command.destination,
            due_at=written(command.now),
        )
    ]


def _attempt(command: Attempt, state: DeliveryState) -> Sequence[Fact]:
    if state.phase not in (Phase.WAITING, Phase.ATTEMPTED):
        return []
    if state.phase is Phase.WAITING and command.now < read(state.due_at):
        return []
    facts: list[Fact] = []
    if state.phase is Phase.ATTEMPTED:
        # Whoever recorded that attempt is gone without an answer: the partner may or may not have the document.
        facts.append(_deferred(state, NO_ANSWER_RECORDED, command.now, unknown=True))
        state = evolve(state, facts[0])
    if command.policy.exhausted(state.attempts - state.uncounted, read(state.since), command.now):
        return [*facts, _abandoned(state, AbandonReason.ATTEMPTS_EXHAUSTED)]
    attempted = DeliveryAttempted(
        document=state.document,
        ordinal=state.ordinal,
        attempt=state.attempts + 1,
        idempotency_key=idempotency_key(state.document, state.ordinal),
        possible_repeat=state.possible_repeat,
    )
    return [*facts, attempted]


def _record_answer(command: RecordAnswer, state: DeliveryState) -> Sequence[Fact]:
    answer = command.answer
    if isinstance(answer, Succeeded):
        # That the partner has it is true however late the answer is, and whoever gave the delivery up meanwhile.
        known = state.phase not in (Phase.UNPLANNED, Phase.SUCCEEDED) and command.attempt <= state.attempts
        return [_succeeded(state, command, answer)] if known else []
    if not _is_current(state, command.attempt):
        return []
    match answer:
        case Accepted():
            accepted = DeliveryAccepted(document=state.document, ordinal=state.ordinal, attempt=command.attempt, reference=answer.reference)
            return [accepted]
        case Refused():
            return [_abandoned(state, AbandonReason.REFUSED_BY_PARTNER, answer.code)]
        case Retry():
            return [_next_attempt(command, state, answer.code, asked_seconds=answer.after_seconds)]
        case Unknown():
            return [_next_attempt(command, state, answer.code, unknown=True)]
    assert_never(answer)


def _next_attempt(
    command: RecordAnswer, state: DeliveryState, code: str, *, asked_seconds: float | None = None, unknown: bool = False
) -> Fact:
    counted = state.attempts - state.uncounted
    if command.policy.exhausted(counted, read(state.since), command.now):
        return _abandoned(state, AbandonReason.ATTEMPTS_EXHAUSTED, code)
    delay_seconds = command.policy.delay_seconds(counted, command.jitter, asked_seconds)
    return _deferred(state, code, command.now + timedelta(seconds=delay_seconds), unknown=unknown)


def _reinstate(command: Reinstate, state: DeliveryState) -> Sequence[Fact]:
    if state.phase is not Phase.ABANDONED or state.withdrawn is not AbandonReason.IDENTITY_NO_LONGER_RELEASED:
        return []
    due_at = "" if state.given_up else written(command.now)
    return [DeliveryReinstated(document=state.document, ordinal=state.ordinal, attempt=state.attempts, due_at=due_at)]


def _retry(command: RetryNow, state: DeliveryState) -> Sequence[Fact]:
    _refuse_what_is_over(state)
    if state.withdrawn is not None:
        raise DeliveryWithdrawn
    if state.phase is Phase.ATTEMPTED:
        raise AttemptUnderWay
    at = written(command.now)
    return [DeliveryRetryRequested(document=state.document, ordinal=state.ordinal, reason=command.reason, due_at=at)]


def _abandon(command: Abandon, state: DeliveryState) -> Sequence[Fact]:
    _refuse_what_is_over(state)
    if state.phase is Phase.ABANDONED:
        return []
    return [_abandoned(state, AbandonReason.ABANDONED_BY_OPERATOR, note=command.reason)]


def _refuse_what_is_over(state: DeliveryState) -> None:
    if state.phase is Phase.UNPLANNED:
        raise DeliveryUnknown
    if state.phase in (Phase.SUCCEEDED, Phase.ACCEPTED):
        raise DeliveryFinished


def _can_be_withdrawn(state: DeliveryState, reason: AbandonReason) -> bool:
    # One that was abandoned for another reason is withdrawn too, or a person could still retry it; one that only a doubt stopped is
    # withdrawn for good, or it would go on when the doubt is lifted.
    stopped = (None, AbandonReason.IDENTITY_NO_LONGER_RELEASED) if reason is not AbandonReason.IDENTITY_NO_LONGER_RELEASED else (None,)
    return state.phase in (Phase.WAITING, Phase.ATTEMPTED, Phase.ABANDONED) and state.withdrawn in stopped


def _is_current(state: DeliveryState, attempt: int) -> bool:
    return state.phase is Phase.ATTEMPTED and state.attempts == attempt


def _succeeded(state: DeliveryState, command: RecordAnswer, answer: Succeeded) -> Fact:
    return DeliverySucceeded(
        document=state.document,
        ordinal=state.ordinal,
        attempt=command.attempt,
        endpoint=state.endpoint,
        status=answer.status,
        repeat=answer.repeat,
        milliseconds=command.milliseconds,
    )


def _deferred(state: DeliveryState, code: str, due_at: datetime, *, unknown: bool = False) -> Fact:
    return DeliveryDeferred(
        document=state.document,
        ordinal=state.ordinal,
        attempt=state.attempts,
        endpoint=state.endpoint,
        code=code,
        due_at=written(due_at),
        unknown=unknown,
    )


def _abandoned(state: DeliveryState, reason: AbandonReason, code: str = "", *, note: str = "") -> Fact:
    return DeliveryAbandoned(
        document=state.document,
        ordinal=state.ordinal,
        attempt=state.attempts,
        endpoint=state.endpoint,
        reason=reason,
        code=code,
        note=note,
    )


delivery: Decider[DeliveryCommand, DeliveryState, Fact] = Decider(initial=DeliveryState(), decide=decide, evolve=evolve)
