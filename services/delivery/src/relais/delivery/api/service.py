"""DeliveryAdminService on gRPC. The chassis has already judged the caller, the permission and the tenant of each request."""

from collections.abc import Callable, Mapping

from relais.api.access.v1.error_reason_pb2 import ErrorReason
from relais.api.delivery.v1 import delivery_admin_pb2, delivery_admin_pb2_grpc
from relais.chassis.access.principal import caller
from relais.chassis.access.recorder import AccessRecorder
from relais.chassis.api.access import not_found, require_reason, require_site
from relais.chassis.api.errors import FieldsInvalid, FieldViolation
from relais.chassis.api.names import parse_name
from relais.chassis.api.pages import PageTokens, page_size
from relais.chassis.api.server import Offer
from relais.chassis.tracing import current_traceparent
from relais.delivery.api.listing import Cursor, Lists, narrowing
from relais.delivery.api.views import endpoint_message, told_message
from relais.delivery.desk import Act, DeliveryDesk, EndpointDesk, Told
from relais.delivery.domain.endpoint import Drain, EndpointCommand, Pause, Resume
from relais.delivery.ports import DeliveryId

REASON_CHARACTERS_MAXIMUM = 500
DELIVERY_PATTERN = "tenants/{tenant}/documents/{document}/deliveries/{ordinal}"
_ORDINAL_DIGITS_MAXIMUM = 9


class DeliveryAdmin(delivery_admin_pb2_grpc.DeliveryAdminServiceServicer):
    """`connectors` names the configured endpoints' connectors; `broken` the endpoints that this replica leaves alone at the moment."""

    def __init__(
        self,
        deliveries: DeliveryDesk,
        endpoints: EndpointDesk,
        connectors: Mapping[str, str],
        broken: Callable[[], set[str]],
        recorder: AccessRecorder,
        pages: PageTokens,
    ) -> None:
        self._deliveries = deliveries
        self._endpoints = endpoints
        self._connectors = dict(sorted(connectors.items()))
        self._broken = broken
        self._recorder = recorder
        self._pages = pages
        self._lists = Lists(deliveries)

    def offer(self) -> Offer:
        """The service as the server takes it."""
        descriptor = delivery_admin_pb2.DESCRIPTOR.services_by_name["DeliveryAdminService"]
        return Offer(descriptor, self, delivery_admin_pb2_grpc.add_DeliveryAdminServiceServicer_to_server)

    async def ListDeliveries(
        self, request: delivery_admin_pb2.ListDeliveriesRequest, context: object
    ) -> delivery_admin_pb2.ListDeliveriesResponse:
        """A page of deliveries, newest first."""
        size, wanted = page_size(request.page_size), narrowing(request.filter)
        arguments = ("ListDeliveries", request.parent, request.filter)
        after = self._pages.read(request.page_token, arguments, Cursor)
        tenant, document = _tenant_and_document(request.parent)
        sites = caller().sites
        if document:
            found, more = await self._lists.of_document(tenant, document, wanted, sites, after, size)
        else:
            found, more = await self._lists.of_tenant(tenant, wanted, sites, after, size)
        documents = sorted({message.name.split("/")[3] for message in found})
        await self._recorder.read(caller(), "ListDeliveries", tenant=tenant, documents=documents)
        token = self._pages.make(arguments, more) if more is not None else ""
        return delivery_admin_pb2.ListDeliveriesResponse(deliveries=found, next_page_token=token)

    async def GetDelivery(self, request: delivery_admin_pb2.GetDeliveryRequest, context: object) -> delivery_admin_pb2.Delivery:
        """One delivery with its attempts."""
        told = await self._told(request.name)
        one = told.parcel.id
        await self._recorder.read(caller(), "GetDelivery", tenant=one.tenant, documents=[one.document])
        return told_message(told, attempts=True)

    async def RetryDelivery(self, request: delivery_admin_pb2.RetryDeliveryRequest, context: object) -> delivery_admin_pb2.Delivery:
        """Another attempt."""
        reason = _short(request.reason)
        told = await self._told(request.name)
        return told_message(await self._deliveries.retry(told.parcel.id, reason, _act()), attempts=True)

    async def AbandonDelivery(self, request: delivery_admin_pb2.AbandonDeliveryRequest, context: object) -> delivery_admin_pb2.Delivery:
        """No further attempt."""
        reason = require_reason(_short(request.reason))
        told = await self._told(request.name)
        return told_message(await self._deliveries.abandon(told.parcel.id, reason, _act()), attempts=True)

    async def ListEndpoints(
        self, request: delivery_admin_pb2.ListEndpointsRequest, context: object
    ) -> delivery_admin_pb2.ListEndpointsResponse:
        """A page of endpoints, by name."""
        size = page_size(request.page_size)
        after = self._pages.read(request.page_token, ("ListEndpoints",), str) or ""
        names = [name for name in self._connectors if name > after]
        page = names[:size]
        token = self._pages.make(("ListEndpoints",), page[-1]) if len(names) > size else ""
        return delivery_admin_pb2.ListEndpointsResponse(endpoints=await self._messages(page), next_page_token=token)

    async def PauseEndpoint(self, request: delivery_admin_pb2.PauseEndpointRequest, context: object) -> delivery_admin_pb2.Endpoint:
        """Begin no call."""
        (name,) = parse_name(request.name, "endpoints/{endpoint}")
        return await self._switch(name, Pause(endpoint=name, reason=_short(request.reason)))

    async def ResumeEndpoint(self, request: delivery_admin_pb2.ResumeEndpointRequest, context: object) -> delivery_admin_pb2.Endpoint:
        """Call again."""
        (name,) = parse_name(request.name, "endpoints/{endpoint}")
        return await self._switch(name, Resume(endpoint=name, reason=_short(request.reason)))

    async def DrainEndpoint(self, request: delivery_admin_pb2.DrainEndpointRequest, context: object) -> delivery_admin_pb2.Endpoint:
        """Finish what was attempted, begin nothing new."""
        (name,) = parse_name(request.name, "endpoints/{endpoint}")
        return await self._switch(name, Drain(endpoint=name, reason=_short(request.reason)))

    async def _switch(self, name: str, command: EndpointCommand) -> delivery_admin_pb2.Endpoint:
        await self._endpoints.decide(name, command, _act())
        return (await self._messages([name]))[0]

    async def _messages(self, names: list[str]) -> list[delivery_admin_pb2.Endpoint]:
        broken = self._broken()
        backlogs = await self._deliveries.queue.backlogs(names)
        return [endpoint_message(one, self._connectors[one.endpoint], broken=one.endpoint in broken) for one in backlogs]

    async def _told(self, name: str) -> Told:
        tenant, document, ordinal = parse_name(name, DELIVERY_PATTERN)
        if not ordinal.isascii() or not ordinal.isdecimal() or len(ordinal) > _ORDINAL_DIGITS_MAXIMUM:
            raise FieldsInvalid([FieldViolation("name", ErrorReason.ERROR_REASON_RESOURCE_NAME_INVALID)])
        told = await self._deliveries.tell([DeliveryId(tenant, document, int(ordinal))])
        if not told:
            raise not_found()
        require_site(told[0].parcel.scheduled.submission.site)
        return told[0]


def _tenant_and_document(parent: str) -> tuple[str, str]:
    if parent.count("/") > 1:
        tenant, document = parse_name(parent, "tenants/{tenant}/documents/{document}", "parent")
        return tenant, document
    (tenant,) = parse_name(parent, "tenants/{tenant}", "parent")
    return tenant, ""


def _short(reason: str) -> str:
    if len(reason) > REASON_CHARACTERS_MAXIMUM:
        raise FieldsInvalid([FieldViolation("reason", ErrorReason.ERROR_REASON_FIELD_TOO_LONG)])
    return reason.strip()


def _act() -> Act:
    return Act(actor=caller().credential, traceparent=current_traceparent())
