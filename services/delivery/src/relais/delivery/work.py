"""The work rows that travel with facts in the same append: which deliveries are open, for which endpoint, due when. Pure.

`delivery.apply_work` (migrations) and `adapters.work_memory` apply them. A row says nothing that the log does not say; it only
saves asking every stream what is due.
"""

from collections.abc import Sequence

from relais.contracts import Fact
from relais.contracts.delivery import (
    DeliveryAbandoned,
    DeliveryAccepted,
    DeliveryAttempted,
    DeliveryDeferred,
    DeliveryReinstated,
    DeliveryRetryRequested,
    DeliveryScheduled,
    DeliverySucceeded,
)
from relais.delivery.domain.endpoint import EndpointMode
from relais.delivery.domain.state import DeliveryState
from relais.delivery.ports import DeliveryId

Row = dict[str, object]
ROW_BYTES_MAXIMUM = 640


def opened(delivery: DeliveryId, scheduled: DeliveryScheduled, rest: Sequence[Fact]) -> Row:
    """The row of a delivery that was just scheduled; `rest` are the facts that followed at once."""
    submission, destination = scheduled.submission, scheduled.destination
    row: Row = {
        "op": "open",
        "tenant": delivery.tenant,
        "document": delivery.document,
        "ordinal": delivery.ordinal,
        "endpoint": destination.endpoint,
        "connector": destination.connector,
        "kind": destination.kind.value,
        "site": submission.site,
        "size": submission.body.size,
        "state": "waiting",
        "scheduled_at": scheduled.due_at,
        "due_at": scheduled.due_at,
        "attempts": 0,
    }
    for fact in rest:
        row.update(_change(fact))
    return row


def moved(delivery: DeliveryId, before: DeliveryState, facts: Sequence[Fact]) -> tuple[Row, ...]:
    """What these facts change of a delivery's row."""
    last = facts[-1]
    if isinstance(last, DeliveryAttempted) and before.attempts > 0:
        # The row already says that it was attempted, and stays due: whoever finds no answer in the log must take it up.
        return ()
    change = _change(last)
    op = "close" if isinstance(last, DeliverySucceeded) else "set"
    return ({"op": op, "tenant": delivery.tenant, "document": delivery.document, "ordinal": delivery.ordinal, **change},)


def _change(fact: Fact) -> Row:
    match fact:
        case DeliveryAttempted():
            return {"attempts": fact.attempt}
        case DeliveryDeferred():
            return {"state": "waiting", "due_at": fact.due_at, "attempts": fact.attempt, "code": fact.code}
        case DeliveryReinstated() if not fact.due_at:
            return {}
        case DeliveryRetryRequested() | DeliveryReinstated():
            return {"state": "waiting", "due_at": fact.due_at, "reason": ""}
        case DeliveryAccepted():
            return {"state": "accepted", "attempts": fact.attempt}
        case DeliveryAbandoned():
            return {"state": "abandoned", "attempts": fact.attempt, "code": fact.code, "reason": fact.reason.value}
        case _:
            return {}


def parked(tenant: str, document: str, partition: int) -> Row:
    """Nothing of this document is sent any more until a person retries one of its deliveries."""
    return {"op": "park", "tenant": tenant, "document": document, "partition": partition}


def unparked(tenant: str, document: str) -> Row:
    """A person has looked."""
    return {"op": "unpark", "tenant": tenant, "document": document}


def switched(endpoint: str, mode: EndpointMode) -> Row:
    """An endpoint's mode, as its last fact says."""
    return {"op": "endpoint", "endpoint": endpoint, "state": mode.value}
