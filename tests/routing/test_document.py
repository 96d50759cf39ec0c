"""Attacks the life of a routed document: later requests that loosen or repeat, releases, rejections, redeliveries, ordinals."""

from datetime import date
from typing import Any

import pytest

from relais.contracts.fact import decode, encode
from relais.contracts.reasons import HoldReason
from relais.contracts.routing import DocumentReleased, RouteParked, RoutePlanned
from relais.contracts.submission import InsStatus, Opposition, Recipient
from relais.routing.domain.commands import (
    Command,
    HoldUnreadable,
    Park,
    Release,
    Route,
)
from relais.routing.domain.document import DOCUMENT, REASON_CHARACTERS_MAXIMUM
from relais.routing.domain.errors import CannotRelease, Invalid, NotHeld
from tests.routing.given import (
    CHILD,
    CLINIC,
    DMP_ONLY,
    DOCTOR,
    FLAGS,
    IMPOSTOR,
    INS,
    OTHER_INS,
    OUTSIDE,
    PATIENT,
    ROW_2,
    ROW_3,
    SOFTWARE,
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

HIDDEN_CHILD: dict[str, Any] = {**CHILD, "flags": flags(ROW_3, invisible_rep_legaux=True)}


def test_a_verified_request_becomes_one_plan_that_names_policy_matrix_row_and_rules() -> None:
    (fact,) = decided(route())
    assert isinstance(fact, RoutePlanned)
    assert (fact.policy, fact.policy_version, fact.matrix, fact.matrix_row) == ("tenant", 1, "2026-04-21", "matrix.row_1")
    assert [(one.ordinal, one.kind.value, one.connector) for one in fact.destinations] == [
        (1, "dmp", "https"),
        (2, "mssante_patient", "https"),
        (3, "mssante_professional", "https"),
    ]
    assert fact.ins_status is InsStatus.QUALIFIEE
    assert fact.submission == submission()


def test_what_is_refused_is_told_beside_the_plan_with_its_rule() -> None:
    facts = decided(route(opposition=Opposition.YES))
    assert kinds(facts) == ["mssante_patient", "mssante_professional"]
    assert [(one.kind.value, one.reason.value, one.rule) for one in suppressed(facts)] == [("dmp", "OPPOSITION", "dmp.opposition")]


def test_a_request_for_nothing_is_a_plan_of_nothing_and_so_has_an_outcome() -> None:
    plan, told = decided(route("r1", DOCTOR, flags=flags(DMP_ONLY, destdmp=False)))
    assert isinstance(plan, RoutePlanned)
    assert plan.destinations == ()
    assert [one.reason.value for one in suppressed([told])] == ["NOT_REQUESTED"]


def test_a_hundred_recipients_are_planned_in_facts_that_fit_the_log() -> None:
    many = [Recipient(kind=DOCTOR.kind, address=f"dr.martin.{number}@medecin.mssante.fr") for number in range(100)]
    facts = decided(route("r1", *many))
    assert [one.ordinal for one in planned(facts)] == list(range(1, 103))
    assert len({fact.matrix_row for fact in facts if isinstance(fact, RoutePlanned)}) == 1
    assert max(len(encode(fact)) for fact in facts) < 8 * 1024
    assert decided(route("r1", *many), after(route("r1", *many))) == []


def test_a_redelivered_fact_changes_nothing() -> None:
    commands: list[Command] = [
        route(),
        route(flags=OUTSIDE),
        HoldUnreadable(submission(), InsStatus.QUALIFIEE, HoldReason.SUBJECT_ERASED),
        Park("d", "identity", 3, "identity.future.v9"),
    ]
    for command in commands:
        assert decided(command, after(command)) == []


def test_the_same_recipient_named_twice_gets_the_document_once() -> None:
    shouted = Recipient(kind=DOCTOR.kind, address=DOCTOR.address.upper())
    facts = decided(route("r1", DOCTOR, shouted))
    assert kinds(facts) == ["dmp", "mssante_patient", "mssante_professional"]
    assert [one.reason.value for one in suppressed(facts)] == ["ALREADY_SERVED"]


# SAFETY 3: later requests.


def test_a_later_request_plans_only_what_is_new_under_the_next_ordinals() -> None:
    state = after(route("r1", DOCTOR))
    facts = decided(route("r2", DOCTOR, CLINIC), state)
    assert [(one.ordinal, one.recipient) for one in planned(facts)] == [(4, 1)]
    assert [one.reason.value for one in suppressed(facts)] == ["ALREADY_SERVED"] * 3


@pytest.mark.parametrize("name", ["masque_ps", "invisible_patient", "invisible_rep_legaux", "connexion_secrete"])
def test_a_later_request_that_loosens_masking_is_held(name: str) -> None:
    first = route("r1", SOFTWARE, flags=flags(DMP_ONLY, **{name: True}))
    facts = decided(route("r2", SOFTWARE, CLINIC, flags=DMP_ONLY), after(first))
    assert held(facts) == ["MASKING_LOOSENED"]
    assert planned(facts) == []


def test_a_release_of_a_loosened_request_keeps_the_stricter_masking() -> None:
    state = after(route("r1", DOCTOR, flags=ROW_2), route("r2", CLINIC, flags=FLAGS))
    assert set(state.held()) == {"r2"}
    facts = decided(Release("r2", "asked for", circumstances(CLINIC)), state)
    assert "mssante_patient" not in kinds(facts)
    (plan,) = [fact for fact in facts if isinstance(fact, RoutePlanned)]
    assert plan.masking == ("invisible_patient",)


def test_the_masking_of_a_held_request_counts_for_later_ones_too() -> None:
    masked = flags(OUTSIDE, connexion_secrete=True)
    facts = decided(route("r2"), after(route("r1", flags=masked)))
    assert "MASKING_LOOSENED" in held(facts)


# Holds and releases.


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (route(policy=None), "POLICY_MISSING"),
        (route(flags=OUTSIDE), "MATRIX_COMBINATION_UNKNOWN"),
        (route("r1", DOCTOR, IMPOSTOR), "PATIENT_ADDRESS_IS_NOT_THE_PATIENT"),
    ],
)
def test_a_held_document_plans_nothing(command: Route, reason: str) -> None:
    facts = decided(command)
    assert held(facts) == [reason]
    assert planned(facts) == []


def test_a_minor_whose_representatives_must_not_see_holds_the_mail_and_lets_the_rest_go() -> None:
    facts = decided(route("r1", SOFTWARE, **HIDDEN_CHILD))
    assert held(facts) == ["MINOR_OR_AGE_UNKNOWN"]
    assert kinds(facts) == ["software"]
    state = after(route("r1", SOFTWARE, **HIDDEN_CHILD))
    released = decided(Release("r1", "seen", circumstances(SOFTWARE, **CHILD)), state)
    assert planned(released) == []
    assert [(one.kind.value, one.reason.value) for one in suppressed(released)] == [("mssante_patient", "INVISIBLE_TO_REPRESENTATIVES")]


def test_a_child_who_has_come_of_age_when_it_is_released_gets_the_mail() -> None:
    state = after(route("r1", SOFTWARE, **HIDDEN_CHILD))
    facts = decided(Release("r1", "seen", circumstances(SOFTWARE, day=date(2038, 1, 1), **CHILD)), state)
    assert [(one.kind.value, one.ordinal) for one in planned(facts)] == [("mssante_patient", 2)]
    assert suppressed(facts) == []


def test_a_release_never_sends_to_an_address_that_is_not_the_patients() -> None:
    state = after(route("r1", DOCTOR, IMPOSTOR))
    facts = decided(Release("r1", "typing error", circumstances(DOCTOR, IMPOSTOR)), state)
    assert kinds(facts) == ["dmp", "mssante_professional"]
    assert [(one.recipient, one.reason.value) for one in suppressed(facts)] == [(1, "PATIENT_ADDRESS_IS_NOT_THE_PATIENT")]


def test_a_release_says_who_overruled_what_and_is_followed_by_its_plan() -> None:
    state = after(route(flags=OUTSIDE))
    released, plan = decided(Release("r1", " matrix seen ", circumstances(DOCTOR)), state)
    assert released == DocumentReleased(
        document="d", request="r1", reason="matrix seen", overridden=(HoldReason.MATRIX_COMBINATION_UNKNOWN,)
    )
    assert kinds([plan]) == ["dmp", "mssante_professional"]
    state = after(Release("r1", "x", circumstances(DOCTOR)), state=state)
    with pytest.raises(NotHeld):
        DOCUMENT.decide(Release("r1", "again", circumstances(DOCTOR)), state)


def test_a_release_still_needs_a_policy_and_a_readable_content() -> None:
    state = after(route(policy=None))
    for around in (None, circumstances(DOCTOR, policy=None)):
        with pytest.raises(CannotRelease):
            DOCUMENT.decide(Release("r1", "sure", around), state)
    assert kinds(decided(Release("r1", "policy made", circumstances(DOCTOR)), state)) == ["dmp", "mssante_patient", "mssante_professional"]


@pytest.mark.parametrize("reason", ["", " ", "x" * (REASON_CHARACTERS_MAXIMUM + 1)])
def test_a_person_gives_a_reason(reason: str) -> None:
    with pytest.raises(Invalid):
        DOCUMENT.decide(Release("r1", reason, circumstances(DOCTOR)), after(route(flags=OUTSIDE)))


def test_a_parked_document_holds_what_follows_for_it() -> None:
    state = after(route("r1"), Park("d", "identity", 9, "identity.future.v9"))
    facts = decided(route("r2", CLINIC), state)
    assert held(facts) == ["FACT_UNREADABLE"]
    assert planned(facts) == []
    (parked,) = decided(Park("d", "identity", 9, "x"), after(route("r1")))
    assert isinstance(parked, RouteParked)


def test_nothing_of_a_person_is_in_the_facts_beyond_what_is_sealed() -> None:
    facts = [
        *decided(route("r1", DOCTOR, PATIENT)),
        *decided(route("r1", DOCTOR, IMPOSTOR)),
        *decided(route("r1", DOCTOR, opposition=Opposition.YES)),
    ]
    stored = b" ".join(encode(fact) for fact in facts)
    for personal in (INS, OTHER_INS, DOCTOR.address, "19790328"):
        assert personal.encode() not in stored
    assert [decode(fact.TAG, encode(fact)) for fact in facts] == facts
