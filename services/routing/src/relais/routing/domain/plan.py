"""From a judgement to what facts say: ordinals for what is planned for the first time, reasons for what is not."""

import hmac
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from relais.contracts.fact import Fact
from relais.contracts.reasons import SuppressReason
from relais.contracts.routing import DestinationKind, PlannedDestination, RoutePlanned, RouteSuppressed, SuppressedDestination
from relais.contracts.submission import InsStatus, Submission
from relais.routing.domain.case import Judgement, Verdict, Wish
from relais.routing.domain.commands import DocumentState
from relais.routing.domain.policy import EffectivePolicy
from relais.routing.law import rules

DESTINATIONS_PER_FACT_MAXIMUM: Final = 25
"""About 6 KB beside the submission, so that a fact stays under the log's 64 KiB."""

_PURPOSE: Final = b"relais.destination.v1\0"


@dataclass(frozen=True, slots=True)
class Plan:
    """What of some wishes is planned, and what is not and why."""

    planned: tuple[PlannedDestination, ...]
    suppressed: tuple[SuppressedDestination, ...]


def destination_key(key: bytes, wish: Wish) -> bytes:
    """The keyed hash that tells a destination again: HMAC-SHA256 under a key that dies with the subject's."""
    return hmac.digest(key, _PURPOSE + wish.name.encode(), "sha256")


def is_served(state: DocumentState, key: bytes) -> bool:
    """Whether a destination was planned before and must not be planned again.

    A DMP feed that was withdrawn may be: the DMP recognises a repeat by its uniqueId. A mail that was withdrawn may have left
    before, and would arrive twice.
    """
    served = state.served.get(key)
    return served is not None and not (served.withdrawn and served.kind is DestinationKind.DMP)


def plan(wishes: Iterable[Wish], state: DocumentState, key: bytes) -> Plan:
    """Give the next ordinals to what is planned for the first time; what is planned already is suppressed, visibly, as served."""
    planned: list[PlannedDestination] = []
    suppressed: list[SuppressedDestination] = []
    now: set[bytes] = set()
    for wish in wishes:
        if wish.verdict is Verdict.SUPPRESSED and wish.suppressed is not None:
            suppressed.append(_suppressed(wish, wish.suppressed, wish.rule))
        elif wish.verdict is Verdict.PLANNED and wish.endpoint is not None:
            name = destination_key(key, wish)
            if name in now or is_served(state, name):
                suppressed.append(_suppressed(wish, SuppressReason.ALREADY_SERVED, rules.ONCE))
                continue
            now.add(name)
            planned.append(
                PlannedDestination(
                    ordinal=state.ordinals + len(planned) + 1,
                    kind=wish.kind,
                    connector=wish.endpoint.connector,
                    endpoint=wish.endpoint.endpoint,
                    key=name,
                    rule=wish.rule,
                    recipient=wish.recipient,
                    fallback=wish.fallback,
                )
            )
    return Plan(tuple(planned), tuple(suppressed))


def planned_facts(
    submission: Submission,
    status: InsStatus,
    judgement: Judgement,
    policy: EffectivePolicy,
    destinations: tuple[PlannedDestination, ...],
    masking: frozenset[str],
) -> tuple[RoutePlanned, ...]:
    """The plan as facts that each fit the log; none planned is a plan too, so that every routed request has one."""
    starts = range(0, max(len(destinations), 1), DESTINATIONS_PER_FACT_MAXIMUM)
    return tuple(
        RoutePlanned(
            submission=submission,
            ins_status=status,
            destinations=destinations[start : start + DESTINATIONS_PER_FACT_MAXIMUM],
            policy=policy.scope,
            policy_version=policy.version,
            matrix=judgement.matrix,
            matrix_row=judgement.matrix_row,
            inherited=policy.inherited,
            masking=tuple(sorted(masking)),
        )
        for start in starts
    )


def suppressed_facts(
    submission: Submission, matrix: str, policy: EffectivePolicy | None, suppressed: Iterable[SuppressedDestination]
) -> tuple[Fact, ...]:
    """What is not sent and why, as one fact, or none where there is nothing to say."""
    entries = tuple(suppressed)
    if not entries:
        return ()
    return (
        RouteSuppressed(
            document=submission.document,
            request=submission.request,
            suppressed=entries,
            policy=policy.scope if policy else "",
            policy_version=policy.version if policy else 0,
            matrix=matrix,
        ),
    )


def _suppressed(wish: Wish, reason: SuppressReason, rule: str) -> SuppressedDestination:
    return SuppressedDestination(kind=wish.kind, reason=reason, rule=rule, recipient=wish.recipient)
