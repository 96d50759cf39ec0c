"""The plot of a run: delivered per second over time, both latencies, CPU by part."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from tests.bench.figures import SECOND_NS
from tests.bench.generator import Line
from tests.bench.report import Carry

mpl.use("Agg")


def draw(carry: Carry, lines: Sequence[Line], arrivals: Sequence[tuple[str, int]], file: Path) -> None:
    """Draw the closed loop; the open loop is in the table."""
    figure = Figure(figsize=(11, 8), layout="constrained")
    figure.suptitle(carry.last_line)
    rates, latencies, cpu = figure.subplots(3, 1)
    began = min(line.sent_ns for line in lines)
    for label, times in (("acknowledged", [line.answered_ns for line in lines]), ("delivered", [at for _, at in arrivals])):
        seconds = Counter((at - began) // SECOND_NS for at in times)
        rates.plot(range(max(seconds) + 1), [seconds[second] for second in range(max(seconds) + 1)], label=label, drawstyle="steps-post")
    rates.set(xlabel="seconds", ylabel="documents per second", ylim=(0, None))
    rates.legend(loc="lower right")
    arrived = {identifier.rpartition("-")[0]: at for identifier, at in arrivals}
    both = (
        ("acknowledgement", [(line.answered_ns - line.due_ns) / 1e6 for line in lines]),
        ("end to end", [(arrived[line.document] - line.due_ns) / 1e6 for line in lines if line.document in arrived]),
    )
    for label, milliseconds in both:
        ordered = sorted(milliseconds)
        latencies.plot(ordered, [100 * (place + 1) / len(ordered) for place in range(len(ordered))], label=label)
    latencies.set(xlabel="milliseconds", ylabel="percent of documents", xscale="log")
    latencies.legend(loc="lower right")
    parts = carry.closed.cpu_ms_per_document.parts
    cpu.barh(list(parts), list(parts.values()))
    cpu.invert_yaxis()
    cpu.set(xlabel=f"CPU ms per document (all: {carry.closed.cpu_ms_per_document.total:.2f})")
    figure.savefig(file, dpi=120)
