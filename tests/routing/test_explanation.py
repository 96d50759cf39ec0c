"""Attacks explanations: what is explained must be what was decided, before and after a later request took something back."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from relais.contracts.fact import Fact
from relais.contracts.submission import Opposition
from relais.routing.domain.commands import Command, Release
from relais.routing.domain.document import DOCUMENT, case_of
from relais.routing.domain.explanation import explain, recorded
from relais.routing.law import rules
from tests.routing.given import (
    CLINIC,
    DOCTOR,
    FLAGS,
    IMPOSTOR,
    LAW,
    OUTSIDE,
    POLICY,
    ROW_2,
    ROW_3,
    SOFTWARE,
    case,
    circumstances,
    planned,
    route,
    suppressed,
)


def history(*commands: Command) -> list[Fact]:
    facts: list[Fact] = []
    state = DOCUMENT.initial
    for command in commands:
        decided = DOCUMENT.decide(command, state)
        facts += decided
        state = DOCUMENT.fold(decided, state)
    return facts


def outcomes(told: Any) -> list[tuple[str, bool, str]]:
    return [(one.kind.value, one.planned, str(one.reason or "")) for one in told.destinations]


def test_the_recorded_decision_names_destinations_rules_policy_and_matrix() -> None:
    told = recorded(history(route("r1", opposition=Opposition.YES)))
    assert outcomes(told) == [("mssante_patient", True, ""), ("mssante_professional", True, ""), ("dmp", False, "OPPOSITION")]
    assert (told.policy, told.policy_version, told.matrix) == ("tenant", 1, "2026-04-21")
    assert [one.rule for one in told.destinations] == ["matrix.row_1", "matrix.row_1", "dmp.opposition"]


def test_a_withdrawn_destination_is_not_planned_any_more_and_says_why() -> None:
    told = recorded(history(route("r1"), route("r2", flags=ROW_2)))
    (patient,) = [one for one in told.destinations if one.ordinal is not None and one.kind.value == "mssante_patient"]
    assert (patient.planned, patient.reason, patient.rule) == (False, "INVISIBLE_TO_PATIENT", rules.PATIENT_INVISIBLE)


def test_a_hold_is_told_until_it_is_released() -> None:
    held = history(route("r1", flags=OUTSIDE))
    assert [reason.value for reason in recorded(held).hold_reasons] == ["MATRIX_COMBINATION_UNKNOWN"]
    assert recorded(held).hold_rules == (rules.MATRIX,)
    released = history(route("r1", flags=OUTSIDE), Release("r1", "seen", circumstances(DOCTOR)))
    assert recorded(released).hold_reasons == ()


def test_nothing_explains_nothing() -> None:
    assert recorded([]).destinations == ()


def test_a_made_up_case_that_is_held_plans_nothing_and_says_what_would_hold_it() -> None:
    told = explain(case(recipients=(DOCTOR, IMPOSTOR)), LAW, POLICY)
    assert not any(one.planned for one in told.destinations)
    assert [reason.value for reason in told.hold_reasons] == ["PATIENT_ADDRESS_IS_NOT_THE_PATIENT"]
    assert explain(case(), LAW, None).policy == ""


@given(
    st.sampled_from([FLAGS, ROW_2, ROW_3, OUTSIDE]),
    st.lists(st.sampled_from([DOCTOR, CLINIC, SOFTWARE, IMPOSTOR]), min_size=1, max_size=3, unique=True),
    st.sampled_from(Opposition),
)
def test_what_is_explained_of_a_case_is_what_is_decided_of_its_document(flags: Any, people: list[Any], opposition: Opposition) -> None:
    command = route("r1", *people, flags=flags, opposition=opposition)
    facts = list(DOCUMENT.decide(command, DOCUMENT.initial))
    told = explain(case_of(command.submission, command.status, command.circumstances, frozenset()), LAW, POLICY)
    assert sorted((one.kind, one.rule, one.recipient or -1) for one in told.destinations if one.planned) == sorted(
        (one.kind, one.rule, one.recipient or -1) for one in planned(facts)
    )
    if any(one.planned for one in told.destinations):
        refused = sorted((one.kind, one.rule) for one in told.destinations if not one.planned)
        assert refused == sorted((one.kind, one.rule) for one in suppressed(facts))
