"""Attacks what bounds the dispatchers: concurrency, rates, leases, people who pause and drain, replicas that share and leave."""

from collections.abc import AsyncIterator, Sequence

import pytest

from relais.contracts import Fact
from relais.contracts.delivery import (
    DeliveryDeferred,
    DeliveryScheduled,
    DeliverySucceeded,
)
from relais.delivery.domain.endpoint import EndpointMode
from relais.delivery.domain.state import Phase
from relais.testing.connector_suite import Conduct
from tests.delivery.given import document_id
from tests.delivery.world import DEADLINE_SECONDS, LEASE_SECONDS, World, settings


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World()
    yield world
    await world.close()


def kinds(facts: Sequence[Fact]) -> list[type[Fact]]:
    return [type(fact) for fact in facts]


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
