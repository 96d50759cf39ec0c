"""Attacks SAFETY 3: what is a repeat, what is a new request, and what is a misuse of an identifier."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relais.contracts.ingestion import DistributionRequested, DocumentReceived
from relais.contracts.submission import BodyReference, Flags, Opposition, Submission
from relais.ingestion.domain import DOCUMENT, DocumentState, Fingerprints, RefusalReason, SubmissionRefused, TakeIn, Verdict, judge

OPEN = Flags(
    masque_ps=False,
    invisible_patient=False,
    invisible_rep_legaux=False,
    connexion_secrete=False,
    modif_conf_code=False,
    destdmp=True,
    destmssanteps=True,
    destmssantepat=True,
    ack_reception=True,
    ack_lecture_mss=True,
)
MASKED = msgspec.structs.replace(OPEN, masque_ps=True)
BYTES, OTHER_BYTES = b"c" * 32, b"d" * 32
FIRST = Fingerprints(whole=b"w" * 32, content=BYTES)
SECOND = Fingerprints(whole=b"x" * 32, content=BYTES)
FOREIGN = Fingerprints(whole=b"y" * 32, content=OTHER_BYTES)


def submission(request: str, flags: Flags = OPEN) -> Submission:
    return Submission(
        document="d",
        request=request,
        site="s",
        sender="his",
        subject="00000000-0000-0000-0000-000000000001",
        type_code="11502-2",
        flags=flags,
        opposition=Opposition.NO,
        recipients_count=1,
        received_at="2026-01-01T00:00:00+00:00",
        body=BodyReference(blob="b", size=1, chunks=1, ciphertext_sha256=b""),
        sealed=b"",
    )


def after(*commands: TakeIn) -> DocumentState:
    state = DOCUMENT.initial
    for command in commands:
        state = DOCUMENT.fold(DOCUMENT.decide(command, state), state)
    return state


def test_a_first_submission_is_a_received_document() -> None:
    (fact,) = DOCUMENT.decide(TakeIn(submission("r1"), FIRST), DOCUMENT.initial)
    assert fact == DocumentReceived(submission=submission("r1"), fingerprint=FIRST.whole, content=FIRST.content)


def test_the_same_request_again_is_no_fact() -> None:
    assert DOCUMENT.decide(TakeIn(submission("r1"), FIRST), after(TakeIn(submission("r1"), FIRST))) == ()


def test_the_same_request_id_with_anything_else_is_refused() -> None:
    with pytest.raises(SubmissionRefused) as refused:
        DOCUMENT.decide(TakeIn(submission("r1"), SECOND), after(TakeIn(submission("r1"), FIRST)))
    assert refused.value.reason is RefusalReason.REQUEST_ID_REUSED


def test_the_same_bytes_under_another_request_are_a_new_request_on_the_same_document() -> None:
    (fact,) = DOCUMENT.decide(TakeIn(submission("r2"), SECOND), after(TakeIn(submission("r1"), FIRST)))
    assert fact == DistributionRequested(submission=submission("r2"), fingerprint=SECOND.whole)


def test_the_same_document_id_with_other_bytes_is_refused() -> None:
    with pytest.raises(SubmissionRefused) as refused:
        DOCUMENT.decide(TakeIn(submission("r2"), FOREIGN), after(TakeIn(submission("r1"), FIRST)))
    assert refused.value.reason is RefusalReason.DOCUMENT_ID_REUSED


def test_a_later_request_never_loosens_masking() -> None:
    state = after(TakeIn(submission("r1", MASKED), FIRST))
    with pytest.raises(SubmissionRefused) as refused:
        DOCUMENT.decide(TakeIn(submission("r2", OPEN), SECOND), state)
    assert refused.value.reason is RefusalReason.MASKING_LOOSENED


def test_a_later_request_may_tighten_masking_and_the_tighter_one_binds() -> None:
    state = after(TakeIn(submission("r1", OPEN), FIRST), TakeIn(submission("r2", MASKED), SECOND))
    with pytest.raises(SubmissionRefused):
        judge(state, "r3", Fingerprints(b"z" * 32, BYTES), OPEN)


@given(st.lists(st.tuples(st.sampled_from(["a", "b", "c"]), st.sampled_from([FIRST, SECOND, FOREIGN])), max_size=12))
def test_whatever_is_sent_a_document_keeps_its_first_bytes_and_a_request_its_first_meaning(
    sent: list[tuple[str, Fingerprints]],
) -> None:
    state = DOCUMENT.initial
    meaning: dict[str, bytes] = {}
    content = b""
    for request, fingerprints in sent:
        try:
            verdict = judge(state, request, fingerprints, OPEN)
        except SubmissionRefused:
            continue
        state = DOCUMENT.fold(DOCUMENT.decide(TakeIn(submission(request), fingerprints), state), state)
        content = content or fingerprints.content
        assert meaning.setdefault(request, fingerprints.whole) == fingerprints.whole
        assert verdict is Verdict.REPEAT or fingerprints.content == content
    assert state.version == len(meaning)
