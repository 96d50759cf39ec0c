"""Facts of the delivery log: one stream per (document, ordinal of destination), from scheduled to an outcome."""

from relais.contracts.fact import Fact, fact
from relais.contracts.reasons import AbandonReason, HoldReason
from relais.contracts.routing import PlannedDestination
from relais.contracts.submission import InsStatus, Submission


@fact("delivery.scheduled.v1", announced=False)
class DeliveryScheduled(Fact, frozen=True, kw_only=True):
    """A planned destination is queued for its endpoint."""

    submission: Submission
    ins_status: InsStatus
    destination: PlannedDestination
    due_at: str


@fact("delivery.attempted.v1", announced=False)
class DeliveryAttempted(Fact, frozen=True, kw_only=True):
    """The partner is about to be called: recorded before the call, so that a crash leaves an *unknown* and never a silence.

    `idempotency_key` stays the same over all attempts of one delivery.
    """

    document: str
    ordinal: int
    attempt: int
    idempotency_key: str
    possible_repeat: bool = False


@fact("delivery.accepted.v1")
class DeliveryAccepted(Fact, frozen=True, kw_only=True):
    """The partner took it but has not confirmed that it arrived (SMTP 250)."""

    document: str
    ordinal: int
    attempt: int
    reference: str = ""


@fact("delivery.succeeded.v1")
class DeliverySucceeded(Fact, frozen=True, kw_only=True):
    """The partner has it. `status` is the protocol's own word (`200`, `Success`); `repeat` says that the partner recognised a repeat."""

    document: str
    ordinal: int
    attempt: int
    endpoint: str
    status: str
    repeat: bool = False
    milliseconds: int = 0


@fact("delivery.deferred.v1")
class DeliveryDeferred(Fact, frozen=True, kw_only=True):
    """An attempt failed or its answer is unknown; the next is due at `due_at` (RFC 3339)."""

    document: str
    ordinal: int
    attempt: int
    endpoint: str
    code: str
    due_at: str
    unknown: bool = False


@fact("delivery.abandoned.v1")
class DeliveryAbandoned(Fact, frozen=True, kw_only=True):
    """The delivery ended without success; `code` is the protocol's own word where there was one."""

    document: str
    ordinal: int
    attempt: int
    endpoint: str
    reason: AbandonReason
    code: str = ""
    note: str = ""


@fact("delivery.retry_requested.v1", announced=False)
class DeliveryRetryRequested(Fact, frozen=True, kw_only=True):
    """A person asked for another attempt, of a deferred delivery at once or of an abandoned one again.

    `due_at` (RFC 3339) is when the next attempt is due, and where the delivery's limits count from again.
    """

    document: str
    ordinal: int
    reason: str = ""
    due_at: str = ""


@fact("delivery.reinstated.v1")
class DeliveryReinstated(Fact, frozen=True, kw_only=True):
    """The doubt about the identity that had stopped this delivery is lifted: it goes on, under the same idempotency key.

    `due_at` (RFC 3339) is when the next attempt is due, and where the delivery's limits count from again; it is empty where the delivery
    had been given up before it was stopped, so that only a person can retry it. `attempt` is the last one made.
    """

    document: str
    ordinal: int
    attempt: int
    due_at: str = ""


@fact("delivery.parked.v1")
class DeliveryParked(Fact, frozen=True, kw_only=True):
    """A fact about this document could not be read, so that nothing it planned or withdrew is known; it waits for a person.

    `log`, `position` and `tag` name the fact that could not be read, `code` says why (`FOLLOWS_PARKED`: an earlier one could not).
    """

    document: str
    reason: HoldReason
    log: str
    position: int
    tag: str
    code: str = ""


@fact("delivery.endpoint_paused.v1", announced=False)
class EndpointPaused(Fact, frozen=True, kw_only=True):
    """A person stopped new attempts to one endpoint; `draining` lets what was already attempted finish retrying."""

    endpoint: str
    reason: str = ""
    draining: bool = False


@fact("delivery.endpoint_resumed.v1", announced=False)
class EndpointResumed(Fact, frozen=True, kw_only=True):
    """A person let attempts to one endpoint go on."""

    endpoint: str
    reason: str = ""
