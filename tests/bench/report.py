"""What a bench says: one file of JSON, a table, a plot, and the line that is compared from run to run."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median

import msgspec
from rich.console import Console
from rich.table import Table

from tests.bench.audit import Audit
from tests.bench.figures import Latency, LoadFigures, Sample, Storage, growth
from tests.bench.floor_append import Figure as AppendFloor
from tests.bench.floor_sink import SINK_BOUND_FACTOR, SinkFloor
from tests.bench.floor_stream import StreamFloor
from tests.bench.hops import Hop

BIN_SECONDS = 1.0


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """What the figures were measured on."""

    cores: int
    processor: str
    memory_gib: float
    kernel: str
    python: str
    fsync_ms: float


class Floors(msgspec.Struct, frozen=True, kw_only=True):
    """What the parts take by themselves, in the same run."""

    stream: StreamFloor
    sink: SinkFloor
    append: list[AppendFloor]


class Carry(msgspec.Struct, frozen=True, kw_only=True):
    """A whole run of the workload *carry*."""

    machine: Machine
    replicas: int
    began_at: str
    closed: LoadFigures
    open: LoadFigures | None
    idle_cpu_share: float
    postgres_cpu_ms_per_document: dict[str, float]
    hops: dict[str, Hop]
    storage: Storage
    floors: Floors | None
    audit: Audit
    samples: list[Sample]

    @property
    def last_line(self) -> str:
        """What is compared."""
        ack = self.open.ack_ms.p99 if self.open is not None else self.closed.ack_ms.p99
        return (
            f"workload=carry delivered_per_s={self.closed.delivered_per_s:.0f} ack_p99_ms={ack:.1f}"
            f" cpu_ms_per_document={self.closed.cpu_ms_per_document.total:.2f}"
        )

    @property
    def yardstick_ms(self) -> tuple[float, float, float]:
        """Fastest, median and slowest of what the same work took during the closed loop; zeros without samples."""
        taken = [sample.yardstick_ms for sample in self.samples] or [0.0]
        return min(taken), median(taken), max(taken)


def write_json(carry: Carry, file: Path) -> None:
    """All figures."""
    file.write_bytes(msgspec.json.format(msgspec.json.encode(carry), indent=2) + b"\n")


def tell(console: Console, carry: Carry) -> None:
    """The tables, then the last line."""
    for table in _tables(carry):
        console.print(table)
        console.print()
    for remark in remarks(carry):
        console.print(f"[yellow]{remark}[/yellow]")
    for violation in carry.audit.violations[:20]:
        console.print(f"[red]{violation}[/red]")
    console.print(carry.last_line, highlight=False)


def remarks(carry: Carry) -> Iterator[str]:
    """What a reader must know before believing a figure."""
    delivered = carry.closed.delivered_per_s
    if carry.floors is not None and carry.floors.sink.binds(delivered):
        alone = carry.floors.sink.requests_per_second
        yield f"sink-bound: the sink alone takes {alone:.0f}/s, under {SINK_BOUND_FACTOR:g} times what was delivered"
    others = carry.closed.cpu_ms_per_document.others_share + carry.closed.cpu_ms_per_document.stolen_share
    if others > 0.1:
        yield f"not alone: {others:.0%} of the machine was used by others (or by the kernel for us, or taken by the host) meanwhile"
    if carry.audit.violations:
        yield f"{len(carry.audit.violations)} violations: the figures above are of a run that lost or repeated something"


def _tables(carry: Carry) -> Iterator[Table]:
    loads = [load for load in (carry.closed, carry.open) if load is not None]
    yield _rates(loads)
    yield _machine(carry)
    yield _processes(carry, loads)
    yield _hops(carry.hops)
    yield _bytes(carry.storage)
    if carry.floors is not None:
        yield _floors(carry.floors)
    if len(carry.samples) > 2:
        yield _growth(carry.samples)
    audit = Table("log", "events", title=f"audit: {carry.audit.documents} documents, {len(carry.audit.violations)} violations", box=None)
    for log, events in carry.audit.events.items():
        audit.add_row(log, str(events))
    yield audit


def _rates(loads: Sequence[LoadFigures]) -> Table:
    table = Table("load", "documents", "acknowledged/s", "delivered/s", "ack ms p50 p95 p99", "end to end ms p50 p95 p99", box=None)
    for load in loads:
        rates = f"{load.acknowledged_per_s:.0f}", f"{load.delivered_per_s:.0f}"
        table.add_row(load.kind, str(load.documents), *rates, _latency(load.ack_ms), _latency(load.end_to_end_ms))
    return table


def _machine(carry: Carry) -> Table:
    machine = carry.machine
    table = Table("machine", "", box=None)
    table.add_row("cores", f"{machine.cores} of {machine.processor}, Python {machine.python}")
    table.add_row("a small write is durable after", f"{machine.fsync_ms:.2f} ms")
    table.add_row("the same work takes, fastest, median and slowest", "{:.2f}  {:.2f}  {:.2f} ms".format(*carry.yardstick_ms))
    return table


def _latency(found: Latency) -> str:
    return f"{found.p50:.1f}  {found.p95:.1f}  {found.p99:.1f}"


def _processes(carry: Carry, loads: Sequence[LoadFigures]) -> Table:
    table = Table("CPU ms per document", *(load.kind for load in loads), "memory MiB", box=None)
    for part in carry.closed.cpu_ms_per_document.parts:
        used = [f"{load.cpu_ms_per_document.parts.get(part, 0.0):.3f}" for load in loads]
        table.add_row(part, *used, f"{carry.closed.memory_mib.get(part, 0.0):.0f}")
    memory = sum(carry.closed.memory_mib.values())
    table.add_row("[bold]all[/bold]", *(f"[bold]{load.cpu_ms_per_document.total:.3f}[/bold]" for load in loads), f"{memory:.0f}")
    table.add_row("machine", *(f"{load.cpu_ms_per_document.machine:.3f}" for load in loads), "")
    for label, used_ms in carry.postgres_cpu_ms_per_document.items():
        table.add_row(f"  postgres: {label}", f"{used_ms:.3f}", *([""] * len(loads)))
    return table


def _hops(found: dict[str, Hop]) -> Table:
    table = Table("hop", "batches", "facts in a batch", box=None)
    for name, hop in found.items():
        table.add_row(name, str(hop.batches), f"{hop.facts_per_batch:.1f}")
    return table


def _bytes(storage: Storage) -> Table:
    table = Table("bytes stored per document", "", box=None)
    table.add_row("Postgres", f"{storage.postgres:,}")
    for name, size in storage.postgres_tables.items():
        table.add_row(f"  {name}", f"{size:,}")
    table.add_row("wrapped keys", f"{storage.keys:,}")
    table.add_row("JetStream, until trimmed", f"{storage.nats:,}")
    table.add_row("WAL written, recycled", f"{storage.wal:,}")
    return table


def _floors(floors: Floors) -> Table:
    table = Table("floor", "per second", "CPU ms", box=None)
    stream, sink = floors.stream, floors.sink
    table.add_row(
        "stream with TLS", f"{stream.messages_per_s:.0f}", f"server {stream.server_cpu_ms:.3f}, client {stream.client_cpu_ms:.3f}"
    )
    for figure in floors.append:
        used = f"Postgres {figure.postgres_cpu_ms:.3f}, client {figure.client_cpu_ms:.3f}"
        table.add_row(f"{figure.kind} of body and six facts, batches of {figure.batch_documents}", f"{figure.documents_per_s:.0f}", used)
    table.add_row("sink with TLS", f"{sink.requests_per_second:.0f}", f"sink {sink.sink_cpu_ms:.3f}, client {sink.client_cpu_ms:.3f}")
    return table


def _growth(samples: Sequence[Sample]) -> Table:
    rows = growth(samples)
    parts = [part for part in (rows[-1] if rows else {}) if part not in ("documents", "delivered_per_s")]
    table = Table("documents", "delivered/s", *parts, title="does anything grow? resident MiB (first process of a part)", box=None)
    for row in rows:
        table.add_row(f"{row['documents']:.0f}", f"{row['delivered_per_s']:.0f}", *(f"{row[part]:.0f}" for part in parts))
    return table
