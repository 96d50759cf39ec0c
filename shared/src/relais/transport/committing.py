"""Effects and checkpoints in one commit: conflicts are decided again, poison is parked, too large a batch is cut in two."""

from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Final, TypeAlias

import structlog

from relais.chassis.failpoints import Failpoint, reach
from relais.clock import Clock
from relais.eventlog.log import BatchConflict, EventLog, LimitExceeded
from relais.transport.bus import Delivered
from relais.transport.cursors import Cursors
from relais.transport.handling import FOLLOWS_PARKED, BatchHandler, Document, Effects, Parking, Unhandleable, document_of
from relais.transport.meters import Meters

CONFLICTS_MAXIMUM: Final = 8
EFFECTLESS_SECONDS_MAXIMUM: Final = 0.5

Hop: TypeAlias = Callable[[str, Iterable[str]], AbstractContextManager[object]]

_log = structlog.get_logger("relais.transport")


class ConflictsExhausted(Exception):
    """Somebody else was first on the batch's streams CONFLICTS_MAXIMUM times in a row; the reading starts again from its checkpoints."""


def untraced(_name: str, _traceparents: Iterable[str]) -> AbstractContextManager[object]:
    """A hop that leaves no span."""
    return nullcontext()


class Committer:
    """Handles and commits one consumer's batches, one at a time. `committed` is called after each commit that stored something."""

    def __init__(
        self,
        name: str,
        log: EventLog,
        handler: BatchHandler,
        parking: Parking | None,
        clock: Clock,
        committed: Callable[[], None],
        hop: Hop,
        meters: Meters,
        label: str,
    ) -> None:
        self._name = name
        self._log = log
        self._handler = handler
        self._parking = parking
        self._clock = clock
        self._committed = committed
        self._hop = hop
        self._meters = meters
        self._label = label
        self._parked: set[Document] = set()
        self._committed_at = clock.monotonic()
        self._handled = meters.counter("relais_consumer_handled_total", label)
        self._batch_events = meters.histogram("relais_consumer_batch_events", label)
        self._batch_seconds = meters.histogram("relais_consumer_batch_duration_seconds", label)

    async def take_over(self, partitions: Collection[int]) -> None:
        """Learn what is parked in partitions that were just taken over."""
        if self._parking is not None:
            self._parked = set(await self._parking.parked(partitions))

    async def commit(self, cursors: Cursors, fresh: Sequence[Delivered]) -> None:
        """Handle these facts and commit their effects with the checkpoints; `cursors` stands behind them afterwards.

        Raises `Fenced`, `OutcomeUnknown`, `LogUnavailable`, `ConflictsExhausted`, and whatever else the handler raises.
        """
        began = self._clock.monotonic()
        with self._hop(f"consume {self._label}", [delivered.announcement.traceparent for delivered in fresh]):
            await self._in_pieces(cursors, fresh)
        self._handled.inc(len(fresh))
        self._batch_events.observe(len(fresh))
        self._batch_seconds.observe(self._clock.monotonic() - began)

    async def flush(self, cursors: Cursors) -> None:
        """Commit checkpoints of facts that had no effects. Raises as `commit`."""
        moved = cursors.checkpoints()
        if moved:
            await self._log.append([], checkpoints=moved, all_or_nothing=True)
        cursors.committed()
        self._committed_at = self._clock.monotonic()

    def flush_due(self) -> bool:
        """Whether facts without effects have waited long enough for their checkpoints."""
        return self._clock.monotonic() - self._committed_at >= EFFECTLESS_SECONDS_MAXIMUM

    async def _in_pieces(self, cursors: Cursors, fresh: Sequence[Delivered]) -> None:
        try:
            await self._whole(cursors, fresh)
        except LimitExceeded:
            # Many effects for few facts: half of the facts have about half of the effects.
            if len(fresh) == 1:
                raise
            middle = len(fresh) // 2
            await self._in_pieces(cursors, fresh[:middle])
            await self._in_pieces(cursors, fresh[middle:])

    async def _whole(self, cursors: Cursors, fresh: Sequence[Delivered]) -> None:
        for _ in range(CONFLICTS_MAXIMUM):
            effects, parked = await self._effects(fresh)
            if not effects and not self.flush_due():
                # A commit that only says "seen" can wait for one that says more.
                cursors.handled(fresh)
                return
            try:
                reach(Failpoint.CONSUMER_BEFORE_APPEND)
                await self._log.append(effects, checkpoints=cursors.checkpoints(fresh), all_or_nothing=True)
            except BatchConflict:
                _log.debug("consumer_conflict", consumer=self._name, count=len(fresh))
                continue
            reach(Failpoint.CONSUMER_AFTER_APPEND)
            cursors.handled(fresh)
            cursors.committed()
            self._committed_at = self._clock.monotonic()
            self._remember(parked)
            self._committed()
            return
        raise ConflictsExhausted(f"{CONFLICTS_MAXIMUM} conflicts in a row")

    async def _effects(self, fresh: Sequence[Delivered]) -> tuple[Effects, dict[int, tuple[Delivered, str]]]:
        """The effects of these facts, and those that are parked instead, by position."""
        waiting = [one for one in fresh if document_of(one) in self._parked] if self._parked else []
        parked = {one.announcement.position: (one, FOLLOWS_PARKED) for one in waiting}
        while True:
            wanted = [one for one in fresh if one.announcement.position not in parked]
            try:
                effects = list(await self._handler.handle(wanted)) if wanted else []
            except Unhandleable as poison:
                if self._parking is None:
                    raise
                parked |= _with_followers(wanted, poison)
                continue
            if self._parking is not None:
                effects += [self._parking.park(one, code) for _, (one, code) in sorted(parked.items())]
            return effects, parked

    def _remember(self, parked: dict[int, tuple[Delivered, str]]) -> None:
        for one, code in parked.values():
            self._parked.add(document_of(one))
            _log.error("fact_parked", consumer=self._name, log=one.announcement.log, position=one.announcement.position, code=code)
            self._meters.counter("relais_parked_total", self._label, code).inc()


def _with_followers(wanted: Sequence[Delivered], poison: Unhandleable) -> dict[int, tuple[Delivered, str]]:
    """The fact that cannot be handled and what follows it for its document; what came before it is handled."""
    culprits = [one for one in wanted if one.announcement.position == poison.position]
    if not culprits:
        raise ValueError(f"position {poison.position} is not in the batch") from poison
    document = document_of(culprits[0])
    following = [one for one in wanted if document_of(one) == document and one.announcement.position >= poison.position]
    return {one.announcement.position: (one, poison.code if one is culprits[0] else FOLLOWS_PARKED) for one in following}
