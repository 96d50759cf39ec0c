"""Attacks the cache that stands before the keys' database: callers that share a load, give up, fail, or ask for too much."""

import asyncio
from collections.abc import Sequence

import pytest

from relais.clock import Clock
from relais.testing.clock import ManualClock
from relais.vault.cache import BatchedCache
from relais.vault.vault import VaultUnavailable


class Loader:
    """A slow source that writes down what it was asked for."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []
        self.started = asyncio.Event()
        self.go_on = asyncio.Event()
        self.failing = False

    async def load(self, keys: Sequence[str]) -> dict[str, str]:
        self.asked.append(list(keys))
        self.started.set()
        await self.go_on.wait()
        if self.failing:
            raise VaultUnavailable("away")
        return {key: key.upper() for key in keys}


def cache_of(loader: Loader, clock: Clock, entries_maximum: int = 100, batch_maximum: int = 100) -> BatchedCache[str, str]:
    return BatchedCache(loader.load, clock, lifetime_seconds=5, entries_maximum=entries_maximum, batch_maximum=batch_maximum)


async def test_callers_that_come_while_a_load_is_under_way_share_the_next_one() -> None:
    loader = Loader()
    cache = cache_of(loader, ManualClock())
    callers = [asyncio.ensure_future(cache.get_many([key])) for key in ("a", "b", "c", "b")]
    await loader.started.wait()
    loader.go_on.set()
    assert await asyncio.gather(*callers) == [{"a": "A"}, {"b": "B"}, {"c": "C"}, {"b": "B"}]
    assert [sorted(keys) for keys in loader.asked] in ([["a"], ["b", "c"]], [["a", "b", "c"]])


async def test_a_caller_that_gives_up_takes_nobody_along() -> None:
    loader = Loader()
    cache = cache_of(loader, ManualClock())
    first = asyncio.ensure_future(cache.get_many(["a"]))
    await loader.started.wait()
    second = asyncio.ensure_future(cache.get_many(["a", "b"]))
    await asyncio.sleep(0)
    first.cancel()
    loader.go_on.set()
    assert await second == {"a": "A", "b": "B"}
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_a_failed_load_fails_those_who_waited_for_it_and_not_the_next() -> None:
    loader = Loader()
    loader.failing = True
    loader.go_on.set()
    cache = cache_of(loader, ManualClock())
    for end in await asyncio.gather(cache.get_many(["a"]), cache.get_many(["a"]), return_exceptions=True):
        assert isinstance(end, VaultUnavailable)
    loader.failing = False
    assert await cache.get_many(["a"]) == {"a": "A"}


async def test_the_cache_stays_within_its_bounds_and_batches_within_theirs() -> None:
    loader = Loader()
    loader.go_on.set()
    cache = cache_of(loader, ManualClock(), entries_maximum=3, batch_maximum=4)
    assert len(await cache.get_many([str(number) for number in range(10)])) == 10
    assert len(cache) == 3
    assert [len(keys) for keys in loader.asked] == [4, 4, 2]


class Epoch:
    """A number that the test changes."""

    def __init__(self) -> None:
        self.number = 0

    async def current(self) -> int:
        return self.number


async def test_what_was_loaded_in_another_epoch_is_loaded_anew() -> None:
    loader, epoch = Loader(), Epoch()
    loader.go_on.set()
    cache = BatchedCache(loader.load, ManualClock(), lifetime_seconds=600, entries_maximum=9, batch_maximum=9, epoch=epoch.current)
    for number in (0, 0, 1, 1):
        epoch.number = number
        assert await cache.get_many(["a"]) == {"a": "A"}
    assert loader.asked == [["a"], ["a"]]


async def test_what_was_asked_for_before_the_epoch_changed_is_not_believed_after_it() -> None:
    loader, epoch = Loader(), Epoch()
    cache = BatchedCache(loader.load, ManualClock(), lifetime_seconds=600, entries_maximum=9, batch_maximum=9, epoch=epoch.current)
    early = asyncio.ensure_future(cache.get_many(["a"]))
    await loader.started.wait()
    epoch.number = 1
    loader.go_on.set()
    assert await early == {"a": "A"}
    await cache.get_many(["a"])
    assert loader.asked == [["a"], ["a"]]


async def test_that_a_key_was_not_there_is_kept_for_a_shorter_time() -> None:
    asked: list[str] = []

    async def load(keys: Sequence[str]) -> dict[str, str | None]:
        asked.extend(keys)
        return {key: None if key == "absent" else key for key in keys}

    clock = ManualClock()
    cache = BatchedCache(load, clock, lifetime_seconds=600, entries_maximum=9, batch_maximum=9, absent_seconds=5)
    for seconds in (0, 4, 1):
        await clock.advance(seconds)
        assert await cache.get_many(["there", "absent"]) == {"there": "there", "absent": None}
    assert asked == ["there", "absent", "absent"]
