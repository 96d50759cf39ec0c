"""What a bench runs on, for whoever compares figures."""

import os
import platform
import time
from pathlib import Path
from typing import Final

from tests.bench.report import Machine

SYNCS: Final = 200
SYNC_BYTES: Final = 8192


def machine_here(folder: Path) -> Machine:
    """Cores, memory, and how long a small write takes to be durable in `folder`."""
    return Machine(
        cores=len(os.sched_getaffinity(0)),
        processor=_processor(),
        memory_gib=round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        kernel=platform.release(),
        python=platform.python_version(),
        fsync_ms=round(_sync_ms(folder), 3),
    )


def _processor() -> str:
    with Path("/proc/cpuinfo").open() as file:
        return next((line.partition(":")[2].strip() for line in file if line.startswith("model name")), platform.machine())


def _sync_ms(folder: Path) -> float:
    file = folder / "sync.probe"
    with file.open("wb", buffering=0) as stream:
        began = time.perf_counter()
        for _ in range(SYNCS):
            stream.write(bytes(SYNC_BYTES))
            os.fdatasync(stream.fileno())
        took = time.perf_counter() - began
    file.unlink()
    return took * 1000 / SYNCS
