"""What every process of a run costs, read from /proc: CPU since a moment, and memory. Nothing here asks a process anything.

Postgres is one part with many processes; its own children that ended are in its count of them, so nothing is lost when a backend goes.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

TICKS_PER_SECOND: Final = os.sysconf("SC_CLK_TCK")
PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")

# The fields of /proc/<pid>/stat behind the command's name (proc(5), from field 3 on).
_PARENT_AT = 1
_OWN_AT = slice(11, 13)
_ENDED_CHILDREN_AT = slice(13, 15)
# The fields of the first line of /proc/stat: time in which nothing ran, and time that the host gave to others.
_IDLE_AT = slice(3, 5)
_STOLEN_AT = 7
_GUEST_AT = 8


@dataclass(frozen=True, slots=True)
class Clocks:
    """Seconds of CPU used so far: by part of the system, by process, and by the whole machine; and what the host took away."""

    parts: Mapping[str, float]
    pids: Mapping[int, float]
    machine: float
    stolen: float


@dataclass(frozen=True, slots=True)
class Census:
    """The processes of a run by the part they are; a part's processes include the children they have when they are counted."""

    roots: Mapping[str, int]

    def clocks(self) -> Clocks:
        """Read every clock now."""
        stats = _stats()
        family = _family(stats)
        parts: dict[str, float] = {}
        pids: dict[int, float] = {}
        for part, root in self.roots.items():
            members = self._members(root, family) if root in stats else []
            for pid in members:
                pids[pid] = _seconds(stats[pid][_OWN_AT])
            # A child that has not ended counts by itself; one that has, by whoever waited for it.
            parts[part] = sum(pids[pid] + _seconds(stats[pid][_ENDED_CHILDREN_AT]) for pid in members)
        busy, stolen = _machine()
        return Clocks(parts, pids, busy, stolen)

    def memory_bytes(self) -> dict[str, int]:
        """Each part's share of memory (PSS: what is shared counts in parts), in bytes."""
        family = _family(_stats())
        return {part: sum(_proportional_bytes(pid) for pid in self._members(root, family)) for part, root in self.roots.items()}

    def resident_bytes(self) -> dict[str, int]:
        """The resident memory of each part's first process: cheap enough to ask often."""
        return {part: _resident_bytes(root) for part, root in self.roots.items()}

    def members(self, part: str) -> list[int]:
        """The processes of one part now."""
        family = _family(_stats())
        return self._members(self.roots[part], family)

    def _members(self, root: int, family: Mapping[int, list[int]]) -> list[int]:
        """A process and its descendants, without those that are parts of their own: the supervisor is the parent of most."""
        others = set(self.roots.values()) - {root}
        members = [root]
        for pid in members:
            members.extend(child for child in family.get(pid, ()) if child not in others)
        return members


def _stats() -> dict[int, list[str]]:
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                text = (entry / "stat").read_text()
            except OSError:
                continue
            # The command's name may hold spaces and brackets; what follows its last bracket is plain.
            found[int(entry.name)] = text.rpartition(")")[2].split()
    return found


def _family(stats: Mapping[int, list[str]]) -> dict[int, list[int]]:
    """The children of each process."""
    family: dict[int, list[int]] = {}
    for pid, fields in stats.items():
        family.setdefault(int(fields[_PARENT_AT]), []).append(pid)
    return family


def _seconds(fields: list[str]) -> float:
    return sum(map(int, fields)) / TICKS_PER_SECOND


def _machine() -> tuple[float, float]:
    with Path("/proc/stat").open() as file:
        fields = [int(field) for field in file.readline().split()[1:]]
    stolen = fields[_STOLEN_AT]
    busy = sum(fields[:_GUEST_AT]) - sum(fields[_IDLE_AT]) - stolen
    return busy / TICKS_PER_SECOND, stolen / TICKS_PER_SECOND


def _proportional_bytes(pid: int) -> int:
    try:
        with Path(f"/proc/{pid}/smaps_rollup").open() as file:
            return next((int(line.split()[1]) * 1024 for line in file if line.startswith("Pss:")), 0)
    except OSError:
        return 0


def _resident_bytes(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_BYTES
    except OSError:
        return 0
