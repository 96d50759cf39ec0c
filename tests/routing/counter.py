"""Routing behind the real gate: the handler's world, whose log keeps the list of what waits, and a server with the desks on top."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from relais.api.routing.v1 import routing_admin_pb2_grpc
from relais.clock import SystemClock
from relais.contracts import decode
from relais.routing.adapters.held import MemoryHeld
from relais.routing.api.refusals import translate
from relais.routing.api.service import RoutingAdminService
from relais.routing.held_desk import HeldDesk
from relais.routing.policy_desk import PolicyDesk
from relais.testing.clock import ManualClock
from tests.identity.edge import TENANT, Edge, Ground, running
from tests.routing.given import LAW
from tests.routing.test_handlers import CountingLog, KnownSites, World

DOCUMENT = f"{TENANT}/documents/d1"


class Counter(World):
    """The world of the handler, and stubs of the service on top of it."""

    def __init__(self) -> None:
        self.held = MemoryHeld()
        super().__init__(log=CountingLog("routing", ManualClock(), apply_work=self.held.apply))
        self.rung = 0
        self.edge: Edge | None = None

    def ring(self) -> None:
        self.rung += 1

    async def stub(self, caller: str = "admin") -> Any:
        assert self.edge is not None
        return routing_admin_pb2_grpc.RoutingAdminServiceStub(await self.edge.channel(caller))

    async def facts(self, *kinds: Any) -> list[Any]:
        return [fact for event in await self.log.read(0) if isinstance(fact := decode(event.tag, event.payload), kinds)]


@asynccontextmanager
async def open_counter(folder: Path) -> AsyncIterator[Counter]:
    """Serve routing's edge over logs and keys in memory."""
    made, clock = Counter(), SystemClock()
    policies = PolicyDesk(made.log, KnownSites(), made.ring)
    desk = HeldDesk(made.log, made.keys, KnownSites(), LAW, clock, made.ring)

    def build(ground: Ground) -> list[Any]:
        return [RoutingAdminService(policies, desk, made.held, LAW, ground.recorder, ground.pages, clock).offer()]

    async with running(folder, made.log, translate, build) as edge:
        made.edge = edge
        yield made
