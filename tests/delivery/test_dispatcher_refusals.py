"""Attacks the last look before a call (SAFETY 17): what is withdrawn, parked, erased, changed or too large is not sent."""

from collections.abc import AsyncIterator, Sequence
from uuid import uuid4

import msgspec
import pytest

from relais.contracts import Fact
from relais.contracts.delivery import (
    DeliveryAbandoned,
    DeliveryParked,
    DeliveryReinstated,
    DeliveryScheduled,
    DeliverySucceeded,
)
from relais.contracts.reasons import AbandonReason, HoldReason, SuppressReason
from relais.contracts.routing import DestinationKind, DocumentHeld, DocumentReleased, RouteSuppressed, SuppressedDestination
from relais.contracts.submission import InsStatus, Submission
from relais.delivery.domain.endpoint import EndpointMode
from relais.delivery.domain.state import Phase
from relais.delivery.ports import DeliveryId
from relais.delivery.work import unparked
from relais.eventlog.record import Append, NewEvent
from relais.testing.connector_suite import Conduct
from tests.delivery.given import TENANT, destination, document_id, plan
from tests.delivery.world import LEASE_SECONDS, World, settings


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World()
    yield world
    await world.close()


def kinds(facts: Sequence[Fact]) -> list[type[Fact]]:
    return [type(fact) for fact in facts]


def suppressed(ordinal: int) -> RouteSuppressed:
    entry = SuppressedDestination(kind=DestinationKind.DMP, reason=SuppressReason.OPPOSITION, rule="r", ordinal=ordinal)
    return RouteSuppressed(document=document_id("letter"), request="r2", suppressed=(entry,), policy="tenant", policy_version=1, matrix="m")


def doubted(document: Submission) -> DocumentHeld:
    """A later request on the document waits at identity."""
    later = msgspec.structs.replace(document, request="r2")
    reasons = (HoldReason.IDENTITY_DISAGREES,)
    return DocumentHeld(submission=later, ins_status=InsStatus.PROVISOIRE, reasons=reasons, rules=("identity.held",))


def lifted(document: Submission) -> DocumentReleased:
    """A person released it there; ordinal 9 is none of ours."""
    return DocumentReleased(document=document.document, request="r2", reason="seen", reinstated=(1, 9))


@pytest.mark.parametrize("in_flight", [False, True])
async def test_what_routing_withdraws_is_not_sent_whether_it_waits_or_is_about_to_go(in_flight: bool) -> None:
    world = World(settings("lab", concurrency=1))
    world.partner.slow_seconds = 2.0
    world.partner.behave(Conduct.TAKES_SLOWLY)
    replica = await world.replica()
    await replica.hear(world.planned(await world.document("first")))
    if not in_flight:
        world.switch("lab", EndpointMode.PAUSED)
        await world.run(0.25)
    await replica.hear(world.planned(await world.document("letter")))
    await replica.hear(world.announce(suppressed(1), document_id("letter")))
    world.switch("lab", EndpointMode.OPEN)
    await world.run(20)
    assert [call.delivery.document for call in world.partner.calls] == [document_id("first")]
    last = (await world.history())[-1]
    assert isinstance(last, DeliveryAbandoned)
    assert last.reason is AbandonReason.OPPOSITION
    await world.close()


async def test_a_plan_and_its_withdrawal_in_one_batch_send_nothing(world: World) -> None:
    replica = await world.replica()
    planned = world.planned(await world.document())
    await replica.hear(planned, world.announce(suppressed(1), document_id("letter")))
    await world.run(5)
    assert world.partner.calls == []
    assert (await world.states())[DeliveryId(TENANT, document_id("letter"), 1)].phase is Phase.ABANDONED


async def test_what_a_doubt_about_the_identity_stopped_is_sent_once_when_it_is_lifted(world: World) -> None:
    replica = await world.replica()
    world.switch("lab", EndpointMode.PAUSED)
    await world.run(0.25)
    document = await world.document()
    await replica.hear(world.planned(document))
    await replica.hear(world.announce(doubted(document), document.document))
    world.switch("lab", EndpointMode.OPEN)
    await world.run(5)
    assert world.partner.calls == []
    release = world.announce(lifted(document), document.document)
    await replica.hear(release)
    await replica.hear(release)
    await world.run(5)
    assert [call.idempotency_key for call in world.partner.calls] == [f"{document.document}-1"]
    assert kinds(await world.history())[1:3] == [DeliveryAbandoned, DeliveryReinstated]
    assert (await world.states())[DeliveryId(TENANT, document.document, 1)].phase is Phase.SUCCEEDED


async def test_a_doubt_and_its_end_in_one_batch_send_once(world: World) -> None:
    replica = await world.replica()
    document = await world.document()
    facts = (doubted(document), lifted(document))
    await replica.hear(world.planned(document), *(world.announce(fact, document.document) for fact in facts))
    await world.run(5)
    assert (await world.states())[DeliveryId(TENANT, document.document, 1)].phase is Phase.SUCCEEDED
    assert len(world.partner.kept) == 1


@pytest.mark.parametrize("broken", [("routing.planned.v9", b"{}"), (RouteSuppressed.TAG, b'{"broken":')])
async def test_nothing_of_a_parked_document_is_sent_until_a_person_has_looked(broken: tuple[str, bytes]) -> None:
    world = World(settings("lab", concurrency=1))
    world.partner.slow_seconds = 2.0
    world.partner.behave(Conduct.TAKES_SLOWLY)
    replica = await world.replica()
    first, document = await world.document("first"), await world.document()
    await replica.hear(world.planned(first), world.planned(document))
    tag, payload = broken
    await replica.hear(world.announce(plan(document), document.document, tag=tag, payload=payload))
    await world.run(5)
    assert [call.delivery.document for call in world.partner.calls] == [first.document]
    parked = [event for event in await world.events() if event.tag == DeliveryParked.TAG]
    assert [event.stream for event in parked] == [document.document]
    assert list(await replica.parking.parked([0])) == [(TENANT, document.document)]
    world.queue.apply_work([unparked(TENANT, document.document)])
    await world.run(4)
    assert len(world.partner.kept) == 2
    await world.close()


async def test_an_unknown_endpoint_ends_a_delivery_at_once_and_visibly(world: World) -> None:
    replica = await world.replica()
    await replica.hear(world.planned(await world.document(), destination(1, "nobody"), destination(2, "lab")))
    assert kinds(await world.history(ordinal=1)) == [DeliveryScheduled, DeliveryAbandoned]
    assert kinds(await world.history(ordinal=2))[-1] is DeliverySucceeded


async def test_an_erased_subject_and_a_changed_body_are_not_sent(world: World) -> None:
    replica = await world.replica()
    changed, erased = await world.document("changed"), await world.document("erased")
    chunks = world.blobs._chunks[next(blob for blob in world.blobs._chunks if str(blob) == changed.body.blob)]
    chunks[0] = type(chunks[0])(chunks[0].blob, 0, True, chunks[0].ciphertext[:-1] + b"\x00")
    await replica.hear(world.planned(changed))
    (key,) = await world.keys.subjects_for([(TENANT, b"martin")])
    await world.keys.erase(TENANT, key.subject)
    await replica.hear(world.planned(erased))
    await world.run(1)
    reasons = [(await world.history(name))[-1] for name in ("changed", "erased")]
    assert [fact.reason for fact in reasons if isinstance(fact, DeliveryAbandoned)] == [
        AbandonReason.BODY_UNREADABLE,
        AbandonReason.SUBJECT_ERASED,
    ]
    assert world.partner.calls == []


async def test_a_document_larger_than_the_endpoint_takes_is_refused_without_a_call() -> None:
    world = World(settings("lab", size_maximum=10))
    replica = await world.replica()
    await replica.hear(world.planned(await world.document(body=b"<eleven......>")))
    last = (await world.history())[-1]
    assert isinstance(last, DeliveryAbandoned)
    assert (last.reason, last.code) == (AbandonReason.REFUSED_BY_PARTNER, "TOO_LARGE_FOR_ENDPOINT")
    assert world.partner.calls == []
    await world.close()


async def test_a_document_larger_than_the_window_goes_alone_and_part_by_part(world: World) -> None:
    replica = await world.replica()
    big = b"x" * (9 * 1024 * 1024)
    await replica.hear(world.planned(await world.document("big", big)), *[world.planned(one) for one in await world.documents(5)])
    await world.run(1)
    assert len(world.partner.kept) == 6
    assert not isinstance(world.partner.calls[0].body, bytes)
    assert big in {kept.document for kept in world.partner.kept.values()}


async def test_a_delivery_that_a_newer_build_wrote_to_is_left_to_it_and_the_others_go_on(world: World) -> None:
    world.leases.available = False
    stranger = await world.replica("stranger")
    await stranger.hear(*[world.planned(document) for document in await world.documents(3)])
    one = DeliveryId(TENANT, document_id("letter 1"), 1)
    future = NewEvent(one.tenant, one.stream, "delivery.of_tomorrow.v1", b"{}", uuid4(), 0, "service:delivery")
    await world.log.append([Append(events=(future,))])
    world.leases.available = True
    await world.run(LEASE_SECONDS)
    assert {call.delivery.document for call in world.partner.calls} == {document_id("letter 0"), document_id("letter 2")}
    assert [backlog.waiting for backlog in await world.queue.backlogs(["lab"])] == [1]
