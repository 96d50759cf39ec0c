"""Following documents: one poll of the read model for everybody who watches on this replica, however many they are."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from relais.clock import Clock
from relais.ingestion.ports import Journey, Journeys

WATCHERS_MAXIMUM = 2000
POLL_SECONDS = 0.1

Key = tuple[str, str]


class TooManyWatchers(Exception):
    """As many documents are followed on this replica as may be."""


class WatchDesk:
    """Hands each watcher the journey of its document whenever it has changed. `run` must be running."""

    def __init__(self, journeys: Journeys, clock: Clock) -> None:
        self._journeys = journeys
        self._clock = clock
        self._watchers: dict[Key, set[asyncio.Queue[Journey]]] = {}
        self._count = 0
        self._watched = asyncio.Event()

    @asynccontextmanager
    async def watch(self, tenant: str, document: str) -> AsyncIterator["asyncio.Queue[Journey]"]:
        """A queue of the document's journeys, the newest only: a slow watcher misses intermediate views, never the last."""
        if self._count >= WATCHERS_MAXIMUM:
            raise TooManyWatchers
        queue: asyncio.Queue[Journey] = asyncio.Queue(maxsize=1)
        key = (tenant, document)
        self._watchers.setdefault(key, set()).add(queue)
        self._count += 1
        self._watched.set()
        try:
            yield queue
        finally:
            self._count -= 1
            self._watchers[key].discard(queue)
            if not self._watchers[key]:
                del self._watchers[key]

    async def run(self) -> None:
        """Poll while anybody watches, until cancelled."""
        seen: dict[Key, int] = {}
        while True:
            if not self._watchers:
                seen.clear()
                self._watched.clear()
                await self._watched.wait()
            for key, journey in (await self._journeys.get_many(list(self._watchers))).items():
                if seen.get(key) != len(journey.steps):
                    seen[key] = len(journey.steps)
                    self._tell(key, journey)
            await self._clock.sleep(POLL_SECONDS)

    def _tell(self, key: Key, journey: Journey) -> None:
        for queue in self._watchers.get(key, ()):
            if queue.full():
                queue.get_nowait()
            queue.put_nowait(journey)
