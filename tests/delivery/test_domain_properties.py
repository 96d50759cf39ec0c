"""Attacks the delivery decider with every order of commands that Hypothesis can think of."""

from hypothesis import given
from hypothesis import strategies as st

from relais.contracts import Fact
from relais.contracts.delivery import DeliveryAbandoned, DeliveryAttempted, DeliveryDeferred, DeliveryReinstated, DeliverySucceeded
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
    Reinstate,
    RetryNow,
    Schedule,
    Withdraw,
)
from relais.delivery.domain.delivery import DeliveryRefusal, delivery
from relais.delivery.domain.retrying import RetryPolicy, read
from relais.delivery.domain.state import DeliveryState, Phase
from tests.delivery.given import NOON, destination, later, submission

POLICY = RetryPolicy(delay_seconds_first=2, delay_seconds_maximum=60, attempts_maximum=4, age_seconds_maximum=600)
FOR_GOOD = (AbandonReason.OPPOSITION, AbandonReason.DOCUMENT_DELETED)

codes = st.sampled_from(["503", "TIMEOUT", "x"])
answers: st.SearchStrategy[Answer] = st.one_of(
    st.builds(Succeeded, status=codes, repeat=st.booleans()),
    st.builds(Accepted, reference=codes),
    st.builds(Refused, code=codes),
    st.builds(Retry, code=codes, after_seconds=st.none() | st.floats(0, 1e6)),
    st.builds(Unknown, code=codes),
)
moments = st.floats(0, 900).map(later)
attempts = st.integers(1, 6)
jitters = st.floats(0, 1, exclude_max=True)
commands: st.SearchStrategy[DeliveryCommand] = st.one_of(
    st.just(Schedule(submission=submission(), ins_status=InsStatus.QUALIFIEE, destination=destination(), now=NOON)),
    st.builds(Attempt, now=moments, policy=st.just(POLICY)),
    st.builds(CannotSend, attempt=attempts, reason=st.sampled_from([AbandonReason.SUBJECT_ERASED, AbandonReason.BODY_UNREADABLE])),
    st.builds(Withdraw, reason=st.sampled_from([*FOR_GOOD, AbandonReason.IDENTITY_NO_LONGER_RELEASED])),
    st.builds(Reinstate, now=moments),
    st.builds(GiveBack, attempt=attempts, reason=st.sampled_from(NotStarted), now=moments),
    st.builds(RecordAnswer, attempt=attempts, answer=answers, now=moments, jitter=jitters, policy=st.just(POLICY)),
    st.builds(RetryNow, reason=st.just("r"), now=moments),
    st.builds(Abandon, reason=st.just("r")),
)


def told(orders: list[DeliveryCommand]) -> tuple[list[Fact], DeliveryState]:
    facts: list[Fact] = []
    state = delivery.initial
    for command in orders:
        try:
            new = delivery.decide(command, state)
        except DeliveryRefusal:
            continue
        facts.extend(new)
        state = delivery.fold(new, state)
    return facts, state


@given(st.lists(commands, max_size=30))
def test_whatever_is_asked_in_whatever_order_the_history_makes_sense(orders: list[DeliveryCommand]) -> None:
    facts, state = told(orders)
    assert delivery.fold(facts) == state
    numbers = [fact.attempt for fact in facts if isinstance(fact, DeliveryAttempted)]
    assert numbers == list(range(1, len(numbers) + 1))
    assert len({fact.idempotency_key for fact in facts if isinstance(fact, DeliveryAttempted)}) <= 1
    assert sum(isinstance(fact, DeliverySucceeded) for fact in facts) <= 1
    if any(isinstance(fact, DeliverySucceeded) for fact in facts):
        assert state.phase is Phase.SUCCEEDED


@given(st.lists(commands, max_size=30))
def test_after_an_unknown_outcome_every_attempt_says_that_it_may_be_a_repeat(orders: list[DeliveryCommand]) -> None:
    doubt = False
    for fact in told(orders)[0]:
        if isinstance(fact, DeliveryAttempted):
            assert fact.possible_repeat >= doubt
        if isinstance(fact, DeliveryDeferred):
            doubt = doubt or fact.unknown


@given(st.lists(commands, max_size=30), commands)
def test_saying_the_same_answer_twice_changes_nothing(orders: list[DeliveryCommand], command: DeliveryCommand) -> None:
    if not isinstance(command, (RecordAnswer, CannotSend, Withdraw, Reinstate, GiveBack, Schedule, Abandon)):
        return
    _, state = told(orders)
    try:
        state = delivery.fold(delivery.decide(command, state), state)
        assert list(delivery.decide(command, state)) == []
    except DeliveryRefusal:
        return


@given(st.integers(1, 10_000), jitters, st.none() | st.floats(0, 1e9))
def test_a_delay_is_always_between_half_of_the_first_and_the_maximum(failures: int, jitter: float, asked: float | None) -> None:
    delay = POLICY.delay_seconds(failures, jitter, asked)
    assert POLICY.delay_seconds_first / 2 <= delay <= POLICY.delay_seconds_maximum


@given(st.lists(commands, max_size=30))
def test_nothing_is_attempted_after_a_withdrawal_nor_before_a_doubt_is_lifted(orders: list[DeliveryCommand]) -> None:
    withdrawn = doubted = False
    for fact in told(orders)[0]:
        assert not ((withdrawn or doubted) and isinstance(fact, DeliveryAttempted))
        if isinstance(fact, DeliveryAbandoned):
            withdrawn = withdrawn or fact.reason in FOR_GOOD
            doubted = doubted or fact.reason is AbandonReason.IDENTITY_NO_LONGER_RELEASED
        if isinstance(fact, DeliveryReinstated):
            doubted = False


@given(st.lists(commands, max_size=30))
def test_a_waiting_delivery_always_says_when_it_is_due_and_a_finished_one_says_why(orders: list[DeliveryCommand]) -> None:
    facts, state = told(orders)
    if state.phase is Phase.WAITING:
        assert read(state.due_at).tzinfo is not None
    if state.phase is Phase.ABANDONED:
        assert any(isinstance(fact, DeliveryAbandoned) for fact in facts)
