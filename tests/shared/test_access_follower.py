"""Attacks the following of the registry: a bus that is late, lost, or made anew never loosens what was read before."""

import asyncio
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest

from relais.chassis.access.directory import Directory
from relais.chassis.access.follower import REGISTRY_LOG, follow_registry
from relais.contracts import encode
from relais.contracts.fact import Fact
from relais.contracts.registry import CredentialRegistered, CredentialRevoked, TenantRegistered
from relais.contracts.subjects import partition_of
from relais.testing.clock import ManualClock
from relais.transport.bus import Announcement
from relais.transport.memory import MemoryBus
from relais.transport.progress import MemoryProgress

CREDENTIAL = "x509:" + "cd" * 32
TENANT = TenantRegistered(tenant="chu")
GRANTED = CredentialRegistered(tenant="chu", credential=CREDENTIAL, permissions=("AUDIT_READ",))
REVOKED = CredentialRevoked(tenant="chu", credential=CREDENTIAL)


class World:
    """A bus, a directory that follows it, and the log that announces on it."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.bus = MemoryBus(self.clock)
        self.directory = Directory()
        self.follower = follow_registry("registry/test", self.bus, MemoryProgress(), self.directory, self.clock)
        self.log: list[Announcement] = []

    async def announce(self, *facts: Fact, tag: str = "") -> None:
        start = len(self.log)
        for fact in facts:
            position = len(self.log) + 1
            partition = partition_of("chu", str(position))
            self.log.append(
                Announcement(
                    log=REGISTRY_LOG,
                    partition=partition,
                    position=position,
                    previous=0,
                    tag=tag or fact.TAG,
                    tenant="chu",
                    stream="registry",
                    version=position,
                    event_id=str(uuid4()),
                    recorded_at="2026-03-01T08:00:00Z",
                    actor="test",
                    traceparent="",
                    payload=encode(fact),
                )
            )
        await self.republish(self.log[start:])

    async def republish(self, announcements: list[Announcement]) -> None:
        state = await self.bus.ensure_stream(REGISTRY_LOG)
        await self.bus.publish(REGISTRY_LOG, announcements, state.last_sequence)

    def knows(self) -> bool:
        return self.directory.principal(CREDENTIAL) is not None


@pytest.fixture
async def world() -> AsyncIterator[World]:
    made = World()
    running: list[asyncio.Task[object]] = []
    made.start = lambda: running.append(asyncio.create_task(made.follower.run()))  # type: ignore[attr-defined]
    yield made
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)


async def started(world: World) -> World:
    world.start()  # type: ignore[attr-defined]
    await world.clock.settle()
    return world


async def test_what_was_registered_before_is_known_once_caught_up(world: World) -> None:
    await world.announce(TENANT, GRANTED)
    await started(world)
    assert world.follower.caught_up.is_set()
    assert world.knows()


async def test_an_empty_registry_is_caught_up_at_once(world: World) -> None:
    await world.bus.ensure_stream(REGISTRY_LOG)
    await started(world)
    assert world.follower.caught_up.is_set()


async def test_without_a_stream_nothing_is_known_and_nobody_is_told_otherwise(world: World) -> None:
    await started(world)
    assert not world.follower.caught_up.is_set()
    await world.announce(TENANT, GRANTED)
    await world.clock.advance(2)
    assert world.follower.caught_up.is_set()
    assert world.knows()


async def test_a_registration_arrives_while_following(world: World) -> None:
    await world.announce(TENANT)
    await started(world)
    assert not world.knows()
    await world.announce(GRANTED)
    await world.clock.advance(6)
    assert world.knows()
    await world.announce(REVOKED)
    await world.clock.advance(6)
    assert not world.knows()


async def test_a_stream_that_is_rebuilt_never_revives_what_was_revoked(world: World) -> None:
    await world.announce(TENANT, GRANTED, REVOKED)
    await started(world)
    world.bus.wipe(REGISTRY_LOG)
    await world.clock.advance(2)
    # The relay is half way: the grant is announced again, its revocation not yet.
    await world.republish(world.log[:2])
    await world.clock.advance(6)
    assert not world.knows()
    await world.republish(world.log[2:])
    await world.announce(GRANTED)
    await world.clock.advance(6)
    assert world.knows()


async def test_a_lost_bus_leaves_in_force_what_was_read(world: World) -> None:
    await world.announce(TENANT, GRANTED)
    await started(world)
    world.bus.become(available=False)
    await world.clock.advance(30)
    assert world.knows()
    world.bus.become(available=True)
    await world.announce(REVOKED)
    await world.clock.advance(10)
    assert not world.knows()


async def test_a_fact_of_a_newer_version_changes_nothing_and_stops_nothing(world: World) -> None:
    await world.announce(TENANT)
    await world.announce(TENANT, tag="registry.something_new.v7")
    await world.announce(GRANTED)
    await started(world)
    assert world.knows()
