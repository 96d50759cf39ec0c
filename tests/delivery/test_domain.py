"""Attacks the decision over one delivery: repeats, lost answers, late answers, limits, and looking again before sending (SAFETY 17)."""

import pytest

from relais.contracts import Fact
from relais.contracts.delivery import (
    DeliveryAbandoned,
    DeliveryAccepted,
    DeliveryAttempted,
    DeliveryDeferred,
    DeliveryRetryRequested,
    DeliverySucceeded,
)
from relais.contracts.reasons import AbandonReason
from relais.contracts.submission import InsStatus
from relais.delivery.domain.answers import Accepted, Answer, Refused, Retry, Succeeded, Unknown
from relais.delivery.domain.commands import (
    Abandon,
    Attempt,
    CannotSend,
    DeliveryCommand,
    GiveBack,
    NotStarted,
    RecordAnswer,
    RetryNow,
    Schedule,
    Withdraw,
)
from relais.delivery.domain.delivery import AttemptUnderWay, DeliveryFinished, DeliveryUnknown, DeliveryWithdrawn, delivery
from relais.delivery.domain.retrying import RetryPolicy, written
from tests.delivery.given import NOON, destination, document_id, later, scheduled, submission

POLICY = RetryPolicy(delay_seconds_first=2, delay_seconds_maximum=100, attempts_maximum=3, age_seconds_maximum=3600)
LETTER = document_id("letter")
WITHDRAWALS = [
    AbandonReason.OPPOSITION,
    AbandonReason.IDENTITY_NO_LONGER_RELEASED,
    AbandonReason.FLAGS_TIGHTENED,
    AbandonReason.DOCUMENT_DELETED,
    AbandonReason.DOCUMENT_REPLACED,
]


def when(history: list[Fact], command: DeliveryCommand) -> list[Fact]:
    return list(delivery.decide(command, delivery.fold(history)))


def attempted(attempt: int = 1, *, possible_repeat: bool = False) -> DeliveryAttempted:
    return DeliveryAttempted(document=LETTER, ordinal=1, attempt=attempt, idempotency_key=f"{LETTER}-1", possible_repeat=possible_repeat)


def deferred(attempt: int, seconds: float, code: str = "503", *, unknown: bool = False) -> DeliveryDeferred:
    return DeliveryDeferred(
        document=LETTER, ordinal=1, attempt=attempt, endpoint="lab", code=code, due_at=written(later(seconds)), unknown=unknown
    )


def abandoned(attempt: int, reason: AbandonReason, code: str = "", note: str = "") -> DeliveryAbandoned:
    return DeliveryAbandoned(document=LETTER, ordinal=1, attempt=attempt, endpoint="lab", reason=reason, code=code, note=note)


def succeeded(attempt: int, *, repeat: bool = False) -> DeliverySucceeded:
    return DeliverySucceeded(document=LETTER, ordinal=1, attempt=attempt, endpoint="lab", status="200", repeat=repeat)


def answered(attempt: int, answer: Answer, seconds: float = 1, jitter: float = 0.0) -> RecordAnswer:
    return RecordAnswer(attempt=attempt, answer=answer, now=later(seconds), jitter=jitter, policy=POLICY)


def attempt_at(seconds: float) -> Attempt:
    return Attempt(now=later(seconds), policy=POLICY)


def schedule() -> Schedule:
    return Schedule(submission=submission(), ins_status=InsStatus.QUALIFIEE, destination=destination(), now=NOON)


def test_a_planned_destination_is_scheduled_and_due_at_once() -> None:
    assert when([], schedule()) == [scheduled()]


def test_a_redelivered_plan_changes_nothing() -> None:
    assert when([scheduled()], schedule()) == []
    assert when([scheduled(), attempted(), succeeded(1)], schedule()) == []


def test_a_due_delivery_is_attempted_under_its_own_key() -> None:
    assert when([scheduled()], attempt_at(0)) == [attempted()]


def test_a_delivery_that_is_not_due_yet_is_not_attempted() -> None:
    assert when([scheduled(), attempted(), deferred(1, 30)], attempt_at(29)) == []
    assert when([scheduled(), attempted(), deferred(1, 30)], attempt_at(30)) == [attempted(2)]


def test_a_delivery_with_an_outcome_is_not_attempted_again() -> None:
    assert when([scheduled(), attempted(), succeeded(1)], attempt_at(9)) == []
    assert when([scheduled(), abandoned(0, AbandonReason.OPPOSITION)], attempt_at(9)) == []
    assert when([scheduled(), attempted(), DeliveryAccepted(document=LETTER, ordinal=1, attempt=1)], attempt_at(9)) == []


def test_an_attempt_without_an_answer_is_unknown_and_repeated_under_the_same_key_as_a_possible_repeat() -> None:
    facts = when([scheduled(), attempted()], attempt_at(5))
    assert facts == [deferred(1, 5, "NO_ANSWER_RECORDED", unknown=True), attempted(2, possible_repeat=True)]


def test_every_attempt_after_an_unknown_one_stays_a_possible_repeat() -> None:
    history = [scheduled(), attempted(), deferred(1, 3, "TIMEOUT", unknown=True), attempted(2, possible_repeat=True), deferred(2, 9)]
    assert when(history, attempt_at(9)) == [attempted(3, possible_repeat=True)]


@pytest.mark.parametrize("reason", [AbandonReason.SUBJECT_ERASED, AbandonReason.BODY_UNREADABLE])
def test_what_looking_again_just_before_sending_finds_ends_the_attempt_with_that_reason(reason: AbandonReason) -> None:
    assert when([scheduled(), attempted()], CannotSend(attempt=1, reason=reason)) == [abandoned(1, reason)]
    assert when([scheduled(), attempted(), succeeded(1)], CannotSend(attempt=1, reason=reason)) == []


@pytest.mark.parametrize("reason", WITHDRAWALS)
def test_what_is_withdrawn_is_abandoned_with_that_reason_whether_it_waits_or_is_under_way(reason: AbandonReason) -> None:
    assert when([scheduled()], Withdraw(reason=reason)) == [abandoned(0, reason)]
    assert when([scheduled(), attempted()], Withdraw(reason=reason)) == [abandoned(1, reason)]
    assert when([scheduled(), attempted(), deferred(1, 30)], Withdraw(reason=reason)) == [abandoned(1, reason)]
    assert when([scheduled(), abandoned(0, reason)], Withdraw(reason=reason)) == []


@pytest.mark.parametrize("reason", WITHDRAWALS)
def test_what_is_withdrawn_is_not_attempted_nor_retried_by_anybody(reason: AbandonReason) -> None:
    withdrawn = [scheduled(), attempted(), deferred(1, 30), abandoned(1, reason)]
    assert when(withdrawn, attempt_at(60)) == []
    with pytest.raises(DeliveryWithdrawn):
        when(withdrawn, RetryNow(reason="please", now=later(60)))


def test_what_was_given_up_before_can_be_withdrawn_too_so_that_nobody_retries_it() -> None:
    given_up = [scheduled(), attempted(), abandoned(1, AbandonReason.ATTEMPTS_EXHAUSTED, "503")]
    facts = when(given_up, Withdraw(reason=AbandonReason.OPPOSITION))
    assert facts == [abandoned(1, AbandonReason.OPPOSITION)]
    with pytest.raises(DeliveryWithdrawn):
        when([*given_up, *facts], RetryNow(reason="", now=later(60)))


def test_what_has_arrived_cannot_be_withdrawn() -> None:
    assert when([scheduled(), attempted(), succeeded(1)], Withdraw(reason=AbandonReason.OPPOSITION)) == []


def test_an_attempt_that_fails_after_the_withdrawal_is_not_repeated() -> None:
    history = [scheduled(), attempted(), abandoned(1, AbandonReason.OPPOSITION)]
    assert when(history, answered(1, Unknown(code="TIMEOUT"))) == []
    assert when(history, answered(1, Succeeded(status="200"))) == [succeeded(1)]


def test_success_is_recorded_with_the_partners_word() -> None:
    assert when([scheduled(), attempted()], answered(1, Succeeded(status="200", repeat=True))) == [succeeded(1, repeat=True)]


def test_an_acceptance_is_not_a_success() -> None:
    facts = when([scheduled(), attempted()], answered(1, Accepted(reference="q7")))
    assert facts == [DeliveryAccepted(document=LETTER, ordinal=1, attempt=1, reference="q7")]


def test_a_refusal_ends_the_delivery_with_the_partners_code() -> None:
    facts = when([scheduled(), attempted()], answered(1, Refused(code="422")))
    assert facts == [abandoned(1, AbandonReason.REFUSED_BY_PARTNER, "422")]


def test_a_partner_that_is_away_is_asked_again_between_half_of_the_delay_and_all_of_it() -> None:
    assert when([scheduled(), attempted()], answered(1, Retry(code="503"), jitter=0.0)) == [deferred(1, 2)]
    assert when([scheduled(), attempted()], answered(1, Retry(code="503"), jitter=0.5)) == [deferred(1, 2.5)]


def test_a_partner_that_asks_for_time_gets_it_up_to_the_maximum() -> None:
    assert when([scheduled(), attempted()], answered(1, Retry(code="503", after_seconds=40))) == [deferred(1, 41)]
    assert when([scheduled(), attempted()], answered(1, Retry(code="503", after_seconds=9e9))) == [deferred(1, 101)]


def test_an_unknown_outcome_is_deferred_as_unknown() -> None:
    assert when([scheduled(), attempted()], answered(1, Unknown(code="TIMEOUT"))) == [deferred(1, 2, "TIMEOUT", unknown=True)]


def test_the_last_allowed_attempt_abandons_with_the_last_code() -> None:
    history = [scheduled(), attempted(), deferred(1, 1), attempted(2), deferred(2, 1), attempted(3)]
    assert when(history, answered(3, Retry(code="503"))) == [abandoned(3, AbandonReason.ATTEMPTS_EXHAUSTED, "503")]


def test_a_delivery_grows_too_old_even_if_the_partner_is_hardly_ever_asked() -> None:
    assert when([scheduled()], attempt_at(3600)) == [abandoned(0, AbandonReason.ATTEMPTS_EXHAUSTED)]


def test_an_attempt_that_was_never_begun_is_no_repeat_and_does_not_count() -> None:
    facts = when([scheduled(), attempted()], GiveBack(attempt=1, reason=NotStarted.LEASE_ENDING, now=later(4)))
    assert facts == [deferred(1, 4, "LEASE_ENDING")]
    history = [scheduled(), attempted(), *facts, attempted(2), deferred(2, 5), attempted(3), deferred(3, 6), attempted(4)]
    assert when(history, answered(4, Retry(code="503"))) == [abandoned(4, AbandonReason.ATTEMPTS_EXHAUSTED, "503")]
    assert when(history[:-1], attempt_at(9)) == [attempted(4)]


def test_a_late_success_is_recorded_whatever_was_believed_meanwhile() -> None:
    believed_lost = [scheduled(), attempted(), deferred(1, 3, "NO_ANSWER_RECORDED", unknown=True), attempted(2, possible_repeat=True)]
    given_up = [scheduled(), attempted(), abandoned(1, AbandonReason.ABANDONED_BY_OPERATOR, note="n")]
    for history in (believed_lost, given_up):
        assert when(history, answered(1, Succeeded(status="200"))) == [succeeded(1)]


def test_a_second_success_and_any_other_late_answer_change_nothing() -> None:
    history = [scheduled(), attempted(), deferred(1, 3, "NO_ANSWER_RECORDED", unknown=True), attempted(2, possible_repeat=True)]
    assert when([*history, succeeded(1)], answered(2, Succeeded(status="200"))) == []
    for late in (Retry(code="503"), Unknown(code="TIMEOUT"), Refused(code="422"), Accepted()):
        assert when(history, answered(1, late)) == []


def test_an_answer_to_an_attempt_that_was_never_made_is_not_believed() -> None:
    assert when([scheduled()], answered(1, Succeeded(status="200"))) == []
    assert when([], answered(1, Succeeded(status="200"))) == []


def test_a_person_can_retry_what_waits_and_what_was_abandoned_and_the_limits_count_anew() -> None:
    waiting = [scheduled(), attempted(), deferred(1, 900)]
    asked = DeliveryRetryRequested(document=LETTER, ordinal=1, reason="mended", due_at=written(later(4000)))
    assert when(waiting, RetryNow(reason="mended", now=later(4000))) == [asked]
    over = [scheduled(), attempted(), deferred(1, 1), attempted(2), deferred(2, 1), attempted(3)]
    over.append(abandoned(3, AbandonReason.ATTEMPTS_EXHAUSTED, "503"))
    again = [*over, asked]
    assert when(over, RetryNow(reason="mended", now=later(4000))) == [asked]
    assert when(again, attempt_at(4000)) == [attempted(4, possible_repeat=True)]


def test_a_retry_after_the_partner_refused_is_no_possible_repeat() -> None:
    refused = [scheduled(), attempted(), abandoned(1, AbandonReason.REFUSED_BY_PARTNER, "422")]
    asked = DeliveryRetryRequested(document=LETTER, ordinal=1, due_at=written(later(10)))
    assert when([*refused, asked], attempt_at(10)) == [attempted(2)]


def test_a_person_cannot_retry_what_is_over_or_under_way_or_was_never_planned() -> None:
    now = RetryNow(reason="", now=later(1))
    with pytest.raises(DeliveryUnknown):
        when([], now)
    with pytest.raises(DeliveryFinished):
        when([scheduled(), attempted(), succeeded(1)], now)
    with pytest.raises(AttemptUnderWay):
        when([scheduled(), attempted()], now)


def test_a_person_can_give_up_what_waits_and_giving_up_twice_changes_nothing() -> None:
    given_up = abandoned(0, AbandonReason.ABANDONED_BY_OPERATOR, note="patient moved")
    assert when([scheduled()], Abandon(reason="patient moved")) == [given_up]
    assert when([scheduled(), given_up], Abandon(reason="again")) == []
    with pytest.raises(DeliveryFinished):
        when([scheduled(), attempted(), succeeded(1)], Abandon(reason="too late"))
