"""A small world in memory for relays and consumers: one bus, logs, leases and marks, under a clock that only the test moves."""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager
from uuid import UUID, uuid5

from relais.contracts.subjects import PARTITIONS
from relais.eventlog.log import APPENDS_MAXIMUM
from relais.eventlog.memory import MemoryEventLog
from relais.eventlog.record import Append, NewEvent
from relais.testing.clock import ManualClock
from relais.transport.bus import Bus
from relais.transport.leases import LeaseKeeper
from relais.transport.leases_memory import MemoryLeaseStore
from relais.transport.memory import MemoryBus
from relais.transport.progress import MemoryProgress
from relais.transport.relay import Relay

ANNOUNCED = "identity.rejected.v1"
SILENT = "identity.local_id_linked.v1"
TENANT = "tenant-a"
NAMESPACE = UUID("7f0c1f5e-3b1a-5a54-9a53-0d6a6f0a3c11")


def event(number: int, *, tag: str = ANNOUNCED, document: str | None = None, partition: int | None = None) -> NewEvent:
    """The event of this number, on a document of its own unless told otherwise."""
    return NewEvent(
        tenant=TENANT,
        stream=document or f"document-{number}",
        tag=tag,
        payload=b'{"number":%d}' % number,
        event_id=uuid5(NAMESPACE, str(number)),
        partition=number % PARTITIONS if partition is None else partition,
        actor="service:test",
    )


class World:
    """Everything that outlives a process."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.bus = MemoryBus(self.clock)
        self.progress = MemoryProgress()
        self.logs: dict[str, MemoryEventLog] = {}
        self._lease_stores: dict[str, MemoryLeaseStore] = {}

    def log(self, name: str) -> MemoryEventLog:
        """The log of this name; made when first asked for."""
        return self.logs.setdefault(name, MemoryEventLog(name, self.clock))

    def lease_store(self, log: str) -> MemoryLeaseStore:
        """Where the leases of a log's schema are kept."""
        return self._lease_stores.setdefault(log, MemoryLeaseStore(self.clock, self.log(log).fence))

    def keeper(self, log: str, holder: str) -> LeaseKeeper:
        """One replica's keeper of leases."""
        return LeaseKeeper(self.lease_store(log), holder, self.clock)

    def relay(self, log: str, keeper: LeaseKeeper, bus: Bus | None = None) -> Relay:
        """One replica's relay."""
        return Relay(self.log(log), bus or self.bus, keeper, self.progress, self.clock)

    async def append(self, log: str, events: Sequence[NewEvent]) -> None:
        """Append events, each by itself."""
        for at in range(0, len(events), APPENDS_MAXIMUM):
            await self.log(log).append([Append((one,)) for one in events[at : at + APPENDS_MAXIMUM]])

    def published(self, log: str) -> list[int]:
        """The positions that the stream holds, in its order."""
        return [announcement.position for announcement in self.bus.stored(log)]


@asynccontextmanager
async def running(*parts: Coroutine[None, None, None]) -> AsyncIterator[asyncio.Task[None]]:
    """These parts of one process run inside and are killed at the end; what breaks in them breaks the test."""

    async def process() -> None:
        async with asyncio.TaskGroup() as tasks:
            for part in parts:
                tasks.create_task(part)

    task = asyncio.create_task(process())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait({task})
        if not task.cancelled():
            task.result()
