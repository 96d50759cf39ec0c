"""One load from order to last arrival: the generator's process, and what all processes did meanwhile."""

import asyncio
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from tests.bench.generator import Line, Order, Outcome, lines_of
from tests.bench.processes import Census, Clocks
from tests.bench.stage import Stage

PROJECT: Final = Path(__file__).resolve().parent.parent.parent
ARRIVAL_POLL_SECONDS: Final = 0.1
STALLED_SECONDS_MAXIMUM: Final = 60.0
# After the last arrival its outcome is recorded, announced and read into the journeys: that belongs to the document too.
SETTLE_SECONDS: Final = 1.5


class Stalled(Exception):
    """Documents were acknowledged and nothing arrives any more."""


class LoadRefused(Exception):
    """The platform refused documents of a bench; all of them are ones it takes."""


class GeneratorDied(Exception):
    """The load generator is gone; its own words are on standard error."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """One load that is over. Times of `lines` and `arrivals` are wall-clock nanoseconds; `arrivals` are by delivery id."""

    outcome: Outcome
    lines: list[Line]
    arrivals: list[tuple[str, int]]
    before: Clocks
    after: Clocks
    seconds: float


class Generator:
    """The load generator, alive over several loads so that its documents are written once."""

    def __init__(self, process: Process) -> None:
        self._process = process

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid

    async def load(self, order: Order) -> Outcome:
        """Carry out an order until every document has its answer. Raises `LoadRefused`, `GeneratorDied`."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(msgspec.json.encode(order) + b"\n")
        answer = await self._process.stdout.readline()
        if not answer:
            raise GeneratorDied(f"the load generator ended with status {await self._process.wait()}")
        outcome = msgspec.json.decode(answer, type=Outcome)
        if outcome.refused:
            raise LoadRefused(f"{outcome.refused} of {outcome.sent} documents: {outcome.first_refusal}")
        return outcome


@asynccontextmanager
async def running_generator() -> AsyncIterator[Generator]:
    """A generator with its documents written."""
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "tests.bench.generator", stdin=PIPE, stdout=PIPE, cwd=PROJECT)
    try:
        assert process.stdout is not None
        await process.stdout.readline()
        yield Generator(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def carry(stage: Stage, generator: Generator, census: Census, order: Order) -> Loaded:
    """Carry one load until its last document has arrived. Raises `Stalled`, `LoadRefused`."""
    earlier = await stage.sink.total()
    before, began = census.clocks(), time.monotonic()
    outcome = await generator.load(order)
    await _wait_for_arrivals(stage, earlier + order.documents)
    await asyncio.sleep(SETTLE_SECONDS)
    after, seconds = census.clocks(), time.monotonic() - began
    arrivals = (await stage.sink.arrivals())[earlier:]
    return Loaded(outcome, lines_of(Path(order.file)), arrivals, before, after, seconds)


async def _wait_for_arrivals(stage: Stage, wanted: int) -> None:
    total, moved = await stage.sink.total(), time.monotonic()
    while total < wanted:
        await asyncio.sleep(ARRIVAL_POLL_SECONDS)
        now = await stage.sink.total()
        if now > total:
            total, moved = now, time.monotonic()
        elif time.monotonic() - moved > STALLED_SECONDS_MAXIMUM:
            raise Stalled(f"{wanted - total} of {wanted} documents have not arrived, and none did for {STALLED_SECONDS_MAXIMUM:g} s")
