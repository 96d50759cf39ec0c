"""How many calls may begin per second: one token a call, and no more tokens saved up than one call at once may use."""

from relais.clock import Clock


class Rate:
    """Take a token before each call. Tokens grow with time, up to `burst`."""

    def __init__(self, per_second: float | None, burst: int, clock: Clock) -> None:
        self._per_second = per_second
        self._burst = float(burst)
        self._clock = clock
        self._tokens = float(burst)
        self._at = clock.monotonic()

    async def take(self) -> None:
        """Wait for a token, in turn."""
        if self._per_second is None:
            return
        now = self._clock.monotonic()
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self._per_second) - 1.0
        self._at = now
        if self._tokens < 0:
            # The debt is this caller's place in the line: whoever asks next waits behind it.
            await self._clock.sleep(-self._tokens / self._per_second)
