"""What every keeper of leases must do: the store alone decides, by its own clock.

A test module makes a subclass of `LeaseStoreSuite` and gives it the fixture `place`.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from relais.transport.leases import LeaseStore, Tick, TickAnswer, partition_resource, partition_resources

DURATION_SECONDS = 5.0
GROUP = "partition/routing/identity"
RESOURCES = tuple(partition_resources("routing", "identity"))


@dataclass(frozen=True)
class LeasePlace:
    """A store; `pass_time(seconds)` on the clock that decides; the epoch that a partition's checkpoint carries (None: no checkpoint)."""

    store: LeaseStore
    pass_time: Callable[[float], Awaitable[None]]
    checkpoint_epoch: Callable[[str, str, int], Awaitable[int | None]]


async def tick(
    place: LeasePlace, holder: str, *, claims: tuple[str, ...] = (), renewals: tuple[tuple[str, int], ...] = (), group: str = GROUP
) -> TickAnswer:
    """One replica's tick."""
    return await place.store.tick(Tick(holder, (group,), renewals, claims, RESOURCES, DURATION_SECONDS))


class LeaseStoreSuite:
    """The laws of `relais.transport.leases.LeaseStore`."""

    async def test_a_free_resource_is_taken_by_one_and_refused_to_the_next(self, place: LeasePlace) -> None:
        assert (await tick(place, "a", claims=RESOURCES[:2])).claimed == {RESOURCES[0]: 1, RESOURCES[1]: 1}
        answer = await tick(place, "b", claims=RESOURCES[1:3])
        assert answer.claimed == {RESOURCES[2]: 1}
        assert (await tick(place, "c")).free == set(RESOURCES[3:])

    async def test_two_that_claim_everything_at_one_moment_share_it_without_overlap(self, place: LeasePlace) -> None:
        answers = await asyncio.gather(tick(place, "a", claims=RESOURCES), tick(place, "b", claims=RESOURCES[::-1]))
        first, second = (set(answer.claimed) for answer in answers)
        assert first | second == set(RESOURCES)
        assert not first & second

    async def test_a_renewed_lease_outlives_its_first_duration(self, place: LeasePlace) -> None:
        await tick(place, "a", claims=RESOURCES[:1])
        for _ in range(3):
            await place.pass_time(DURATION_SECONDS * 0.6)
            assert (await tick(place, "a", renewals=((RESOURCES[0], 1),))).renewed == {RESOURCES[0]}
            assert (await tick(place, "b", claims=RESOURCES[:1])).claimed == {}

    async def test_a_lease_that_ran_out_is_taken_over_with_a_higher_epoch_and_never_renewed_again(self, place: LeasePlace) -> None:
        await tick(place, "a", claims=RESOURCES[:1])
        await place.pass_time(DURATION_SECONDS * 1.1)
        assert RESOURCES[0] in (await tick(place, "b")).free
        assert (await tick(place, "b", claims=RESOURCES[:1])).claimed == {RESOURCES[0]: 2}
        assert (await tick(place, "a", renewals=((RESOURCES[0], 1),))).renewed == frozenset()
        assert (await tick(place, "b", renewals=((RESOURCES[0], 2),))).renewed == {RESOURCES[0]}

    async def test_a_lease_that_ran_out_but_that_nobody_took_is_renewed_under_its_epoch(self, place: LeasePlace) -> None:
        await tick(place, "a", claims=RESOURCES[:1])
        await place.pass_time(DURATION_SECONDS * 3)
        assert (await tick(place, "a", renewals=((RESOURCES[0], 1),))).renewed == {RESOURCES[0]}
        assert (await tick(place, "b", claims=RESOURCES[:1])).claimed == {}

    async def test_a_holder_that_never_heard_of_its_lease_claims_it_again_under_a_new_epoch(self, place: LeasePlace) -> None:
        await tick(place, "a", claims=RESOURCES[:1])
        assert RESOURCES[0] in (await tick(place, "a")).free
        assert (await tick(place, "a", claims=RESOURCES[:1])).claimed == {RESOURCES[0]: 2}
        assert await place.checkpoint_epoch("routing", "identity", 0) == 2
        assert (await tick(place, "a", renewals=((RESOURCES[0], 1),))).renewed == frozenset()
        await place.store.give_back("a", [(RESOURCES[0], 1)], [])
        assert (await tick(place, "a", renewals=((RESOURCES[0], 2),))).renewed == {RESOURCES[0]}

    async def test_a_lease_that_its_holder_never_heard_of_is_free_for_nobody_else(self, place: LeasePlace) -> None:
        await tick(place, "a", claims=RESOURCES[:1])
        await place.pass_time(DURATION_SECONDS * 0.9)
        answer = await tick(place, "b", claims=RESOURCES[:1])
        assert answer.claimed == {}
        assert RESOURCES[0] not in answer.free
        await place.pass_time(DURATION_SECONDS * 0.2)
        assert (await tick(place, "b", claims=RESOURCES[:1])).claimed == {RESOURCES[0]: 2}
        assert (await tick(place, "a", claims=RESOURCES[:1])).claimed == {}

    async def test_what_a_tick_renews_it_neither_claims_nor_calls_free(self, place: LeasePlace) -> None:
        await tick(place, "a", claims=RESOURCES[:1])
        for seconds in (0.0, DURATION_SECONDS * 3):
            await place.pass_time(seconds)
            answer = await tick(place, "a", claims=RESOURCES[:1], renewals=((RESOURCES[0], 1),))
            assert answer.renewed == {RESOURCES[0]}
            assert answer.claimed == {}
            assert answer.free == set(RESOURCES[1:])
        assert await place.checkpoint_epoch("routing", "identity", 0) == 1

    async def test_what_is_given_back_is_free_at_once_and_lost_to_its_giver(self, place: LeasePlace) -> None:
        await tick(place, "a", claims=RESOURCES[:2])
        await place.store.give_back("a", [(RESOURCES[0], 1)], [])
        assert (await tick(place, "a", renewals=((RESOURCES[0], 1), (RESOURCES[1], 1)))).renewed == {RESOURCES[1]}
        assert (await tick(place, "b", claims=RESOURCES[:2])).claimed == {RESOURCES[0]: 2}
        await place.store.give_back("a", [(RESOURCES[0], 1)], [])
        assert (await tick(place, "b", renewals=((RESOURCES[0], 2),))).renewed == {RESOURCES[0]}

    async def test_a_takeover_gives_the_checkpoint_its_epoch(self, place: LeasePlace) -> None:
        resource = partition_resource("routing", "identity", 7)
        assert await place.checkpoint_epoch("routing", "identity", 7) is None
        await tick(place, "a", claims=(resource, "relay"))
        assert await place.checkpoint_epoch("routing", "identity", 7) == 1
        await place.store.give_back("a", [(resource, 1)], [])
        assert await place.checkpoint_epoch("routing", "identity", 7) == 1
        await tick(place, "b", claims=(resource,))
        assert await place.checkpoint_epoch("routing", "identity", 7) == 2
        assert await place.checkpoint_epoch("routing", "identity", 8) is None

    async def test_members_are_counted_while_they_are_seen(self, place: LeasePlace) -> None:
        assert (await tick(place, "a")).alive == {GROUP: 1}
        assert (await tick(place, "b")).alive == {GROUP: 2}
        assert (await tick(place, "c", group="another")).alive == {"another": 1}
        await place.pass_time(DURATION_SECONDS * 0.6)
        await tick(place, "a")
        await place.pass_time(DURATION_SECONDS * 0.6)
        assert (await tick(place, "a")).alive == {GROUP: 1}
        assert (await tick(place, "b")).alive == {GROUP: 2}
        await place.store.give_back("b", [], [GROUP])
        assert (await tick(place, "a")).alive == {GROUP: 1}
