"""Looks at a load while it is under way, so that it can be seen whether anything grows."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from tests.bench.figures import Sample
from tests.bench.processes import Census
from tests.bench.sink_process import Sink

INTERVAL_SECONDS: Final = 1.0
YARDSTICK_STEPS: Final = 50_000


@asynccontextmanager
async def sampled(census: Census, sink: Sink) -> AsyncIterator[list[Sample]]:
    """Samples of what happens inside; the list grows by one a second."""
    samples: list[Sample] = []
    watching = asyncio.create_task(_watch(census, sink, samples))
    try:
        yield samples
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)


async def _watch(census: Census, sink: Sink, samples: list[Sample]) -> None:
    began, earlier = time.monotonic(), await sink.total()
    while True:
        resident = {part: round(size / 2**20, 1) for part, size in census.resident_bytes().items()}
        at, arrived = time.monotonic() - began, await sink.total() - earlier
        samples.append(Sample(at_seconds=round(at, 2), arrived=arrived, resident_mib=resident, yardstick_ms=round(yardstick_ms(), 3)))
        await asyncio.sleep(INTERVAL_SECONDS)


def yardstick_ms() -> float:
    """CPU milliseconds of a piece of work that is always the same: how fast the machine is at this moment.

    On shared hardware a core is a third slower or faster from one minute to the next, and no figure of the machine says so: neither its
    load nor the time stolen from it.
    """
    began = time.thread_time()
    total = 0
    for number in range(YARDSTICK_STEPS):
        total += number * number
    return (time.thread_time() - began) * 1000
