"""Attacks the last stretch on real parts: Postgres with the service's role, TLS to partner programs, replicas that die in a call."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg
import pytest

from relais.clock import SystemClock
from relais.contracts import Fact, decode
from relais.contracts.delivery import (
    DeliveryAttempted,
    DeliveryDeferred,
    DeliveryScheduled,
    DeliverySucceeded,
    EndpointPaused,
    EndpointResumed,
)
from relais.delivery.adapters.https.connector import HttpsConnector, HttpsSettings
from relais.delivery.adapters.https.keys import read_keys
from relais.delivery.adapters.work_postgres import PostgresWorkQueue
from relais.delivery.desk import PLATFORM, Act, DeliveryDesk, EndpointDesk
from relais.delivery.dispatcher.fleet import Endpoint
from relais.delivery.dispatcher.settings import BreakerSettings, EndpointSettings
from relais.delivery.domain.endpoint import Pause, Resume
from relais.delivery.domain.retrying import RetryPolicy
from relais.delivery.ports import DeliveryId
from relais.eventlog.postgres import Pool, PostgresEventLog
from relais.sandbox.partner import Behaviour, Partner, Script
from relais.sandbox.server import OutsideWorld, PartnerSite
from relais.sandbox.verification import read_keys as read_partner_keys
from relais.testing.postgres import TestPostgres
from relais.transport.leases_postgres import PostgresLeaseStore
from relais.vault.blobs import PostgresBlobStore
from relais.vault.keys import MemoryKeyRing
from tests.delivery.certificates import Authority
from tests.delivery.given import TENANT, destination, document_id, plan
from tests.delivery.postgres_place import delivery_pool
from tests.delivery.replica import Feed, Ground, Replica, SealedDocument, seal_document
from tests.delivery.test_https_connector import write_keys

NAMES = ("one", "two")
DEADLINE_SECONDS = 0.5
PATIENCE_SECONDS = 20.0


@dataclass
class Road:
    """Real parts of one test. Bodies are put where ingestion puts them, by a role that may."""

    ground: Ground
    world: OutsideWorld
    pool: Pool
    dsn: str
    feed: Feed
    replicas: list[Replica] = field(default_factory=list)

    async def replica(self, holder: str) -> Replica:
        replica = Replica(self.ground, holder)
        self.replicas.append(replica)
        await replica.start()
        await until(lambda: all(replica.fleet.dispatcher_of(name) for name in NAMES) or len(self.replicas) > 1)
        return replica

    async def documents(self, count: int) -> list[SealedDocument]:
        clock, keys = self.ground.clock, self.ground.keys
        made = [await seal_document(keys, clock, f"letter {number}", b"<letter>%d</letter>" % number * 2000) for number in range(count)]
        connection = await asyncpg.connect(self.dsn)
        rows = [(chunk.blob, chunk.number, chunk.last, chunk.ciphertext) for one in made for chunk in one.chunks]
        await connection.executemany("INSERT INTO vault.chunk (blob, number, last, ciphertext) VALUES ($1, $2, $3, $4)", rows)
        await connection.close()
        return made

    async def plan(self, replica: Replica, documents: list[SealedDocument], *names: str) -> None:
        places = [destination(number, name) for number, name in enumerate(names, start=1)]
        await replica.hear(*[self.feed.announce(plan(one.submission, *places), one.submission.document) for one in documents])

    async def history(self, name: str, ordinal: int = 1) -> list[Fact]:
        stream = (TENANT, f"{document_id(name)}/{ordinal}")
        return [decode(event.tag, event.payload) for event in (await self.ground.log.read_streams([stream]))[stream]]

    async def waiting(self) -> int:
        return sum(backlog.waiting for backlog in await self.ground.queue.backlogs(NAMES))

    async def all_gone(self) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while await self.waiting():
                await self.ground.clock.sleep(0.02)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not condition():
            await SystemClock().sleep(0.01)


@pytest.fixture
async def road(postgres: TestPostgres, tmp_path: Path) -> AsyncIterator[Road]:
    keys = write_keys(tmp_path)
    authority = Authority(tmp_path)
    world = OutsideWorld({name: PartnerSite(Partner(name), read_partner_keys(keys)) for name in NAMES})
    certificate, key = authority.issue("partner")
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate, key)
    await world.start("127.0.0.1", 0, 0, tls)
    clock = SystemClock()
    connectors = [HttpsConnector(_https(world, name, authority.file), read_keys(keys), clock) for name in NAMES]
    async with delivery_pool(postgres) as pool:
        database = await pool.fetchval("SELECT current_database()")
        ground = Ground(
            clock=clock,
            queue=PostgresWorkQueue(pool),
            log=PostgresEventLog(pool, "delivery"),
            keys=MemoryKeyRing(),
            blobs=PostgresBlobStore(pool),
            leases=PostgresLeaseStore(pool, "delivery"),
            lease_seconds=2.5,
            renew_seconds=0.4,
            endpoints={name: Endpoint(_settings(name), one) for name, one in zip(NAMES, connectors, strict=True)},
            settle=_nothing,
            until=lambda task: asyncio.wait_for(task, PATIENCE_SECONDS),
        )
        road = Road(ground, world, pool, postgres.dsn(database), Feed(clock))
        try:
            yield road
        finally:
            for replica in road.replicas:
                await replica.kill()
            for connector in connectors:
                await connector.close()
            await world.stop()


async def _nothing() -> None:
    """Real time passes by itself."""


def _settings(name: str) -> EndpointSettings:
    return EndpointSettings(
        id=name,
        connector="https",
        concurrency=8,
        deadline_seconds=DEADLINE_SECONDS,
        size_bytes_maximum=10**9,
        retry=RetryPolicy(delay_seconds_first=0.1, delay_seconds_maximum=0.5),
        breaker=BreakerSettings(failures_maximum=5, open_seconds_first=0.2, open_seconds_maximum=0.5),
    )


def _https(world: OutsideWorld, name: str, ca_file: Path) -> HttpsSettings:
    return HttpsSettings(
        url=f"https://localhost:{world.port}/{name}",
        ca_file=ca_file,
        client_certificate_file=None,
        client_key_file=None,
        connect_timeout_seconds=DEADLINE_SECONDS,
        source="urn:relais:test",
    )


async def test_every_document_arrives_once_at_each_of_its_destinations(road: Road) -> None:
    replica = await road.replica("first")
    documents = await road.documents(120)
    for start in range(0, 120, 40):
        await road.plan(replica, documents[start : start + 40], *NAMES)
    await road.all_gone()
    for name in NAMES:
        received = road.world.partner(name).received()
        assert len(received) == 120
        assert {entry.times for entry in received} == {1}
        assert road.world.partner(name).disbelieved == []
    bodies = {entry.body for entry in road.world.partner("one").received()}
    assert bodies == {b"<letter>%d</letter>" % number * 2000 for number in range(120)}
    facts = [type(fact) for fact in await road.history("letter 7", 2)]
    assert facts == [DeliveryScheduled, DeliveryAttempted, DeliverySucceeded]


async def test_a_dead_partner_beside_a_live_one(road: Road) -> None:
    road.world.partner("one").script = Script(then=Behaviour.HANG)
    replica = await road.replica("first")
    await road.plan(replica, await road.documents(60), *NAMES)
    await until(lambda: len(road.world.partner("two").received()) == 60)
    assert road.world.partner("one").received() == []
    road.world.partner("one").script = Script()
    await road.all_gone()
    assert len(road.world.partner("one").received()) == 60


async def test_a_replica_that_dies_in_a_call_leaves_an_unknown_that_the_next_one_repeats(road: Road) -> None:
    partner = road.world.partner("one")
    partner.script = Script(then=Behaviour.SWALLOW)
    first = await road.replica("first")
    await road.plan(first, await road.documents(3), "one")
    await until(lambda: len(partner.received()) == 3)
    await first.kill()
    partner.script = Script()
    await road.replica("second")
    await road.all_gone()
    assert [(entry.times) for entry in partner.received()] == [2, 2, 2]
    facts = await road.history("letter 0")
    assert [type(fact) for fact in facts] == [DeliveryScheduled, DeliveryAttempted, DeliveryDeferred, DeliveryAttempted, DeliverySucceeded]
    assert isinstance(facts[3], DeliveryAttempted)
    assert facts[3].possible_repeat
    assert isinstance(facts[4], DeliverySucceeded)
    assert facts[4].repeat


async def test_a_replica_that_ends_in_good_order_hands_over_without_a_repeat(road: Road) -> None:
    partner = road.world.partner("one")
    partner.script = Script(then=Behaviour.SLOW, seconds=0.1)
    first = await road.replica("first")
    await road.plan(first, await road.documents(60), "one")
    await first.close()
    await road.replica("second")
    await road.all_gone()
    assert {entry.times for entry in partner.received()} == {1}
    assert len(partner.received()) == 60


async def test_a_person_pauses_an_endpoint_and_retries_a_delivery(road: Road) -> None:
    ground, partner, act = road.ground, road.world.partner("one"), Act(actor="x509:operator")
    replica = await road.replica("first")
    endpoints = EndpointDesk(ground.log, NAMES, lambda: None, replica.fleet.wake)
    deliveries = DeliveryDesk(ground.log, ground.queue, ground.clock, lambda: None, replica.fleet.wake)
    partner.script = Script(then=Behaviour.REFUSE)
    await road.plan(replica, await road.documents(1), "one")
    await road.all_gone()
    await endpoints.decide("one", Pause(endpoint="one", reason="moving"), act)
    partner.script = Script()
    one = DeliveryId(TENANT, document_id("letter 0"), 1)
    await deliveries.retry(one, "mended", act)
    await ground.clock.sleep(1.0)
    assert partner.received() == []
    await endpoints.decide("one", Resume(endpoint="one", reason="moved"), act)
    await road.all_gone()
    assert len(partner.received()) == 1
    stream = (PLATFORM, "endpoint/one")
    events = (await ground.log.read_streams([stream]))[stream]
    assert [event.tag for event in events] == [EndpointPaused.TAG, EndpointResumed.TAG]
    assert {event.actor for event in events} == {act.actor}
