"""Whether calls may be begun at this moment, asked again and again: the lease, what people decided, and the breaker."""

from relais.clock import Clock
from relais.delivery.dispatcher.breaker import Breaker
from relais.delivery.dispatcher.settings import EndpointSettings
from relais.delivery.domain.commands import NotStarted
from relais.delivery.domain.endpoint import EndpointMode
from relais.delivery.ports import EndpointLease


class Gate:
    """`mode` is as the queue last said; `closing` is set when the replica is about to give the endpoint up."""

    def __init__(self, settings: EndpointSettings, lease: EndpointLease, clock: Clock) -> None:
        self.breaker = Breaker(settings.breaker, clock)
        self.mode = EndpointMode.OPEN
        self.closing = False
        self._call_seconds = settings.call_seconds
        self._lease = lease

    @property
    def leased(self) -> bool:
        """Whether a call begun now ends before anybody else may call this endpoint."""
        return not self.closing and self._lease.outlasts(self._call_seconds)

    @property
    def wide_open(self) -> bool:
        """Whether a new delivery may be attempted without a second thought."""
        return self.leased and self.mode is EndpointMode.OPEN and self.breaker.closed

    def shut(self) -> NotStarted | None:
        """Why a recorded attempt must not be begun now; None when it may."""
        if not self.leased:
            return NotStarted.LEASE_ENDING
        if self.mode is EndpointMode.PAUSED:
            return NotStarted.ENDPOINT_PAUSED
        if not self.breaker.closed and not self.breaker.probe_ready():
            return NotStarted.ENDPOINT_DOWN
        return None
