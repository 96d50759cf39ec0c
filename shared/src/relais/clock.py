"""The one source of time and waiting for everything that must be simulated: relay, leases, consumers, dispatcher."""

import asyncio
import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Time as a port. Two implementations: `SystemClock` here, `relais.testing.clock.ManualClock` in tests."""

    def now(self) -> datetime:
        """The wall clock, UTC and timezone-aware; for facts and people, never for measuring a wait."""
        ...

    def monotonic(self) -> float:
        """Seconds on a clock that never steps back; for deadlines and ages inside one process."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait; a cancelled task wakes at once."""
        ...


class SystemClock:
    """The machine's own clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
