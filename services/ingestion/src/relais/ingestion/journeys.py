"""The journeys read model: what each fact of any log adds to its document's row. Pure; the merge is the database's.

The logs speak in any order. Each fact becomes a delta that commutes with the deltas of the other logs: a service's own word
(identity, routing, hold) is written by that service's facts alone, for each request on the document apart, and outcomes are kept
apart from plans. A document that was done is on its way again as soon as it is asked for once more.
"""

from collections.abc import Iterable, Sequence

from relais.contracts import Fact
from relais.contracts.delivery import (
    DeliveryAbandoned,
    DeliveryAccepted,
    DeliveryDeferred,
    DeliveryParked,
    DeliveryReinstated,
    DeliverySucceeded,
)
from relais.contracts.identity import IdentityHeld, IdentityParked, IdentityRejected, IdentityReleased, IdentityVerified
from relais.contracts.routing import DocumentHeld, DocumentReleased, RouteParked, RoutePlanned, RouteSuppressed
from relais.contracts.submission import Submission
from relais.eventlog.record import Append
from relais.transport.bus import Delivered
from relais.transport.handling import Effects, Unhandleable, document_of, fact_of

Row = dict[str, object]

_LISTS = frozenset({"steps", "suppressed"})
_MAPS = frozenset({"asked", "identity", "routing", "hold", "planned", "outcomes"})
# What is said of the whole document stands beside its requests, under a name that no request_id (a UUID) can have.
_PARKED = "parked"


class JourneysKeeper:
    """Folds a batch of announcements into one row per document; the consumer commits them with its checkpoints."""

    async def handle(self, batch: Sequence[Delivered]) -> Effects:
        """One append of work rows alone, or nothing. A fact of a newer build is a step without meaning, never a reason to stop."""
        rows: dict[tuple[str, str], Row] = {}
        for delivered in batch:
            announcement = delivered.announcement
            delta = _delta(delivered)
            if delta is None:
                continue
            delta["tenant"] = announcement.tenant
            key = (announcement.tenant, str(delta["document"]))
            rows[key] = merge(rows[key], delta) if key in rows else delta
        return [Append(events=(), work=tuple(rows.values()))] if rows else []


def _delta(delivered: Delivered) -> Row | None:
    announcement = delivered.announcement
    try:
        return delta_of(fact_of(delivered), announcement.log, announcement.position, announcement.recorded_at)
    except Unhandleable:
        _, document = document_of(delivered)
        step = _step(announcement.log, announcement.position, announcement.tag, announcement.recorded_at)
        return {"document": document, "updated_at": announcement.recorded_at, "steps": [step]}


def received_row(tenant: str, submission: Submission, tag: str) -> Row:
    """The row that intake itself writes with its fact; the position is the database's to know, so the step carries 0."""
    at = submission.received_at
    asked = {submission.request: True}
    return {**_submission_row(submission), "tenant": tenant, "updated_at": at, "asked": asked, "steps": [_step("ingestion", 0, tag, at)]}


def delta_of(fact: Fact, log: str, position: int, at: str) -> Row | None:
    """What one fact adds; None when it says nothing about a document, or when intake wrote its row with the fact itself."""
    said = _of_identity(fact) or _of_routing(fact) or _of_delivery(fact)
    if said is None:
        return None
    document, codes, ordinal, delta = said
    return {"document": document, "updated_at": at, "steps": [_step(log, position, fact.TAG, at, codes, ordinal)], **delta}


def merge(first: Row, second: Row) -> Row:
    """Two deltas of one document in log order, as one; the same law as the database's merge."""
    merged = dict(first)
    for key, value in second.items():
        before = merged.get(key)
        if key in _LISTS and isinstance(before, list) and isinstance(value, list):
            merged[key] = before + value
        elif key in _MAPS and isinstance(before, dict) and isinstance(value, dict):
            merged[key] = {**before, **value}
        else:
            merged[key] = value
    return merged


_DELIVERY = "delivery"

_Said = tuple[str, Sequence[str], int | None, Row]


def _of_identity(fact: Fact) -> _Said | None:
    match fact:
        case IdentityVerified() | IdentityReleased():
            return _of_submission(fact.submission, [fact.ins_status.value], {"identity": {fact.submission.request: "verified"}})
        case IdentityHeld():
            return _of_submission(
                fact.submission, [reason.value for reason in fact.reasons], {"identity": {fact.submission.request: "held"}}
            )
        case IdentityParked():
            return fact.document, [fact.reason.value], None, {"identity": {_PARKED: "held"}}
        case IdentityRejected():
            return fact.document, (), None, {"identity": {fact.request: "rejected"}}
        case _:
            return None


def _of_routing(fact: Fact) -> _Said | None:
    match fact:
        case DocumentHeld():
            request = fact.submission.request
            said: Row = {"routing": {request: "decided"}, "hold": {request: "held"}}
            return _of_submission(fact.submission, [reason.value for reason in fact.reasons], said)
        case RouteParked():
            return fact.document, [fact.reason.value], None, {"hold": {_PARKED: "held"}}
        case DocumentReleased():
            return fact.document, (), None, {"hold": {fact.request: "released"}}
        case RoutePlanned():
            planned = {str(one.ordinal): {"kind": one.kind.value, "endpoint": one.endpoint} for one in fact.destinations}
            return _of_submission(fact.submission, (), {"routing": {fact.submission.request: "decided"}, "planned": planned})
        case RouteSuppressed():
            suppressed = [{"kind": one.kind.value, "reason": one.reason.value, "rule": one.rule} for one in fact.suppressed]
            codes = sorted({one.reason.value for one in fact.suppressed})
            return fact.document, codes, None, {"routing": {fact.request: "decided"}, "suppressed": suppressed}
        case _:
            return None


def _of_delivery(fact: Fact) -> _Said | None:
    match fact:
        case DeliverySucceeded():
            outcome, code, due_at = "succeeded", fact.status, ""
        case DeliveryAccepted():
            outcome, code, due_at = "accepted", "", ""
        case DeliveryDeferred():
            outcome, code, due_at = "deferred", fact.code, fact.due_at
        case DeliveryReinstated() if fact.due_at:
            outcome, code, due_at = "deferred", "", fact.due_at
        case DeliveryAbandoned():
            outcome, code, due_at = "abandoned", fact.reason.value, ""
        case DeliveryParked():
            # Delivery stands still for this document until a person retries one of its deliveries.
            return fact.document, [fact.reason.value], None, {"hold": {_DELIVERY: "held"}}
        case _:
            return None
    said = {str(fact.ordinal): {"outcome": outcome, "code": code, "attempt": fact.attempt, "due_at": due_at}}
    # An outcome after that says that a person did.
    return fact.document, [code] if code else (), fact.ordinal, {"outcomes": said, "hold": {_DELIVERY: "released"}}


def _of_submission(submission: Submission, codes: Sequence[str], delta: Row) -> _Said:
    return submission.document, codes, None, {**_submission_row(submission), **delta}


def _submission_row(submission: Submission) -> Row:
    return {
        "document": submission.document,
        "request": submission.request,
        "site": submission.site,
        "sender": submission.sender,
        "type_code": submission.type_code,
        "size": submission.body.size,
        "received_at": submission.received_at,
    }


def _step(log: str, position: int, tag: str, at: str, codes: Iterable[str] = (), ordinal: int | None = None) -> dict[str, object]:
    step: dict[str, object] = {"log": log, "position": position, "tag": tag, "at": at}
    if codes := list(codes):
        step["codes"] = codes
    if ordinal is not None:
        step["ordinal"] = ordinal
    return step
