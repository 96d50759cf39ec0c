"""What a leading relay looks after beside publishing: that the stream is still the same and whole, reported holes, and trimming."""

from typing import Final

import structlog

from relais.clock import Clock
from relais.transport.announcing import Place
from relais.transport.bus import Bus, StreamExtent
from relais.transport.meters import Meters
from relais.transport.progress import Progress, ProgressRow, handled_by_all

PATROL_SECONDS: Final = 1.0
TRIM_SECONDS: Final = 10.0
REPUBLISH_SECONDS: Final = 10.0
REPUBLISH_LATER_SECONDS: Final = 600.0
REPUBLICATIONS_MAXIMUM: Final = 3

_log = structlog.get_logger("relais.transport")


class Patrol:
    """Rounds of one leader. `trims` is False for a log whose stream must stay whole.

    `base` is the position above which the stream was last known to hold everything; None before this process has led.
    """

    def __init__(self, log: str, bus: Bus, progress: Progress, clock: Clock, meters: Meters, *, trims: bool) -> None:
        self._log = log
        self._bus = bus
        self._progress = progress
        self._clock = clock
        self._trims = trims
        self._next_round_at = 0.0
        self._next_trim_at = 0.0
        self._next_republication_at = 0.0
        self._next_refill_at = 0.0
        self._refills = 0
        self._republications: dict[tuple[str, int, int, int], int] = {}
        self._holes = meters.counter("relais_reconcile_holes_total", log)
        self.base: int | None = None

    async def intact(self, place: Place) -> bool:
        """Once in PATROL_SECONDS make a round. False when the stream is not what the relay believes, or was emptied here to be filled
        again: its place must be looked up.

        Raises `StreamMissing`, `BusUnavailable`, `ProgressUnavailable`.
        """
        now = self._clock.monotonic()
        if now < self._next_round_at:
            return True
        self._next_round_at = now + PATROL_SECONDS
        # The marks before the extent: a loss that a consumer read past before it wrote its mark is then to be seen in the extent.
        rows = await self._progress.read(self._log)
        extent = await self._bus.extent(self._log)
        if extent.incarnation != place.incarnation or extent.last_sequence != place.sequence:
            return False
        if self._must_refill(extent, now) or self._must_republish(rows, now):
            # Emptied up to what was seen, not deleted: readers stay subscribed, sequences and the fence go on, and the base stays what it
            # was, so that whoever leads next fills it from there.
            await self._bus.trim(self._log, extent.last_sequence + 1)
            return False
        if extent.whole and self._trims and now >= self._next_trim_at:
            self._next_trim_at = now + TRIM_SECONDS
            await self._trim(rows, place, extent)
        return True

    def _must_refill(self, extent: StreamExtent, now: float) -> bool:
        if extent.whole:
            self._refills = 0
            return False
        # A store that loses again at once is given time.
        if now < self._next_refill_at:
            return False
        self._refills += 1
        self._next_republication_at = now + REPUBLISH_SECONDS
        self._next_refill_at = now + (REPUBLISH_SECONDS if self._refills < REPUBLICATIONS_MAXIMUM else REPUBLISH_LATER_SECONDS)
        self._holes.inc()
        _log.warning("stream_not_whole", log=self._log, count=extent.missing)
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

    async def _trim(self, rows: list[ProgressRow], place: Place, extent: StreamExtent) -> None:
        base = self.base or 0
        floor = handled_by_all(rows, place.previous, place.position)
        if floor <= base:
            return
        # The last message stays: it says where the relay is.
        below = max(extent.first_sequence, min(await self._bus.sequence_after(self._log, floor), place.sequence))
        # A consumer that is new writes its marks first and looks at the base then; here the base is written first and the marks are
        # looked at again. So either it is seen here, or it sees there that it must ask.
        await self._bus.rebase(self._log, floor, below)
        if handled_by_all(await self._progress.read(self._log), place.previous, place.position) < floor:
            await self._bus.rebase(self._log, base, extent.first_sequence)
            return
        await self._bus.trim(self._log, below)
        self.base = floor
