"""How one endpoint is called: its limits, all of them."""

from dataclasses import dataclass, field

from relais.delivery.domain.retrying import RetryPolicy

WINDOW_DOCUMENTS_MAXIMUM = 64
WINDOW_BYTES_MAXIMUM = 8 * 1024 * 1024
READY_MAXIMUM = 256
# Between the end of a call and the end of its lease: enough to notice that the time is over.
LEASE_MARGIN_SECONDS = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerSettings:
    """After `failures_maximum` failures in a row nothing is called for a while; the while doubles with each probe that fails."""

    failures_maximum: int = 10
    open_seconds_first: float = 1.0
    open_seconds_maximum: float = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointSettings:
    """One endpoint. `concurrency` calls at once, `rate_per_second` calls begun (None for no limit), `deadline_seconds` for each."""

    id: str
    connector: str
    concurrency: int
    deadline_seconds: float
    size_bytes_maximum: int
    rate_per_second: float | None = None
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    breaker: BreakerSettings = field(default_factory=BreakerSettings)

    @property
    def call_seconds(self) -> float:
        """How long a lease must still last for a call to be begun."""
        return self.deadline_seconds + LEASE_MARGIN_SECONDS
