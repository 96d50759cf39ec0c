"""Attacks the intake queue: one tenant's flood, the limits, and what counts against them."""

import asyncio

import pytest

from relais.ingestion.fair_queue import FairQueue, QueueFull


async def test_a_flooding_tenant_does_not_make_another_wait_behind_it() -> None:
    queue: FairQueue[str] = FairQueue(100, 10_000)
    for number in range(50):
        queue.put("flood", f"flood-{number}", 1)
    queue.put("small", "small-0", 1)
    assert "small-0" in await queue.take(2, 100)


async def test_one_tenants_items_stay_in_order() -> None:
    queue: FairQueue[int] = FairQueue(100, 10_000)
    for number in range(10):
        queue.put("a", number, 1)
    assert await queue.take(4, 100) + await queue.take(100, 100) == list(range(10))


async def test_a_batch_never_exceeds_its_bytes_but_always_holds_one_item() -> None:
    queue: FairQueue[str] = FairQueue(100, 10_000)
    queue.put("a", "huge", 900)
    queue.put("a", "next", 10)
    assert await queue.take(10, 100) == ["huge"]
    assert await queue.take(10, 100) == ["next"]


async def test_what_is_being_worked_on_still_counts_against_the_limit() -> None:
    queue: FairQueue[str] = FairQueue(1, 10_000)
    queue.put("a", "one", 5)
    taken = await queue.take(10, 100)
    with pytest.raises(QueueFull):
        queue.put("a", "two", 5)
    queue.done(len(taken), 5)
    queue.put("a", "two", 5)


async def test_an_item_larger_than_the_whole_queue_is_taken_when_it_is_alone() -> None:
    queue: FairQueue[str] = FairQueue(10, 100)
    queue.put("a", "larger", 1_000)
    with pytest.raises(QueueFull):
        queue.put("a", "second", 1)
    assert await queue.take(1, 1) == ["larger"]


async def test_a_waiting_worker_wakes_for_the_first_item_and_drain_waits_for_the_last_answer() -> None:
    queue: FairQueue[str] = FairQueue(10, 100)
    worker = asyncio.create_task(queue.take(10, 100))
    await asyncio.wait([worker], timeout=0)
    queue.put("a", "one", 1)
    assert await worker == ["one"]
    drained = asyncio.create_task(queue.drained())
    await asyncio.wait([drained], timeout=0)
    assert not drained.done()
    queue.done(1, 1)
    await drained
