"""Attacks the dispatchers in simulation: order of record and call, crashes, leases, partners of every kind. No second passes for real."""

from collections.abc import AsyncIterator, Sequence

import pytest

from relais.contracts import Fact
from relais.contracts.delivery import (
    DeliveryAbandoned,
    DeliveryAttempted,
    DeliveryDeferred,
    DeliveryParked,
    DeliveryScheduled,
    DeliverySucceeded,
)
from relais.contracts.reasons import AbandonReason, SuppressReason
from relais.contracts.routing import DestinationKind, RouteSuppressed, SuppressedDestination
from relais.delivery.domain.endpoint import EndpointMode
from relais.delivery.domain.state import Phase
from relais.delivery.ports import DeliveryId
from relais.delivery.work import unparked
from relais.eventlog.log import OutcomeUnknown
from relais.testing.connector_suite import Conduct
from tests.delivery.faulty_log import FaultyLog
from tests.delivery.given import TENANT, destination, document_id, plan
from tests.delivery.world import DEADLINE_SECONDS, LEASE_SECONDS, World, settings


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


async def test_a_plan_is_delivered_with_the_bytes_that_were_taken_in(world: World) -> None:
    replica = await world.replica()
    await replica.hear(world.planned(await world.document(body=b"<letter>\r\n\xc3\xa9</letter>")))
    assert [kept.document for kept in world.partner.kept.values()] == [b"<letter>\r\n\xc3\xa9</letter>"]
    assert kinds(await world.history()) == [DeliveryScheduled, DeliveryAttempted, DeliverySucceeded]
    assert [backlog.waiting for backlog in await world.queue.backlogs(["lab"])] == [0]


async def test_the_owner_of_the_endpoint_schedules_and_attempts_in_one_append(world: World) -> None:
    appends = count_appends(world)
    replica = await world.replica()
    await replica.hear(*[world.planned(document) for document in await world.documents(100)])
    assert len(world.partner.kept) == 100
    assert appends[0] == 100
    assert len(appends) < 60, "answers are recorded in batches"
    assert all(state.phase is Phase.SUCCEEDED for state in (await world.states()).values())


async def test_what_another_replica_scheduled_is_found_by_the_owner(world: World) -> None:
    world.leases.available = False
    stranger = await world.replica("stranger")
    await stranger.hear(world.planned(await world.document()))
    assert kinds(await world.history()) == [DeliveryScheduled]
    await stranger.kill()
    world.leases.available = True
    await world.replica("owner")
    await world.run(1)
    assert kinds(await world.history()) == [DeliveryScheduled, DeliveryAttempted, DeliverySucceeded]


async def test_a_plan_that_comes_twice_changes_nothing(world: World) -> None:
    replica = await world.replica()
    plans = [world.planned(document) for document in await world.documents(5)]
    await replica.hear(*plans)
    before = await world.events()
    await replica.hear(*plans)
    again = await world.replica("another")
    await again.hear(*plans)
    await world.run(5)
    assert await world.events() == before
    assert len(world.partner.calls) == 5


async def test_a_crash_between_attempt_and_answer_leaves_an_unknown_that_is_repeated_under_the_same_key(world: World) -> None:
    world.partner.behave(Conduct.TAKES_AND_SAYS_NOTHING, Conduct.TAKES)
    first = await world.replica("first")
    await first.hear(world.planned(await world.document()))
    assert len(world.partner.calls) == 1
    await first.kill()
    await world.replica("second")
    await world.run(LEASE_SECONDS / 2)
    assert len(world.partner.calls) == 1, "nobody calls while the dead replica's lease runs"
    await world.run(LEASE_SECONDS)
    facts = await world.history()
    assert kinds(facts) == [DeliveryScheduled, DeliveryAttempted, DeliveryDeferred, DeliveryAttempted, DeliverySucceeded]
    deferred, attempted, succeeded = facts[2:]
    assert isinstance(deferred, DeliveryDeferred)
    assert deferred.unknown
    assert isinstance(attempted, DeliveryAttempted)
    assert attempted.possible_repeat
    assert isinstance(succeeded, DeliverySucceeded)
    assert succeeded.repeat
    assert len({call.idempotency_key for call in world.partner.calls}) == 1


async def test_a_dead_partner_stops_nobody_else() -> None:
    world = World(settings("dead"), settings("live"))
    world.partners["dead"].behave(Conduct.SAYS_NOTHING)
    replica = await world.replica()
    documents = await world.documents(100)
    began = world.clock.monotonic()
    for document in documents:
        await replica.hear(world.planned(document, destination(1, "dead"), destination(2, "live")))
    assert world.clock.monotonic() == began
    assert len(world.partners["live"].kept) == 100
    await world.run(120)
    assert len(world.partners["dead"].calls) < 60, "a dead partner is probed, not hammered"
    assert world.partners["dead"].most_under_way <= 4
    world.partners["dead"].behave(Conduct.TAKES)
    await world.run(60)
    assert len(world.partners["dead"].kept) == 100
    assert {state.phase for state in (await world.states()).values()} == {Phase.SUCCEEDED}
    await world.close()


async def test_a_slow_partner_is_never_called_more_often_at_once_than_it_allows() -> None:
    world = World(settings("lab", concurrency=3))
    world.partner.behave(Conduct.TAKES_SLOWLY)
    replica = await world.replica()
    for document in await world.documents(30):
        await replica.hear(world.planned(document))
    await world.run(1)
    assert world.partner.most_under_way == 3
    assert len(world.partner.kept) == 15
    await world.run(2)
    assert len(world.partner.kept) == 30
    await world.close()


async def test_a_rate_is_kept() -> None:
    world = World(settings("lab", concurrency=2, rate=5))
    replica = await world.replica()
    for document in await world.documents(40):
        await replica.hear(world.planned(document))
    await world.run(4)
    assert 20 <= len(world.partner.kept) <= 22
    await world.close()


async def test_more_than_fits_waits_in_the_queue_and_goes_when_there_is_room() -> None:
    world = World(settings("lab", concurrency=8))
    world.partner.behave(Conduct.TAKES_SLOWLY)
    replica = await world.replica()
    documents = await world.documents(700)
    for start in range(0, 700, 100):
        await replica.hear(*[world.planned(document) for document in documents[start : start + 100]])
    states = await world.states()
    assert sum(state.phase is Phase.WAITING for state in states.values()) > 400
    await world.run(25)
    assert len(world.partner.kept) == 700
    assert {kept.times for kept in world.partner.kept.values()} == {1}
    await world.close()


async def test_a_paused_endpoint_is_not_called_until_it_is_resumed(world: World) -> None:
    replica = await world.replica()
    world.switch("lab", EndpointMode.PAUSED)
    await world.run(1)
    await replica.hear(world.planned(await world.document()))
    await world.run(30)
    assert world.partner.calls == []
    world.switch("lab", EndpointMode.OPEN)
    await world.run(1)
    assert len(world.partner.kept) == 1


async def test_a_pause_reaches_what_was_recorded_and_not_begun() -> None:
    world = World(settings("lab", concurrency=1))
    world.partner.slow_seconds = 3.0
    world.partner.behave(Conduct.TAKES_SLOWLY)
    replica = await world.replica()
    for document in await world.documents(4):
        await replica.hear(world.planned(document))
    world.switch("lab", EndpointMode.PAUSED)
    await world.run(20)
    assert len(world.partner.calls) == 1
    codes = [fact.code for number in (1, 2, 3) for fact in await world.history(f"letter {number}") if isinstance(fact, DeliveryDeferred)]
    assert codes == ["ENDPOINT_PAUSED"] * 3
    world.switch("lab", EndpointMode.OPEN)
    await world.run(20)
    assert len(world.partner.kept) == 4
    assert not any(call.possible_repeat for call in world.partner.calls)
    await world.close()


async def test_a_draining_endpoint_finishes_what_was_attempted_and_begins_nothing_new(world: World) -> None:
    world.partner.behave(Conduct.IS_AWAY, Conduct.TAKES)
    replica = await world.replica()
    await replica.hear(world.planned(await world.document("old")))
    world.switch("lab", EndpointMode.DRAINING)
    await world.run(0.5)
    await replica.hear(world.planned(await world.document("new")))
    await world.run(30)
    assert [call.delivery.document for call in world.partner.calls] == [document_id("old")] * 2
    assert kinds(await world.history("new")) == [DeliveryScheduled]


async def test_no_call_is_begun_that_could_outlast_the_lease(world: World) -> None:
    world.partner.slow_seconds = 3.0
    world.partner.behave(Conduct.TAKES_SLOWLY)
    replica = await world.replica()
    world.leases.available = False
    for number in range(40):
        await replica.hear(world.planned(await world.document(f"letter {number}")))
    lost_at = world.clock.monotonic() + LEASE_SECONDS
    began: list[float] = []
    world.partner.watch = lambda _: began.append(world.clock.monotonic())
    await world.run(LEASE_SECONDS * 2)
    assert began
    assert max(began) + DEADLINE_SECONDS <= lost_at


async def test_a_replica_that_loses_its_lease_in_a_call_still_records_the_answer_and_nobody_calls_twice_at_once(world: World) -> None:
    world.partner.slow_seconds = DEADLINE_SECONDS - 0.5
    world.partner.behave(Conduct.TAKES_SLOWLY)
    first = await world.replica("first")
    await first.hear(world.planned(await world.document()))
    await first.keeper.close()
    await world.replica("second")
    await world.run(30)
    facts = await world.history()
    assert len([fact for fact in facts if isinstance(fact, DeliverySucceeded)]) == 1
    assert world.partner.most_under_way <= 2


async def test_a_replica_that_ends_in_good_order_leaves_no_unknown_behind(world: World) -> None:
    world.partner.behave(Conduct.TAKES_SLOWLY)
    first = await world.replica("first")
    for document in await world.documents(60):
        await first.hear(world.planned(document))
    await first.close()
    assert not [fact for number in range(60) for fact in await world.history(f"letter {number}") if getattr(fact, "unknown", False)]
    await world.replica("second")
    await world.run(10)
    assert len(world.partner.kept) == 60
    assert {kept.times for kept in world.partner.kept.values()} == {1}


async def test_two_replicas_share_the_endpoints_and_a_leaving_one_hands_them_over() -> None:
    world = World(*(settings(name) for name in "abcd"))
    first = await world.replica("first")
    await world.run(2)
    second = await world.replica("second")
    await world.run(6)
    owners = [[name for name in "abcd" if replica.fleet.dispatcher_of(name)] for replica in (first, second)]
    assert [len(one) for one in owners] == [2, 2]
    assert sorted(owners[0] + owners[1]) == list("abcd")
    await first.close()
    await world.run(3)
    assert all(second.fleet.dispatcher_of(name) for name in "abcd")
    await world.close()


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


def count_appends(world: World) -> list[int]:
    appended: list[int] = []
    world.ground.log = FaultyLog(world.log, [], appended)
    return appended


@pytest.mark.parametrize("fault", ["before", "after"])
async def test_an_answer_that_cannot_be_recorded_is_kept_until_it_can_and_recorded_once(world: World, fault: str) -> None:
    world.ground.log = FaultyLog(world.log, [None, fault, fault, fault], [])
    replica = await world.replica()
    await replica.hear(world.planned(await world.document()))
    await world.run(10)
    assert kinds(await world.history()) == [DeliveryScheduled, DeliveryAttempted, DeliverySucceeded]
    assert len(world.partner.calls) == 1


async def test_an_attempt_whose_commit_is_unknown_is_never_begun_by_whoever_lost_the_answer(world: World) -> None:
    world.ground.log = FaultyLog(world.log, ["after"], [])
    replica = await world.replica()
    with pytest.raises(OutcomeUnknown):
        await replica.hear(world.planned(await world.document()))
    assert world.partner.calls == []
    await world.run(2)
    facts = await world.history()
    assert kinds(facts) == [DeliveryScheduled, DeliveryAttempted, DeliveryDeferred, DeliveryAttempted, DeliverySucceeded]
    assert len(world.partner.kept) == 1
