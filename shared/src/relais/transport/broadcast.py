"""A whole log in the memory of every replica: read from its beginning, followed from then on. For logs that are never trimmed."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final, Never

import structlog

from relais.clock import Clock
from relais.contracts.subjects import PARTITIONS
from relais.transport.bus import Bus, BusError, Delivered, LogForkDetected
from relais.transport.progress import Mark, Progress, ProgressUnavailable

FETCH_MAXIMUM: Final = 256
FETCH_WAIT_SECONDS: Final = 5.0
RETRY_SECONDS: Final = 1.0

_log = structlog.get_logger("relais.transport")


class _Hole(Exception):
    """The stream does not hold what comes next."""


class BroadcastReader:
    """Gives every fact of `log` to `apply` once, in log order, in batches. `name` is this reader's own, in case it must ask for more.

    `caught_up` is set when everything was applied that the stream held when reading began. What was applied stays applied
    whatever happens to the bus: a stream that is wiped and rebuilt is read again, and known positions are skipped.
    """

    def __init__(
        self, name: str, log: str, bus: Bus, progress: Progress, apply: Callable[[Sequence[Delivered]], None], clock: Clock
    ) -> None:
        self._name = name
        self._source = log
        self._bus = bus
        self._progress = progress
        self._apply = apply
        self._clock = clock
        self._lasts: dict[int, tuple[int, str]] = {}
        self._event_id = ""
        self._asked: set[int] = set()
        self.position = 0
        self.caught_up = asyncio.Event()

    async def run(self) -> Never:
        """Follow until cancelled. Raises `LogForkDetected`, and what `apply` raises."""
        reported = ""
        while True:
            try:
                await self._follow()
            except (BusError, ProgressUnavailable, _Hole) as error:
                reason = type(error).__name__
                if reason != reported:
                    _log.warning("registry_unreadable", log=self._source, error=reason)
                reported = reason
            await self._clock.sleep(RETRY_SECONDS)

    async def _follow(self) -> Never:
        # Where to go on is asked by position, never by sequence: the stream may be another one. From the last event itself, if it
        # is still there, because it must be the same one.
        state = await self._bus.state(self._source)
        if not state.whole:
            # Nobody could tell what is missing; the relay sees it too, and fills the stream again.
            raise _Hole
        start = await self._bus.sequence_after(self._source, max(self.position - 1, 0))
        subscription = await self._bus.subscribe(self._source, range(PARTITIONS), start)
        try:
            while True:
                if self.position >= state.last_position and not self.caught_up.is_set():
                    self.caught_up.set()
                    _log.info("registry_read", log=self._source, position=self.position)
                batch = await subscription.fetch(FETCH_MAXIMUM, FETCH_WAIT_SECONDS)
                joined = [delivered for sequence, delivered in enumerate(batch, start) if delivered.sequence == sequence]
                start += len(joined)
                fresh, hole = self._accept(joined)
                if fresh:
                    self._apply(fresh)
                if hole or self._asked:
                    await self._ask(hole)
                if len(joined) < len(batch):
                    # All partitions are read, so sequences join up: something was lost in between, or the stream was filled again.
                    raise _Hole
        finally:
            await subscription.close()

    def _accept(self, batch: Sequence[Delivered]) -> tuple[list[Delivered], dict[int, int]]:
        """What is new before the first hole, and that hole by partition."""
        fresh: list[Delivered] = []
        for delivered in batch:
            announcement = delivered.announcement
            if announcement.position == self.position and announcement.event_id != self._event_id:
                raise LogForkDetected(self._source, self.position)
            if announcement.position <= self.position:
                continue
            if announcement.previous > self._lasts.get(announcement.partition, (0, ""))[0]:
                return fresh, {announcement.partition: announcement.previous}
            self.position, self._event_id = announcement.position, announcement.event_id
            self._lasts[announcement.partition] = (announcement.position, announcement.event_id)
            fresh.append(delivered)
        return fresh, {}

    async def _ask(self, holes: dict[int, int]) -> None:
        """Ask the relay for what is missing, and take back what was asked for and has come."""
        partitions = holes.keys() | self._asked
        marks = {partition: self._mark(partition, holes.get(partition, 0)) for partition in partitions}
        await self._progress.note(self._name, self._source, marks)
        for partition in holes.keys() - self._asked:
            _log.warning("hole_found", log=self._source, partition=partition, position=holes[partition])
        self._asked = set(holes)
        if holes:
            raise _Hole

    def _mark(self, partition: int, hole: int) -> Mark:
        position, event_id = self._lasts.get(partition, (0, ""))
        return Mark(position, position, event_id, hole)
