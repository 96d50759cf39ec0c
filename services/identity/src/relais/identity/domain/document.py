"""What identity decides about one document: verified, held, and what a person says of what was held.

The stream is one document. Each request on it (the receipt, and every later distribution) is verified anew, from the sealed
content of that request and from the state, and never twice.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Final, TypeAlias, assert_never

from relais.contracts.fact import Fact
from relais.contracts.identity import IdentityHeld, IdentityParked, IdentityRejected, IdentityReleased, IdentityVerified
from relais.contracts.reasons import HoldReason
from relais.contracts.submission import InsStatus, Submission
from relais.decider import Decider
from relais.identity.domain.comparison import MATRICULE, OID
from relais.identity.domain.errors import CannotRelease, Invalid, NotHeld, StatusRaised
from relais.identity.domain.examination import Examination, InsiAnswer
from relais.identity.domain.rules import rule_of
from relais.identity.domain.status import is_lowering, lowest

REASON_CHARACTERS_MAXIMUM: Final = 500

# What a person may overrule, but not so that an INS that is wrong or is another's reaches the patient's record or mailbox.
_NEVER_QUALIFIED: Final = frozenset(
    {
        HoldReason.INS_FORMAT_WRONG,
        HoldReason.INS_KEY_WRONG,
        HoldReason.TEST_IDENTITY_IN_PRODUCTION,
        HoldReason.HISTORICAL_INS,
        HoldReason.INS_NOT_QUALIFIED_IN_DOCUMENT,
        HoldReason.STATUS_DOUBTFUL,
    }
)


class Outcome(Enum):
    """How one request stands."""

    VERIFIED = "verified"
    HELD = "held"
    RELEASED = "released"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class Verify:
    """Decide on a submission that was examined."""

    submission: Submission
    examination: Examination
    insi: InsiAnswer


@dataclass(frozen=True, slots=True)
class HoldUnreadable:
    """A submission whose sealed content does not open: its subject was erased, or the seal is broken."""

    submission: Submission
    reason: HoldReason


@dataclass(frozen=True, slots=True)
class Park:
    """A fact about this document could not be read at all; `log`, `position` and `tag` name it."""

    document: str
    log: str
    position: int
    tag: str


@dataclass(frozen=True, slots=True)
class Release:
    """A person releases a held request. `examination` is made at that moment; None when the content cannot be read.

    Without `ins_status` the status is the declared one, lowered as far as what is overruled demands.
    """

    request: str
    reason: str
    examination: Examination | None
    ins_status: InsStatus | None = None


@dataclass(frozen=True, slots=True)
class Reject:
    """A person decides that a held request, and with it the document, goes nowhere."""

    request: str
    reason: str


Command: TypeAlias = Verify | HoldUnreadable | Park | Release | Reject


@dataclass(frozen=True, slots=True)
class RequestState:
    """One request: how it stands, and while it is held what is needed to release it."""

    outcome: Outcome
    submission: Submission | None = None
    reasons: tuple[HoldReason, ...] = ()
    evidence: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DocumentState:
    """What the next decision needs to know of a document."""

    requests: Mapping[str, RequestState] = field(default_factory=dict)
    rejected: bool = False
    parked: bool = False
    version: int = 0

    def held(self) -> dict[str, RequestState]:
        """The requests that wait for a person."""
        return {request: known for request, known in self.requests.items() if known.outcome is Outcome.HELD}


def decide(command: Command, state: DocumentState) -> Sequence[Fact]:
    """The facts of one command. Raises an `IdentityRefusal` only for what a person asks; a repeat is no fact."""
    match command:
        case Verify():
            return _verify(command, state)
        case HoldUnreadable():
            known = command.submission.request in state.requests
            return () if known else (_held(command.submission, (command.reason,), ()),)
        case Park():
            return _park(command, state)
        case Release():
            return (_release(command, _held_request(state, command.request)),)
        case Reject():
            _held_request(state, command.request)
            return tuple(_reject(state, command))
        case _:
            assert_never(command)


def evolve(state: DocumentState, fact: Fact) -> DocumentState:
    """Fold one fact of the document's stream."""
    state = replace(state, version=state.version + 1)
    match fact:
        case IdentityVerified():
            return _with(state, fact.submission.request, RequestState(Outcome.VERIFIED))
        case IdentityHeld():
            held = RequestState(Outcome.HELD, fact.submission, fact.reasons, fact.evidence)
            return _with(state, fact.submission.request, held)
        case IdentityReleased():
            return _with(state, fact.submission.request, RequestState(Outcome.RELEASED))
        case IdentityRejected():
            return replace(_with(state, fact.request, RequestState(Outcome.REJECTED)), rejected=True)
        case IdentityParked():
            return replace(state, parked=True)
        case _:
            return state


def ceiling(declared: InsStatus, reasons: Iterable[HoldReason], evidence: Iterable[str]) -> InsStatus:
    """The highest status that a release overruling these reasons may give."""
    another_ins = bool({MATRICULE, OID}.intersection(evidence))
    if another_ins or _NEVER_QUALIFIED.intersection(reasons):
        return lowest(declared, (InsStatus.VALIDEE,))
    return declared


def _verify(command: Verify, state: DocumentState) -> Sequence[Fact]:
    submission, examination = command.submission, command.examination
    if submission.request in state.requests:
        return ()
    reasons = examination.reasons
    if state.rejected:
        reasons = (*reasons, HoldReason.REJECTED_BEFORE)
    if state.parked:
        # What came before could not be read, so nobody knows what this request must be seen against.
        reasons = (*reasons, HoldReason.FACT_UNREADABLE)
    if reasons:
        return (_held(submission, reasons, examination.evidence),)
    return (
        IdentityVerified(
            submission=submission,
            ins_status=examination.status,
            insi=command.insi.code.value,
            checked=examination.checked,
            warnings=examination.warnings,
        ),
    )


def _held(submission: Submission, reasons: tuple[HoldReason, ...], evidence: tuple[str, ...]) -> IdentityHeld:
    rules = tuple(rule_of(reason).id for reason in reasons)
    return IdentityHeld(submission=submission, reasons=reasons, evidence=evidence, rules=rules)


def _park(command: Park, state: DocumentState) -> Sequence[Fact]:
    if state.parked:
        return ()
    return (
        IdentityParked(
            document=command.document,
            reason=HoldReason.FACT_UNREADABLE,
            log=command.log,
            position=command.position,
            tag=command.tag,
        ),
    )


def _release(command: Release, held: RequestState) -> IdentityReleased:
    submission = held.submission
    if submission is None or command.examination is None:
        raise CannotRelease("request", held.reasons)
    examination = command.examination
    reasons = tuple(dict.fromkeys((*held.reasons, *examination.reasons)))
    evidence = (*held.evidence, *examination.evidence)
    highest = ceiling(examination.status, reasons, evidence)
    status = command.ins_status or highest
    if not is_lowering(highest, status):
        raise StatusRaised("ins_status")
    return IdentityReleased(submission=submission, ins_status=status, reason=valid_reason(command.reason), overridden=reasons)


def _reject(state: DocumentState, command: Reject) -> Iterable[IdentityRejected]:
    reason = valid_reason(command.reason)
    held = state.requests[command.request].submission
    if held is not None:
        yield IdentityRejected(document=held.document, request=command.request, reason=reason)


def valid_reason(reason: str) -> str:
    """A person's reason, trimmed. Raises `Invalid` when it is empty or too long."""
    trimmed = reason.strip()
    if not trimmed or len(trimmed) > REASON_CHARACTERS_MAXIMUM:
        raise Invalid("reason")
    return trimmed


def _held_request(state: DocumentState, request: str) -> RequestState:
    known = state.requests.get(request)
    if known is None or known.outcome is not Outcome.HELD:
        raise NotHeld("request")
    return known


def _with(state: DocumentState, request: str, known: RequestState) -> DocumentState:
    return replace(state, requests={**state.requests, request: known})


DOCUMENT: Final[Decider[Command, DocumentState, Fact]] = Decider(initial=DocumentState(), decide=decide, evolve=evolve)
