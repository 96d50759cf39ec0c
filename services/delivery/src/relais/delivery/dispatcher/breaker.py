"""A circuit breaker: a partner that fails again and again is left alone for a while, then probed with one single call."""

from relais.clock import Clock
from relais.delivery.dispatcher.settings import BreakerSettings


class Breaker:
    """Closed: calls go. Open: none does. When the while is over, one probe goes; its answer closes or opens again."""

    def __init__(self, settings: BreakerSettings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._failures = 0
        self._open_until = 0.0
        self._open_seconds = 0.0
        self._probing = False

    @property
    def closed(self) -> bool:
        """Whether calls go freely."""
        return self._open_seconds == 0.0

    def wait_seconds(self) -> float:
        """How long nothing may be called; 0 when closed or when a probe may go."""
        return 0.0 if self.closed else max(0.0, self._open_until - self._clock.monotonic())

    def probe_ready(self) -> bool:
        """Whether it is open, the while is over, and nobody probes yet."""
        return not self.closed and not self._probing and self.wait_seconds() == 0.0

    def admit(self) -> bool:
        """Ask just before a call. True is a promise to tell `succeeded`, `failed` or `withdrew` afterwards."""
        if self.closed:
            return True
        if not self.probe_ready():
            return False
        self._probing = True
        return True

    def succeeded(self) -> bool:
        """The partner spoke sense, whatever it said. True when that closes an open breaker."""
        mended = not self.closed
        self._failures = 0
        self._open_seconds = 0.0
        self._probing = False
        return mended

    def failed(self) -> bool:
        """The partner as a whole failed. True when that opens a closed breaker."""
        was_closed, was_probe = self.closed, self._probing
        self._failures += 1
        self._probing = False
        if was_closed and self._failures < self._settings.failures_maximum:
            return False
        if was_closed or was_probe:
            doubled = self._open_seconds * 2 or self._settings.open_seconds_first
            self._open_seconds = min(doubled, self._settings.open_seconds_maximum)
            self._open_until = self._clock.monotonic() + self._open_seconds
        return was_closed

    def withdrew(self) -> None:
        """The admitted call was not made after all."""
        self._probing = False
