"""One replica of the delivery service as the tests run it: everything but its bus and its gRPC edge, on whatever ground it is given."""

import asyncio
import itertools
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from uuid import uuid4

from relais.clock import Clock
from relais.contracts import Fact, encode
from relais.contracts.submission import Submission
from relais.delivery.dispatcher.express import Express, ExpressLog
from relais.delivery.dispatcher.fleet import ENDPOINTS_GROUP, Endpoint, Fleet, endpoint_resource
from relais.delivery.dispatcher.loading import Loader
from relais.delivery.dispatcher.recorder import Recorder
from relais.delivery.dispatcher.tools import Tools
from relais.delivery.domain.retrying import written
from relais.delivery.handlers import DeliveryParking, PlanHandler
from relais.delivery.ports import WorkQueue
from relais.eventlog.log import BatchConflict, EventLog
from relais.eventlog.record import SealedChunk
from relais.transport.bus import Announcement, Delivered
from relais.transport.handling import Unhandleable, document_of
from relais.transport.leases import LeaseKeeper, LeaseStore
from relais.transport.meters import Unmetered
from relais.vault.seal import body_reference, document_key, new_blob, seal_body, seal_content
from relais.vault.vault import BlobStore, KeyRing
from tests.delivery.calls import content_of
from tests.delivery.given import FLAGS, TENANT, document_id, submission


@dataclass
class Ground:
    """What replicas stand on. `settle` lets everything happen that needs no time, `until` lets time pass until a task is done."""

    clock: Clock
    queue: WorkQueue
    log: EventLog
    keys: KeyRing
    blobs: BlobStore
    leases: LeaseStore
    lease_seconds: float
    renew_seconds: float
    endpoints: Mapping[str, Endpoint]
    settle: Callable[[], Awaitable[None]]
    until: Callable[["asyncio.Task[None]"], Awaitable[None]]


@dataclass(frozen=True)
class SealedDocument:
    """A document as ingestion leaves it: its body and its content sealed under its subject's key."""

    submission: Submission
    chunks: Sequence[SealedChunk]


async def seal_document(keys: KeyRing, clock: Clock, name: str, body: bytes, request: str = "r1") -> SealedDocument:
    (subject,) = await keys.subjects_for([(TENANT, b"martin")])
    document = document_id(name)
    key = document_key(subject, document)
    chunks = seal_body(key, new_blob(clock.now()), body)
    sealed = Submission(
        document=document,
        request=request,
        site="nord",
        sender="his",
        subject=str(subject.subject),
        type_code="11490-0",
        flags=FLAGS,
        opposition=submission().opposition,
        recipients_count=1,
        received_at=written(clock.now()),
        body=body_reference(chunks, len(body)),
        sealed=seal_content(key, document, content_of(body)),
    )
    return SealedDocument(sealed, chunks)


class Feed:
    """The routing log as the bus brings it, one partition."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._positions = itertools.count(1)

    def announce(self, fact: Fact, stream: str, *, tag: str = "", payload: bytes | None = None) -> Delivered:
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
                recorded_at=written(self._clock.now()),
                actor="service:routing",
                traceparent="",
                payload=encode(fact) if payload is None else payload,
            ),
        )


class Replica:
    """One process of the delivery service."""

    def __init__(self, ground: Ground, holder: str) -> None:
        self.ground = ground
        log = ground.log
        recorder = Recorder(log, ground.clock)
        tools = Tools(
            log=log,
            queue=ground.queue,
            loader=Loader(ground.queue, ground.keys, ground.blobs, ground.clock),
            recorder=recorder,
            clock=ground.clock,
            meters=Unmetered(),
            chance=random.Random(holder).random,
        )
        self.keeper = LeaseKeeper(
            ground.leases, holder, ground.clock, lease_seconds=ground.lease_seconds, renew_seconds=ground.renew_seconds
        )
        share = self.keeper.share(ENDPOINTS_GROUP, [endpoint_resource(name) for name in ground.endpoints])
        self.fleet = Fleet(ground.endpoints, share, tools)
        self.express = Express(self.fleet.dispatcher_of, self.fleet.knows)
        self.log = ExpressLog(log, self.express)
        self.parking = DeliveryParking(ground.queue)
        self.handler = PlanHandler(self.log, ground.queue, self.express, ground.clock)
        self._work = (self.keeper.run, self.fleet.run, recorder.run)
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        self._tasks = [asyncio.create_task(work()) for work in self._work]
        await self.ground.settle()

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
        await self.ground.settle()

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
        await self.ground.until(asyncio.create_task(self.fleet.close()))
        await self.keeper.close()
        await self.kill()
