"""Attacks the dispatchers with everything at once, in simulated time: replicas that die and come back, leases that cannot be renewed, a
log that fails, partners of every kind, people who pause; then lets it end, and looks at every delivery.
"""

import random
from collections import Counter

import pytest

from relais.contracts.delivery import DeliveryAttempted
from relais.delivery.domain.endpoint import EndpointMode
from relais.delivery.domain.state import Phase
from relais.testing.connector_suite import Conduct
from relais.transport.bus import Delivered
from tests.delivery.faulty_log import FaultyLog
from tests.delivery.given import destination
from tests.delivery.replica import Replica
from tests.delivery.world import LEASE_SECONDS, World, settings

DOCUMENTS = 60
NAMES = ("a", "b", "c")
CONDUCTS = (
    Conduct.TAKES,
    Conduct.TAKES_SLOWLY,
    Conduct.TAKES_AND_SAYS_NOTHING,
    Conduct.TAKES_AND_HANGS_UP,
    Conduct.SAYS_NOTHING,
    Conduct.HANGS_UP_IN_THE_MIDDLE,
    Conduct.IS_AWAY,
    Conduct.REFUSES_US,
)


class Chaos:
    """One run; the seed decides all of it."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.world = World(*(settings(name, concurrency=3) for name in NAMES))
        self.faults: list[str | None] = []
        self.world.ground.log = FaultyLog(self.world.log, self.faults, [])
        self.replicas: list[Replica] = []
        self.started = 0
        self.plans: list[Delivered] = []

    async def run(self) -> None:
        for number in range(DOCUMENTS):
            document = await self.world.document(f"letter {number}", b"<letter>%d</letter>" % number)
            ordinals = self.chance.sample(range(3), self.chance.randint(1, 3))
            self.plans.append(self.world.planned(document, *(destination(one + 1, NAMES[one]) for one in ordinals)))
        waiting = list(self.plans)
        while waiting:
            for _ in range(self.chance.randint(0, 3)):
                await self.disturb()
            while not self.replicas:
                await self.start()
            batch = [waiting.pop(0) for _ in range(min(len(waiting), self.chance.randint(1, 8)))]
            self.faults.clear()
            await self.chance.choice(self.replicas).hear(*batch)
            await self.world.run(self.chance.choice((0.0, 0.25, 2.0, LEASE_SECONDS)))
        await self.calm()

    async def start(self) -> None:
        self.started += 1
        self.replicas.append(await self.world.replica(f"replica {self.started}"))

    async def disturb(self) -> None:
        match self.chance.randrange(8):
            case 0 if len(self.replicas) < 3:
                await self.start()
            case 1 if self.replicas:
                await self.replicas.pop(self.chance.randrange(len(self.replicas))).kill()
            case 2 if self.replicas:
                await self.replicas.pop(self.chance.randrange(len(self.replicas))).close()
            case 3:
                self.world.leases.available = not self.world.leases.available
            case 4:
                self.faults[:] = self.chance.choices(("before", "after", None), k=self.chance.randint(1, 6))
            case 5:
                self.world.switch(self.chance.choice(NAMES), self.chance.choice(list(EndpointMode)))
            case _:
                self.world.partners[self.chance.choice(NAMES)].behave(*self.chance.choices(CONDUCTS, k=5))

    async def calm(self) -> None:
        """Everything is mended, and time passes."""
        self.faults.clear()
        self.world.leases.available = True
        for name in NAMES:
            self.world.switch(name, EndpointMode.OPEN)
            self.world.partners[name].behave(Conduct.TAKES)
        if not self.replicas:
            await self.start()
        await self.world.run(LEASE_SECONDS * 4 + 60)


@pytest.mark.parametrize("seed", range(12))
async def test_whatever_happens_every_delivery_arrives_and_nothing_is_called_that_was_not_recorded(seed: int) -> None:
    chaos = Chaos(seed)
    world = chaos.world
    try:
        await chaos.run()
        states = await world.states()
        assert Counter(state.phase for state in states.values()) == {Phase.SUCCEEDED: len(states)}
        kept = {key for name in NAMES for key in world.partners[name].kept}
        assert kept == {f"{one.document}-{one.ordinal}" for one in states}
        attempts = Counter(event.stream for event in await world.events() if event.tag == DeliveryAttempted.TAG)
        calls = Counter(call.delivery.stream for name in NAMES for call in world.partners[name].calls)
        assert all(calls[stream] <= attempts[stream] for stream in calls)
        for name in NAMES:
            # However many replicas there were: never more calls at once than one of them may make.
            assert world.partners[name].most_under_way <= 3
        backlogs = await world.queue.backlogs(NAMES)
        assert [backlog.waiting for backlog in backlogs] == [0, 0, 0]
    finally:
        await world.close()
