"""Attacks the life of a held document: releases that raise, repeats, rejections that a later request would undo, erasures."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relais.contracts.header import Identifier
from relais.contracts.identity import IdentityHeld, IdentityParked, IdentityRejected, IdentityReleased, IdentityVerified
from relais.contracts.reasons import HoldReason
from relais.contracts.submission import InsStatus, SealedContent
from relais.identity.domain.document import (
    DOCUMENT,
    REASON_CHARACTERS_MAXIMUM,
    HoldUnreadable,
    Park,
    Reject,
    Release,
)
from relais.identity.domain.errors import CannotRelease, IdentityRefusal, Invalid, NotHeld, StatusRaised
from relais.identity.domain.rules import RULES
from relais.identity.domain.status import is_lowering
from tests.identity.given import BODY, INS_NIR, OTHER_INS, after, content, examined, submission, verify, with_ins, without_ins

DISAGREES = content({"birth_family_name": "DURAND"})
ANOTHER_INS = content(None, {"patient_ids": (Identifier(root=INS_NIR, extension=OTHER_INS),)})
WRONG_KEY = with_ins(BODY + "88")
UNREADABLE = HoldUnreadable(submission("r1"), HoldReason.SUBJECT_ERASED)


def test_a_document_that_agrees_is_verified() -> None:
    (fact,) = DOCUMENT.decide(verify(content()), DOCUMENT.initial)
    assert isinstance(fact, IdentityVerified)
    assert fact.ins_status is InsStatus.QUALIFIEE
    assert fact.insi == "not_asked"


def test_a_document_that_disagrees_is_held_with_its_rule_and_the_field() -> None:
    (fact,) = DOCUMENT.decide(verify(DISAGREES), DOCUMENT.initial)
    assert isinstance(fact, IdentityHeld)
    assert fact.reasons == (HoldReason.IDENTITY_DISAGREES,)
    assert fact.rules == (RULES[HoldReason.IDENTITY_DISAGREES].id,)
    assert fact.evidence == ("birth_family_name",)


@pytest.mark.parametrize("command", [verify(content()), verify(DISAGREES), UNREADABLE])
def test_a_redelivered_fact_changes_nothing(command: object) -> None:
    state = after(command)  # type: ignore[arg-type]
    assert DOCUMENT.decide(command, state) == ()  # type: ignore[arg-type]


def test_a_later_request_is_verified_by_itself() -> None:
    state = after(verify(DISAGREES, "r1"))
    (fact,) = DOCUMENT.decide(verify(content(), "r2"), state)
    assert isinstance(fact, IdentityVerified)
    assert set(after(verify(content(), "r2"), state=state).held()) == {"r1"}


def test_a_release_keeps_the_status_and_says_what_it_overrules() -> None:
    state = after(verify(DISAGREES))
    (fact,) = DOCUMENT.decide(Release("r1", " typing error ", examined(DISAGREES)), state)
    assert isinstance(fact, IdentityReleased)
    assert fact.ins_status is InsStatus.QUALIFIEE
    assert fact.overridden == (HoldReason.IDENTITY_DISAGREES,)
    assert fact.reason == "typing error"


def test_a_release_may_lower_the_status() -> None:
    (fact,) = DOCUMENT.decide(Release("r1", "seen", examined(DISAGREES), InsStatus.PROVISOIRE), after(verify(DISAGREES)))
    assert isinstance(fact, IdentityReleased)
    assert fact.ins_status is InsStatus.PROVISOIRE


FORMER_INS = content({"historical_ins": (Identifier(root=INS_NIR, extension=OTHER_INS),)}, {"patient_ids": ANOTHER_INS.header.patient_ids})


@pytest.mark.parametrize("sealed", [ANOTHER_INS, WRONG_KEY, FORMER_INS])
def test_no_release_makes_an_ins_that_is_wrong_or_anothers_qualified(sealed: SealedContent) -> None:
    command = verify(sealed)
    state = after(command)
    with pytest.raises(StatusRaised):
        DOCUMENT.decide(Release("r1", "sure", command.examination, InsStatus.QUALIFIEE), state)
    (fact,) = DOCUMENT.decide(Release("r1", "sure", command.examination), state)
    assert isinstance(fact, IdentityReleased)
    assert fact.ins_status is InsStatus.VALIDEE


def test_a_release_never_raises_a_declared_status() -> None:
    held = with_ins("2790351215189" + "89", status=InsStatus.PROVISOIRE)
    with pytest.raises(StatusRaised):
        DOCUMENT.decide(Release("r1", "sure", examined(held), InsStatus.QUALIFIEE), after(verify(held)))


def test_recovered_and_validated_are_no_steps_of_one_another() -> None:
    held = with_ins("2790351215189" + "89", status=InsStatus.RECUPEREE)
    with pytest.raises(StatusRaised):
        DOCUMENT.decide(Release("r1", "sure", examined(held), InsStatus.VALIDEE), after(verify(held)))


def test_what_cannot_be_read_cannot_be_released() -> None:
    with pytest.raises(CannotRelease) as refusal:
        DOCUMENT.decide(Release("r1", "sure", None), after(UNREADABLE))
    assert refusal.value.reasons == (HoldReason.SUBJECT_ERASED,)


@pytest.mark.parametrize("reason", ["", "  ", "x" * (REASON_CHARACTERS_MAXIMUM + 1)])
def test_a_person_gives_a_reason(reason: str) -> None:
    state = after(verify(DISAGREES))
    for command in (Release("r1", reason, examined(DISAGREES)), Reject("r1", reason)):
        with pytest.raises(Invalid) as refusal:
            DOCUMENT.decide(command, state)
        assert refusal.value.field == "reason"


@pytest.mark.parametrize("request_id", ["r1", "r9"])
def test_only_what_is_held_can_be_released_or_rejected(request_id: str) -> None:
    state = after(verify(content()))
    for command in (Release(request_id, "sure", examined(content())), Reject(request_id, "sure")):
        with pytest.raises(NotHeld):
            DOCUMENT.decide(command, state)


def test_a_rejected_document_is_not_sent_by_a_later_request() -> None:
    state = after(verify(DISAGREES), Reject("r1", "another patient"))
    assert state.rejected
    (fact,) = DOCUMENT.decide(verify(content(), "r2"), state)
    assert isinstance(fact, IdentityHeld)
    assert fact.reasons == (HoldReason.REJECTED_BEFORE,)


def test_a_rejection_names_document_request_and_reason() -> None:
    (fact,) = DOCUMENT.decide(Reject("r1", "another patient"), after(verify(DISAGREES)))
    assert fact == IdentityRejected(document="d", request="r1", reason="another patient")


def test_a_parked_document_holds_what_follows_for_it() -> None:
    park = Park("d", "ingestion", 7, "ingestion.future.v9")
    (fact,) = DOCUMENT.decide(park, DOCUMENT.initial)
    assert isinstance(fact, IdentityParked)
    state = after(park)
    assert DOCUMENT.decide(park, state) == ()
    (held,) = DOCUMENT.decide(verify(content()), state)
    assert isinstance(held, IdentityHeld)
    assert held.reasons == (HoldReason.FACT_UNREADABLE,)


CONTENTS = st.sampled_from([content(), DISAGREES, ANOTHER_INS, WRONG_KEY, without_ins(), without_ins(InsStatus.DOUTEUSE)])
REQUESTS = st.sampled_from(["r1", "r2", "r3"])
COMMANDS = st.one_of(
    st.builds(verify, CONTENTS, REQUESTS),
    st.builds(HoldUnreadable, REQUESTS.map(submission), st.just(HoldReason.SUBJECT_ERASED)),
    st.just(Park("d", "ingestion", 1, "x.v1")),
    st.builds(
        Release, REQUESTS, st.just("sure"), st.one_of(st.none(), CONTENTS.map(examined)), st.one_of(st.none(), st.sampled_from(InsStatus))
    ),
    st.builds(Reject, REQUESTS, st.just("no")),
)


@given(st.lists(COMMANDS, max_size=12))
def test_in_any_order_of_commands_each_request_is_decided_once_and_no_status_rises(commands: list[object]) -> None:
    state = DOCUMENT.initial
    decided: list[str] = []
    rejected = False
    for command in commands:
        try:
            facts = DOCUMENT.decide(command, state)  # type: ignore[arg-type]
        except IdentityRefusal:
            continue
        for fact in facts:
            if isinstance(fact, IdentityVerified | IdentityHeld):
                decided.append(fact.submission.request)
            if isinstance(fact, IdentityVerified):
                assert not rejected
            if isinstance(fact, IdentityReleased):
                assert is_lowering(InsStatus.QUALIFIEE, fact.ins_status)
                assert fact.overridden
            rejected = rejected or isinstance(fact, IdentityRejected)
        state = DOCUMENT.fold(facts, state)
    assert len(decided) == len(set(decided))
