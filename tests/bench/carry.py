"""The workload *carry*: 51 KB documents, each to exactly one of three destinations by its type, over HTTPS.

warm-up → idle → closed loop → idle → open loop → floors → audit. The warm-up meets every patient twice, so that what is measured is a
hospital's ordinary day and not its first.
"""

import asyncio
import os
import ssl
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import asyncpg

from tests.bench.audit import Told, audit
from tests.bench.documents import TEMPLATES
from tests.bench.figures import LoadFigures, cpu, load_figures
from tests.bench.floor_append import measure_floor
from tests.bench.floor_sink import SinkFloor, sink_floor_with
from tests.bench.floor_stream import measure_stream
from tests.bench.generator import Line, Order
from tests.bench.hops import counted, hops
from tests.bench.loading import Generator, Loaded, carry
from tests.bench.machine import machine_here
from tests.bench.profiling import profiled
from tests.bench.report import Carry, Floors
from tests.bench.sampling import sampled
from tests.bench.sink_process import running_sink
from tests.bench.stage import Stage
from tests.bench.storage import held, stored

WARM_UP_DOCUMENTS: Final = 2 * TEMPLATES
IDLE_SECONDS: Final = 5.0
OPEN_PER_SECOND: Final = 100.0
FLOOR_DOCUMENTS: Final = 3000
FLOOR_REQUESTS: Final = 10_000
# As many as three destinations have.
FLOOR_CONNECTIONS: Final = 24
FLOOR_BATCHES: Final = (64,)
SHOWN_MS_MINIMUM: Final = 0.005

Tell = Callable[[str], None]

_BACKENDS = "SELECT pid, CASE WHEN backend_type = 'client backend' THEN application_name ELSE backend_type END FROM pg_stat_activity"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is asked of one run. `road_documents` bounds what is under way in the closed loop; `profile` names parts."""

    documents: int
    open_seconds: int
    streams: int
    road_documents: int
    replicas: int
    floors: bool
    profile: tuple[str, ...]
    folder: Path


@dataclass(frozen=True, slots=True)
class Run:
    """A run that is over: its figures, and the closed loop document by document."""

    carry: Carry
    lines: list[Line]
    arrivals: list[tuple[str, int]]


class Bench:
    """One run on a stage that is up, with a generator that is ready."""

    def __init__(self, stage: Stage, generator: Generator, plan: Plan, tell: Tell) -> None:
        self._stage = stage
        self._generator = generator
        self._plan = plan
        self._tell = tell
        # A profiler is a child of ours; what it costs is no part of the road.
        ourselves = {} if plan.profile else {"bench": os.getpid()}
        self._census = stage.census(generator=generator.pid, **ourselves)
        self._cores = len(os.sched_getaffinity(0))
        self._told: list[Told] = []

    async def run(self) -> Run:
        """Everything in order."""
        plan, stage = self._plan, self._stage
        began_at = datetime.now(UTC)
        self._tell(f"warm-up: {WARM_UP_DOCUMENTS} documents")
        await self._load(WARM_UP_DOCUMENTS)
        idle = await self._idle()
        before, batches_before = await held(stage), await counted(stage)
        self._tell(f"closed loop: {plan.documents} documents over {plan.streams} streams")
        async with sampled(self._census, stage.sink) as samples:
            with self._profiled():
                closed = await self._load(plan.documents)
        after, batches_after = await held(stage), await counted(stage)
        figures = self._figures("closed loop", closed)
        backends = await self._backends(closed)
        opened = await self._open_loop() if plan.open_seconds else None
        floors = await self._floors() if plan.floors else None
        self._tell("audit: every log, every receipt, every arrival")
        found = await audit(stage, self._told, await stage.sink.arrivals())
        result = Carry(
            machine=machine_here(stage.state.root),
            replicas=plan.replicas,
            began_at=began_at.isoformat(timespec="seconds"),
            closed=figures,
            open=opened,
            idle_cpu_share=idle,
            postgres_cpu_ms_per_document=backends,
            hops=hops(batches_before, batches_after),
            storage=stored(before, after, plan.documents),
            floors=floors,
            audit=found,
            samples=samples,
        )
        return Run(result, closed.lines, closed.arrivals)

    def _order(self, documents: int, per_second: float = 0.0) -> Order:
        pair, plan = self._stage.sender, self._plan
        number = len(self._told) + 1
        return Order(
            address=self._stage.intake,
            authority_file=str(self._stage.authority.pair.certificate),
            certificate_file=str(pair.certificate),
            key_file=str(pair.key),
            run=number,
            documents=documents,
            file=str(self._stage.state.root / f"load-{number}.jsonl"),
            streams=plan.streams,
            per_second=per_second,
            sink_control_port=self._stage.sink.control_port,
            road_documents=0 if per_second else plan.road_documents,
        )

    async def _load(self, documents: int, per_second: float = 0.0) -> Loaded:
        order = self._order(documents, per_second)
        loaded = await carry(self._stage, self._generator, self._census, order)
        self._told.append(Told(order.run, loaded.lines))
        return loaded

    def _figures(self, kind: str, loaded: Loaded) -> LoadFigures:
        used = cpu(loaded.before, loaded.after, len(loaded.lines), loaded.seconds, self._cores)
        return load_figures(kind, loaded.lines, loaded.arrivals, used, self._census.memory_bytes())

    async def _open_loop(self) -> LoadFigures:
        # What the flood before has left to do is no part of a quiet hour.
        await self._idle()
        documents = round(self._plan.open_seconds * OPEN_PER_SECOND)
        self._tell(f"open loop: {OPEN_PER_SECOND:.0f}/s for {self._plan.open_seconds} s")
        return self._figures(f"open loop {OPEN_PER_SECOND:.0f}/s", await self._load(documents, OPEN_PER_SECOND))

    async def _idle(self) -> float:
        """The share of the machine that the parts use while nothing is to be done."""
        self._tell(f"idle: {IDLE_SECONDS:.0f} s")
        before = self._census.clocks()
        await asyncio.sleep(IDLE_SECONDS)
        after = self._census.clocks()
        used = sum(after.parts.values()) - sum(before.parts.values())
        return round(used / (IDLE_SECONDS * self._cores), 4)

    async def _floors(self) -> Floors:
        self._tell("floors: stream with TLS, sink with TLS, append")
        stream = await measure_stream(self._stage, self._generator, self._order(FLOOR_REQUESTS))
        sink = await self._sink_floor()
        append = await measure_floor(self._stage.dsn("postgres"), documents=FLOOR_DOCUMENTS, batches=FLOOR_BATCHES)
        return Floors(stream=stream, sink=sink, append=append)

    async def _sink_floor(self) -> SinkFloor:
        """A sink of its own, so that the one of the run keeps what arrived."""
        authority = self._stage.authority
        server, client, trusted = authority.server("sink"), authority.client("floor"), authority.pair.certificate
        tls = ssl.create_default_context(cafile=trusted)
        tls.load_cert_chain(client.certificate, client.key)
        async with running_sink(server.certificate, server.key, client_authority_file=trusted) as sink:
            return await sink_floor_with(sink, tls, requests=FLOOR_REQUESTS, connections=FLOOR_CONNECTIONS)

    def _profiled(self) -> ExitStack:
        stack = ExitStack()
        for part in self._plan.profile:
            stack.enter_context(profiled(part, self._census, self._plan.folder / f"{part}.stacks"))
        return stack

    async def _backends(self, loaded: Loaded) -> dict[str, float]:
        """Postgres's own share by who asked: each service's connections, and its background processes."""
        connection = await asyncpg.connect(self._stage.dsn(), server_settings={"application_name": "bench"})
        try:
            labels = {int(pid): str(label) for pid, label in await connection.fetch(_BACKENDS)}
        finally:
            await connection.close()
        used: dict[str, float] = {}
        for pid, label in labels.items():
            if pid in loaded.after.pids:
                spent = loaded.after.pids[pid] - loaded.before.pids.get(pid, 0.0)
                used[label] = used.get(label, 0.0) + spent * 1000 / len(loaded.lines)
        return {label: round(spent, 3) for label, spent in sorted(used.items(), key=lambda pair: -pair[1]) if spent >= SHOWN_MS_MINIMUM}
