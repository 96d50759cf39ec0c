"""A bell that one task waits for and anybody may ring: it only ever makes somebody look sooner."""

import asyncio

from relais.clock import Clock


class Bell:
    """Rings are not counted: ten rings before somebody waits wake once."""

    def __init__(self) -> None:
        self._rung = asyncio.Event()

    def ring(self) -> None:
        """Wake whoever waits, or whoever waits next."""
        self._rung.set()

    async def wait(self, clock: Clock, seconds: float) -> bool:
        """Return at the next ring (at once if it rang since the last wait) or after `seconds`; True when it rang."""
        if not self._rung.is_set():
            ring = asyncio.ensure_future(self._rung.wait())
            pause = asyncio.ensure_future(clock.sleep(seconds))
            try:
                await asyncio.wait({ring, pause}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                ring.cancel()
                pause.cancel()
        rung = self._rung.is_set()
        self._rung.clear()
        return rung
