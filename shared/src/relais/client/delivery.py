"""Deliveries and the endpoints they go to, and what operators do about them. What operators do is done once, never repeated by itself."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import grpc

from relais.api.delivery.v1 import delivery_admin_pb2 as wire
from relais.api.delivery.v1.delivery_admin_pb2_grpc import DeliveryAdminServiceStub
from relais.client.calls import Calls
from relais.client.pages import PAGE_SIZE, pages
from relais.client.words import moment, name_of, word

ENDPOINTS_MAXIMUM = 1_000


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One attempt. `unknown`: no answer came; `possible_repeat`: the partner may have had it before and cannot recognise that."""

    number: int
    began_at: datetime | None
    ended_at: datetime | None
    code: str
    unknown: bool
    possible_repeat: bool


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """One destination of one document: `state` is SCHEDULED, ATTEMPTING, DEFERRED, ACCEPTED, SUCCEEDED or ABANDONED.

    `attempts` are filled by `get` only.
    """

    name: str
    state: str
    kind: str
    connector: str
    endpoint: str
    attempt_count: int
    code: str
    abandon_reason: str
    due_at: datetime | None
    created_at: datetime | None
    updated_at: datetime | None
    attempts: tuple[Attempt, ...]


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """A partner's address: `state` is OPEN, PAUSED, DRAINING or BROKEN."""

    name: str
    connector: str
    state: str
    waiting_count: int
    oldest_waiting_at: datetime | None


class Deliveries:
    """The delivery service. A delivery is named by its whole resource name, or by `{document}/{ordinal}`."""

    def __init__(self, channel: grpc.aio.Channel, calls: Calls, parent: str) -> None:
        self._stub = DeliveryAdminServiceStub(channel)
        self._calls = calls
        self._parent = parent

    async def list(self, document: str | None = None, matching: str = "", *, limit: int = PAGE_SIZE) -> AsyncIterator[Delivery]:
        """The deliveries of the tenant, or of one document, newest first, without their attempts."""
        parent = self._parent if document is None else name_of(self._parent, "documents", document)

        async def fetch(size: int, token: str) -> tuple[Sequence[wire.Delivery], str]:
            request = wire.ListDeliveriesRequest(parent=parent, page_size=size, page_token=token, filter=matching)
            page = await self._calls.repeated(self._stub.ListDeliveries, request)
            return page.deliveries, page.next_page_token

        async for message in pages(fetch, limit):
            yield _delivery(message)

    async def get(self, delivery: str) -> Delivery:
        """One delivery with its attempts."""
        return _delivery(await self._calls.repeated(self._stub.GetDelivery, wire.GetDeliveryRequest(name=self._name(delivery))))

    async def retry(self, delivery: str, reason: str) -> Delivery:
        """Try again: a deferred one at once, an abandoned one anew."""
        request = wire.RetryDeliveryRequest(name=self._name(delivery), reason=reason)
        return _delivery(await self._calls.once(self._stub.RetryDelivery, request))

    async def abandon(self, delivery: str, reason: str) -> Delivery:
        """Give it up."""
        request = wire.AbandonDeliveryRequest(name=self._name(delivery), reason=reason)
        return _delivery(await self._calls.once(self._stub.AbandonDelivery, request))

    async def endpoints(self) -> tuple[Endpoint, ...]:
        """Every endpoint, with what waits for it; needs a credential of the platform, as all that follows."""

        async def fetch(size: int, token: str) -> tuple[Sequence[wire.Endpoint], str]:
            page = await self._calls.repeated(self._stub.ListEndpoints, wire.ListEndpointsRequest(page_size=size, page_token=token))
            return page.endpoints, page.next_page_token

        return tuple([_endpoint(message) async for message in pages(fetch, ENDPOINTS_MAXIMUM)])

    async def pause(self, endpoint: str, reason: str) -> Endpoint:
        """Stop calling it; calls under way finish."""
        return _endpoint(await self._calls.once(self._stub.PauseEndpoint, wire.PauseEndpointRequest(name=_at(endpoint), reason=reason)))

    async def resume(self, endpoint: str, reason: str) -> Endpoint:
        """Call it again."""
        return _endpoint(await self._calls.once(self._stub.ResumeEndpoint, wire.ResumeEndpointRequest(name=_at(endpoint), reason=reason)))

    async def drain(self, endpoint: str, reason: str) -> Endpoint:
        """Finish what was attempted already, begin nothing new."""
        return _endpoint(await self._calls.once(self._stub.DrainEndpoint, wire.DrainEndpointRequest(name=_at(endpoint), reason=reason)))

    def _name(self, delivery: str) -> str:
        if delivery.startswith("tenants/"):
            return delivery
        document, _, ordinal = delivery.partition("/")
        return f"{self._parent}/documents/{document}/deliveries/{ordinal}"


def _at(endpoint: str) -> str:
    return endpoint if endpoint.startswith("endpoints/") else f"endpoints/{endpoint}"


def _delivery(message: wire.Delivery) -> Delivery:
    return Delivery(
        name=message.name,
        state=word(wire.Delivery.State.DESCRIPTOR, message.state),
        kind=message.kind,
        connector=message.connector,
        endpoint=message.endpoint,
        attempt_count=message.attempt_count,
        code=message.code,
        abandon_reason=message.abandon_reason,
        due_at=moment(message.due_time),
        created_at=moment(message.create_time),
        updated_at=moment(message.update_time),
        attempts=tuple(
            Attempt(
                number=each.number,
                began_at=moment(each.begin_time),
                ended_at=moment(each.end_time),
                code=each.code,
                unknown=each.unknown,
                possible_repeat=each.possible_repeat,
            )
            for each in message.attempts
        ),
    )


def _endpoint(message: wire.Endpoint) -> Endpoint:
    return Endpoint(
        name=message.name,
        connector=message.connector,
        state=word(wire.Endpoint.State.DESCRIPTOR, message.state),
        waiting_count=message.waiting_count,
        oldest_waiting_at=moment(message.oldest_waiting_time),
    )
