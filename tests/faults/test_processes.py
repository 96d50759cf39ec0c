"""Attacks the services' processes, under load: killed at the worst places and at any place, restarted one after the other, put to sleep."""

import os
import signal
from typing import Final

import pytest

from relais.chassis.failpoints import Failpoint
from tests.faults.arena import SERVICES, is_dead
from tests.faults.conftest import LONG
from tests.faults.scene import Scene
from tests.faults.senders import PARTNERS
from tests.faults.waiting import until

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]

# The worst places, each in one service where it hurts; neighbours differ, so that a supervisor's back-off does not add up.
WORST: Final = (
    ("ingestion", Failpoint.INTAKE_BEFORE_APPEND),
    ("identity", Failpoint.CONSUMER_BEFORE_APPEND),
    ("delivery", Failpoint.DISPATCHER_AFTER_ATTEMPTED),
    ("routing", Failpoint.CONSUMER_AFTER_APPEND),
    ("ingestion", Failpoint.INTAKE_AFTER_APPEND),
    ("delivery", Failpoint.DISPATCHER_AFTER_CALL),
    ("identity", Failpoint.RELAY_BEFORE_PUBLISH),
    ("ingestion", Failpoint.INTAKE_AFTER_STAGE),
    ("routing", Failpoint.RELAY_AFTER_PUBLISH),
    ("delivery", Failpoint.DISPATCHER_AFTER_OUTCOME),
)
EVERYWHERE: Final = (
    Failpoint.CONSUMER_BEFORE_APPEND,
    Failpoint.CONSUMER_AFTER_APPEND,
    Failpoint.RELAY_BEFORE_PUBLISH,
    Failpoint.RELAY_AFTER_PUBLISH,
    Failpoint.LEASE_BEFORE_RENEWED,
)
REST: Final = tuple((service, place) for place in EVERYWHERE for service in SERVICES if (service, place) not in WORST)
PLACES: Final = WORST + (REST if LONG else ())
RANDOM_ROUNDS: Final = 12 if LONG else 1
KILLS: Final = 3
REFUSED_SECONDS: Final = 15.0

# Where it falls asleep, and what it says when it wakes and is refused.
ASLEEP: Final = (
    ("identity", Failpoint.RELAY_BEFORE_PUBLISH, ("relay_fenced", "publish_unknown")),
    ("routing", Failpoint.CONSUMER_BEFORE_APPEND, ("lease_lost",)),
    ("delivery", Failpoint.DISPATCHER_AFTER_ATTEMPTED, ("lease_lost",)),
)


@pytest.mark.parametrize(("service", "place"), PLACES, ids=str)
async def test_a_service_killed_at_the_worst_place_loses_and_repeats_nothing(scene: Scene, service: str, place: Failpoint) -> None:
    async with scene.under_load(f"kill -9 {service} at {place}") as round_:
        victim, before = await scene.arena.strike_at(service, place, scene.chance)
        round_.struck()
        await round_.taken_over(victim)
        await scene.arena.restarted(victim, before)


@pytest.mark.parametrize("number", range(RANDOM_ROUNDS))
async def test_services_killed_at_any_place_lose_and_repeat_nothing(scene: Scene, number: int) -> None:
    victims = scene.chance.sample([part for service in SERVICES for part in scene.arena.replicas(service)], KILLS)
    async with scene.under_load(f"kill -9 {', '.join(victims)} ({number + 1})") as round_:
        before = {victim: scene.arena.pid(victim) for victim in victims}
        for pid in before.values():
            os.kill(pid, signal.SIGKILL)
        round_.struck()
        for victim, pid in before.items():
            await scene.arena.restarted(victim, pid)


async def test_a_rolling_restart_of_all_replicas_repeats_no_call(scene: Scene) -> None:
    waves = [[part for service in SERVICES for part in scene.arena.replicas(service) if part.endswith(f"-{number}")] for number in (1, 2)]
    if LONG:
        waves = [[part] for wave in waves for part in wave]
    repeats = await _repeats(scene)
    async with scene.under_load("rolling SIGTERM of all replicas") as round_:
        round_.struck()
        for wave in waves:
            before = {part: scene.arena.pid(part) for part in wave}
            for pid in before.values():
                os.kill(pid, signal.SIGTERM)
            for part, pid in before.items():
                await scene.arena.restarted(part, pid)
    assert await _repeats(scene) == repeats, "whoever leaves in good order finishes its calls and records them"


@pytest.mark.parametrize(("service", "place", "refused"), ASLEEP, ids=[str(place) for _, place, _ in ASLEEP])
async def test_a_leader_that_wakes_after_its_lease_is_refused(
    scene: Scene, service: str, place: Failpoint, refused: tuple[str, ...]
) -> None:
    async with scene.under_load(f"SIGSTOP {service} at {place} beyond its lease") as round_:
        victim, pid = await scene.arena.strike_at(service, place, scene.chance, "pause")
        round_.struck()
        await round_.taken_over(victim)
        # Others are at work with what it believes to hold, and have been for a while when it wakes.
        await round_.flowing()
        said = scene.arena.said(victim, refused)
        os.kill(pid, signal.SIGCONT)
        await until(lambda: scene.arena.said(victim, refused) > said, REFUSED_SECONDS, f"{victim} woke and was not refused")
        await round_.flowing()
        assert not is_dead(pid), "it has lost its leases, not its life"
        await scene.arena.ready()


async def _repeats(scene: Scene) -> int:
    return sum([effect.times - 1 for partner in PARTNERS.values() for effect in await scene.outside.kept(partner)])
