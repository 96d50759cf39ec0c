"""From what happened to the figures that are reported. Pure: no clock is read here."""

import math
from collections.abc import Mapping, Sequence

import msgspec

from tests.bench.generator import Line
from tests.bench.processes import Clocks

MILLISECOND_NS = 1_000_000
SECOND_NS = 1_000_000_000


class Latency(msgspec.Struct, frozen=True, kw_only=True):
    """Milliseconds."""

    p50: float
    p95: float
    p99: float
    highest: float


class Cpu(msgspec.Struct, frozen=True, kw_only=True):
    """CPU in milliseconds per document: of each part, of all of them, and of the whole machine (the kernel's own work and strangers too).

    `others_share` is how much of the machine was used by what is not part of the run, `stolen_share` how much the host gave away.
    """

    parts: dict[str, float]
    total: float
    machine: float
    others_share: float
    stolen_share: float


class LoadFigures(msgspec.Struct, frozen=True, kw_only=True):
    """One load. Rates count from the first submission to the last acknowledgement or arrival, warm-up excluded."""

    kind: str
    documents: int
    acknowledged_per_s: float
    delivered_per_s: float
    ack_ms: Latency
    end_to_end_ms: Latency
    cpu_ms_per_document: Cpu
    memory_mib: dict[str, float]


class Storage(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes stored per document. `postgres` holds body, facts and read models with their indexes; WAL passes and is recycled."""

    postgres: int
    postgres_tables: dict[str, int]
    keys: int
    wal: int
    nats: int


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """One look at a load under way: seconds since it began, documents arrived, resident MiB of each part, what the yardstick took."""

    at_seconds: float
    arrived: int
    resident_mib: dict[str, float]
    yardstick_ms: float


def latency(milliseconds: Sequence[float]) -> Latency:
    """Percentiles by the nearest rank."""
    ordered = sorted(milliseconds)

    def rank(share: float) -> float:
        return round(ordered[min(len(ordered) - 1, math.ceil(share * len(ordered)) - 1)], 2)

    return Latency(p50=rank(0.50), p95=rank(0.95), p99=rank(0.99), highest=round(ordered[-1], 2))


def cpu(before: Clocks, after: Clocks, documents: int, seconds: float, cores: int) -> Cpu:
    """What was used between two readings."""
    parts = {part: after.parts[part] - before.parts[part] for part in after.parts}
    total, machine = sum(parts.values()), after.machine - before.machine
    room = seconds * cores
    return Cpu(
        parts={part: _per_document(used, documents) for part, used in sorted(parts.items(), key=lambda pair: -pair[1])},
        total=_per_document(total, documents),
        machine=_per_document(machine, documents),
        others_share=round(max(0.0, machine - total) / room, 3),
        stolen_share=round((after.stolen - before.stolen) / room, 3),
    )


def load_figures(
    kind: str, lines: Sequence[Line], arrivals: Sequence[tuple[str, int]], used: Cpu, memory_bytes: Mapping[str, int]
) -> LoadFigures:
    """The figures of one load; `arrivals` are by delivery id, `<document>-<ordinal>`."""
    arrived = {identifier.rpartition("-")[0]: at for identifier, at in arrivals}
    first = min(line.sent_ns for line in lines)
    acknowledged = max(line.answered_ns for line in lines) - first
    delivered = max(arrived.values()) - first
    return LoadFigures(
        kind=kind,
        documents=len(lines),
        acknowledged_per_s=round(len(lines) / (acknowledged / SECOND_NS), 1),
        delivered_per_s=round(len(lines) / (delivered / SECOND_NS), 1),
        ack_ms=latency([(line.answered_ns - line.due_ns) / MILLISECOND_NS for line in lines]),
        end_to_end_ms=latency([(arrived[line.document] - line.due_ns) / MILLISECOND_NS for line in lines if line.document in arrived]),
        cpu_ms_per_document=used,
        memory_mib={part: round(size / 2**20, 1) for part, size in memory_bytes.items()},
    )


def growth(samples: Sequence[Sample], parts: int = 10) -> list[dict[str, float]]:
    """The load in equal parts of its arrivals: documents per second and resident MiB of each, to see whether anything grows."""
    if not samples or not samples[-1].arrived:
        return []
    share = samples[-1].arrived / parts
    rows: list[dict[str, float]] = []
    earlier = samples[0]
    for number in range(1, parts + 1):
        reached = next((sample for sample in samples if sample.arrived >= share * number), samples[-1])
        seconds = reached.at_seconds - earlier.at_seconds
        if seconds <= 0:
            continue
        rate = (reached.arrived - earlier.arrived) / seconds
        rows.append({"documents": float(reached.arrived), "delivered_per_s": round(rate, 1), **reached.resident_mib})
        earlier = reached
    return rows


def _per_document(seconds: float, documents: int) -> float:
    return round(seconds * 1000 / documents, 3)
