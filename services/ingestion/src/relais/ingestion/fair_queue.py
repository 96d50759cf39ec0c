"""A bounded queue that serves tenants in turn, so that one hospital's backlog never makes another wait behind it."""

import asyncio
from collections import OrderedDict, deque
from typing import Generic, TypeVar

Item = TypeVar("Item")


class QueueFull(Exception):
    """The queue is at its limit of items or bytes; the caller may try again after `retry_after_seconds`."""

    retry_after_seconds = 1.0

    def __init__(self) -> None:
        super().__init__("the intake queue is full")


class FairQueue(Generic[Item]):
    """Items with a size, queued by tenant. An item counts against the limits until `done`, not only until it is taken."""

    def __init__(self, items_maximum: int, bytes_maximum: int) -> None:
        self._items_maximum = items_maximum
        self._bytes_maximum = bytes_maximum
        self._tenants: OrderedDict[str, deque[tuple[Item, int]]] = OrderedDict()
        self._items = 0
        self._bytes = 0
        self._queued = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def items(self) -> int:
        """How many items are queued or being worked on."""
        return self._items

    def put(self, tenant: str, item: Item, size: int) -> None:
        """Queue an item. Raises `QueueFull`; an item alone is always taken, whatever its size."""
        if self._items and (self._items >= self._items_maximum or self._bytes + size > self._bytes_maximum):
            raise QueueFull
        self._tenants.setdefault(tenant, deque()).append((item, size))
        self._items += 1
        self._bytes += size
        self._queued.set()
        self._idle.clear()

    async def take(self, items_maximum: int, bytes_maximum: int) -> list[Item]:
        """Whatever is queued, one item of each tenant in turn, within these limits and at least one; waits only for the first."""
        while not self._tenants:
            self._queued.clear()
            await self._queued.wait()
        taken: list[Item] = []
        room = bytes_maximum
        while self._tenants and len(taken) < items_maximum:
            tenant, waiting = next(iter(self._tenants.items()))
            item, size = waiting[0]
            if taken and size > room:
                break
            waiting.popleft()
            taken.append(item)
            room -= size
            if waiting:
                self._tenants.move_to_end(tenant)
            else:
                del self._tenants[tenant]
        return taken

    def done(self, items: int, size: int) -> None:
        """These items have their answer: they no longer count against the limits."""
        self._items -= items
        self._bytes -= size
        if not self._items:
            self._idle.set()

    async def drained(self) -> None:
        """Wait until nothing is queued or being worked on."""
        await self._idle.wait()
