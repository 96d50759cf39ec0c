"""Attacks the administration of deliveries through the real gate: what is shown, what can be asked, and who may."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from relais.api.delivery.v1 import delivery_admin_pb2 as pb
from relais.api.delivery.v1 import delivery_admin_pb2_grpc
from relais.contracts import decode
from relais.contracts.access import DocumentRead
from relais.delivery.api.refusals import translate
from relais.delivery.api.service import DeliveryAdmin
from relais.delivery.desk import DeliveryDesk, EndpointDesk
from relais.testing.connector_suite import Conduct
from tests.delivery.given import destination, document_id
from tests.delivery.replica import Replica
from tests.delivery.world import World, settings
from tests.identity.edge import SECONDS, Edge, refusal, running

TENANT = "tenants/chu"


@dataclass
class Office:
    """A world with one replica, and the service on top of its log."""

    world: World
    replica: Replica
    edge: Edge
    rung: list[str]

    async def stub(self, caller: str = "admin") -> Any:
        return delivery_admin_pb2_grpc.DeliveryAdminServiceStub(await self.edge.channel(caller))

    async def deliver(self, *names: str, ordinal: int = 1) -> None:
        for name in names:
            await self.replica.hear(self.world.planned(await self.world.document(name), destination(ordinal)))
            await self.world.run(0.25)

    async def listed(self, filter_: str = "", parent: str = TENANT, size: int = 0, caller: str = "admin") -> list[tuple[str, int]]:
        """Name and state of all pages."""
        stub, token, found = await self.stub(caller), "", list[tuple[str, int]]()
        while True:
            request = pb.ListDeliveriesRequest(parent=parent, filter=filter_, page_size=size, page_token=token)
            page = await stub.ListDeliveries(request, timeout=SECONDS)
            assert len(page.deliveries) <= (size or 50)
            found += [(one.name, one.state) for one in page.deliveries]
            token = page.next_page_token
            if not token:
                return found


def name_of(document: str, ordinal: int = 1) -> str:
    return f"{TENANT}/documents/{document_id(document)}/deliveries/{ordinal}"


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    world = World(settings("lab"), settings("radio"))
    replica = await world.replica()
    rung: list[str] = []
    deliveries = DeliveryDesk(world.log, world.queue, world.clock, lambda: rung.append("bell"), replica.fleet.wake)
    endpoints = EndpointDesk(world.log, ["lab", "radio"], lambda: rung.append("bell"), replica.fleet.wake)
    connectors = {"radio": "https", "lab": "https"}

    def build(ground: Any) -> list[Any]:
        return [DeliveryAdmin(deliveries, endpoints, connectors, replica.fleet.broken, ground.recorder, ground.pages).offer()]

    async with running(tmp_path, world.log, translate, build) as edge:
        yield Office(world, replica, edge, rung)
    await world.close()


async def test_a_delivery_is_shown_with_every_attempt_and_the_read_is_a_fact(office: Office) -> None:
    office.world.partner.behave(Conduct.IS_AWAY, Conduct.TAKES_AND_HANGS_UP, Conduct.TAKES)
    await office.deliver("letter")
    await office.world.run(10)
    one = await (await office.stub()).GetDelivery(pb.GetDeliveryRequest(name=name_of("letter")), timeout=SECONDS)
    assert (one.name, one.state, one.endpoint, one.connector, one.kind) == (
        name_of("letter"), pb.Delivery.STATE_SUCCEEDED, "lab", "https", "software",
    )  # fmt: skip
    assert (one.attempt_count, one.code, one.abandon_reason) == (3, "200", "")
    told = [(attempt.number, attempt.code, attempt.unknown, attempt.possible_repeat) for attempt in one.attempts]
    assert told == [(1, "IS_AWAY", False, False), (2, "CONNECTION_LOST", True, False), (3, "200", False, True)]
    assert all(attempt.HasField("end_time") for attempt in one.attempts)
    assert not one.HasField("due_time")
    event = (await office.world.events())[-1]
    fact = decode(event.tag, event.payload)
    assert isinstance(fact, DocumentRead)
    assert fact.documents == (document_id("letter"),)


async def test_a_list_shows_the_newest_first_and_narrows_to_what_is_asked(office: Office) -> None:
    await office.deliver("first", "second")
    office.world.partner.behave(Conduct.IS_AWAY)
    await office.deliver("third")
    office.world.partner.behave(Conduct.REFUSES)
    await office.deliver("fourth")
    state = pb.Delivery
    expected = [
        (name_of("fourth"), state.STATE_ABANDONED),
        (name_of("third"), state.STATE_DEFERRED),
        (name_of("second"), state.STATE_SUCCEEDED),
        (name_of("first"), state.STATE_SUCCEEDED),
    ]
    assert await office.listed() == expected
    assert await office.listed(size=1) == expected
    assert await office.listed("state = SUCCEEDED", size=1) == expected[2:]
    assert await office.listed("state = DEFERRED") == expected[1:2]
    assert await office.listed("state = ABANDONED AND endpoint = lab") == expected[:1]
    assert await office.listed("endpoint = radio") == []
    assert await office.listed("kind = dmp") == []
    assert await office.listed("state = SCHEDULED") == []


async def test_the_deliveries_of_one_document_are_listed_whatever_became_of_them(office: Office) -> None:
    document = await office.world.document()
    await office.replica.hear(office.world.planned(document, *(destination(ordinal) for ordinal in range(1, 6))))
    await office.world.run(2)
    parent = f"{TENANT}/documents/{document.document}"
    expected = [(name_of("letter", ordinal), pb.Delivery.STATE_SUCCEEDED) for ordinal in (5, 4, 3, 2, 1)]
    assert await office.listed(parent=parent) == expected
    assert await office.listed(parent=parent, size=2) == expected
    assert await office.listed("state = ABANDONED", parent=parent) == []


async def test_a_person_retries_what_was_refused_and_gives_up_what_waits(office: Office) -> None:
    stub = await office.stub()
    office.world.partner.behave(Conduct.REFUSES, Conduct.IS_AWAY)
    await office.deliver("letter")
    retried = await stub.RetryDelivery(pb.RetryDeliveryRequest(name=name_of("letter"), reason="mended"), timeout=SECONDS)
    assert retried.state == pb.Delivery.STATE_DEFERRED
    await office.world.run(0.5)
    given_up = await stub.AbandonDelivery(pb.AbandonDeliveryRequest(name=name_of("letter"), reason="sent by post"), timeout=SECONDS)
    assert (given_up.state, given_up.abandon_reason, given_up.attempt_count) == (pb.Delivery.STATE_ABANDONED, "ABANDONED_BY_OPERATOR", 2)
    events = await office.world.events()
    by_person = [event.tag for event in events if event.actor == office.edge.callers["admin"].credential and event.stream.endswith("/1")]
    assert by_person == ["delivery.retry_requested.v1", "delivery.abandoned.v1"]
    assert office.rung == ["bell", "bell"]
    await office.world.run(30)
    assert len(office.world.partner.calls) == 2


async def test_what_is_over_can_neither_be_retried_nor_given_up(office: Office) -> None:
    stub = await office.stub()
    await office.deliver("letter")
    conflict: tuple[str, list[str]] = ("STATE_CONFLICT", [])
    assert await refusal(stub.RetryDelivery(pb.RetryDeliveryRequest(name=name_of("letter")), timeout=SECONDS)) == conflict
    assert await refusal(stub.AbandonDelivery(pb.AbandonDeliveryRequest(name=name_of("letter"), reason="r"), timeout=SECONDS)) == conflict


async def test_an_endpoint_is_paused_drained_and_resumed_and_says_what_waits(office: Office) -> None:
    stub = await office.stub("platform")
    paused = await stub.PauseEndpoint(pb.PauseEndpointRequest(name="endpoints/lab", reason="moving"), timeout=SECONDS)
    assert (paused.name, paused.state) == ("endpoints/lab", pb.Endpoint.STATE_PAUSED)
    await office.world.run(0.5)
    await office.deliver("letter")
    listed = await stub.ListEndpoints(pb.ListEndpointsRequest(), timeout=SECONDS)
    assert [(one.name, one.state, one.waiting_count, one.HasField("oldest_waiting_time")) for one in listed.endpoints] == [
        ("endpoints/lab", pb.Endpoint.STATE_PAUSED, 1, True),
        ("endpoints/radio", pb.Endpoint.STATE_OPEN, 0, False),
    ]
    page = await stub.ListEndpoints(pb.ListEndpointsRequest(page_size=1), timeout=SECONDS)
    rest = await stub.ListEndpoints(pb.ListEndpointsRequest(page_size=1, page_token=page.next_page_token), timeout=SECONDS)
    assert [one.name for one in (*page.endpoints, *rest.endpoints)] == ["endpoints/lab", "endpoints/radio"]
    drained = await stub.DrainEndpoint(pb.DrainEndpointRequest(name="endpoints/lab"), timeout=SECONDS)
    assert drained.state == pb.Endpoint.STATE_DRAINING
    open_again = await stub.ResumeEndpoint(pb.ResumeEndpointRequest(name="endpoints/lab"), timeout=SECONDS)
    assert open_again.state == pb.Endpoint.STATE_OPEN
    await office.world.run(1)
    assert len(office.world.partner.kept) == 1


async def test_a_partner_that_is_left_alone_is_shown_as_broken(office: Office) -> None:
    office.world.partner.behave(Conduct.IS_AWAY)
    await office.deliver(*(f"letter {number}" for number in range(8)))
    listed = await (await office.stub("platform")).ListEndpoints(pb.ListEndpointsRequest(), timeout=SECONDS)
    assert [one.state for one in listed.endpoints] == [pb.Endpoint.STATE_BROKEN, pb.Endpoint.STATE_OPEN]


@pytest.mark.parametrize(
    ("method", "request_", "reason"),
    [
        ("GetDelivery", pb.GetDeliveryRequest(name=name_of("nothing")), "RESOURCE_NOT_FOUND"),
        ("GetDelivery", pb.GetDeliveryRequest(name=f"{TENANT}/documents/x/deliveries/one"), "RESOURCE_NAME_INVALID"),
        ("GetDelivery", pb.GetDeliveryRequest(name=f"{TENANT}/documents/x/deliveries/{'9' * 30}"), "RESOURCE_NAME_INVALID"),
        ("AbandonDelivery", pb.AbandonDeliveryRequest(name=name_of("nothing")), "REASON_MISSING"),
        ("RetryDelivery", pb.RetryDeliveryRequest(name=name_of("nothing"), reason="x" * 501), "FIELD_TOO_LONG"),
        ("ListDeliveries", pb.ListDeliveriesRequest(parent=TENANT, filter="state = LOST"), "FILTER_INVALID"),
        ("ListDeliveries", pb.ListDeliveriesRequest(parent=TENANT, filter="state = ABANDONED AND state = DEFERRED"), "FILTER_INVALID"),
        ("ListDeliveries", pb.ListDeliveriesRequest(parent=TENANT, page_token="forged"), "PAGE_TOKEN_INVALID"),
    ],
)
async def test_what_cannot_be_answered_is_refused_by_name(office: Office, method: str, request_: Any, reason: str) -> None:
    stub = await office.stub()
    assert (await refusal(getattr(stub, method)(request_, timeout=SECONDS)))[0] == reason


async def test_an_unknown_endpoint_is_not_found_and_a_tenant_may_not_touch_any(office: Office) -> None:
    platform, admin = await office.stub("platform"), await office.stub()
    unknown = pb.PauseEndpointRequest(name="endpoints/nobody")
    assert (await refusal(platform.PauseEndpoint(unknown, timeout=SECONDS)))[0] == "RESOURCE_NOT_FOUND"
    known = pb.PauseEndpointRequest(name="endpoints/lab")
    assert (await refusal(admin.PauseEndpoint(known, timeout=SECONDS)))[0] == "RESOURCE_FOREIGN"


async def test_another_tenant_and_another_site_see_nothing_of_ours(office: Office) -> None:
    await office.deliver("letter")
    existing, absent = pb.GetDeliveryRequest(name=name_of("letter")), pb.GetDeliveryRequest(name=name_of("absent"))
    for caller in ("foreign", "south"):
        stub = await office.stub(caller)
        answers = [(await refusal(stub.GetDelivery(request, timeout=SECONDS)))[0] for request in (existing, absent)]
        assert answers == ["RESOURCE_FOREIGN", "RESOURCE_FOREIGN"]
        retry = pb.RetryDeliveryRequest(name=name_of("letter"))
        assert (await refusal(stub.RetryDelivery(retry, timeout=SECONDS)))[0] == "RESOURCE_FOREIGN"
    assert await office.listed(caller="south") == []
    assert await office.listed(parent=f"{TENANT}/documents/{document_id('letter')}", caller="south") == []
