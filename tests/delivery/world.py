"""A small world in memory for the dispatchers: log, queue, vault, leases and partners under one clock, and replicas that can die."""

import asyncio
import itertools
import random
from collections.abc import Callable, Sequence
from uuid import uuid4

from relais.contracts import Fact, decode, encode
from relais.contracts.delivery import DeliveryAttempted
from relais.contracts.routing import PlannedDestination
from relais.contracts.submission import Submission
from relais.delivery.adapters.work_memory import MemoryWorkQueue
from relais.delivery.dispatcher.express import Express, ExpressLog
from relais.delivery.dispatcher.fleet import ENDPOINTS_GROUP, Endpoint, Fleet, endpoint_resource
from relais.delivery.dispatcher.loading import Loader
from relais.delivery.dispatcher.recorder import Recorder
from relais.delivery.dispatcher.settings import BreakerSettings, EndpointSettings
from relais.delivery.dispatcher.tools import Tools
from relais.delivery.domain.delivery import delivery
from relais.delivery.domain.endpoint import EndpointMode
from relais.delivery.domain.retrying import RetryPolicy, written
from relais.delivery.domain.state import DeliveryState
from relais.delivery.handlers import DeliveryParking, PlanHandler
from relais.delivery.ports import Call, DeliveryId
from relais.delivery.work import switched
from relais.eventlog.log import BatchConflict, EventLog
from relais.eventlog.memory import MemoryEventLog
from relais.eventlog.record import StoredEvent
from relais.testing.clock import ManualClock
from relais.transport.bus import Announcement, Delivered
from relais.transport.handling import Unhandleable, document_of
from relais.transport.leases import LeaseKeeper
from relais.transport.leases_memory import MemoryLeaseStore
from relais.transport.meters import Unmetered
from relais.vault.blobs import MemoryBlobStore
from relais.vault.keys import MemoryKeyRing
from relais.vault.seal import body_reference, document_key, new_blob, seal_body, seal_content
from tests.delivery.calls import content_of
from tests.delivery.given import FLAGS, TENANT, destination, document_id, plan, submission
from tests.delivery.memory_partner import MemoryPartner

DEADLINE_SECONDS = 4.0
LEASE_SECONDS = 9.0
RETRY = RetryPolicy(delay_seconds_first=1, delay_seconds_maximum=8, attempts_maximum=1000, age_seconds_maximum=86_400)


def settings(name: str, *, concurrency: int = 4, rate: float | None = None, size_maximum: int = 10**9) -> EndpointSettings:
    return EndpointSettings(
        id=name,
        connector="https",
        concurrency=concurrency,
        deadline_seconds=DEADLINE_SECONDS,
        size_bytes_maximum=size_maximum,
        rate_per_second=rate,
        retry=RETRY,
        breaker=BreakerSettings(failures_maximum=5, open_seconds_first=1, open_seconds_maximum=8),
    )


class World:
    """Everything that outlives a process, and the partners outside."""

    def __init__(self, *endpoints: EndpointSettings) -> None:
        self.clock = ManualClock()
        self.queue = MemoryWorkQueue(self.clock)
        self.log = MemoryEventLog("delivery", self.clock, apply_work=self.queue.apply_work)
        self.keys = MemoryKeyRing()
        self.blobs = MemoryBlobStore(self.clock)
        self.leases = MemoryLeaseStore(self.clock)
        self.settings = {one.id: one for one in endpoints or (settings("lab"),)}
        self.partners = {name: MemoryPartner(self.clock, watch=self._check_call) for name in self.settings}
        self.wrap: Callable[[EventLog], EventLog] = lambda log: log
        self._positions = itertools.count(1)
        self._replicas: list[Replica] = []

    @property
    def partner(self) -> MemoryPartner:
        """The only one, or the first."""
        return next(iter(self.partners.values()))

    async def document(self, name: str = "letter", body: bytes = b"<letter/>", request: str = "r1") -> Submission:
        """A document as ingestion leaves it: its body and its content sealed under its subject's key."""
        (subject,) = await self.keys.subjects_for([(TENANT, b"martin")])
        document = document_id(name)
        key = document_key(subject, document)
        chunks = seal_body(key, new_blob(self.clock.now()), body)
        self.blobs.insert(chunks)
        return Submission(
            document=document,
            request=request,
            site="nord",
            sender="his",
            subject=str(subject.subject),
            type_code="11490-0",
            flags=FLAGS,
            opposition=submission().opposition,
            recipients_count=1,
            received_at=written(self.clock.now()),
            body=body_reference(chunks),
            sealed=seal_content(key, document, content_of(body)),
        )

    async def documents(self, count: int) -> list[Submission]:
        return [await self.document(f"letter {number}", b"<letter>%d</letter>" % number) for number in range(count)]

    def announce(self, fact: Fact, stream: str, *, tag: str = "", payload: bytes | None = None) -> Delivered:
        """A fact of the routing log as the bus brings it."""
        position = next(self._positions)
        return Delivered(
            position,
            Announcement(
                log="routing",
                partition=0,
                position=position,
                previous=position - 1,
                tag=tag or fact.TAG,
                tenant=TENANT,
                stream=stream,
                version=1,
                event_id=str(uuid4()),
                recorded_at=written(self.clock.now()),
                actor="service:routing",
                traceparent="",
                payload=encode(fact) if payload is None else payload,
            ),
        )

    def planned(self, of: Submission, *destinations: PlannedDestination) -> Delivered:
        return self.announce(plan(of, *(destinations or (destination(),))), of.document)

    async def replica(self, holder: str = "one") -> "Replica":
        replica = Replica(self, holder)
        self._replicas.append(replica)
        await replica.start()
        return replica

    async def run(self, seconds: float, step: float = 0.25) -> None:
        """Let time pass in small steps, so that long chains of tasks keep up with it."""
        for _ in range(round(seconds / step)):
            await self.clock.advance(step)

    def switch(self, endpoint: str, mode: EndpointMode) -> None:
        """What the work row of a pause, a drain or a resumption does."""
        self.queue.apply_work([switched(endpoint, mode)])

    async def history(self, name: str = "letter", ordinal: int = 1) -> list[Fact]:
        """The facts of one delivery."""
        stream = (TENANT, f"{document_id(name)}/{ordinal}")
        return [decode(event.tag, event.payload) for event in (await self.log.read_streams([stream]))[stream]]

    async def events(self) -> list[StoredEvent]:
        """The whole log."""
        found: list[StoredEvent] = []
        while page := await self.log.read(len(found)):
            found += page
        return found

    async def states(self) -> dict[DeliveryId, DeliveryState]:
        """How every delivery stands, by the log alone."""
        states: dict[DeliveryId, DeliveryState] = {}
        for event in await self.events():
            document, _, ordinal = event.stream.partition("/")
            one = DeliveryId(event.tenant, document, int(ordinal or 0))
            states[one] = delivery.evolve(states.get(one, delivery.initial), decode(event.tag, event.payload))
        return states

    async def close(self) -> None:
        for replica in self._replicas:
            await replica.kill()

    def _check_call(self, call: Call) -> None:
        """Recorded before the call, under the key of the delivery: looked at for every call of every test."""
        recorded = [decode(event.tag, event.payload) for event in self.log._streams[call.delivery.tenant, call.delivery.stream]]
        attempt = next(fact for fact in recorded if isinstance(fact, DeliveryAttempted) and fact.attempt == call.attempt)
        assert attempt.idempotency_key == call.idempotency_key
        assert attempt.possible_repeat == call.possible_repeat


class Replica:
    """One process of the delivery service."""

    def __init__(self, world: World, holder: str) -> None:
        self.world = world
        log = world.wrap(world.log)
        recorder = Recorder(log, world.clock)
        tools = Tools(
            log=log,
            queue=world.queue,
            loader=Loader(world.queue, world.keys, world.blobs, world.clock),
            recorder=recorder,
            clock=world.clock,
            meters=Unmetered(),
            chance=random.Random(holder).random,
        )
        self.keeper = LeaseKeeper(world.leases, holder, world.clock, lease_seconds=LEASE_SECONDS, renew_seconds=1.0)
        share = self.keeper.share(ENDPOINTS_GROUP, [endpoint_resource(name) for name in world.settings])
        endpoints = {name: Endpoint(one, world.partners[name]) for name, one in world.settings.items()}
        self.fleet = Fleet(endpoints, share, tools)
        self.express = Express(self.fleet.dispatcher_of, self.fleet.knows)
        self.log = ExpressLog(log, self.express)
        self.parking = DeliveryParking(world.queue)
        self.handler = PlanHandler(self.log, world.queue, self.express, world.clock)
        self._work = (self.keeper.run, self.fleet.run, recorder.run)
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        self._tasks = [asyncio.create_task(work()) for work in self._work]
        await self.world.clock.settle()

    async def hear(self, *batch: Delivered) -> None:
        """What the consumer does with a batch: decide, append, decide again after a conflict, park what cannot be read."""
        parked: list[tuple[Delivered, str]] = []
        while True:
            culprits = {document_of(one) for one, _ in parked}
            try:
                appends = await self.handler.handle([one for one in batch if document_of(one) not in culprits])
                appends += [self.parking.park(one, code) for one, code in parked]
                await self.log.append(appends, all_or_nothing=True)
                break
            except Unhandleable as poison:
                parked += [(one, poison.code) for one in batch if one.announcement.position == poison.position]
            except BatchConflict:
                continue
        await self.world.clock.settle()

    async def kill(self) -> None:
        """Gone, from one moment to the next."""
        for task in self._tasks:
            task.cancel()
        done: Sequence[object] = await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []
        broken = [one for one in done if isinstance(one, BaseException) and not isinstance(one, asyncio.CancelledError)]
        assert not broken, broken

    async def close(self) -> None:
        """An orderly end."""
        closing = asyncio.create_task(self.fleet.close())
        while not closing.done():
            await self.world.clock.advance(0.25)
        await closing
        await self.keeper.close()
        await self.kill()
