"""What every service stands on: databases, keys, bus, leases, relays, access. Each `main.py` lays it and builds on top.

    foundation = await Foundation.lay(run, "routing")
    log = foundation.log("routing")
    ...
    await foundation.serve([offer, foundation.audit(...)])

Only what all services share is here; nothing in it decides anything.
"""

import asyncio
import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Self
from uuid import uuid4

from relais.chassis.access.directory import Directory
from relais.chassis.access.follower import follow_registry
from relais.chassis.access.operators import read_operators
from relais.chassis.access.recorder import AccessRecorder
from relais.chassis.api.access import Access
from relais.chassis.api.audit import AuditServicer
from relais.chassis.api.gate import Parts
from relais.chassis.api.methods import permission_words
from relais.chassis.api.pages import PageTokens
from relais.chassis.api.server import ApiServer, Offer
from relais.chassis.api.tls import certificate_expiry
from relais.chassis.api.tokens import TokenVerifier
from relais.chassis.api.translation import Translate, translate_shared
from relais.chassis.config import MigrationConfig
from relais.chassis.run import Run
from relais.chassis.sealed_fields import SubmissionOpener
from relais.eventlog.log import EventLog, EventLogError
from relais.eventlog.migrations import Migration, migrate_log
from relais.eventlog.postgres import Pool, PostgresEventLog, open_pool
from relais.transport.consumer import Consumer
from relais.transport.handling import BatchHandler, Parking
from relais.transport.leases import LeaseKeeper
from relais.transport.leases_postgres import PostgresLeaseStore
from relais.transport.nats import NatsBus
from relais.transport.nats_check import check_server
from relais.transport.nats_client import NatsAddress
from relais.transport.progress_postgres import PostgresProgress, migrate_transport
from relais.transport.relay import Relay
from relais.vault.keys import PostgresKeyRing
from relais.vault.migrations import migrate_keys, migrate_vault
from relais.vault.provider import MasterKeyFile
from relais.vault.vault import VaultUnavailable

CONNECTIONS_MAXIMUM = 10
KEY_CONNECTIONS_MAXIMUM = 3
SERVICE_ROLES = ("relais_ingestion", "relais_identity", "relais_routing", "relais_delivery")


@dataclass(slots=True)
class Foundation:
    """The laid parts. The first log of `logs` is the service's own; `ring` tells its relay that it grew.

    `registry_read` is set once the directory holds what the registry says: before that, what it does not know may exist.
    """

    run: Run
    pool: Pool
    keys: PostgresKeyRing
    bus: NatsBus
    progress: PostgresProgress
    directory: Directory
    recorder: AccessRecorder
    pages: PageTokens
    logs: dict[str, EventLog] = field(default_factory=dict)
    keepers: dict[str, LeaseKeeper] = field(default_factory=dict)
    relays: dict[str, Relay] = field(default_factory=dict)
    registry_read: asyncio.Event = field(default_factory=asyncio.Event)

    @classmethod
    async def lay(cls, run: Run, *logs: str) -> Self:
        """Open everything and start its tasks. `logs` are the service's logs, its own first."""
        config = run.config
        pool = await run.enter(await open_pool(config.postgres_dsn, connections_maximum=CONNECTIONS_MAXIMUM, application=config.replica))
        keys_pool = await run.enter(
            await open_pool(config.keys_dsn, connections_maximum=KEY_CONNECTIONS_MAXIMUM, application=config.replica)
        )
        bus = await NatsBus.connect(
            NatsAddress(config.nats.servers, config.replica, str(config.nats.seed_file) if config.nats.seed_file else None)
        )
        run.on_close(bus.close)
        await check_server(bus.client, config.nats.monitor_url)
        own = PostgresEventLog(pool, logs[0])
        foundation = cls(
            run=run,
            pool=pool,
            keys=PostgresKeyRing(keys_pool, MasterKeyFile.load(config.vault_master_key_file), run.clock),
            bus=bus,
            progress=PostgresProgress(pool),
            directory=Directory(read_operators(config.access.operators_file, permission_words())),
            recorder=AccessRecorder(own, run.clock),
            pages=PageTokens.from_master_key(config.vault_master_key_file),
            logs={name: PostgresEventLog(pool, name) for name in logs},
        )
        await foundation._start()
        return foundation

    def log(self, name: str) -> EventLog:
        """One of the service's logs."""
        return self.logs[name]

    def keeper(self, name: str) -> LeaseKeeper:
        """Who keeps the leases of one log's schema."""
        return self.keepers[name]

    def ring(self, name: str) -> None:
        """A batch of this log was committed: its relay should look now."""
        self.relays[name].ring()

    def consume(
        self, name: str, source: str, into: str, handler: BatchHandler, parking: Parking | None = None, *, log: EventLog | None = None
    ) -> None:
        """Read one log as consumer `name`, and commit what the handler makes of it to the log `into`; `log` is that log seen through a
        wrapper, for a service that must hear how its appends end.
        """
        consumer = Consumer(
            name,
            source,
            self.bus,
            log or self.logs[into],
            self.keepers[into],
            self.progress,
            handler,
            self.run.clock,
            parking=parking,
            passing=(VaultUnavailable,),
            committed=lambda: self.ring(into),
            hop=self.run.tracing.hop,
            meters=self.run.metrics,
        )
        self.run.spawn_drained(f"{name}-{source}", consumer.run(), consumer.drain)

    async def serve(self, offers: Sequence[Offer], translate: Translate = translate_shared) -> None:
        """Serve these and the audit service behind the gate, once everything they need runs."""
        config = self.run.config
        tokens = TokenVerifier.load(config.access.jwt_keys_file, lambda: self.run.clock.now().timestamp())
        parts = Parts(
            access=Access(self.directory, tokens),
            recorder=self.recorder,
            metrics=self.run.metrics,
            tracing=self.run.tracing,
            translate=translate,
        )
        audit = AuditServicer(next(iter(self.logs)), self.logs, self.recorder, SubmissionOpener(self.keys), self.pages, self.run.clock)
        server = ApiServer([*offers, audit.offer()], parts, config.tls, config.grpc_listen, config.token_listen)
        await server.start()
        self.run.on_drain("grpc", server.drain)
        self.run.metrics.gauge("relais_certificate_expiry_seconds").set(certificate_expiry(config.tls).timestamp())

    async def _start(self) -> None:
        run = self.run
        for name, log in self.logs.items():
            keeper = LeaseKeeper(PostgresLeaseStore(self.pool, name), _holder(run.config.replica), run.clock, meters=run.metrics)
            relay = Relay(log, self.bus, keeper, self.progress, run.clock, meters=run.metrics)
            self.keepers[name], self.relays[name] = keeper, relay
            run.on_close(keeper.close)
            run.spawn(f"leases-{name}", keeper.run())
            run.spawn(f"relay-{name}", relay.run())
        follower = follow_registry(f"registry/{run.config.replica}", self.bus, self.progress, self.directory, run.clock)
        self.registry_read = follower.caught_up
        run.spawn("registry", follower.run())
        run.spawn("access-recorder", self.recorder.run())
        run.health.add("database", self._database_answers)
        run.health.add("bus", self._bus_answers)

        async def registry_read() -> bool:
            return follower.caught_up.is_set()

        run.health.add("registry", registry_read)

    async def _database_answers(self) -> bool:
        try:
            await next(iter(self.logs.values())).head()
        except EventLogError:
            return False
        return True

    async def _bus_answers(self) -> bool:
        return self.bus.client.is_connected


async def migrate_foundation(config: MigrationConfig, logs: Sequence[str], extra: Sequence[Migration] = ()) -> None:
    """Bring up what this service needs of the shared schemas, then its own logs. `extra` belongs to the first log.

    Services may migrate in any order and at once: each shared schema is made by whoever comes first.
    """
    await migrate_vault(config.owner_dsn)
    await migrate_keys(config.keys_owner_dsn)
    await migrate_transport(config.owner_dsn, SERVICE_ROLES)
    for number, log in enumerate(logs):
        await migrate_log(config.owner_dsn, log, f"relais_{config.service}", extra if number == 0 else ())


def _holder(replica: str) -> str:
    # No other process, ever, may take this one's leases for its own.
    return f"{socket.gethostname()}/{replica}/{os.getpid()}/{uuid4().hex[:12]}"
