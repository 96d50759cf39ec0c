"""A clock that only a test moves: nothing sleeps for real, and waking happens in the order of time."""

import asyncio
import heapq
import itertools
from datetime import UTC, datetime, timedelta

# How often other tasks get a turn before time moves on: more than the longest chain of tasks that wake one another.
TURNS = 60


class ManualClock:
    """See `relais.clock.Clock`. Time stands still until `advance`."""

    def __init__(self, start: datetime = datetime(2026, 3, 1, 8, 0, 0, tzinfo=UTC)) -> None:
        self._start = start
        self._elapsed = 0.0
        self._numbers = itertools.count()
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []

    def now(self) -> datetime:
        return self._start + timedelta(seconds=self._elapsed)

    def monotonic(self) -> float:
        return self._elapsed

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        awake: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._elapsed + seconds, next(self._numbers), awake))
        await awake

    async def advance(self, seconds: float) -> None:
        """Let time pass: whoever sleeps is woken in order, and all that follows from it happens before the next one wakes."""
        until = self._elapsed + seconds
        await self.settle()
        while self._sleepers and self._sleepers[0][0] <= until:
            at, _, awake = heapq.heappop(self._sleepers)
            if not awake.done():
                self._elapsed = at
                awake.set_result(None)
                await self.settle()
        self._elapsed = until
        await self.settle()

    async def settle(self) -> None:
        """Let everything happen that needs no time."""
        for _ in range(TURNS):
            await asyncio.sleep(0)
