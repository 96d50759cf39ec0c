"""Replicas share what there is, give back what others need, take over from the dead, and never trust a lease longer than the store does."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from hypothesis import given
from hypothesis import strategies as st

from relais.contracts.subjects import PARTITIONS
from relais.testing.clock import ManualClock
from relais.transport.leases import (
    LEASE_SECONDS,
    RENEW_SECONDS,
    LeaseKeeper,
    LeasesUnavailable,
    Share,
    Tick,
    TickAnswer,
    partition_resources,
)
from relais.transport.leases_memory import MemoryLeaseStore
from relais.transport.sharing import claims_of, fair_part, surplus_of

RESOURCES = partition_resources("routing", "identity")
GROUP = "partition/routing/identity"


class CutStore(MemoryLeaseStore):
    """Loses the answers to the next `claims_to_cut` ticks that claim something: it is theirs, and they do not know."""

    claims_to_cut = 0

    async def tick(self, tick: Tick) -> TickAnswer:
        answer = await super().tick(tick)
        if answer.claimed and self.claims_to_cut:
            self.claims_to_cut -= 1
            raise LeasesUnavailable("cut")
        return answer


class Replica:
    """A process that holds partitions and does nothing with them; `attentive` gives back what it is asked for, as a consumer does."""

    def __init__(self, name: str, store: MemoryLeaseStore, clock: ManualClock) -> None:
        self.keeper = LeaseKeeper(store, name, clock)
        self.share: Share = self.keeper.share(GROUP, RESOURCES)
        self.attentive = True
        self._clock = clock

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.keeper.run())
            tasks.create_task(self._give_back())

    async def _give_back(self) -> None:
        while True:
            await self.share.changed.wait(self._clock, 60.0)
            if self.attentive:
                await self.share.give_back(self.share.leaving())


@asynccontextmanager
async def running(replica: Replica) -> AsyncIterator[Replica]:
    """The replica runs inside and is killed at the end, without giving anything back."""
    task = asyncio.create_task(replica.run())
    try:
        yield replica
    finally:
        task.cancel()
        await asyncio.wait({task})


def parts(*replicas: Replica) -> list[int]:
    """How much each holds; fails when two hold the same."""
    held = [resource for replica in replicas for resource in replica.share.held()]
    assert len(held) == len(set(held)), "two replicas hold one partition"
    return [len(replica.share.held()) for replica in replicas]


async def test_the_first_takes_everything_and_shares_it_with_those_who_come() -> None:
    clock = ManualClock()
    store = MemoryLeaseStore(clock)
    async with running(Replica("a", store, clock)) as first:
        await clock.advance(0.1)
        assert parts(first) == [PARTITIONS]
        async with running(Replica("b", store, clock)) as second:
            await clock.advance(3 * RENEW_SECONDS)
            assert parts(first, second) == [16, 16]
            async with running(Replica("c", store, clock)) as third:
                await clock.advance(3 * RENEW_SECONDS)
                assert sorted(parts(first, second, third)) == [10, 11, 11]


async def test_what_is_not_given_back_yet_is_not_taken() -> None:
    clock = ManualClock()
    store = MemoryLeaseStore(clock)
    async with running(Replica("a", store, clock)) as first:
        first.attentive = False
        await clock.advance(0.1)
        async with running(Replica("b", store, clock)) as second:
            await clock.advance(4 * LEASE_SECONDS)
            assert parts(first, second) == [16, 0]
            assert len(first.share.leaving()) == 16
            first.attentive = True
            await clock.advance(2 * RENEW_SECONDS)
            assert parts(first, second) == [16, 16]


async def test_the_partitions_of_a_dead_replica_are_taken_within_a_lease_and_a_tick() -> None:
    clock = ManualClock()
    store = MemoryLeaseStore(clock)
    async with running(Replica("a", store, clock)) as first:
        async with running(Replica("b", store, clock)) as second:
            await clock.advance(3 * RENEW_SECONDS)
            assert parts(first, second) == [16, 16]
        await clock.advance(LEASE_SECONDS + 2 * RENEW_SECONDS)
        assert parts(first) == [PARTITIONS]
        assert {lease.epoch for lease in first.share.held().values()} == {1, 3}


async def test_a_replica_that_leaves_in_order_is_not_waited_for() -> None:
    clock = ManualClock()
    store = MemoryLeaseStore(clock)
    async with running(Replica("a", store, clock)) as first:
        async with running(Replica("b", store, clock)) as second:
            await clock.advance(3 * RENEW_SECONDS)
            await second.keeper.close()
        await clock.advance(2 * RENEW_SECONDS)
        assert parts(first) == [PARTITIONS]


async def test_a_sleeper_stops_trusting_its_leases_before_anybody_else_can_have_them() -> None:
    clock = ManualClock()
    store = MemoryLeaseStore(clock)
    async with running(Replica("a", store, clock)) as sleeper:
        await clock.advance(RENEW_SECONDS)
        lease = sleeper.share.held()[RESOURCES[0]]
        assert lease.outlasts(LEASE_SECONDS - 0.1)
        assert not lease.outlasts(LEASE_SECONDS)
    await clock.advance(LEASE_SECONDS)
    assert not lease.valid
    assert sleeper.share.held() == {}
    async with running(Replica("b", store, clock)) as other:
        await clock.advance(RENEW_SECONDS)
        assert parts(other) == [PARTITIONS]
        await sleeper.keeper.tick()
        assert sleeper.share.held() == {}
        assert not lease.valid


async def test_claims_whose_answer_was_lost_are_held_from_the_next_tick_on_under_a_new_epoch() -> None:
    clock = ManualClock()
    store = CutStore(clock)
    store.claims_to_cut = 1
    async with running(Replica("a", store, clock)) as replica:
        await clock.advance(RENEW_SECONDS + 0.1)
        assert store.claims_to_cut == 0
        assert parts(replica) == [PARTITIONS]
        assert {lease.epoch for lease in replica.share.held().values()} == {2}


async def test_claims_cut_again_and_again_make_nobody_hold_what_another_holds() -> None:
    clock = ManualClock()
    store = CutStore(clock)
    async with running(Replica("a", store, clock)) as first, running(Replica("b", store, clock)) as second:
        for _ in range(20):
            store.claims_to_cut = 1
            await clock.advance(RENEW_SECONDS / 3)
            parts(first, second)
            await first.share.give_back(list(first.share.held().values())[:4])
            first.share.drop(RESOURCES[-1])
        await clock.advance(LEASE_SECONDS)
        assert parts(first, second) == [16, 16]


async def test_a_lease_ends_when_a_claim_made_before_it_is_carried_out_after_it() -> None:
    clock = ManualClock()
    store = MemoryLeaseStore(clock)
    keeper = LeaseKeeper(store, "a", clock)
    share = keeper.share("relay", ["relay"])
    await keeper.tick()
    before = share.held()["relay"]
    # The statement of an earlier tick that was given up, and that the database came to only now.
    late = await store.tick(Tick("a", (), (), ("relay",), (), LEASE_SECONDS))
    assert late.claimed == {"relay": before.epoch + 1}
    await keeper.tick()
    after = share.held()["relay"]
    assert after.epoch == before.epoch + 2
    assert not before.valid
    await share.give_back([before])
    assert share.held() == {"relay": after}
    assert after.valid


async def test_what_is_given_back_is_not_valid_any_more() -> None:
    clock = ManualClock()
    store = MemoryLeaseStore(clock)
    keeper = LeaseKeeper(store, "a", clock)
    share = keeper.share("endpoints", ["endpoint/1", "endpoint/2", "endpoint/3"])
    await keeper.tick()
    first, second, third = share.held().values()
    await share.give_back([first])
    share.drop(second.resource)
    assert [lease.valid for lease in (first, second, third)] == [False, False, True]
    await keeper.close()
    assert not third.valid
    assert share.held() == {}


async def test_leases_that_nobody_took_during_an_outage_go_on_under_their_epochs() -> None:
    clock = ManualClock()
    store = MemoryLeaseStore(clock)
    async with running(Replica("a", store, clock)) as replica:
        await clock.advance(RENEW_SECONDS)
        store.available = False
        await clock.advance(3 * LEASE_SECONDS)
        assert parts(replica) == [0]
        store.available = True
        await clock.advance(2 * RENEW_SECONDS)
        assert parts(replica) == [PARTITIONS]
        assert {lease.epoch for lease in replica.share.held().values()} == {1}


async def test_other_resources_can_be_offered_and_old_ones_go() -> None:
    clock = ManualClock()
    keeper = LeaseKeeper(MemoryLeaseStore(clock), "a", clock)
    share = keeper.share("endpoints", ["endpoint/1", "endpoint/2"])
    await keeper.tick()
    assert set(share.held()) == {"endpoint/1", "endpoint/2"}
    share.offer(["endpoint/2", "endpoint/3"])
    await keeper.tick()
    assert [lease.resource for lease in share.leaving()] == ["endpoint/1"]
    await share.give_back(share.leaving())
    await keeper.tick()
    assert set(share.held()) == {"endpoint/2", "endpoint/3"}


@given(total=st.integers(1, 40), alive=st.integers(1, 9), data=st.data())
def test_sharing_comes_to_rest_with_everything_held_and_nobody_above_its_part(total: int, alive: int, data: st.DataObject) -> None:
    resources = [f"resource/{number}" for number in range(total)]
    owners = data.draw(st.lists(st.integers(-1, alive - 1), min_size=total, max_size=total))
    held = [{resource for resource, owner in zip(resources, owners, strict=True) if owner == holder} for holder in range(alive)]
    for _ in range(3):
        for holder in range(alive):
            held[holder] -= set(surplus_of(resources, sorted(held[holder]), alive))
        for holder in range(alive):
            free = set(resources).difference(*held)
            held[holder] |= set(claims_of(str(holder), resources, held[holder], free, alive))
    assert set().union(*held) == set(resources)
    assert sum(map(len, held)) == total
    assert max(map(len, held)) <= fair_part(total, alive)
