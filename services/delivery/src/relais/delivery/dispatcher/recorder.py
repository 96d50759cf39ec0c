"""The one writer of attempts and answers on a replica: whatever is there becomes one append, for all endpoints together.

What comes alone is recorded at once; while more comes, appends follow each other no closer than GATHER_SECONDS, so that each holds
many. A dead partner has no part in it. When the log cannot be reached it tries again, for ever, with the same event ids: what was
stored without our hearing of it is a duplicate then.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import structlog

from relais.clock import Clock
from relais.contracts import Fact
from relais.delivery.dispatcher.parcel import Parcel
from relais.delivery.domain.commands import DeliveryCommand
from relais.delivery.domain.delivery import delivery
from relais.delivery.recording import append_of, parcel_of
from relais.eventlog.log import EventLog, EventLogError, LogUnavailable, OutcomeUnknown
from relais.eventlog.record import Append, Appended, Outcome, StoredEvent
from relais.transport.bell import Bell

BATCH_MAXIMUM = 256
# An append costs Postgres and us some milliseconds whatever is in it; an outcome loses nothing by being recorded so much later.
GATHER_SECONDS = 0.03
CONFLICTS_MAXIMUM = 10
RETRY_SECONDS_FIRST = 0.1
RETRY_SECONDS_MAXIMUM = 5.0
_IDLE_SECONDS = 3600.0

_log = structlog.get_logger("relais.delivery")
Recorded = Callable[[Parcel, Sequence[Fact]], None]


@dataclass(slots=True)
class Entry:
    """One decision to record. `recorded` is told the facts that were stored, none when there was nothing to say."""

    parcel: Parcel
    command: DeliveryCommand
    recorded: Recorded
    facts: list[Fact] = field(default_factory=list)


class Recorder:
    """`post` never waits: whoever posts is bounded by what its desk has in flight. `committed` is told after each append."""

    def __init__(self, log: EventLog, clock: Clock, committed: Callable[[], None] = lambda: None) -> None:
        self._event_log = log
        self._clock = clock
        self._committed = committed
        self._entries: deque[Entry] = deque()
        self._bell = Bell()
        self._idle = Bell()
        self._busy = False
        self._appended_at = -GATHER_SECONDS

    def post(self, parcel: Parcel, command: DeliveryCommand, recorded: Recorded) -> None:
        """Decide this for the parcel and record what follows."""
        self._entries.append(Entry(parcel, command, recorded))
        self._bell.ring()

    async def run(self) -> None:
        """Record for ever."""
        while True:
            while self._entries:
                self._busy = True
                await self._gather()
                batch = [self._entries.popleft() for _ in range(min(len(self._entries), BATCH_MAXIMUM))]
                await self._record(batch)
                self._busy = False
            self._idle.ring()
            await self._bell.wait(self._clock, _IDLE_SECONDS)

    async def _gather(self) -> None:
        early = self._appended_at + GATHER_SECONDS - self._clock.monotonic()
        if early > 0 and len(self._entries) < BATCH_MAXIMUM:
            await self._clock.sleep(early)
        self._appended_at = self._clock.monotonic()

    async def flushed(self) -> None:
        """Wait until everything posted so far is recorded; for an orderly end."""
        while self._entries or self._busy:
            await self._idle.wait(self._clock, 1.0)

    async def _record(self, entries: list[Entry]) -> None:
        for _ in range(CONFLICTS_MAXIMUM):
            appends, deciding = [], []
            for entry in entries:
                entry.facts = list(delivery.decide(entry.command, entry.parcel.state))
                if entry.facts:
                    deciding.append(entry)
                    appends.append(append_of(entry.parcel, entry.facts))
                else:
                    entry.recorded(entry.parcel, [])
            if not appends:
                return
            entries = self._settle(deciding, await self._append(appends))
            self._committed()
            if not entries:
                return
            await self._reload(entries)
        # Ten other writers in a row on one stream do not exist; somebody must look before this goes on.
        raise ConflictsWithoutEnd(len(entries))

    def _settle(self, entries: Sequence[Entry], results: Sequence[Appended]) -> list[Entry]:
        """Tell those that were stored; return those that met another writer."""
        met: list[Entry] = []
        for entry, result in zip(entries, results, strict=True):
            if result.outcome is Outcome.CONFLICT:
                met.append(entry)
                continue
            entry.parcel.follow(entry.facts, entry.parcel.version + len(entry.facts))
            entry.recorded(entry.parcel, entry.facts)
        return met

    async def _append(self, appends: Sequence[Append]) -> list[Appended]:
        wait_seconds = RETRY_SECONDS_FIRST
        while True:
            try:
                return await self._event_log.append(appends)
            except (LogUnavailable, OutcomeUnknown) as error:
                if isinstance(error, OutcomeUnknown):
                    _log.warning("append_outcome_unknown", log=self._event_log.name, count=len(appends))
                await self._clock.sleep(wait_seconds)
                wait_seconds = min(wait_seconds * 2, RETRY_SECONDS_MAXIMUM)

    async def _reload(self, entries: Sequence[Entry]) -> None:
        """Somebody else wrote: a person, or the replica that owns the endpoint now. Their facts are part of the decision."""
        streams = [(entry.parcel.id.tenant, entry.parcel.id.stream) for entry in entries]
        found = await self._read_streams(streams)
        for entry, stream in zip(entries, streams, strict=True):
            fresh = parcel_of(entry.parcel.id, found[stream])
            assert fresh is not None, "a parcel's stream begins with its schedule"
            entry.parcel.state, entry.parcel.version = fresh.state, fresh.version

    async def _read_streams(self, streams: Sequence[tuple[str, str]]) -> dict[tuple[str, str], list[StoredEvent]]:
        wait_seconds = RETRY_SECONDS_FIRST
        while True:
            try:
                return await self._event_log.read_streams(streams)
            except LogUnavailable:
                await self._clock.sleep(wait_seconds)
                wait_seconds = min(wait_seconds * 2, RETRY_SECONDS_MAXIMUM)


class ConflictsWithoutEnd(EventLogError):
    """The same streams met another writer every time."""

    def __init__(self, count: int) -> None:
        super().__init__(f"{count} appends met another writer {CONFLICTS_MAXIMUM} times")
