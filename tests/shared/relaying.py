"""A process with a relay in it, and marks that consumers might have written, for relay tests."""

import asyncio

from relais.contracts.subjects import PARTITIONS
from relais.transport.bus import Bus
from relais.transport.progress import Mark
from relais.transport.relay import Relay
from tests.shared.simulation import World, event

LOG = "identity"


class Replica:
    """One process with a relay in it."""

    def __init__(self, world: World, name: str, bus: Bus | None = None, log: str = LOG) -> None:
        self.keeper = world.keeper(log, name)
        self.relay: Relay = world.relay(log, self.keeper, bus)

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.keeper.run())
            tasks.create_task(self.relay.run())


def numbers(first: int, last: int) -> range:
    return range(first, last + 1)


def mark(position: int, frontier: int, hole: int = 0) -> Mark:
    """A mark on the event of the same number as its position."""
    return Mark(position, frontier, str(event(position).event_id) if position else "", hole)


def marks(position: int, frontier: int) -> dict[int, Mark]:
    return dict.fromkeys(range(PARTITIONS), mark(position, frontier))


def marks_behind(frontier: int) -> dict[int, Mark]:
    """The marks of a consumer that has handled all events up to this one, while event n is in partition n modulo PARTITIONS."""
    lasts = {number % PARTITIONS: number for number in range(1, frontier + 1)}
    return {partition: mark(lasts.get(partition, 0), frontier) for partition in range(PARTITIONS)}
