"""What a leading relay looks after beside publishing: that the stream is still the same, holes that consumers report, and trimming."""

from typing import Final

import structlog

from relais.clock import Clock
from relais.transport.bus import Bus
from relais.transport.progress import Progress, ProgressRow, floor_of

PATROL_SECONDS: Final = 1.0
TRIM_SECONDS: Final = 10.0
REPUBLISH_SECONDS: Final = 10.0
REPUBLICATIONS_MAXIMUM: Final = 3

_log = structlog.get_logger("relais.transport")


class Patrol:
    """Rounds of one leader. `trims` is False for a log whose stream must stay whole."""

    def __init__(self, log: str, bus: Bus, progress: Progress, clock: Clock, *, trims: bool) -> None:
        self._log = log
        self._bus = bus
        self._progress = progress
        self._clock = clock
        self._trims = trims
        self._next_round_at = 0.0
        self._next_trim_at = 0.0
        self._next_republication_at = 0.0
        self._base = 0
        self._republications: dict[tuple[str, int, int, int], int] = {}

    def resume(self, base: int) -> None:
        """The relay looked its place up: the stream holds what is above `base`."""
        self._base = base

    async def intact(self, incarnation: str, last_sequence: int, last_position: int) -> bool:
        """Once in PATROL_SECONDS make a round. False when the stream is not what the relay believes, or was emptied here on request:
        its place must be looked up again.

        Raises `StreamMissing`, `BusUnavailable`, `ProgressUnavailable`.
        """
        now = self._clock.monotonic()
        if now < self._next_round_at:
            return True
        self._next_round_at = now + PATROL_SECONDS
        extent = await self._bus.extent(self._log)
        if extent.incarnation != incarnation or extent.last_sequence != last_sequence:
            return False
        rows = await self._progress.read(self._log)
        if self._must_republish(rows, now):
            # Emptied up to what was seen, not deleted: readers stay subscribed, and sequences and the fence go on. Until the relay has
            # looked up from where to fill it, it holds nothing, and says so.
            await self._bus.rebase(self._log, last_position)
            await self._bus.trim(self._log, last_sequence + 1)
            return False
        if self._trims and now >= self._next_trim_at:
            self._next_trim_at = now + TRIM_SECONDS
            await self._trim(rows, last_sequence)
        return True

    def _must_republish(self, rows: list[ProgressRow], now: float) -> bool:
        if now < self._next_republication_at:
            return False
        wanted = {(row.consumer, row.partition, row.mark.position, row.mark.hole) for row in rows if row.mark.hole}
        # What was not healed by publishing it again is not healed by doing so for ever; a new hole is another matter.
        self._republications = {hole: self._republications.get(hole, 0) for hole in wanted}
        healable = [hole for hole, count in self._republications.items() if count < REPUBLICATIONS_MAXIMUM]
        for hole in healable:
            self._republications[hole] += 1
        if healable:
            self._next_republication_at = now + REPUBLISH_SECONDS
        return bool(healable)

    async def _trim(self, rows: list[ProgressRow], last_sequence: int) -> None:
        floor = floor_of(rows).position
        if floor <= self._base:
            return
        # A consumer that is new writes its marks first and looks at the base then; here the base is written first and the marks are
        # looked at again. So either it is seen here, or it sees there that it must ask.
        await self._bus.rebase(self._log, floor)
        still = floor_of(await self._progress.read(self._log)).position
        if still < floor:
            await self._bus.rebase(self._log, self._base)
            return
        # The last message stays: it says where the relay is.
        below = min(await self._bus.sequence_after(self._log, floor), last_sequence)
        await self._bus.trim(self._log, below)
        self._base = floor
