"""A source log, its relay and a reading service on a real Postgres and a real nats-server, each part with its own role's rights."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

from relais.clock import SystemClock
from relais.eventlog.log import APPENDS_MAXIMUM
from relais.eventlog.migrations import migrate_log
from relais.eventlog.postgres import Pool, PostgresEventLog, open_pool
from relais.eventlog.record import Append
from relais.testing.nats import TestNats
from relais.testing.postgres import SERVICE_ROLES, TestPostgres
from relais.transport.consumer import Consumer
from relais.transport.leases import LeaseKeeper
from relais.transport.leases_postgres import PostgresLeaseStore
from relais.transport.nats import NatsBus
from relais.transport.nats_client import NatsAddress
from relais.transport.progress_postgres import PostgresProgress, migrate_transport
from relais.transport.relay import Relay
from relais.vault.migrations import migrate_vault
from tests.shared.consuming import EFFECT, NAME, OWN, SOURCE, Copier
from tests.shared.simulation import event

LEASE_SECONDS = 2.0
RENEW_SECONDS = 0.3
PATIENCE_SECONDS = 30
POLL_SECONDS = 0.02


async def prepare(owner_dsn: str) -> None:
    """The schemas of both logs and of the transport."""
    await migrate_vault(owner_dsn)
    await migrate_log(owner_dsn, SOURCE, "relais_identity")
    await migrate_log(owner_dsn, OWN, "relais_routing")
    await migrate_transport(owner_dsn, SERVICE_ROLES)


@dataclass
class Process:
    """One replica: its own connections, its own leases; `kill` ends it without a word to anybody."""

    bus: NatsBus
    keeping: asyncio.Task[None]
    working: asyncio.Task[None]
    copier: Copier

    async def forget_leases(self) -> None:
        """Renew nothing any more, as a process that sleeps."""
        await _end(self.keeping)

    async def kill(self) -> None:
        await _end(self.working)
        await _end(self.keeping)


@dataclass
class Road:
    """The road of one test."""

    nats: TestNats
    source_pool: Pool
    own_pool: Pool
    source: PostgresEventLog
    own: PostgresEventLog
    stack: AsyncExitStack
    clock: SystemClock = field(default_factory=SystemClock)
    appended: int = 0

    async def append(self, count: int, documents: int = 40) -> None:
        """So many more facts."""
        numbers = range(self.appended + 1, self.appended + count + 1)
        facts = [event(n, document=f"document-{n % documents}", partition=n % documents % 32) for n in numbers]
        for at in range(0, count, APPENDS_MAXIMUM):
            await self.source.append([Append((one,)) for one in facts[at : at + APPENDS_MAXIMUM]])
        self.appended += count

    async def relaying(self) -> Process:
        """A replica of the source's service."""
        bus, keeper = await self._connected(self.source_pool, SOURCE)
        relay = Relay(self.source, bus, keeper, PostgresProgress(self.source_pool), self.clock)
        return self._started(bus, keeper, relay.run(), Copier(self.source))

    async def reading(self) -> Process:
        """A replica of the service that reads."""
        bus, keeper = await self._connected(self.own_pool, OWN)
        copier = Copier(self.own)
        consumer = Consumer(NAME, SOURCE, bus, self.own, keeper, PostgresProgress(self.own_pool), copier, self.clock)
        return self._started(bus, keeper, consumer.run(), copier)

    async def effects(self) -> list[int]:
        """The source positions of which effects were made, in the order of the service's log."""
        rows = await self.own_pool.fetch(
            "SELECT convert_from(payload, 'UTF8')::int FROM routing.event WHERE tag = $1 ORDER BY position", EFFECT
        )
        return [row[0] for row in rows]

    async def arrived(self) -> None:
        """Return when every fact has had its effect, and check that it had one only, in the order of its document."""
        await until(self._all_arrived)
        effects = await self.effects()
        assert sorted(effects) == list(range(1, self.appended + 1))
        rows = await self.own_pool.fetch(
            "SELECT array_agg(convert_from(payload, 'UTF8')::int ORDER BY version) FROM routing.event WHERE tag = $1 GROUP BY stream",
            EFFECT,
        )
        assert all(list(row[0]) == sorted(row[0]) for row in rows)

    async def _all_arrived(self) -> bool:
        query = "SELECT count(DISTINCT payload) FROM routing.event WHERE tag = $1"
        return bool(await self.own_pool.fetchval(query, EFFECT) == self.appended)

    async def _connected(self, pool: Pool, schema: str) -> tuple[NatsBus, LeaseKeeper]:
        bus = await NatsBus.connect(NatsAddress((self.nats.url,), "test"))
        self.stack.push_async_callback(bus.close)
        store = PostgresLeaseStore(pool, schema)
        holder = f"test-{secrets.token_hex(4)}"
        return bus, LeaseKeeper(store, holder, self.clock, lease_seconds=LEASE_SECONDS, renew_seconds=RENEW_SECONDS)

    def _started(self, bus: NatsBus, keeper: LeaseKeeper, work: Coroutine[None, None, None], copier: Copier) -> Process:
        process = Process(bus, asyncio.create_task(keeper.run()), asyncio.create_task(work), copier)
        self.stack.push_async_callback(process.kill)
        return process


@asynccontextmanager
async def road(postgres: TestPostgres, nats: TestNats) -> AsyncIterator[Road]:
    """A fresh database and the given server."""
    async with AsyncExitStack() as stack:
        name = await stack.enter_async_context(postgres.database(await postgres.template("road", prepare)))
        source_pool = await open_pool(postgres.dsn(name, "relais_identity"), connections_maximum=6, application="source")
        stack.push_async_callback(source_pool.close)
        own_pool = await open_pool(postgres.dsn(name, "relais_routing"), connections_maximum=8, application="own")
        stack.push_async_callback(own_pool.close)
        yield Road(nats, source_pool, own_pool, PostgresEventLog(source_pool, SOURCE), PostgresEventLog(own_pool, OWN), stack)


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Ask a real server again and again, because it does not tell by itself."""
    clock = SystemClock()
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not await condition():
            await clock.sleep(POLL_SECONDS)


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait({task})
    if not task.cancelled():
        task.result()
