"""The dispatchers of one replica: one for each endpoint whose lease it holds, begun when the lease comes and ended before it goes."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

import structlog

from relais.delivery.dispatcher.endpoint import EndpointDispatcher
from relais.delivery.dispatcher.settings import EndpointSettings
from relais.delivery.dispatcher.tools import Tools
from relais.delivery.ports import Connector
from relais.transport.leases import Lease, Share

ENDPOINTS_GROUP = "endpoints"
LOOK_SECONDS = 0.5

_log = structlog.get_logger("relais.delivery")


def endpoint_resource(endpoint: str) -> str:
    """The lease that whoever calls this endpoint holds."""
    return f"endpoint/{endpoint}"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An endpoint as configured: its limits and what speaks to it."""

    settings: EndpointSettings
    connector: Connector


@dataclass(slots=True)
class _Running:
    """A dispatcher at work under one lease; `ending` is its orderly end, once begun."""

    dispatcher: EndpointDispatcher
    lease: Lease
    task: asyncio.Task[None]
    ending: asyncio.Task[None] | None = None


class Fleet:
    """Follows the leases. A lease that another replica needs more is given back after the calls under way are recorded."""

    def __init__(self, endpoints: Mapping[str, Endpoint], share: Share, tools: Tools) -> None:
        self._endpoints = {endpoint_resource(name): endpoint for name, endpoint in endpoints.items()}
        self._share = share
        self._tools = tools
        self._running: dict[str, _Running] = {}
        self._closing = False

    def dispatcher_of(self, endpoint: str) -> EndpointDispatcher | None:
        """The dispatcher of this endpoint, if this replica owns it now."""
        running = self._running.get(endpoint_resource(endpoint))
        return running.dispatcher if running is not None and running.ending is None else None

    def knows(self, endpoint: str) -> bool:
        """Whether such an endpoint is configured."""
        return endpoint_resource(endpoint) in self._endpoints

    def wake(self, endpoint: str) -> None:
        """Something changed for this endpoint: its dispatcher, if it is here, looks now."""
        dispatcher = self.dispatcher_of(endpoint)
        if dispatcher is not None:
            dispatcher.wake()

    def broken(self) -> set[str]:
        """Endpoints of this replica whose breaker is open."""
        return {running.dispatcher.endpoint for running in self._running.values() if running.dispatcher.broken}

    async def run(self) -> None:
        """Follow the leases until cancelled; call `close` first for an orderly end. A dispatcher that breaks ends this, loudly."""
        async with asyncio.TaskGroup() as group:
            while True:
                self._follow(group)
                await self._share.changed.wait(self._tools.clock, LOOK_SECONDS)

    async def close(self) -> None:
        """End every dispatcher in good order; the leases are given back with the keeper."""
        self._closing = True
        await asyncio.gather(*(running.dispatcher.drain() for running in self._running.values()))
        await self._tools.recorder.flushed()

    def _follow(self, group: asyncio.TaskGroup) -> None:
        held = {} if self._closing else self._share.held()
        for resource, running in list(self._running.items()):
            if running.ending is not None and running.ending.done():
                del self._running[resource]
            elif running.ending is None and held.get(resource) is not running.lease:
                running.ending = group.create_task(self._end(running))
        for resource, lease in held.items():
            if resource not in self._running and resource in self._endpoints:
                self._begin(group, resource, lease)

    def _begin(self, group: asyncio.TaskGroup, resource: str, lease: Lease) -> None:
        endpoint = self._endpoints[resource]
        dispatcher = EndpointDispatcher(endpoint.settings, endpoint.connector, lease, self._tools)
        self._running[resource] = _Running(dispatcher, lease, group.create_task(dispatcher.run()))

    async def _end(self, running: _Running) -> None:
        lost = not running.lease.valid
        if lost:
            _log.warning("lease_lost", endpoint=running.dispatcher.endpoint)
        await running.dispatcher.drain()
        running.task.cancel()
        if not lost and not self._closing:
            await self._share.give_back([running.lease])
