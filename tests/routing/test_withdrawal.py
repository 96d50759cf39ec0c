"""Attacks SAFETY 17: what a later request, an identity held since, or a rejection takes back of what was planned."""

from typing import Any

import pytest

from relais.contracts import Fact
from relais.contracts.reasons import HoldReason
from relais.contracts.routing import DocumentHeld, DocumentReleased, RejectionNoted
from relais.contracts.submission import InsStatus, Opposition
from relais.routing.domain.commands import HoldUnreadable, NoteIdentityHeld, NoteRejected, Park, Release
from relais.routing.domain.document import DOCUMENT
from relais.routing.domain.errors import CannotRelease, NotHeld
from tests.routing.given import (
    CLINIC,
    DMP_ONLY,
    DOCTOR,
    OUTSIDE,
    ROW_2,
    after,
    circumstances,
    decided,
    flags,
    held,
    kinds,
    planned,
    route,
    submission,
    suppressed,
)


def reinstated(facts: list[Fact]) -> tuple[int, ...]:
    (released,) = [fact for fact in facts if isinstance(fact, DocumentReleased)]
    return released.reinstated


@pytest.mark.parametrize(
    ("changes", "kind", "reason"),
    [
        ({"flags": ROW_2}, "mssante_patient", "INVISIBLE_TO_PATIENT"),
        ({"flags": flags(DMP_ONLY, masque_ps=True)}, "mssante_professional", "MASKED_TO_PROFESSIONALS"),
        ({"opposition": Opposition.YES}, "dmp", "OPPOSITION"),
    ],
)
def test_a_stricter_request_withdraws_what_was_planned_before(changes: dict[str, Any], kind: str, reason: str) -> None:
    state = after(route("r1"))
    ordinal = {one.kind.value: one.ordinal for one in planned(decided(route("r1")))}[kind]
    facts = decided(route("r2", **changes), state)
    withdrawn = [(one.kind.value, one.ordinal, one.reason.value) for one in suppressed(facts) if one.ordinal is not None]
    assert withdrawn == [(kind, ordinal, reason)]
    again = decided(route("r3", **changes), after(route("r2", **changes), state=state))
    assert [one for one in suppressed(again) if one.ordinal is not None] == []


def test_a_request_that_is_held_withdraws_too() -> None:
    facts = decided(route("r2", flags=flags(OUTSIDE, masque_ps=True)), after(route("r1")))
    assert held(facts) == ["MATRIX_COMBINATION_UNKNOWN"]
    assert [(one.kind.value, one.reason.value) for one in suppressed(facts)] == [("mssante_professional", "MASKED_TO_PROFESSIONALS")]


def test_an_opposition_that_is_lifted_feeds_the_dmp_again_and_a_withdrawn_mail_is_never_sent_twice() -> None:
    state = after(route("r1"), route("r2", opposition=Opposition.YES))
    assert [(one.kind.value, one.ordinal) for one in planned(decided(route("r3"), state))] == [("dmp", 4)]
    masked = after(route("r1"), route("r2", flags=ROW_2))
    facts = decided(Release("r3", "asked", circumstances(DOCTOR)), after(route("r3"), state=masked))
    assert "mssante_patient" not in kinds(facts)


def test_an_identity_held_since_stops_what_was_planned_and_its_release_routes_it() -> None:
    note = NoteIdentityHeld(submission("r2"), (HoldReason.LOCAL_ID_WITH_ANOTHER_INS,))
    assert decided(note) == []
    state = after(route("r1"))
    (fact,) = decided(note, state)
    assert isinstance(fact, DocumentHeld)
    state = after(note, state=state)
    assert state.held() == {}
    with pytest.raises(NotHeld):
        DOCUMENT.decide(Release("r2", "no", circumstances(DOCTOR)), state)
    released, plan, *_ = decided(route("r2", DOCTOR, CLINIC), state)
    assert isinstance(released, DocumentReleased)
    assert released.reinstated == (1, 2, 3)
    assert [one.ordinal for one in planned([plan])] == [4]
    assert decided(route("r2", DOCTOR, CLINIC), after(route("r2", DOCTOR, CLINIC), state=state)) == []


@pytest.mark.parametrize(
    ("changes", "goes_on"),
    [
        ({"flags": ROW_2}, {"dmp", "mssante_professional"}),
        ({"flags": flags(DMP_ONLY, masque_ps=True)}, {"dmp", "mssante_patient"}),
        ({"opposition": Opposition.YES}, {"mssante_patient", "mssante_professional"}),
        ({"status": InsStatus.VALIDEE}, {"mssante_professional"}),
    ],
)
def test_what_a_released_request_takes_back_does_not_go_on(changes: dict[str, Any], goes_on: set[str]) -> None:
    ordinals = {one.ordinal: one.kind.value for one in planned(decided(route("r1")))}
    state = after(route("r1"), NoteIdentityHeld(submission("r2"), (HoldReason.IDENTITY_DISAGREES,)))
    facts = decided(route("r2", **changes), state)
    assert {ordinals[one] for one in reinstated(facts)} == goes_on
    assert {one.kind.value for one in suppressed(facts) if one.ordinal is not None} == set(ordinals.values()) - goes_on


def test_what_another_request_took_back_meanwhile_does_not_go_on() -> None:
    state = after(route("r1"), NoteIdentityHeld(submission("r2"), (HoldReason.IDENTITY_DISAGREES,)), route("r3", opposition=Opposition.YES))
    assert reinstated(decided(route("r2"), state)) == (2, 3)


def test_nothing_goes_on_while_another_request_waits_at_identity() -> None:
    doubts = [NoteIdentityHeld(submission(request), (HoldReason.IDENTITY_DISAGREES,)) for request in ("r2", "r3")]
    state = after(route("r1"), *doubts)
    assert reinstated(decided(route("r2"), state)) == ()
    assert reinstated(decided(route("r3"), after(route("r2"), state=state))) == (1, 2, 3)


def test_nothing_goes_on_of_a_document_about_which_a_fact_could_not_be_read() -> None:
    note = NoteIdentityHeld(submission("r2"), (HoldReason.IDENTITY_DISAGREES,))
    state = after(route("r1"), note, Park("d", "identity", 9, "identity.future.v9"))
    assert reinstated(decided(route("r2"), state)) == ()


def test_a_request_released_at_identity_that_cannot_be_read_waits_here() -> None:
    state = after(route("r1"), NoteIdentityHeld(submission("r2"), (HoldReason.IDENTITY_DISAGREES,)))
    unreadable = HoldUnreadable(submission("r2"), InsStatus.QUALIFIEE, HoldReason.SUBJECT_ERASED)
    assert held(decided(unreadable, state)) == ["SUBJECT_ERASED"]
    state = after(unreadable, state=state)
    assert set(state.held()) == {"r2"}
    assert decided(unreadable, state) == []


def test_a_masking_that_waits_at_identity_withdraws_when_it_is_routed() -> None:
    state = after(route("r1"), NoteIdentityHeld(submission("r2", flags=ROW_2), (HoldReason.IDENTITY_DISAGREES,)))
    withdrawn = [one.kind.value for one in suppressed(decided(route("r2", flags=ROW_2), state)) if one.ordinal is not None]
    assert withdrawn == ["mssante_patient"]


def test_a_rejection_withdraws_everything_and_closes_what_is_held_here() -> None:
    state = after(route("r1"), route("r2", CLINIC, flags=OUTSIDE))
    facts = decided(NoteRejected("d", "r9"), state)
    assert isinstance(facts[0], RejectionNoted)
    assert [one.ordinal for one in suppressed(facts)] == [1, 2, 3]
    state = after(NoteRejected("d", "r9"), state=state)
    assert decided(NoteRejected("d", "r9"), state) == []
    with pytest.raises(CannotRelease):
        DOCUMENT.decide(Release("r2", "sure", circumstances(CLINIC)), state)


def test_a_rejection_of_what_routing_never_saw_is_nothing() -> None:
    assert decided(NoteRejected("d", "r1")) == []
