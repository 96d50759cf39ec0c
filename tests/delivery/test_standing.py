"""Attacks SAFETY 17: what a later decision of routing withdraws, and what it must leave alone; and the endpoint's own decider."""

import pytest

from relais.contracts import Fact
from relais.contracts.delivery import EndpointPaused, EndpointResumed
from relais.contracts.reasons import AbandonReason, HoldReason, SuppressReason
from relais.contracts.routing import DestinationKind, DocumentHeld, DocumentReleased, RouteSuppressed, SuppressedDestination
from relais.contracts.submission import InsStatus
from relais.delivery.domain.endpoint import Drain, EndpointCommand, EndpointMode, Pause, Resume, endpoint
from relais.delivery.domain.standing import Withdrawal, withdrawals
from tests.delivery.given import document_id, plan, submission

LETTER = document_id("letter")


def suppressed(reason: SuppressReason, ordinal: int | None) -> RouteSuppressed:
    entry = SuppressedDestination(kind=DestinationKind.DMP, reason=reason, rule="r", ordinal=ordinal)
    return RouteSuppressed(document=LETTER, request="r2", suppressed=(entry,), policy="tenant", policy_version=1, matrix="m")


def held(*reasons: HoldReason) -> DocumentHeld:
    return DocumentHeld(submission=submission(request="r2"), ins_status=InsStatus.PROVISOIRE, reasons=reasons, rules=())


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        (SuppressReason.OPPOSITION, AbandonReason.OPPOSITION),
        (SuppressReason.IDENTITY_NOT_QUALIFIED, AbandonReason.IDENTITY_NO_LONGER_RELEASED),
        (SuppressReason.INVISIBLE_TO_PATIENT, AbandonReason.FLAGS_TIGHTENED),
        (SuppressReason.MASKED_TO_PROFESSIONALS, AbandonReason.FLAGS_TIGHTENED),
    ],
)
def test_a_withdrawn_destination_is_not_sent_any_more(reason: SuppressReason, expected: AbandonReason) -> None:
    assert withdrawals(suppressed(reason, 3)) == [Withdrawal(document=LETTER, request="r2", ordinal=3, reason=expected)]


def test_a_suppression_without_an_ordinal_withdraws_nothing() -> None:
    assert withdrawals(suppressed(SuppressReason.OPPOSITION, None)) == []


def test_doubt_about_the_identity_withdraws_all_that_waits() -> None:
    reason = AbandonReason.IDENTITY_NO_LONGER_RELEASED
    assert withdrawals(held(HoldReason.POLICY_MISSING, HoldReason.IDENTITY_DISAGREES)) == [
        Withdrawal(document=LETTER, request="r2", ordinal=None, reason=reason)
    ]


def test_a_hold_about_one_kind_of_destination_a_release_and_a_plan_withdraw_nothing() -> None:
    assert withdrawals(DocumentReleased(document=LETTER, request="r2", reason="seen")) == []
    assert withdrawals(held(HoldReason.MINOR_OR_AGE_UNKNOWN)) == []
    assert withdrawals(plan(submission())) == []


@pytest.mark.parametrize(
    ("history", "command", "expected"),
    [
        ([], Pause(endpoint="lab", reason="r"), [EndpointPaused(endpoint="lab", reason="r")]),
        ([], Drain(endpoint="lab", reason="r"), [EndpointPaused(endpoint="lab", reason="r", draining=True)]),
        ([], Resume(endpoint="lab", reason="r"), []),
        ([EndpointPaused(endpoint="lab")], Pause(endpoint="lab", reason="r"), []),
        ([EndpointPaused(endpoint="lab", draining=True)], Pause(endpoint="lab", reason="r"), [EndpointPaused(endpoint="lab", reason="r")]),
        ([EndpointPaused(endpoint="lab")], Resume(endpoint="lab", reason="r"), [EndpointResumed(endpoint="lab", reason="r")]),
        ([EndpointPaused(endpoint="lab"), EndpointResumed(endpoint="lab")], Resume(endpoint="lab", reason="r"), []),
    ],
)
def test_an_endpoint_changes_only_when_asked_for_something_else(
    history: list[Fact], command: EndpointCommand, expected: list[Fact]
) -> None:
    assert list(endpoint.decide(command, endpoint.fold(history))) == expected


def test_a_paused_endpoint_says_whether_it_drains() -> None:
    assert endpoint.fold([]).mode is EndpointMode.OPEN
    assert endpoint.fold([EndpointPaused(endpoint="lab", draining=True)]).mode is EndpointMode.DRAINING
    assert endpoint.fold([EndpointPaused(endpoint="lab")]).mode is EndpointMode.PAUSED
