"""What routing decides about one document: planned, suppressed, held, and what a later request changes about what was planned.

The stream is one document. Ordinals count its destinations over all requests and are never used twice. What was planned once is
not planned again, and a later request masks as much as every earlier one did (SAFETY 3).
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final, assert_never

import msgspec

from relais.contracts.fact import Fact
from relais.contracts.reasons import HoldReason
from relais.contracts.routing import (
    DestinationKind,
    DocumentHeld,
    DocumentReleased,
    RejectionNoted,
    RouteParked,
    RoutePlanned,
    RouteSuppressed,
)
from relais.contracts.submission import Flags, InsStatus, Submission
from relais.decider import Decider
from relais.routing.domain.case import Case, Verdict, Wish
from relais.routing.domain.commands import (
    Circumstances,
    Command,
    DocumentState,
    HoldUnreadable,
    NoteIdentityHeld,
    NoteRejected,
    Park,
    Release,
    RequestState,
    Route,
    Served,
    Standing,
)
from relais.routing.domain.errors import CannotRelease, Invalid, NotHeld
from relais.routing.domain.judgement import judge
from relais.routing.domain.plan import destination_key, is_served, plan, planned_facts, suppressed_facts
from relais.routing.domain.policy import EffectivePolicy
from relais.routing.domain.withdrawal import everything, reinstated, withdrawals
from relais.routing.law import rules

REASON_CHARACTERS_MAXIMUM: Final = 500
MASKING_FLAGS: Final = ("masque_ps", "invisible_patient", "invisible_rep_legaux", "connexion_secrete")
RELEASED_AT_IDENTITY: Final = "released at identity"


def decide(command: Command, state: DocumentState) -> Sequence[Fact]:
    """The facts of one command. Raises a `RoutingRefusal` only for what a person asks; a repeat is no fact."""
    match command:
        case Route():
            return _route(command, state)
        case HoldUnreadable():
            if _is_decided(command.submission.request, state):
                return ()
            return (_held(command.submission, command.status, ((command.reason, rules.READABLE),), None),)
        case NoteIdentityHeld():
            if command.submission.request in state.requests or not state.served:
                return ()
            reasons = tuple((reason, rules.IDENTITY) for reason in command.reasons)
            return (_held(command.submission, InsStatus.PROVISOIRE, reasons, None),)
        case NoteRejected():
            return _note_rejected(command, state)
        case Park():
            return () if state.parked else (_parked(command),)
        case Release():
            return _release(command, state)
        case _:
            assert_never(command)


def evolve(state: DocumentState, fact: Fact) -> DocumentState:
    """Fold one fact of the document's stream."""
    state = replace(state, version=state.version + 1)
    match fact:
        case DocumentHeld():
            standing = Standing.IDENTITY_HELD if rules.IDENTITY in fact.rules else Standing.HELD
            held = RequestState(standing, fact.submission, fact.ins_status, fact.reasons)
            return _with_request(state, fact.submission, held)
        case DocumentReleased():
            known = state.requests.get(fact.request, RequestState(Standing.ROUTED))
            return replace(state, requests={**state.requests, fact.request: replace(known, standing=Standing.ROUTED)})
        case RoutePlanned():
            return _with_plan(state, fact)
        case RouteSuppressed():
            gone = {one.ordinal for one in fact.suppressed if one.ordinal is not None}
            served = {key: replace(one, withdrawn=one.withdrawn or one.ordinal in gone) for key, one in state.served.items()}
            return replace(state, served=served)
        case RejectionNoted():
            return replace(state, rejected=True)
        case RouteParked():
            return replace(state, parked=True)
        case _:
            return state


def masking_of(flags: Flags) -> frozenset[str]:
    """The masking flags that are set."""
    return frozenset(name for name in MASKING_FLAGS if getattr(flags, name))


def case_of(
    submission: Submission, status: InsStatus, circumstances: Circumstances, masking: frozenset[str], *, released: bool = False
) -> Case:
    """The case of one request on a document whose earlier requests set these masking flags: what was masked stays masked."""
    own = masking_of(submission.flags)
    content = circumstances.content
    return Case(
        flags=msgspec.structs.replace(submission.flags, **dict.fromkeys(masking | own, True)),
        opposition=submission.opposition,
        status=status,
        type_code=submission.type_code,
        header=content.header,
        identity=content.identity,
        recipients=content.recipients,
        day=circumstances.day,
        loosened=bool(masking - own),
        released=released,
    )


def _route(command: Route, state: DocumentState) -> Sequence[Fact]:
    submission, status, circumstances = command.submission, command.status, command.circumstances
    if _is_decided(submission.request, state):
        return ()
    case = case_of(submission, status, circumstances, state.masking)
    policy = circumstances.policy
    judgement = judge(case, circumstances.law, policy)
    reasons = judgement.reasons()
    if state.parked:
        # What came before could not be read, so nobody knows what this request must be seen against.
        reasons = (*reasons, (HoldReason.FACT_UNREADABLE, rules.READABLE))
    gone = withdrawals(case, masking_of(submission.flags) - state.masking, state.served.values())
    facts: list[Fact] = []
    if (known := state.requests.get(submission.request)) is not None:
        # Identity held this request after earlier ones were planned, and a person released it there. What is taken back now is not named
        # here, so that it cannot leave in between.
        facts.append(_released(submission, RELEASED_AT_IDENTITY, known.reasons, reinstated(submission.request, state, gone)))
    if reasons:
        facts.append(_held(submission, status, reasons, policy))
    if policy is None or state.parked or judgement.holds_everything():
        return (*facts, *suppressed_facts(submission, judgement.matrix, policy, gone))
    made = plan(judgement.wishes, state, circumstances.destination_key)
    planned = planned_facts(submission, status, judgement, policy, made.planned, masking_of(case.flags))
    return (*facts, *planned, *suppressed_facts(submission, judgement.matrix, policy, (*made.suppressed, *gone)))


def _is_decided(request: str, state: DocumentState) -> bool:
    """Whether a request was routed or held here before; one that waited at identity is still to be decided."""
    known = state.requests.get(request)
    return known is not None and known.standing is not Standing.IDENTITY_HELD


def _release(command: Release, state: DocumentState) -> Sequence[Fact]:
    reason = command.reason.strip()
    if not reason or len(reason) > REASON_CHARACTERS_MAXIMUM:
        raise Invalid("reason")
    known = state.requests.get(command.request)
    if known is None or known.standing is not Standing.HELD or known.submission is None:
        raise NotHeld("request")
    if command.circumstances is None or state.rejected:
        raise CannotRelease("request")
    circumstances, submission = command.circumstances, known.submission
    if circumstances.policy is None:
        raise CannotRelease("policy")
    case = case_of(submission, known.status, circumstances, state.masking, released=True)
    judgement = judge(case, circumstances.law, circumstances.policy)
    wishes: Sequence[Wish] = judgement.wishes
    if known.partly:
        # The rest was decided when this was held: only what was held is decided now.
        then = judge(replace(case, released=False), circumstances.law, circumstances.policy).wishes
        key = circumstances.destination_key
        wishes = [one for one, before in zip(wishes, then, strict=True) if _is_open(one, before, state, key)]
    made = plan(wishes, state, circumstances.destination_key)
    planned = planned_facts(submission, known.status, judgement, circumstances.policy, made.planned, masking_of(case.flags))
    suppressed = suppressed_facts(submission, judgement.matrix, circumstances.policy, made.suppressed)
    return (_released(submission, reason, known.reasons), *planned, *suppressed)


def _is_open(now: Wish, before: Wish, state: DocumentState, key: bytes) -> bool:
    """Whether a wish of a partly planned request is still to be decided: it would be held again, or its patient is of age by now."""
    may_go = now.verdict is Verdict.PLANNED and now.kind is DestinationKind.MSSANTE_PATIENT
    return before.verdict is Verdict.HELD or (may_go and not is_served(state, destination_key(key, now)))


def _note_rejected(command: NoteRejected, state: DocumentState) -> Sequence[Fact]:
    if state.rejected or not state.requests:
        return ()
    noted = RejectionNoted(document=command.document, request=command.request)
    gone = everything(state.served.values())
    if not gone:
        return (noted,)
    return (
        noted,
        RouteSuppressed(document=command.document, request=command.request, suppressed=gone, policy="", policy_version=0, matrix=""),
    )


def _held(
    submission: Submission, status: InsStatus, reasons: Sequence[tuple[HoldReason, str]], policy: EffectivePolicy | None
) -> DocumentHeld:
    return DocumentHeld(
        submission=submission,
        ins_status=status,
        reasons=tuple(reason for reason, _ in reasons),
        rules=tuple(rule for _, rule in reasons),
        policy=policy.scope if policy else "",
        policy_version=policy.version if policy else 0,
    )


def _released(submission: Submission, reason: str, overridden: tuple[HoldReason, ...], again: tuple[int, ...] = ()) -> DocumentReleased:
    return DocumentReleased(
        document=submission.document, request=submission.request, reason=reason, overridden=overridden, reinstated=again
    )


def _parked(command: Park) -> RouteParked:
    return RouteParked(
        document=command.document,
        reason=HoldReason.FACT_UNREADABLE,
        log=command.log,
        position=command.position,
        tag=command.tag,
    )


def _with_request(state: DocumentState, submission: Submission, known: RequestState) -> DocumentState:
    requests = {**state.requests, submission.request: known}
    if known.standing is Standing.IDENTITY_HELD:
        # Its flags count once it is routed; until then identity's hold stops everything anyway.
        return replace(state, requests=requests)
    return replace(state, requests=requests, masking=state.masking | masking_of(submission.flags))


def _with_plan(state: DocumentState, fact: RoutePlanned) -> DocumentState:
    known = RequestState(Standing.ROUTED)
    before = state.requests.get(fact.submission.request)
    if before is not None and before.standing is Standing.HELD:
        known = replace(before, partly=True)
    served = {**state.served, **{one.key: Served(one.ordinal, one.kind) for one in fact.destinations}}
    ordinals = max((state.ordinals, *(one.ordinal for one in fact.destinations)))
    return replace(_with_request(state, fact.submission, known), served=served, ordinals=ordinals)


DOCUMENT: Final[Decider[Command, DocumentState, Fact]] = Decider(initial=DocumentState(), decide=decide, evolve=evolve)
