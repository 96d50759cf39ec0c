"""How far the consumers of a log say they are: what a relay may trim, and from where a lost stream is rebuilt.

This is a hint beside the record, written about once a second: the truth is each consumer's checkpoint in its own log, which
no relay may read. A mark is only ever behind the truth, never ahead of it, and being behind is safe: more is kept, more is
published again, and consumers skip what they know.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from relais.contracts.subjects import PARTITIONS


class ProgressUnavailable(Exception):
    """The database cannot be asked now."""


@dataclass(frozen=True, slots=True)
class Mark:
    """One consumer in one partition: the last event of it that was handled, and up to where in the log nothing of it is left to handle.

    `frontier` is never below `position`; a quiet partition's stays near the log's head though its last event is old.
    `event_id` is that of the event at `position` (empty at 0), so that a relay notices when its log is no longer the one that was read.
    `hole` is not 0 while the consumer waits for events between `position` and there that the stream does not hold.
    """

    position: int
    frontier: int
    event_id: str = ""
    hole: int = 0


@dataclass(frozen=True, slots=True)
class ProgressRow:
    """A mark and whose it is."""

    consumer: str
    partition: int
    mark: Mark


class Progress(Protocol):
    """Where marks are kept. Two implementations: schema `transport` in Postgres, and memory; one suite runs on both."""

    async def note(self, consumer: str, log: str, marks: Mapping[int, Mark]) -> None:
        """Write a consumer's marks by partition, over what was there. Raises `ProgressUnavailable`."""
        ...

    async def read(self, log: str) -> list[ProgressRow]:
        """All marks of a log. Raises `ProgressUnavailable`."""
        ...


@dataclass(frozen=True, slots=True)
class Floor:
    """What all marks of a log say together.

    `position`: every consumer has handled everything up to here. `handled`: per partition, its last event that every consumer has
    handled; events up to it need not be published again, and it is what the next one of the partition follows on.
    """

    position: int
    handled: dict[int, int]


def floor_of(rows: Sequence[ProgressRow]) -> Floor:
    """The floor under all consumers; a consumer that has not said something for every partition may still need everything."""
    consumers: dict[str, dict[int, Mark]] = {}
    for row in rows:
        consumers.setdefault(row.consumer, {})[row.partition] = row.mark
    if not consumers or any(len(marks) < PARTITIONS for marks in consumers.values()):
        return Floor(0, {})
    return Floor(
        position=min(mark.frontier for marks in consumers.values() for mark in marks.values()),
        handled={partition: min(marks[partition].position for marks in consumers.values()) for partition in range(PARTITIONS)},
    )


def handled_by_all(rows: Sequence[ProgressRow], announced: Mapping[int, int], position: int) -> int:
    """Up to where in the log every consumer has handled every announced fact; at most `position`, up to which `announced` is known.

    `announced` is each partition's last announced position. A consumer behind it counts with its checkpoint, not with its frontier:
    it may have read past a fact that the stream had lost, and nothing it has not handled may be forgotten.
    """
    floor = floor_of(rows)
    behind = [floor.handled.get(partition, 0) for partition, last in announced.items() if floor.handled.get(partition, 0) < last]
    return min(floor.position, position, *behind)


class MemoryProgress:
    """Marks in memory, for simulations."""

    def __init__(self) -> None:
        self._marks: dict[str, dict[tuple[str, int], Mark]] = {}

    async def note(self, consumer: str, log: str, marks: Mapping[int, Mark]) -> None:
        for partition, mark in marks.items():
            self._marks.setdefault(log, {})[consumer, partition] = mark

    async def read(self, log: str) -> list[ProgressRow]:
        return [ProgressRow(consumer, partition, mark) for (consumer, partition), mark in self._marks.get(log, {}).items()]
