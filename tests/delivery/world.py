"""A small world in memory for the dispatchers: log, queue, vault, leases and partners under one clock, and replicas that can die."""

import asyncio

from relais.contracts import Fact, decode
from relais.contracts.delivery import DeliveryAttempted
from relais.contracts.routing import PlannedDestination
from relais.contracts.submission import Submission
from relais.delivery.adapters.work_memory import MemoryWorkQueue
from relais.delivery.dispatcher.fleet import Endpoint
from relais.delivery.dispatcher.settings import BreakerSettings, EndpointSettings
from relais.delivery.domain.delivery import delivery
from relais.delivery.domain.endpoint import EndpointMode
from relais.delivery.domain.retrying import RetryPolicy
from relais.delivery.domain.state import DeliveryState
from relais.delivery.ports import Call, DeliveryId
from relais.delivery.work import switched
from relais.eventlog.memory import MemoryEventLog
from relais.eventlog.record import StoredEvent
from relais.testing.clock import ManualClock
from relais.transport.bus import Delivered
from relais.transport.leases_memory import MemoryLeaseStore
from relais.vault.blobs import MemoryBlobStore
from relais.vault.keys import MemoryKeyRing
from tests.delivery.given import TENANT, destination, document_id, plan
from tests.delivery.memory_partner import MemoryPartner
from tests.delivery.replica import Feed, Ground, Replica, seal_document

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
        self.ground = Ground(
            clock=self.clock,
            queue=self.queue,
            log=self.log,
            keys=self.keys,
            blobs=self.blobs,
            leases=self.leases,
            lease_seconds=LEASE_SECONDS,
            renew_seconds=1.0,
            endpoints={name: Endpoint(one, self.partners[name]) for name, one in self.settings.items()},
            settle=self.clock.settle,
            until=self._until,
        )
        self._feed = Feed(self.clock)
        self._replicas: list[Replica] = []

    @property
    def partner(self) -> MemoryPartner:
        """The only one, or the first."""
        return next(iter(self.partners.values()))

    async def document(self, name: str = "letter", body: bytes = b"<letter/>", request: str = "r1") -> Submission:
        """A document as ingestion leaves it: its body and its content sealed under its subject's key."""
        sealed = await seal_document(self.keys, self.clock, name, body, request)
        self.blobs.insert(sealed.chunks)
        return sealed.submission

    async def documents(self, count: int) -> list[Submission]:
        return [await self.document(f"letter {number}", b"<letter>%d</letter>" % number) for number in range(count)]

    def announce(self, fact: Fact, stream: str, *, tag: str = "", payload: bytes | None = None) -> Delivered:
        return self._feed.announce(fact, stream, tag=tag, payload=payload)

    def planned(self, of: Submission, *destinations: PlannedDestination) -> Delivered:
        return self.announce(plan(of, *(destinations or (destination(),))), of.document)

    async def _until(self, task: "asyncio.Task[None]") -> None:
        while not task.done():
            await self.clock.advance(0.25)
        await task

    async def replica(self, holder: str = "one") -> Replica:
        replica = Replica(self.ground, holder)
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
