"""A consumer: reads the partitions it holds of one log, and commits effects with checkpoints to its own.

What was read is only done when it is committed here; the bus is never told. Whatever goes wrong, the reading starts again
from the checkpoints that the log holds, and what comes twice is skipped.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import structlog

from relais.clock import Clock
from relais.eventlog.log import EventLog, Fenced, LogUnavailable, OutcomeUnknown
from relais.eventlog.record import Checkpoint
from relais.transport.bus import Bus, BusError, Delivered, Subscription
from relais.transport.committing import Committer, ConflictsExhausted, Hop, untraced
from relais.transport.cursors import Cursors
from relais.transport.handling import BatchHandler, Effects, Parking, Unhandleable, document_of, effect_id, fact_of
from relais.transport.leases import LEASE_SECONDS, Lease, LeaseKeeper, partition_resource, partition_resources
from relais.transport.meters import Meters, Unmetered
from relais.transport.progress import Mark, Progress, ProgressUnavailable

__all__ = ["BatchHandler", "Consumer", "Effects", "Parking", "Unhandleable", "document_of", "effect_id", "fact_of"]

BATCH_MAXIMUM: Final = 256
FETCH_WAIT_SECONDS: Final = 0.5
NOTE_SECONDS: Final = 1.0
RETRY_SECONDS: Final = 0.25
RETRY_SECONDS_MAXIMUM: Final = 2.0
HOLE_RETRY_SECONDS: Final = 2.0

_log = structlog.get_logger("relais.transport")


def _nobody() -> None:
    """Nobody wants to hear of commits."""


@dataclass(slots=True)
class _Reading:
    """One subscription: the leases under which it is read, where it stands, and when to look after the rest."""

    leases: dict[str, Lease]
    subscription: Subscription
    cursors: Cursors
    note_at: float
    reopen_at: float


class Consumer:
    """One consumer of one log in one replica. `run` it in a task of its own; `drain` ends it in good order.

    `log` is the consumer's own: it gets effects and checkpoints. `keeper` keeps the leases of that log's schema. `committed` is
    called after each commit, for the relay's bell; `hop` makes one span for a batch (`Tracing.hop`). Errors of the handler that
    pass by themselves are named in `passing` and waited for (`VaultUnavailable` and the like).
    """

    def __init__(
        self,
        name: str,
        source: str,
        bus: Bus,
        log: EventLog,
        keeper: LeaseKeeper,
        progress: Progress,
        handler: BatchHandler,
        clock: Clock,
        *,
        parking: Parking | None = None,
        passing: tuple[type[Exception], ...] = (),
        committed: Callable[[], None] = _nobody,
        hop: Hop = untraced,
        meters: Meters | None = None,
    ) -> None:
        meters = meters or Unmetered()
        label = f"{name}/{source}"
        self.name = name
        self.source = source
        self._bus = bus
        self._log = log
        self._progress = progress
        self._clock = clock
        self._share = keeper.share(f"partition/{label}", partition_resources(name, source))
        self._committer = Committer(name, log, handler, parking, clock, committed, hop, meters, label)
        self._passing: tuple[type[Exception], ...] = (BusError, LogUnavailable, ProgressUnavailable, ConflictsExhausted, *passing)
        self._draining = False
        self._stopped = asyncio.Event()
        self._noted: dict[int, Mark] = {}
        self._waiting_for = ""
        self._retry_seconds = RETRY_SECONDS
        self._lag = meters.gauge("relais_consumer_lag", label)
        self._oldest = meters.gauge("relais_consumer_oldest_seconds", label)
        self._held = meters.gauge("relais_partitions_held", label)
        self._holes = meters.counter("relais_reconcile_holes_total", source)

    async def run(self) -> None:
        """Read whatever is held, until drained or cancelled.

        Raises `LogForkDetected`, and what the handler raises beside `Unhandleable` and `passing`: those are for a person.
        """
        try:
            while not self._draining:
                held = self._share.held()
                self._held.set(len(held))
                if held:
                    await self._read(held)
                else:
                    await self._share.changed.wait(self._clock, LEASE_SECONDS)
                await self._share.give_back(self._share.leaving())
            await self._share.leave()
        finally:
            self._stopped.set()

    async def drain(self) -> None:
        """Stop fetching, finish the commit under way, give every partition back; returns when that is done."""
        self._draining = True
        self._share.changed.ring()
        await self._stopped.wait()

    async def _read(self, held: dict[str, Lease]) -> None:
        """Read under these leases until they change; what passes by itself is waited for."""
        try:
            reading = await self._open(held)
            try:
                await self._follow(reading)
            finally:
                await reading.subscription.close()
            return
        except Fenced:
            # Opening again finds out which partitions are another replica's now.
            self._report_waiting(Fenced.__name__)
        except OutcomeUnknown:
            # Nobody here knows what was committed, but the log does: opening again asks it.
            _log.warning("append_outcome_unknown", consumer=self.name, log=self.source)
        except self._passing as error:
            self._report_waiting(type(error).__name__)
        await self._clock.sleep(self._retry_seconds)
        self._retry_seconds = min(2 * self._retry_seconds, RETRY_SECONDS_MAXIMUM)

    async def _open(self, held: dict[str, Lease]) -> _Reading:
        """Take the checkpoints over, say where they are, and subscribe from there."""
        cursors = Cursors(self.name, self.source, await self._checkpoints(held))
        await self._committer.take_over(cursors.partitions)
        reached = await self._reached(cursors)
        self._noted.clear()
        # Before the base is looked at: whoever trims looks at the marks again after having moved the base.
        await self._note({partition: mark for partition, mark in cursors.marks().items() if partition not in reached})
        state = await self._bus.state(self.source)
        cursors.require_base(state.base, reached)
        unread = cursors.first_unread(state)
        if unread is None:
            start, cursors.frontier = state.last_sequence + 1, state.last_position
        else:
            # From the known event itself where it is still there: it must be the same one.
            start, cursors.frontier = await self._bus.sequence_after(self.source, max(unread - 1, 0)), unread
        subscription = await self._bus.subscribe(self.source, cursors.partitions, start)
        _log.info("partitions_held", consumer=self.name, log=self.source, partitions=len(held))
        now = self._clock.monotonic()
        return _Reading(held, subscription, cursors, note_at=now, reopen_at=now + HOLE_RETRY_SECONDS)

    async def _checkpoints(self, held: dict[str, Lease]) -> list[Checkpoint]:
        """The checkpoints under these leases, final because each takeover fenced the holder before.

        Raises `Fenced` after dropping the leases of partitions that are another replica's now.
        """
        marks = {partition_resource(self.name, mark.log, mark.partition): mark for mark in await self._log.checkpoints(self.name)}
        ours = [marks[resource] for resource, lease in held.items() if resource in marks and marks[resource].epoch == lease.epoch]
        if len(ours) < len(held):
            kept = {partition_resource(self.name, mark.log, mark.partition) for mark in ours}
            for resource in held.keys() - kept:
                self._share.drop(resource)
            _log.warning("lease_lost", consumer=self.name, count=len(held) - len(ours))
            raise Fenced("a partition was taken over meanwhile")
        return ours

    async def _reached(self, cursors: Cursors) -> dict[int, int]:
        """How far partitions have come by their marks, where a mark can be trusted: not when the log itself went back behind it."""
        rows = [row for row in await self._progress.read(self.source) if row.consumer == self.name]
        positions = {partition: mark.position for partition, mark in cursors.marks().items()}
        return {row.partition: row.mark.frontier for row in rows if row.mark.position <= positions.get(row.partition, -1)}

    async def _follow(self, reading: _Reading) -> None:
        """Fetch, handle, commit, with the next fetch under way meanwhile; until the leases change or a hole needs another look."""
        fetching = self._fetch(reading)
        try:
            while not self._draining and self._share.held() == reading.leases:
                batch = await fetching
                fetching = self._fetch(reading)
                if batch:
                    await self._work(reading, batch)
                self._waiting_for, self._retry_seconds = "", RETRY_SECONDS
                if await self._look_after(reading):
                    break
            await self._committer.flush(reading.cursors)
        finally:
            fetching.cancel()
            await asyncio.gather(fetching, return_exceptions=True)

    def _fetch(self, reading: _Reading) -> "asyncio.Task[list[Delivered]]":
        return asyncio.ensure_future(reading.subscription.fetch(BATCH_MAXIMUM, FETCH_WAIT_SECONDS))

    async def _work(self, reading: _Reading, batch: list[Delivered]) -> None:
        cursors = reading.cursors
        known = cursors.holes
        fresh = cursors.accept(batch)
        if fresh:
            await self._committer.commit(cursors, fresh)
        cursors.passed(batch)
        for partition in cursors.holes.keys() - known.keys():
            _log.warning("hole_found", consumer=self.name, log=self.source, partition=partition, position=cursors.holes[partition])
            self._holes.inc()
            reading.note_at = self._clock.monotonic()
        self._lag.set(reading.subscription.backlog)
        recorded_at = datetime.fromisoformat(batch[-1].announcement.recorded_at)
        self._oldest.set((self._clock.now() - recorded_at).total_seconds())

    async def _look_after(self, reading: _Reading) -> bool:
        """What is due beside the work. True when it is time to begin again because of a hole."""
        now = self._clock.monotonic()
        if self._committer.flush_due():
            await self._committer.flush(reading.cursors)
        if now >= reading.note_at:
            reading.note_at = now + NOTE_SECONDS
            await self._note(reading.cursors.marks())
        return now >= reading.reopen_at and bool(reading.cursors.holes)

    async def _note(self, marks: Mapping[int, Mark]) -> None:
        """Write the marks that changed."""
        changed = {partition: mark for partition, mark in marks.items() if self._noted.get(partition) != mark}
        if changed:
            await self._progress.note(self.name, self.source, changed)
            self._noted |= changed

    def _report_waiting(self, reason: str) -> None:
        # Once per outage: the same line four times a second tells nobody anything new.
        if reason != self._waiting_for:
            _log.warning("consumer_waiting", consumer=self.name, log=self.source, error=reason)
        self._waiting_for = reason
