"""A bounded cache with a lifetime that loads what it lacks for all waiting callers at once."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from itertools import islice
from typing import Generic, TypeVar

from relais.clock import Clock

K = TypeVar("K")
V = TypeVar("V")


async def _one_epoch() -> int:
    """The epoch of what is never invalid before its time."""
    return 0


class BatchedCache(Generic[K, V]):
    """Answers from memory for `lifetime_seconds`; the rest is loaded in one call for everybody who asks meanwhile.

    `epoch` gives a number that changes when anything that was loaded may have become wrong: what was loaded in another epoch is
    loaded anew. It is asked at each call and decides itself when to look. A value of None, for a key that was not there, is kept
    for `absent_seconds` only: appearing is no change.

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
        epoch: Callable[[], Awaitable[int]] = _one_epoch,
        absent_seconds: float = 0.0,
    ) -> None:
        self._load = load
        self._clock = clock
        self._lifetime_seconds = lifetime_seconds
        self._entries_maximum = entries_maximum
        self._batch_maximum = batch_maximum
        self._epoch = epoch
        self._absent_seconds = absent_seconds
        # Until when, in which epoch, what.
        self._entries: dict[K, tuple[float, int, V]] = {}
        self._wanted: dict[K, asyncio.Future[V]] = {}
        self._loading = asyncio.Lock()

    async def get_many(self, keys: Iterable[K]) -> dict[K, V]:
        """The values of these keys. Raises what `load` raised for the batch that held one of them."""
        epoch = await self._epoch()
        now = self._clock.monotonic()
        found: dict[K, V] = {}
        missing: list[K] = []
        for key in dict.fromkeys(keys):
            entry = self._entries.get(key)
            if entry is not None and entry[0] > now and entry[1] == epoch:
                found[key] = entry[2]
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
            epoch = await self._epoch()
            loaded = await self._load(list(batch))
        except Exception as error:  # noqa: BLE001 - handed to everybody who waits, which is where it is raised again
            for key, future in batch.items():
                del self._wanted[key]
                future.set_exception(error)
                future.exception()  # Marks it as seen: a caller that was cancelled meanwhile will not ask.
            return
        for key, future in batch.items():
            del self._wanted[key]
            self._keep(key, loaded[key], asked_at, epoch)
            future.set_result(loaded[key])

    def _keep(self, key: K, value: V, asked_at: float, epoch: int) -> None:
        self._entries.pop(key, None)
        if len(self._entries) >= self._entries_maximum:
            # The one loaded first goes first: it would expire first.
            del self._entries[next(iter(self._entries))]
        kept_seconds = self._lifetime_seconds if value is not None else self._absent_seconds
        self._entries[key] = (asked_at + kept_seconds, epoch, value)
