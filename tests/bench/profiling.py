"""Where a part's time goes during the closed loop: py-spy samples one Python process by its own functions; perf samples Postgres,
nats-server, or everything at once (`all`) by the functions of the machine.
"""

import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from rich.table import Table

from tests.bench.processes import Census

SAMPLES_PER_SECOND: Final = 100
SHOWN: Final = 40
STOP_SECONDS: Final = 60.0
ALL: Final = "all"
NATIVE_PARTS: Final = ("postgres", "nats-server", ALL)


class ProfilerMissing(Exception):
    """The tool that a profile needs is not installed."""


@contextmanager
def profiled(part: str, census: Census, file: Path) -> Iterator[None]:
    """Sample `part` while the body runs; `file` gets the samples as collapsed stacks. Raises `ProfilerMissing`."""
    command = _perf(part, census, file) if part in NATIVE_PARTS else _py_spy(part, census, file)
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as profiler:
        try:
            yield
        finally:
            profiler.send_signal(signal.SIGINT)
            profiler.wait(STOP_SECONDS)
    if part in NATIVE_PARTS:
        _collapse(file)


def _py_spy(part: str, census: Census, file: Path) -> list[str]:
    program = Path(sys.executable).with_name("py-spy")
    if not program.exists():
        raise ProfilerMissing("py-spy is not installed: .venv/bin/pip install py-spy")
    return [
        str(program), "record", "--pid", str(census.roots[part]), "--rate", str(SAMPLES_PER_SECOND), "--gil", "--format", "raw",
        "--duration", "unlimited", "--output", str(file),
    ]  # fmt: skip


def _perf(part: str, census: Census, file: Path) -> list[str]:
    program = shutil.which("perf")
    if program is None:
        raise ProfilerMissing("perf is not installed: Debian's package is linux-perf")
    parts = census.roots if part == ALL else (part,)
    pids = ",".join(str(pid) for one in parts for pid in census.members(one))
    return [program, "record", "--freq", str(SAMPLES_PER_SECOND * 5), "-g", "--pid", pids, "--output", str(file.with_suffix(".perf"))]


def _collapse(file: Path) -> None:
    """The samples of perf as collapsed stacks, outermost function first."""
    script = subprocess.run(
        ["perf", "script", "--input", str(file.with_suffix(".perf")), "--fields", "comm,ip,sym"],
        check=False,
        capture_output=True,
        text=True,
    )
    stacks: Counter[str] = Counter()
    for sample in script.stdout.split("\n\n"):
        lines = sample.splitlines()
        if len(lines) > 1:
            names = [line.split(None, 1)[1] if len(line.split(None, 1)) > 1 else "?" for line in lines[1:]]
            stacks[";".join([lines[0].strip().rstrip(":"), *reversed(names)])] += 1
    file.write_text("".join(f"{stack} {count}\n" for stack, count in stacks.most_common()))


def hot_spots(file: Path) -> tuple[Table, Table]:
    """Two tables of shares of all samples: functions by themselves, and functions with everything they call."""
    alone: Counter[str] = Counter()
    whole: Counter[str] = Counter()
    for line in file.read_text().splitlines():
        stack, _, count = line.rpartition(" ")
        frames = _frames(stack)
        alone[frames[-1]] += int(count)
        for frame in set(frames):
            whole[frame] += int(count)
    total = max(1, sum(alone.values()))
    return _table("by itself", alone, total), _table("with all it calls", whole, total)


def _frames(stack: str) -> Sequence[str]:
    # A function is one place, whichever of its lines was met.
    return [frame.rpartition(":")[0] + ")" if frame.endswith(")") and ":" in frame else frame for frame in stack.split(";")]


def _table(title: str, counts: Counter[str], total: int) -> Table:
    table = Table("share", "function", title=title, title_justify="left", box=None)
    for name, count in counts.most_common(SHOWN):
        table.add_row(f"{100 * count / total:5.1f} %", name)
    return table
