"""Processes for consumer tests: a source with its relay, and a service that makes one effect of every fact it reads."""

import asyncio
from collections import defaultdict
from collections.abc import Collection, Sequence
from uuid import UUID, uuid5

from msgspec.structs import replace

from relais.eventlog.log import EventLog, LogUnavailable, OutcomeUnknown
from relais.eventlog.memory import MemoryEventLog
from relais.eventlog.record import Append, Appended, Checkpoint, NewEvent, StoredEvent
from relais.transport.bus import Bus, Delivered
from relais.transport.consumer import Consumer, Effects, Unhandleable, effect_id
from relais.transport.handling import Document, Parking
from relais.transport.leases import LeaseKeeper
from tests.shared.simulation import NAMESPACE, World, event

SOURCE = "identity"
OWN = "routing"
NAME = "router"
EFFECT = "routing.document_held.v1"
PARKED = "routing.parked.v1"


class Copier:
    """The handler under test: one effect for each fact, on a stream of the same name, in the version that it saw."""

    def __init__(self, log: EventLog) -> None:
        self._log = log
        self.calls = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.poison: dict[int, str] = {}
        self.effects_each = 1
        self.passes: list[Exception] = []
        self.seen: list[int] = []

    async def handle(self, batch: Sequence[Delivered]) -> Effects:
        self.calls += 1
        self.seen += [delivered.announcement.position for delivered in batch]
        if self.passes:
            raise self.passes.pop()
        for delivered in batch:
            if delivered.announcement.position in self.poison:
                raise Unhandleable(delivered.announcement.position, self.poison[delivered.announcement.position])
        keys = list({(one.announcement.tenant, one.announcement.stream) for one in batch})
        versions = {key: len(events) for key, events in (await self._log.read_streams(keys)).items()}
        await self.gate.wait()
        effects: Effects = []
        for delivered in batch:
            for number in range(self.effects_each):
                key = (delivered.announcement.tenant, delivered.announcement.stream)
                effects.append(Append((effect(delivered, EFFECT, number, versions[key]),)))
                versions[key] += 1
        return effects


class Park:
    """Parked documents as facts of the service's own log."""

    def __init__(self, log: EventLog) -> None:
        self._log = log

    async def parked(self, partitions: Collection[int]) -> Collection[Document]:
        events = await self._log.read(0, tags=[PARKED])
        return {(event.tenant, event.stream) for event in events if event.partition in partitions}

    def park(self, delivered: Delivered, code: str) -> Append:
        return Append((replace(effect(delivered, PARKED, 99, None), payload=code.encode()),))


def effect(delivered: Delivered, tag: str, number: int, version: int | None) -> NewEvent:
    announcement = delivered.announcement
    return NewEvent(
        tenant=announcement.tenant,
        stream=announcement.stream,
        tag=tag,
        payload=b"%d" % announcement.position,
        event_id=effect_id(NAME, announcement.log, announcement.position, number),
        partition=announcement.partition,
        actor="service:routing",
        expected_version=version,
    )


class FaultyLog(MemoryEventLog):
    """The service's log behind a connection that breaks where a test says."""

    def __init__(self, log: MemoryEventLog) -> None:
        self.__dict__.update(log.__dict__)
        self.faults: list[str] = []
        self.appends = 0

    async def append(
        self, appends: Sequence[Append], *, checkpoints: Sequence[Checkpoint] = (), all_or_nothing: bool = False
    ) -> list[Appended]:
        self.appends += 1
        fault = self.faults.pop(0) if self.faults else ""
        if fault == "unavailable":
            raise LogUnavailable("no connection")
        if fault == "cut before":
            raise OutcomeUnknown("the connection broke")
        if fault == "conflicts":
            await super().append([stranger(self.appends, appends[0].events[0].stream)])
        answers = await super().append(appends, checkpoints=checkpoints, all_or_nothing=all_or_nothing)
        if fault == "cut after":
            raise OutcomeUnknown("the connection broke")
        return answers


class Source:
    """The process that owns the source log and announces it."""

    def __init__(self, world: World, holder: str = "source") -> None:
        self.keeper = world.keeper(SOURCE, holder)
        self.relay = world.relay(SOURCE, self.keeper)

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.keeper.run())
            tasks.create_task(self.relay.run())


class Service:
    """A replica of the service that reads the source."""

    def __init__(
        self, world: World, holder: str, *, log: EventLog | None = None, bus: Bus | None = None, parking: bool = False, name: str = NAME
    ) -> None:
        own = log or world.log(OWN)
        self.keeper: LeaseKeeper = world.keeper(OWN, holder)
        self.copier = Copier(own)
        park: Parking | None = Park(own) if parking else None
        self.commits = 0
        self.consumer = Consumer(
            name,
            SOURCE,
            bus or world.bus,
            own,
            self.keeper,
            world.progress,
            self.copier,
            world.clock,
            parking=park,
            passing=(ConnectionError,),
            committed=self._count,
        )

    def _count(self) -> None:
        self.commits += 1

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.keeper.run())
            tasks.create_task(self.consumer.run())


async def append(world: World, first: int, last: int, documents: int = 50) -> None:
    """Facts of these numbers, on so many documents; a document keeps its partition."""
    facts = [event(n, document=f"document-{n % documents}", partition=n % documents % 32) for n in range(first, last + 1)]
    await world.append(SOURCE, facts)


async def effects(world: World, tag: str = EFFECT) -> list[int]:
    """The source positions that effects were made of, in the order of the service's log."""
    found: list[int] = []
    after = 0
    while events := await world.log(OWN).read(after):
        found += [int(event.payload) for event in events if event.tag == tag]
        after = events[-1].position
    return found


async def require_each_once(world: World, count: int) -> None:
    """Every fact up to `count` has had its effect, once, and each document's effects are in the order of its facts."""
    assert sorted(await effects(world)) == list(range(1, count + 1))
    by_document: defaultdict[str, list[int]] = defaultdict(list)
    for stored in await read_all(world):
        by_document[stored.stream].append(int(stored.payload))
    assert all(positions == sorted(positions) for positions in by_document.values())


async def read_all(world: World) -> list[StoredEvent]:
    """The service's whole log."""
    events: list[StoredEvent] = []
    while page := await world.log(OWN).read(len(events)):
        events += page
    return events


def stranger(number: int, document: str) -> Append:
    """What somebody else appends to a document's stream of the service's log."""
    event_id: UUID = uuid5(NAMESPACE, f"stranger/{number}")
    return Append((NewEvent("tenant-a", document, "routing.document_released.v1", b"0", event_id, 0, "user:operator"),))
