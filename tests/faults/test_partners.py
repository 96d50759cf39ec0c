"""Attacks from outside: a partner that is down, slow, silent or lies. The others must not notice, and it must not get anything twice."""

from typing import Final

import pytest

from tests.faults.journal import Journal
from tests.faults.scene import LOOK_SECONDS, Scene
from tests.faults.senders import PARTNERS
from tests.faults.waiting import until

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]

SICK: Final = PARTNERS["MSSANTE_PROFESSIONAL"]
HEALTHY: Final = PARTNERS["DMP"]
EFFECTS: Final = 12
FELT_SECONDS: Final = 30.0
LIES: Final = 5
DIFFERS: Final = "DIGEST_DIFFERS"


async def test_a_partner_that_is_down_stops_nobody_else_and_gets_everything_once_it_is_back(scene: Scene) -> None:
    async with scene.under_load("a partner is down") as round_:
        await scene.outside.behave(SICK, "unavailable")
        round_.struck()
        has = len(await scene.outside.kept(SICK))
        await _others_are_served(scene)
        assert len(await scene.outside.kept(SICK)) <= has + 1, "only a call under way when it went down may have ended well"
        await scene.outside.behave(SICK)


async def test_a_partner_that_is_slow_stops_nobody_else(scene: Scene) -> None:
    async with scene.under_load("a partner takes a second for each answer") as round_:
        await scene.outside.behave(SICK, "slow", seconds=1.0)
        round_.struck()
        await _others_are_served(scene)
        await scene.outside.behave(SICK)


@pytest.mark.parametrize("behaviour", ["swallow", "reset_after"])
async def test_a_partner_that_takes_and_does_not_answer_recognises_what_comes_again(scene: Scene, behaviour: str) -> None:
    async with scene.under_load(f"a partner takes documents and says nothing: {behaviour}") as round_:
        repeats = await _repeats(scene)
        await scene.outside.behave(SICK, first=[behaviour] * EFFECTS)
        round_.struck()

        async def repeated() -> bool:
            return await _repeats(scene) >= repeats + EFFECTS

        await until(repeated, FELT_SECONDS, "an unknown outcome is not asked for again", LOOK_SECONDS)


async def test_a_partner_that_lies_is_not_believed(scene: Scene) -> None:
    def lies_noticed(journal: Journal) -> int:
        return sum(DIFFERS in codes for place, codes in journal.abandoned.items() if journal.endpoint_of[place] == SICK)

    before = lies_noticed(scene.journal)
    async with scene.under_load("a partner says 200 and shows another digest") as round_:
        await scene.outside.behave(SICK, first=["lie"] * LIES)
        round_.struck()

        async def noticed() -> bool:
            await scene.journal.refresh(scene.logs)
            return lies_noticed(scene.journal) >= before + LIES

        await until(noticed, FELT_SECONDS, "a lie is believed", LOOK_SECONDS)
    assert lies_noticed(scene.journal) == before + LIES
    assert not set(scene.journal.abandoned) & set(scene.journal.succeeded)


async def _others_are_served(scene: Scene) -> None:
    has = len(await scene.outside.kept(HEALTHY))

    async def served() -> bool:
        return len(await scene.outside.kept(HEALTHY)) >= has + EFFECTS

    await until(served, FELT_SECONDS, f"{HEALTHY} is not served while {SICK} is sick", LOOK_SECONDS)


async def _repeats(scene: Scene) -> int:
    return sum(effect.times - 1 for effect in await scene.outside.kept(SICK))
