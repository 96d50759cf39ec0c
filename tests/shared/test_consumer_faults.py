"""Whatever happens in whatever order to source, stream, log, leases and replicas: each fact has its effect, once, in order."""

from contextlib import AsyncExitStack

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from relais.transport.leases import LEASE_SECONDS, RENEW_SECONDS
from relais.transport.patrol import REPUBLISH_SECONDS
from tests.shared.consuming import OWN, FaultyLog, Service, Source, append, require_each_once
from tests.shared.simulation import World, running

FAULTS = ("append", "lose an answer", "wipe", "cut", "drop", "commit unknown", "log away", "bus away", "other replica", "pass time")


# Seconds alone; minutes on a machine that builds something else beside it.
@pytest.mark.timeout(600)
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(faults=st.lists(st.tuples(st.sampled_from(FAULTS), st.integers(1, 40)), max_size=10))
@example(faults=[("append", 1), ("append", 1), ("append", 1), ("drop", 1)])
@example(faults=[("append", 1), ("append", 1), ("append", 1), ("drop", 3)])
async def test_whatever_happens_each_fact_has_one_effect(faults: list[tuple[str, int]]) -> None:
    world = World()
    log = FaultyLog(world.log(OWN))
    appended = 0
    async with running(Source(world).run()):
        for number, (fault, size) in enumerate([*faults, ("append", 5)]):
            async with AsyncExitStack() as replicas:
                for holder in ("a", "b") if fault == "other replica" else ("a",):
                    await replicas.enter_async_context(running(Service(world, f"{holder}{number}", log=log).run()))
                await world.clock.advance(size / 10)
                if fault == "append":
                    await append(world, appended + 1, appended + size)
                    appended += size
                else:
                    await inflict(world, log, fault, size)
                await world.clock.advance(size / 10)
        log.faults.clear()
        async with running(Service(world, "last", log=log).run()):
            await world.clock.advance(LEASE_SECONDS + 3 * RENEW_SECONDS + 2 * REPUBLISH_SECONDS)
            await require_each_once(world, appended)


async def inflict(world: World, log: FaultyLog, fault: str, size: int) -> None:
    state = await world.bus.ensure_stream("identity")
    match fault:
        case "lose an answer":
            world.bus.lose_answer("identity", stored=size % 2 == 0)
        case "wipe":
            world.bus.wipe("identity")
        case "cut":
            world.bus.cut("identity", max(state.first_sequence - 1, state.last_sequence - size))
        case "drop" if state.messages:
            # A size of 1 hits the very last message.
            lost = world.bus.stored("identity")[-min(size, state.messages)]
            world.bus.drop("identity", await world.bus.sequence_after("identity", lost.position - 1))
        case "commit unknown":
            log.faults = ["cut after" if size % 2 else "cut before"]
        case "log away":
            log.faults = ["unavailable"] * size
        case "bus away":
            world.bus.become(available=False)
            await world.clock.advance(size)
            world.bus.become(available=True)
