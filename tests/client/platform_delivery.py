"""The delivery service and the event logs of the contract, each with a handful of things in memory."""

from collections.abc import AsyncIterator
from typing import Any

from google.rpc import code_pb2

from relais.api.audit.v1 import audit_pb2
from relais.api.audit.v1.audit_pb2_grpc import AuditServiceServicer
from relais.api.delivery.v1 import delivery_admin_pb2 as delivery
from relais.api.delivery.v1.delivery_admin_pb2_grpc import DeliveryAdminServiceServicer
from tests.client.platform_admin import HELD
from tests.client.platform_ingestion import at
from tests.client.platform_state import State, plan, refuse, status_of

EVENTS = 5


class Delivery(DeliveryAdminServiceServicer):
    """Keeps one delivery and one endpoint."""

    def __init__(self, state: State) -> None:
        self._state = state
        self.delivery = delivery.Delivery(
            name=f"{HELD}/deliveries/1",
            state=delivery.Delivery.STATE_DEFERRED,
            kind="mssante_professional",
            connector="https",
            endpoint="sandbox-one",
            attempt_count=2,
            code="503",
            due_time=at(60),
            create_time=at(2),
            update_time=at(9),
            attempts=[delivery.Attempt(number=1, begin_time=at(3), end_time=at(4), code="503")],
        )
        self.endpoint = delivery.Endpoint(
            name="endpoints/sandbox-one", connector="https", state=delivery.Endpoint.STATE_OPEN, waiting_count=1
        )

    async def ListDeliveries(self, request: delivery.ListDeliveriesRequest, context: Any) -> delivery.ListDeliveriesResponse:
        await plan(self._state, context, "ListDeliveries")
        return delivery.ListDeliveriesResponse(deliveries=[self.delivery] if self.delivery.name.startswith(request.parent + "/") else [])

    async def GetDelivery(self, request: delivery.GetDeliveryRequest, context: Any) -> delivery.Delivery:
        if request.name != self.delivery.name:
            await refuse(context, status_of(code_pb2.NOT_FOUND, "RESOURCE_NOT_FOUND"))
        return self.delivery

    async def RetryDelivery(self, request: delivery.RetryDeliveryRequest, context: Any) -> delivery.Delivery:
        await plan(self._state, context, "RetryDelivery")
        self.delivery.state = delivery.Delivery.STATE_SCHEDULED
        return self.delivery

    async def AbandonDelivery(self, request: delivery.AbandonDeliveryRequest, context: Any) -> delivery.Delivery:
        await plan(self._state, context, "AbandonDelivery")
        self.delivery.state = delivery.Delivery.STATE_ABANDONED
        self.delivery.abandon_reason = "ABANDONED_BY_OPERATOR"
        return self.delivery

    async def ListEndpoints(self, request: delivery.ListEndpointsRequest, context: Any) -> delivery.ListEndpointsResponse:
        return delivery.ListEndpointsResponse(endpoints=[self.endpoint])

    async def PauseEndpoint(self, request: delivery.PauseEndpointRequest, context: Any) -> delivery.Endpoint:
        return await self._become(delivery.Endpoint.STATE_PAUSED)

    async def ResumeEndpoint(self, request: delivery.ResumeEndpointRequest, context: Any) -> delivery.Endpoint:
        return await self._become(delivery.Endpoint.STATE_OPEN)

    async def DrainEndpoint(self, request: delivery.DrainEndpointRequest, context: Any) -> delivery.Endpoint:
        return await self._become(delivery.Endpoint.STATE_DRAINING)

    async def _become(self, state: Any) -> delivery.Endpoint:
        self.endpoint.state = state
        return self.endpoint


class Audit(AuditServiceServicer):
    """A log of EVENTS events, cut in the middle where a fault says so."""

    def __init__(self, state: State) -> None:
        self._state = state

    async def ReadEvents(self, request: audit_pb2.ReadEventsRequest, context: Any) -> AsyncIterator[audit_pb2.ReadEventsResponse]:
        fault = await plan(self._state, context, "ReadEvents")
        for count, position in enumerate(range(max(1, request.from_position), EVENTS + 1)):
            if fault is not None and count == fault.after_documents:
                await refuse(context, status_of(fault.code, fault.reason))
            if not request.tags or event(request.log, position).tag in request.tags:
                yield audit_pb2.ReadEventsResponse(event=event(request.log, position))
        yield audit_pb2.ReadEventsResponse(caught_up=audit_pb2.CaughtUp(position=EVENTS))

    async def GetStream(self, request: audit_pb2.GetStreamRequest, context: Any) -> audit_pb2.GetStreamResponse:
        await plan(self._state, context, "GetStream")
        return audit_pb2.GetStreamResponse(events=[event(request.log, 1)])


def event(log: str, position: int) -> audit_pb2.Event:
    tag = "ingestion.document_received.v1" if position % 2 else "access.denied.v1"
    return audit_pb2.Event(
        log=log,
        position=position,
        tenant="north",
        tenant_sequence=position,
        stream=f"stream-{position}",
        version=1,
        event_id=f"00000000-0000-8000-8000-00000000000{position}",
        tag=tag,
        partition=3,
        record_time=at(position),
        actor="sender:his",
        payload=b'{"submission":{"site":"site-a"}}',
        sealed_fields=["submission.sealed"],
    )
