"""Why a document goes where it goes: the recorded decision of a document, or the decision of a case made up. Both pure."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from relais.contracts.fact import Fact
from relais.contracts.reasons import HoldReason, SuppressReason
from relais.contracts.routing import DestinationKind, DocumentHeld, DocumentReleased, RoutePlanned, RouteSuppressed
from relais.routing.domain.case import Case, Law, Verdict
from relais.routing.domain.judgement import judge
from relais.routing.domain.policy import EffectivePolicy


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainedDestination:
    """One destination that was considered, and the rule that decided; with an ordinal and not planned, a later request took it back."""

    kind: DestinationKind
    rule: str
    planned: bool
    ordinal: int | None = None
    connector: str = ""
    endpoint: str = ""
    reason: SuppressReason | HoldReason | None = None
    recipient: int | None = None


@dataclass(frozen=True, slots=True)
class Explanation:
    """A decision and what it rests on. `policy` is the scope that decided, empty where none was active."""

    destinations: tuple[ExplainedDestination, ...] = ()
    hold_reasons: tuple[HoldReason, ...] = ()
    hold_rules: tuple[str, ...] = ()
    policy: str = ""
    policy_version: int = 0
    matrix: str = ""


def explain(case: Case, law: Law, policy: EffectivePolicy | None) -> Explanation:
    """What would be decided of this case now, with the same judgement that decides documents."""
    judgement = judge(case, law, policy)
    everything = judgement.holds_everything()
    reasons = judgement.reasons()
    return Explanation(
        destinations=tuple(
            ExplainedDestination(
                kind=wish.kind,
                rule=wish.rule,
                planned=wish.verdict is Verdict.PLANNED and not everything,
                connector=wish.endpoint.connector if wish.endpoint else "",
                endpoint=wish.endpoint.endpoint if wish.endpoint else "",
                reason=wish.suppressed or wish.held,
                recipient=wish.recipient,
            )
            for wish in judgement.wishes
        ),
        hold_reasons=tuple(reason for reason, _ in reasons),
        hold_rules=tuple(rule for _, rule in reasons),
        policy=policy.scope if policy else "",
        policy_version=policy.version if policy else 0,
        matrix=judgement.matrix,
    )


def recorded(facts: Iterable[Fact]) -> Explanation:
    """What was decided of a document, from the facts of its stream: the destinations of all requests, and what holds it now."""
    told = Explanation()
    held: dict[str, DocumentHeld] = {}
    for fact in facts:
        match fact:
            case RoutePlanned():
                told = _with_plan(told, fact)
            case RouteSuppressed():
                told = _with_suppressed(told, fact)
            case DocumentHeld():
                held[fact.submission.request] = fact
                if not told.policy:
                    told = replace(told, policy=fact.policy, policy_version=fact.policy_version)
            case DocumentReleased():
                held.pop(fact.request, None)
            case _:
                continue
    reasons = dict.fromkeys(reason for fact in held.values() for reason in fact.reasons)
    rules = dict.fromkeys(rule for fact in held.values() for rule in fact.rules)
    return replace(told, hold_reasons=tuple(reasons), hold_rules=tuple(rules))


def _with_plan(told: Explanation, fact: RoutePlanned) -> Explanation:
    planned = (
        ExplainedDestination(
            kind=one.kind,
            rule=one.rule,
            planned=True,
            ordinal=one.ordinal,
            connector=one.connector,
            endpoint=one.endpoint,
            recipient=one.recipient,
        )
        for one in fact.destinations
    )
    destinations = (*told.destinations, *planned)
    return replace(told, destinations=destinations, policy=fact.policy, policy_version=fact.policy_version, matrix=fact.matrix)


def _with_suppressed(told: Explanation, fact: RouteSuppressed) -> Explanation:
    gone = {one.ordinal: one for one in fact.suppressed if one.ordinal is not None}
    kept = tuple(
        replace(one, planned=False, reason=gone[one.ordinal].reason, rule=gone[one.ordinal].rule) if one.ordinal in gone else one
        for one in told.destinations
    )
    refused = tuple(
        ExplainedDestination(kind=one.kind, rule=one.rule, planned=False, reason=one.reason, recipient=one.recipient)
        for one in fact.suppressed
        if one.ordinal is None
    )
    return replace(told, destinations=(*kept, *refused))
