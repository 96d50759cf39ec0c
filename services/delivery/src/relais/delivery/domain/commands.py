"""What can be asked of one delivery. Time, chance and the world's answers arrive inside the commands."""

from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from relais.contracts.reasons import AbandonReason
from relais.contracts.routing import PlannedDestination
from relais.contracts.submission import InsStatus, Submission
from relais.delivery.domain.answers import Answer
from relais.delivery.domain.retrying import RetryPolicy


class NotStarted(Enum):
    """Why an attempt that was recorded was never begun. Such an attempt does not count against the delivery's limits."""

    LEASE_ENDING = "LEASE_ENDING"
    ENDPOINT_PAUSED = "ENDPOINT_PAUSED"
    ENDPOINT_DOWN = "ENDPOINT_DOWN"
    VAULT_UNAVAILABLE = "VAULT_UNAVAILABLE"
    DOCUMENT_PARKED = "DOCUMENT_PARKED"


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """A plan names this destination."""

    submission: Submission
    ins_status: InsStatus
    destination: PlannedDestination
    now: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """The partner could be called now."""

    now: datetime
    policy: RetryPolicy


@dataclass(frozen=True, slots=True, kw_only=True)
class CannotSend:
    """Looking again just before sending (SAFETY 17) found that this recorded attempt must not be begun, or cannot be."""

    attempt: int
    reason: AbandonReason


@dataclass(frozen=True, slots=True, kw_only=True)
class Withdraw:
    """Routing decided since, or somebody deleted the document: what is not sent yet must not be sent."""

    reason: AbandonReason


@dataclass(frozen=True, slots=True, kw_only=True)
class Reinstate:
    """A person lifted the doubt about the identity, and routing still wants this delivery."""

    now: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class GiveBack:
    """A recorded attempt was not begun: the document certainly did not leave, and is due again after `delay_seconds`."""

    attempt: int
    reason: NotStarted
    now: datetime
    delay_seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordAnswer:
    """The partner's answer to one attempt, or the lack of one. `jitter` is a chance in [0, 1)."""

    attempt: int
    answer: Answer
    now: datetime
    jitter: float
    policy: RetryPolicy
    milliseconds: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryNow:
    """A person asks for another attempt: at once of a waiting delivery, again of an abandoned one."""

    reason: str
    now: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Abandon:
    """A person gives a delivery up."""

    reason: str


DeliveryCommand = Schedule | Attempt | CannotSend | Withdraw | Reinstate | GiveBack | RecordAnswer | RetryNow | Abandon
