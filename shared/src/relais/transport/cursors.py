"""Where a consumer stands in each partition it holds, and what a batch means from there: known, new, a hole, or a fork. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID

from relais.eventlog.record import Checkpoint
from relais.transport.bus import Delivered, LogForkDetected, StreamState
from relais.transport.progress import Mark

NOTHING_READ = UUID(int=0)


@dataclass(slots=True)
class Cursor:
    """One partition: the last event handled, what of it is committed, and the position of a hole in front of it (0: none)."""

    position: int
    event_id: str
    epoch: int
    committed: int
    hole: int = 0

    @classmethod
    def at(cls, checkpoint: Checkpoint) -> "Cursor":
        """As the log has it."""
        event_id = "" if checkpoint.event_id == NOTHING_READ else str(checkpoint.event_id)
        return cls(checkpoint.position, event_id, checkpoint.epoch, checkpoint.position)


class Cursors:
    """The partitions of one reading. `frontier`: nothing at or below it is left to handle in any of them, holes apart."""

    def __init__(self, consumer: str, log: str, checkpoints: Iterable[Checkpoint]) -> None:
        self._consumer = consumer
        self._log = log
        self._cursors = {checkpoint.partition: Cursor.at(checkpoint) for checkpoint in checkpoints}
        self.frontier = 0

    @property
    def partitions(self) -> list[int]:
        """Those that are read."""
        return sorted(self._cursors)

    @property
    def holes(self) -> dict[int, int]:
        """Partitions that wait for events which the stream does not hold, and below which position they are missing."""
        return {partition: cursor.hole for partition, cursor in self._cursors.items() if cursor.hole}

    def require_base(self, base: int, reached: dict[int, int]) -> None:
        """A stream that begins above what a partition is known to have reached (`reached`, else its own position) has a hole there."""
        for partition, cursor in self._cursors.items():
            if max(cursor.position, reached.get(partition, 0)) < base:
                cursor.hole = base

    def first_unread(self, state: StreamState) -> int | None:
        """The lowest position at which some partition stands that the stream has more for; None when there is nothing to read yet.

        Raises `LogForkDetected` when the stream ends a partition at a known position with another event.
        """
        for partition, cursor in self._cursors.items():
            if state.last_positions.get(partition) == cursor.position and state.last_event_ids[partition] != cursor.event_id:
                raise LogForkDetected(self._log, cursor.position)
        behind = [
            cursor.position for partition, cursor in self._cursors.items() if state.last_positions.get(partition, 0) > cursor.position
        ]
        return min(behind, default=None)

    def accept(self, batch: Sequence[Delivered]) -> list[Delivered]:
        """What of a batch is new, in order; moves nothing but marks holes. Raises `LogForkDetected`."""
        reached = {partition: (cursor.position, cursor.event_id) for partition, cursor in self._cursors.items()}
        fresh: list[Delivered] = []
        for delivered in batch:
            announcement = delivered.announcement
            cursor = self._cursors.get(announcement.partition)
            if cursor is None:
                continue
            position, event_id = reached[announcement.partition]
            if announcement.position == position and announcement.event_id != event_id:
                raise LogForkDetected(self._log, position)
            if announcement.position <= position:
                continue
            if announcement.previous > position:
                cursor.hole = announcement.previous
            else:
                cursor.hole = 0
                reached[announcement.partition] = (announcement.position, announcement.event_id)
                fresh.append(delivered)
        return fresh

    def handled(self, fresh: Iterable[Delivered]) -> None:
        """Move over facts that were handled, though their checkpoints may not be committed yet."""
        for delivered in fresh:
            announcement = delivered.announcement
            cursor = self._cursors[announcement.partition]
            cursor.position, cursor.event_id = announcement.position, announcement.event_id

    def passed(self, batch: Sequence[Delivered]) -> None:
        """All of a batch was dealt with: the frontier is where it ended."""
        self.frontier = max(self.frontier, batch[-1].announcement.position)

    def checkpoints(self, fresh: Iterable[Delivered] = ()) -> list[Checkpoint]:
        """What to commit together with the effects of these facts, and for partitions that moved without effects before."""
        ends = {delivered.announcement.partition: delivered.announcement for delivered in fresh}
        moved: list[Checkpoint] = []
        for partition, cursor in sorted(self._cursors.items()):
            end = ends.get(partition)
            if end is not None:
                moved.append(Checkpoint(self._consumer, self._log, partition, end.position, UUID(end.event_id), cursor.epoch))
            elif cursor.position > cursor.committed:
                moved.append(Checkpoint(self._consumer, self._log, partition, cursor.position, UUID(cursor.event_id), cursor.epoch))
        return moved

    def committed(self) -> None:
        """Everything handled so far is committed."""
        for cursor in self._cursors.values():
            cursor.committed = cursor.position

    def marks(self) -> dict[int, Mark]:
        """What may be told to relays now: only what is committed. A partition that moved without a commit keeps the mark it had."""
        marks: dict[int, Mark] = {}
        for partition, cursor in self._cursors.items():
            if cursor.committed == cursor.position:
                frontier = cursor.position if cursor.hole else max(self.frontier, cursor.position)
                marks[partition] = Mark(cursor.position, frontier, cursor.event_id, cursor.hole)
        return marks
