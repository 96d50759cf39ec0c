"""A bounded cache with a lifetime that loads what it lacks for all waiting callers at once."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from itertools import islice
from typing import Generic, TypeVar

from relais.clock import Clock

K = TypeVar("K")
V = TypeVar("V")


class BatchedCache(Generic[K, V]):
    """Answers from memory for `lifetime_seconds`; the rest is loaded in one call for everybody who asks meanwhile.

    While one load is under way, further callers queue their keys; the first of them loads all of those next. So there is never
    more than one load in flight, and load grows with batches instead of calls. `load` must answer every key it is given.
    """

    def __init__(
        self,
        load: Callable[[Sequence[K]], Awaitable[dict[K, V]]],
        clock: Clock,
        *,
        lifetime_seconds: float,
        entries_maximum: int,
        batch_maximum: int,
    ) -> None:
        self._load = load
        self._clock = clock
        self._lifetime_seconds = lifetime_seconds
        self._entries_maximum = entries_maximum
        self._batch_maximum = batch_maximum
        self._entries: dict[K, tuple[float, V]] = {}
        self._wanted: dict[K, asyncio.Future[V]] = {}
        self._loading = asyncio.Lock()

    async def get_many(self, keys: Iterable[K]) -> dict[K, V]:
        """The values of these keys. Raises what `load` raised for the batch that held one of them."""
        oldest = self._clock.monotonic() - self._lifetime_seconds
        found: dict[K, V] = {}
        missing: list[K] = []
        for key in dict.fromkeys(keys):
            entry = self._entries.get(key)
            if entry is not None and entry[0] > oldest:
                found[key] = entry[1]
            else:
                missing.append(key)
        if missing:
            found.update(await self._wait_for(missing))
        return found

    def forget(self, key: K) -> None:
        """Load this key anew when it is asked for next."""
        self._entries.pop(key, None)

    def clear(self) -> None:
        """Load everything anew."""
        self._entries.clear()

    def __len__(self) -> int:
        return len(self._entries)

    async def _wait_for(self, keys: list[K]) -> dict[K, V]:
        loop = asyncio.get_running_loop()
        futures = {key: self._wanted.setdefault(key, loop.create_future()) for key in keys}
        async with self._loading:
            # Whoever held the lock before has usually loaded these keys along with its own.
            while not all(future.done() for future in futures.values()):
                await self._load_next()
        return {key: future.result() for key, future in futures.items()}

    async def _load_next(self) -> None:
        batch = dict(islice(self._wanted.items(), self._batch_maximum))
        # Counted from before the question: what changed while the answer travelled is at most one lifetime old, not more.
        asked_at = self._clock.monotonic()
        try:
            loaded = await self._load(list(batch))
        except Exception as error:  # noqa: BLE001 - handed to everybody who waits, which is where it is raised again
            for key, future in batch.items():
                del self._wanted[key]
                future.set_exception(error)
                future.exception()  # Marks it as seen: a caller that was cancelled meanwhile will not ask.
            return
        for key, future in batch.items():
            del self._wanted[key]
            self._keep(key, loaded[key], asked_at)
            future.set_result(loaded[key])

    def _keep(self, key: K, value: V, asked_at: float) -> None:
        self._entries.pop(key, None)
        if len(self._entries) >= self._entries_maximum:
            # The one loaded first goes first: it would expire first.
            del self._entries[next(iter(self._entries))]
        self._entries[key] = (asked_at, value)
