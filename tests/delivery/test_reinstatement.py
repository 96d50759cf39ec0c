"""Attacks what goes on when a doubt about the identity is lifted: only what the doubt alone had stopped, under its old key (SAFETY 17)."""

import pytest

from relais.contracts import Fact
from relais.contracts.delivery import DeliveryReinstated
from relais.contracts.reasons import AbandonReason
from relais.delivery.domain.answers import Retry
from relais.delivery.domain.commands import Reinstate, RetryNow, Withdraw
from relais.delivery.domain.retrying import written
from tests.delivery.given import later, scheduled
from tests.delivery.test_domain import LETTER, abandoned, answered, attempt_at, attempted, deferred, succeeded, when

STOPPED = AbandonReason.IDENTITY_NO_LONGER_RELEASED
REINSTATE = Reinstate(now=later(7200))


def reinstated(attempt: int, seconds: float | None) -> DeliveryReinstated:
    due_at = "" if seconds is None else written(later(seconds))
    return DeliveryReinstated(document=LETTER, ordinal=1, attempt=attempt, due_at=due_at)


def test_what_a_doubt_stopped_goes_on_when_it_is_lifted_and_the_limits_count_anew() -> None:
    stopped = [scheduled(), attempted(), deferred(1, 30), attempted(2), deferred(2, 60), abandoned(2, STOPPED)]
    facts = when(stopped, REINSTATE)
    assert facts == [reinstated(2, 7200)]
    history = [*stopped, *facts]
    assert when(history, REINSTATE) == []
    assert when(history, attempt_at(7199)) == []
    assert when(history, attempt_at(7200)) == [attempted(3)]
    assert when([*history, attempted(3)], answered(3, Retry(code="503"), 7201)) == [deferred(3, 7202)]
    assert when(history, Withdraw(reason=STOPPED)) == [abandoned(2, STOPPED)]
    assert when(history, RetryNow(reason="", now=later(7300))) != []


def test_what_was_under_way_when_a_doubt_stopped_it_goes_on_as_a_possible_repeat() -> None:
    history: list[Fact] = [scheduled(), attempted(), abandoned(1, STOPPED), reinstated(1, 7200)]
    assert when(history, attempt_at(7200)) == [attempted(2, possible_repeat=True)]
    assert when([scheduled(), attempted(), abandoned(1, STOPPED), succeeded(1)], REINSTATE) == []


def test_what_had_been_given_up_before_a_doubt_waits_for_a_person_when_it_is_lifted() -> None:
    stopped = [scheduled(), attempted(), abandoned(1, AbandonReason.REFUSED_BY_PARTNER, "422"), abandoned(1, STOPPED)]
    facts = when(stopped, REINSTATE)
    assert facts == [reinstated(1, None)]
    assert when([*stopped, *facts], REINSTATE) == []
    assert when([*stopped, *facts], attempt_at(9000)) == []
    assert when([*stopped, *facts], RetryNow(reason="", now=later(9000))) != []


@pytest.mark.parametrize("reason", [reason for reason in AbandonReason if reason is not STOPPED])
def test_nothing_but_a_doubt_about_the_identity_is_lifted(reason: AbandonReason) -> None:
    assert when([scheduled(), abandoned(0, reason)], REINSTATE) == []
    assert when([scheduled()], REINSTATE) == []
    assert when([], REINSTATE) == []


def test_what_a_doubt_stopped_can_be_withdrawn_for_good_meanwhile() -> None:
    stopped = [scheduled(), abandoned(0, STOPPED)]
    facts = when(stopped, Withdraw(reason=AbandonReason.OPPOSITION))
    assert facts == [abandoned(0, AbandonReason.OPPOSITION)]
    assert when([*stopped, *facts], REINSTATE) == []
    assert when([*stopped, *facts], Withdraw(reason=STOPPED)) == []
