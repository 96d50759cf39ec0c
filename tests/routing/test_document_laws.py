"""Attacks whole lives of a document: any commands in any order, read back from their bytes."""

from hypothesis import given
from hypothesis import strategies as st

from relais.contracts.fact import decode, encode
from relais.contracts.reasons import HoldReason
from relais.contracts.routing import RoutePlanned
from relais.contracts.submission import Flags, InsStatus, Opposition
from relais.routing.domain.commands import Command, HoldUnreadable, NoteIdentityHeld, NoteRejected, Park, Release, Route
from relais.routing.domain.document import DOCUMENT
from relais.routing.domain.errors import RoutingRefusal
from tests.routing.given import (
    CHILD,
    CLINIC,
    DMP_ONLY,
    DOCTOR,
    EVERYTHING,
    FLAGS,
    IMPOSTOR,
    LENIENT,
    OTHER_INS,
    OUTSIDE,
    PATIENT,
    ROW_2,
    ROW_3,
    SOFTWARE,
    circumstances,
    planned,
    policy_of,
    submission,
)

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
