"""Attacks the dispatchers in simulation: order of record and call, crashes, dead partners, a log that fails. No second passes for real."""

from collections.abc import AsyncIterator, Sequence

import pytest

from relais.contracts import Fact
from relais.contracts.delivery import (
    DeliveryAttempted,
    DeliveryDeferred,
    DeliveryScheduled,
    DeliverySucceeded,
)
from relais.delivery.domain.state import Phase
from relais.eventlog.log import OutcomeUnknown
from relais.testing.connector_suite import Conduct
from tests.delivery.faulty_log import FaultyLog
from tests.delivery.given import destination
from tests.delivery.world import LEASE_SECONDS, World, settings


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World()
    yield world
    await world.close()


def kinds(facts: Sequence[Fact]) -> list[type[Fact]]:
    return [type(fact) for fact in facts]


def count_appends(world: World) -> list[int]:
    appended: list[int] = []
    world.ground.log = FaultyLog(world.log, [], appended)
    return appended


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
    await world.run(1)
    assert len(world.partner.kept) == 100
    assert appends[0] == 100
    assert len(appends) < 10, "answers are recorded in batches"
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
