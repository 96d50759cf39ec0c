"""Attacks the life of a routed document: later requests that loosen or repeat, releases, rejections, redeliveries, ordinals."""

from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relais.contracts.fact import Fact, decode, encode
from relais.contracts.reasons import HoldReason
from relais.contracts.routing import DocumentHeld, DocumentReleased, RejectionNoted, RouteParked, RoutePlanned
from relais.contracts.submission import Flags, InsStatus, Opposition, Recipient
from relais.routing.domain.commands import (
    Command,
    DocumentState,
    HoldUnreadable,
    NoteIdentityHeld,
    NoteRejected,
    Park,
    Release,
    Route,
)
from relais.routing.domain.document import DOCUMENT, REASON_CHARACTERS_MAXIMUM
from relais.routing.domain.errors import CannotRelease, Invalid, NotHeld, RoutingRefusal
from tests.routing.given import (
    CLINIC,
    DMP_ONLY,
    DOCTOR,
    EVERYTHING,
    FLAGS,
    IMPOSTOR,
    INS,
    LENIENT,
    OTHER_INS,
    PATIENT,
    ROW_2,
    ROW_3,
    SOFTWARE,
    after,
    circumstances,
    flags,
    held,
    kinds,
    planned,
    policy_of,
    route,
    submission,
    suppressed,
)

OUTSIDE = flags(destmssantepat=False)
CHILD: dict[str, Any] = {"header": {"patient_birth_time": "20200101"}, "identity": {"birth_date": "20200101"}}
HIDDEN_CHILD: dict[str, Any] = {**CHILD, "flags": flags(ROW_3, invisible_rep_legaux=True)}


def decided(command: Command, state: DocumentState = DOCUMENT.initial) -> list[Fact]:
    return list(DOCUMENT.decide(command, state))


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


# SAFETY 17: what a later request takes back.


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
    assert [one.ordinal for one in planned([plan])] == [4]


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


# Laws over whole lives.

REQUESTS = st.sampled_from(["r1", "r2", "r3"])
FLAG_SETS = st.one_of(
    st.sampled_from([FLAGS, ROW_2, ROW_3, DMP_ONLY, OUTSIDE]), st.builds(Flags, **dict.fromkeys(Flags.__struct_fields__, st.booleans()))
)
PEOPLE = st.lists(st.sampled_from([DOCTOR, CLINIC, SOFTWARE, PATIENT, IMPOSTOR]), max_size=3)
PLACES = st.sampled_from([{}, CHILD, {"identity": {"ins": OTHER_INS}}])
AROUND = st.builds(
    lambda people, place, policy: circumstances(*people, policy=policy, **place),
    PEOPLE,
    PLACES,
    st.sampled_from([policy_of(("tenant", EVERYTHING)), LENIENT, None]),
)
SUBMISSIONS = st.builds(
    lambda request, chosen, opposition: submission(request, flags=chosen, opposition=opposition),
    REQUESTS,
    FLAG_SETS,
    st.sampled_from(Opposition),
)
COMMANDS = st.one_of(
    st.builds(Route, SUBMISSIONS, st.sampled_from([InsStatus.QUALIFIEE, InsStatus.VALIDEE]), AROUND),
    st.builds(Release, REQUESTS, st.just("seen"), st.one_of(st.none(), AROUND)),
    st.builds(NoteIdentityHeld, SUBMISSIONS, st.just((HoldReason.IDENTITY_DISAGREES,))),
    st.builds(HoldUnreadable, SUBMISSIONS, st.just(InsStatus.QUALIFIEE), st.just(HoldReason.SUBJECT_ERASED)),
    st.just(NoteRejected("d", "r1")),
    st.just(Park("d", "identity", 1, "x.v1")),
)


@given(st.lists(COMMANDS, max_size=10))
def test_in_any_order_ordinals_are_new_mail_goes_once_and_masking_only_grows(commands: list[Command]) -> None:
    state = DOCUMENT.initial
    ordinals: list[int] = []
    mails: list[bytes] = []
    masking: frozenset[str] = frozenset()
    for command in commands:
        try:
            facts = DOCUMENT.decide(command, state)
        except RoutingRefusal:
            continue
        for one in planned(facts):
            ordinals.append(one.ordinal)
            if one.kind.value != "dmp":
                mails.append(one.key)
            if one.kind.value == "mssante_patient":
                assert "invisible_patient" not in state.masking
        for fact in facts:
            if isinstance(fact, RoutePlanned):
                assert masking <= set(fact.masking)
        state = DOCUMENT.fold(facts, state)
        assert masking <= state.masking
        masking = state.masking
    assert ordinals == sorted(set(ordinals))
    assert len(mails) == len(set(mails))


@given(st.lists(COMMANDS, max_size=8))
def test_a_history_read_back_from_its_bytes_is_the_same_state(commands: list[Command]) -> None:
    state, history = DOCUMENT.initial, []
    for command in commands:
        try:
            facts = DOCUMENT.decide(command, state)
        except RoutingRefusal:
            continue
        history += [(fact.TAG, encode(fact)) for fact in facts]
        state = DOCUMENT.fold(facts, state)
    assert DOCUMENT.fold(decode(tag, payload) for tag, payload in history) == state
    assert state.version == len(history)
