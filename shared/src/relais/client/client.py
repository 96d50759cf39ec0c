"""The client of a Relais platform: one object, one channel per service, opened when it is first needed."""

from types import TracebackType
from typing import Self

import grpc

from relais.client.audit import SERVICE_OF_LOG, Audit
from relais.client.calls import CallPolicy, Calls
from relais.client.delivery import Deliveries
from relais.client.documents import Documents
from relais.client.errors import SettingsError
from relais.client.held import HeldByIdentity, HeldByRouting
from relais.client.registry import Registry
from relais.client.routing import Routing
from relais.client.settings import ClientSettings, open_channel


class RelaisClient:
    """`async with RelaisClient(settings) as relais: receipt = await relais.documents.submit(submission, body)`.

    Every call has a deadline; reads and whatever a request_id makes the same are repeated while the platform is away
    (`CallPolicy`). Errors are those of `relais.client.errors`.
    """

    def __init__(self, settings: ClientSettings, policy: CallPolicy | None = None) -> None:
        self._settings = settings
        self._calls = Calls(policy or CallPolicy(), settings.language)
        self._parent = f"tenants/{settings.tenant}"
        self._channels: dict[str, grpc.aio.Channel] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.close()

    async def close(self) -> None:
        """End every call and connection."""
        for channel in self._channels.values():
            await channel.close(None)
        self._channels.clear()

    @property
    def documents(self) -> Documents:
        """Submit and follow."""
        return Documents(self._channel("ingestion"), self._calls, self._parent)

    @property
    def registry(self) -> Registry:
        """Tenants, groups, sites, senders, credentials."""
        return Registry(self._channel("identity"), self._calls, self._parent)

    @property
    def held_by_identity(self) -> HeldByIdentity:
        """Documents whose identity is doubtful."""
        return HeldByIdentity(self._channel("identity"), self._calls, self._parent)

    @property
    def held_by_routing(self) -> HeldByRouting:
        """Documents that the law cannot route without a person."""
        return HeldByRouting(self._channel("routing"), self._calls, self._parent)

    @property
    def routing(self) -> Routing:
        """Policies and explanations."""
        return Routing(self._channel("routing"), self._calls, self._parent)

    @property
    def deliveries(self) -> Deliveries:
        """Deliveries and endpoints."""
        return Deliveries(self._channel("delivery"), self._calls, self._parent)

    def audit(self, log: str) -> Audit:
        """One event log: `ingestion`, `identity`, `registry`, `routing` or `delivery`."""
        if log not in SERVICE_OF_LOG:
            raise SettingsError(f"there is no log {log!r}; the logs are {', '.join(SERVICE_OF_LOG)}")
        return Audit(self._channel(SERVICE_OF_LOG[log]), self._calls, self._parent, log)

    def _channel(self, service: str) -> grpc.aio.Channel:
        if service not in self._channels:
            self._channels[service] = open_channel(self._settings, service)
        return self._channels[service]
