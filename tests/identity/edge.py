"""A real server behind the real gate for the tests of a service's own edge, with callers who may and callers who may not."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc.aio
from google.rpc import error_details_pb2, status_pb2

from relais.chassis.access.directory import Directory
from relais.chassis.access.principal import EVERY_PERMISSION, EVERY_TENANT, Principal
from relais.chassis.access.recorder import AccessRecorder
from relais.chassis.api.access import Access
from relais.chassis.api.errors import DETAILS_TRAILER
from relais.chassis.api.gate import Parts
from relais.chassis.api.methods import permission_words
from relais.chassis.api.pages import PageTokens
from relais.chassis.api.server import ApiServer, Offer
from relais.chassis.api.tokens import TokenVerifier
from relais.chassis.api.translation import Translate
from relais.chassis.config import Address
from relais.chassis.metrics import Metrics
from relais.chassis.tracing import Tracing
from relais.clock import SystemClock
from relais.contracts.registry import CredentialRegistered, SenderRegistered, SiteRegistered, TenantRegistered
from relais.eventlog.log import EventLog
from relais.testing.certificates import Identity, TestAuthority

SECONDS = 10.0
TENANT = "tenants/chu"


@dataclass(frozen=True, slots=True)
class Ground:
    """What a service's offers are built on."""

    directory: Directory
    recorder: AccessRecorder
    pages: PageTokens


@dataclass
class Edge:
    """A running server and its callers: the platform's operator, a tenant's own, one of a single site, one of another tenant."""

    authority: TestAuthority
    directory: Directory
    server: ApiServer
    callers: dict[str, Identity]
    _channels: AsyncExitStack = field(default_factory=AsyncExitStack)

    async def channel(self, caller: str) -> grpc.aio.Channel:
        """A channel that is closed with the edge."""
        return await self._channels.enter_async_context(self.authority.channel(self.server.port, self.callers[caller]))


@asynccontextmanager
async def running(folder: Path, log: EventLog, translate: Translate, build: Callable[[Ground], Sequence[Offer]]) -> AsyncIterator[Edge]:
    """Serve what `build` makes on this ground."""
    authority = TestAuthority()
    callers = {name: authority.client(name) for name in ("platform", "admin", "south", "foreign")}
    everything = tuple(sorted(permission_words()))
    operator = Principal(
        credential=callers["platform"].credential, tenant=EVERY_TENANT, sender="", sites=None, permissions=frozenset({EVERY_PERMISSION})
    )
    directory = Directory({operator.credential: operator})
    for tenant in ("chu", "clinic"):
        directory.evolve(TenantRegistered(tenant=tenant))
    directory.evolve(SiteRegistered(tenant="chu", site="site-a", group="nord"))
    directory.evolve(SenderRegistered(tenant="chu", sender="south", sites=("south",)))
    for name, tenant, sender in (("admin", "chu", ""), ("south", "chu", "south"), ("foreign", "clinic", "")):
        credential = callers[name].credential
        directory.evolve(CredentialRegistered(tenant=tenant, credential=credential, permissions=everything, sender=sender))
    (folder / "tokens.json").write_text('{"keys": []}')
    clock, metrics, tracing = SystemClock(), Metrics(), Tracing("test", "test-1", 0.0, None)
    recorder = AccessRecorder(log, clock)
    tokens = TokenVerifier.load(folder / "tokens.json", lambda: clock.now().timestamp())
    parts = Parts(access=Access(directory, tokens), recorder=recorder, metrics=metrics, tracing=tracing, translate=translate)
    offers = build(Ground(directory, recorder, PageTokens(b"a test's secret")))
    server = ApiServer(offers, parts, authority.server(folder), Address("127.0.0.1", 0))
    await server.start()
    writing = asyncio.create_task(recorder.run())
    edge = Edge(authority, directory, server, callers)
    try:
        yield edge
    finally:
        await edge._channels.aclose()
        await server.drain(0, 0)
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)
        tracing.close()


def told(error: grpc.aio.AioRpcError) -> tuple[str, list[str]]:
    """The reason of an error and the fields it names."""
    trailers: Any = error.trailing_metadata()
    status = status_pb2.Status.FromString(dict(trailers)[DETAILS_TRAILER])
    reason, fields = "", list[str]()
    for detail in status.details:
        info, bad = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
        if detail.Unpack(info):
            reason = info.reason
        if detail.Unpack(bad):
            fields = [violation.field for violation in bad.field_violations]
    return reason, fields


async def refusal(call: Any) -> tuple[str, list[str]]:
    """The refusal that a call must end in."""
    try:
        await call
    except grpc.aio.AioRpcError as error:
        return told(error)
    raise AssertionError("the call was answered")
