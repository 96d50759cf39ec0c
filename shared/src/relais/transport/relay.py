"""The relay: publishes a log's facts in log order, never past a gap, each at least once and in the stream at most once.

The log is its own outbox, so there is nothing to mark as sent: where the stream ends, the relay goes on. One replica leads
under a lease; if two ever believe they do, the stream's last sequence lets only one of them publish. Nothing is written to
Postgres here.
"""

import asyncio
from typing import Final
from uuid import UUID

import structlog

from relais.chassis.failpoints import Failpoint, reach
from relais.clock import Clock
from relais.eventlog.log import READ_MAXIMUM, EventLog, EventLogError
from relais.eventlog.record import StoredEvent
from relais.transport.announcing import Place, announce, batches, require_contiguous, silent_tags
from relais.transport.bell import Bell
from relais.transport.bus import Bus, BusUnavailable, LogForkDetected, PublishUnknown, StreamMissing, StreamState, WrongLastSequence
from relais.transport.leases import LEASE_SECONDS, RELAY_RESOURCE, Lease, LeaseKeeper
from relais.transport.meters import Meters, Unmetered
from relais.transport.patrol import Patrol
from relais.transport.progress import Floor, Progress, ProgressRow, ProgressUnavailable, floor_of

POLL_SECONDS: Final = 0.5
RETRY_SECONDS: Final = 0.25
PUBLISH_MARGIN_SECONDS: Final = 1.0
RING_INTERVAL_SECONDS: Final = 0.005
# From one announcement to the next at least this long, so that facts gather while many come: a batch costs nats-server some 3 ms of CPU and
# five syncs whatever is in it, and each hop behind it one commit. A fact that comes alone does not wait; the registry, where a person says
# one thing after another, never does.
PACE_SECONDS: Final = 0.4
NEVER_TRIMMED: Final = "registry"

_log = structlog.get_logger("relais.transport")


class Relay:
    """One log's relay in one replica. `run` it in a task of its own; `ring` after every committed append.

    `keeper` keeps the leases of this log's schema. The log `registry` is never trimmed and always rebuilt from its beginning.
    """

    def __init__(
        self, log: EventLog, bus: Bus, keeper: LeaseKeeper, progress: Progress, clock: Clock, *, meters: Meters | None = None
    ) -> None:
        self._log = log
        self._bus = bus
        self._progress = progress
        self._clock = clock
        self._share = keeper.share(RELAY_RESOURCE, [RELAY_RESOURCE])
        self._silent = silent_tags()
        self._bell = Bell()
        self._outside = Bell()
        self._leading = False
        self._pace_seconds = PACE_SECONDS if log.name != NEVER_TRIMMED else 0.0
        self._announced_at = -PACE_SECONDS
        self._waiting_for = ""
        meters = meters or Unmetered()
        self._patrol = Patrol(log.name, bus, progress, clock, meters, trims=log.name != NEVER_TRIMMED)
        self._announced = meters.counter("relais_relay_announced_total", log.name)
        self._batch_events = meters.histogram("relais_relay_batch_events", log.name)
        self._outbox_events = meters.gauge("relais_outbox_events", log.name)
        self._outbox_oldest = meters.gauge("relais_outbox_oldest_seconds", log.name)

    @property
    def leading(self) -> bool:
        """Whether this replica publishes at the moment."""
        return self._leading

    def ring(self) -> None:
        """The log grew: publish now. Whoever leads elsewhere is told over the bus; nothing depends on it."""
        self._bell.ring()
        if not self._leading:
            self._outside.ring()

    async def run(self) -> None:
        """Lead whenever the lease is ours, until cancelled.

        Ends with `LogForkDetected` (in an exception group) when the log is not the one that the stream came from.
        """
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._ring_outside())
            while True:
                lease = self._share.held().get(RELAY_RESOURCE)
                if lease is not None and lease.outlasts(PUBLISH_MARGIN_SECONDS):
                    await self._lead(lease)
                else:
                    await self._share.changed.wait(self._clock, LEASE_SECONDS)

    async def _ring_outside(self) -> None:
        while True:
            await self._outside.wait(self._clock, LEASE_SECONDS)
            if not self._leading:
                await self._bus.ring(self._log.name)
            await self._clock.sleep(RING_INTERVAL_SECONDS)

    async def _lead(self, lease: Lease) -> None:
        self._leading = True
        _log.info("relay_leading", log=self._log.name, epoch=lease.epoch)
        listening = await self._bus.listen(self._log.name, self._bell.ring)
        try:
            place: Place | None = None
            while lease.outlasts(PUBLISH_MARGIN_SECONDS):
                place = await self._step(lease, place)
        finally:
            self._leading = False
            await listening.close()
            _log.info("relay_yielded", log=self._log.name, epoch=lease.epoch)

    async def _step(self, lease: Lease, place: Place | None) -> Place | None:
        """Publish what there is, or wait for more; the place reached, or None when it must be looked up again."""
        try:
            if place is None:
                return await self._resume()
            full = await self._publish(lease, place)
            self._waiting_for = ""
            if await self._patrol.intact(place):
                if not full:
                    await self._bell.wait(self._clock, POLL_SECONDS)
                    await self._keep_pace()
                return place
        except WrongLastSequence:
            _log.warning("relay_fenced", log=self._log.name, epoch=lease.epoch)
        except PublishUnknown as error:
            _log.warning("publish_unknown", log=self._log.name, error=type(error).__name__)
        except StreamMissing:
            _log.warning("stream_missing", log=self._log.name)
        except (BusUnavailable, ProgressUnavailable, EventLogError) as error:
            # Once per outage: the same line four times a second tells nobody anything new.
            if type(error).__name__ != self._waiting_for:
                _log.warning("relay_waiting", log=self._log.name, error=type(error).__name__)
            self._waiting_for = type(error).__name__
        await self._clock.sleep(RETRY_SECONDS)
        return None

    async def _keep_pace(self) -> None:
        early = self._announced_at + self._pace_seconds - self._clock.monotonic()
        if early > 0:
            await self._clock.sleep(early)

    async def _publish(self, lease: Lease, place: Place) -> bool:
        """Publish the next events behind `place` and move it; True when there may be more."""
        events = await self._log.read(place.position, READ_MAXIMUM)
        require_contiguous(place.position, events)
        for batch in batches(announce(self._log.name, events, place.previous, self._silent)):
            if not lease.outlasts(PUBLISH_MARGIN_SECONDS):
                return True
            self._announced_at = self._clock.monotonic()
            reach(Failpoint.RELAY_BEFORE_PUBLISH)
            place.sequence = await self._bus.publish(self._log.name, batch, place.sequence)
            reach(Failpoint.RELAY_AFTER_PUBLISH)
            place.position = batch[-1].position
            place.previous.update((announcement.partition, announcement.position) for announcement in batch)
            self._announced.inc(len(batch))
            self._batch_events.observe(len(batch))
        if events:
            place.position = events[-1].position
        self._measure(events)
        return len(events) == READ_MAXIMUM

    def _measure(self, events: list[StoredEvent]) -> None:
        # What was just read is what was waiting; the age is that of the one that waited longest.
        self._outbox_events.set(len(events))
        self._outbox_oldest.set((self._clock.now() - events[0].recorded_at).total_seconds() if events else 0.0)

    async def _resume(self) -> Place:
        """Where to go on: behind the stream's last message, or, when it holds none, where it is to be filled from."""
        state = await self._bus.ensure_stream(self._log.name)
        rows = await self._progress.read(self._log.name)
        await self._refuse_fork(state, rows)
        floor = Floor(0, {}) if self._log.name == NEVER_TRIMMED else floor_of(rows)
        if not state.last_position:
            return await self._refill(state, floor)
        self._patrol.base = state.base
        previous = floor.handled | state.last_positions if state.whole else await self._announced_until(state, floor)
        return Place(state.incarnation, state.last_sequence, state.last_position, previous)

    async def _refill(self, state: StreamState, floor: Floor) -> Place:
        """Begin to fill a stream that holds nothing.

        One that was emptied begins at its base, because a consumer that read past what was lost believes its frontier to lie behind
        it. One that is new has forgotten its base: there the marks count, and what this process remembers of the base.
        """
        base = state.base if state.front else self._patrol.base
        start = floor.position if base is None else min(base, floor.position)
        await self._bus.rebase(self._log.name, start, state.last_sequence + 1)
        _log.warning("stream_rebuilt", log=self._log.name, position=start)
        self._patrol.base = start
        return Place(state.incarnation, state.last_sequence, start, dict(floor.handled))

    async def _announced_until(self, state: StreamState, floor: Floor) -> dict[int, int]:
        """Each partition's last announced position at the stream's end, from the log: a stream that is not whole may not hold it.

        The partition's next fact would hide what was lost if it followed on what is left. The patrol sees to the rest.
        """
        previous = dict(floor.handled)
        position = min(state.base, floor.position)
        while position < state.last_position:
            events = await self._log.read(position, min(READ_MAXIMUM, state.last_position - position))
            require_contiguous(position, events)
            position += len(events)
            announced = announce(self._log.name, events, previous, self._silent)
            previous.update((announcement.partition, announcement.position) for announcement in announced)
        return previous

    async def _refuse_fork(self, state: StreamState, rows: list[ProgressRow]) -> None:
        """The log must hold what the stream ends with and what consumers have handled, as they know it."""
        seen = {row.mark.event_id: row.mark.position for row in rows if row.mark.position}
        if state.last_position:
            seen[state.last_event_id] = state.last_position
        stored = {str(event_id): event.position for event_id, event in (await self._log.find([UUID(one) for one in seen])).items()}
        for event_id, position in seen.items():
            if stored.get(event_id) != position:
                raise LogForkDetected(self._log.name, position)
