"""The event log in memory: the verified fake for tests, and the plain statement of what the log means."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from uuid import UUID

from relais.clock import Clock
from relais.eventlog.limits import check_batch
from relais.eventlog.log import READ_MAXIMUM, STREAM_EVENTS_MAXIMUM, STREAMS_MAXIMUM, BatchConflict, Fenced, LimitExceeded
from relais.eventlog.record import ROWS_STORED, Append, Appended, Checkpoint, NewEvent, Outcome, SealedChunk, StoredEvent

Work = dict[str, object]


class MemoryEventLog:
    """One log of one process. It passes the suite that Postgres passes, durability and concurrency apart.

    `insert_chunks` hands the bodies of stored appends to a blob store in memory. `apply_work` stands for the service's SQL function of
    that name: it is called only with rows of stored appends, and what it raises stops the append.
    """

    def __init__(
        self,
        name: str,
        clock: Clock,
        *,
        insert_chunks: Callable[[Sequence[SealedChunk]], None] | None = None,
        apply_work: Callable[[list[Work]], None] | None = None,
    ) -> None:
        self._name = name
        self._clock = clock
        self._apply_work = apply_work
        self._events: list[StoredEvent] = []
        self._by_id: dict[UUID, StoredEvent] = {}
        self._streams: defaultdict[tuple[str, str], list[StoredEvent]] = defaultdict(list)
        self._tenant_sequences: defaultdict[str, int] = defaultdict(int)
        self._checkpoints: dict[tuple[str, str, int], Checkpoint] = {}
        self._insert_chunks = insert_chunks
        self.chunks: list[SealedChunk] = []
        self.work: list[Work] = []

    @property
    def name(self) -> str:
        return self._name

    async def append(
        self, appends: Sequence[Append], *, checkpoints: Sequence[Checkpoint] = (), all_or_nothing: bool = False
    ) -> list[Appended]:
        check_batch(appends, checkpoints)
        if all_or_nothing:
            self._refuse_conflicts(appends)
        self._refuse_fenced(checkpoints)
        verdicts = zip(appends, self._judge(appends), strict=True)
        accepted = [append for append, outcome in verdicts if outcome is Outcome.STORED]
        work = [row for append in accepted for row in append.work]
        if work and self._apply_work is not None:
            self._apply_work(work)
        self.work.extend(work)
        chunks = [chunk for append in accepted for chunk in append.chunks]
        if chunks and self._insert_chunks is not None:
            self._insert_chunks(chunks)
        self.chunks.extend(chunks)
        now = max(self._clock.now(), self._events[-1].recorded_at if self._events else datetime.min.replace(tzinfo=UTC))
        appended = [self._append_one(append, now) for append in appends]
        for mark in checkpoints:
            self._checkpoints[mark.consumer, mark.log, mark.partition] = mark
        return appended

    async def read(
        self, after: int, limit: int = READ_MAXIMUM, *, tags: Sequence[str] = (), tenant: str | None = None
    ) -> list[StoredEvent]:
        _refuse_more(limit, READ_MAXIMUM, "events")
        wanted = (
            event
            for event in self._events[max(after, 0) :]
            if (not tags or event.tag in tags) and (tenant is None or event.tenant == tenant)
        )
        return [event for event, _ in zip(wanted, range(limit), strict=False)]

    async def read_streams(self, tenant_streams: Sequence[tuple[str, str]]) -> dict[tuple[str, str], list[StoredEvent]]:
        _refuse_more(len(tenant_streams), STREAMS_MAXIMUM, "streams")
        found = {key: list(self._streams.get(key, ())) for key in tenant_streams}
        for events in found.values():
            _refuse_more(len(events), STREAM_EVENTS_MAXIMUM, "events of one stream")
        return found

    async def find(self, event_ids: Sequence[UUID]) -> dict[UUID, StoredEvent]:
        return {event_id: self._by_id[event_id] for event_id in event_ids if event_id in self._by_id}

    async def head(self) -> int:
        return len(self._events)

    async def checkpoints(self, consumer: str) -> list[Checkpoint]:
        return [mark for key, mark in sorted(self._checkpoints.items()) if mark.consumer == consumer]

    async def claim(self, consumer: str, log: str, epochs: Mapping[int, int]) -> list[Checkpoint]:
        for partition, epoch in epochs.items():
            held = self._checkpoints.get((consumer, log, partition))
            if held is not None and held.epoch > epoch:
                raise Fenced("a checkpoint has a higher epoch")
        for partition, epoch in epochs.items():
            self.fence(consumer, log, partition, epoch)
        return [self._checkpoints[consumer, log, partition] for partition in sorted(epochs)]

    def fence(self, consumer: str, log: str, partition: int, epoch: int) -> None:
        """Give a checkpoint the epoch of a lease just won: what taking a lease over does to the row in Postgres."""
        key = (consumer, log, partition)
        mark = self._checkpoints.get(key)
        position, event_id = (mark.position, mark.event_id) if mark else (0, UUID(int=0))
        self._checkpoints[key] = Checkpoint(consumer, log, partition, position, event_id, epoch)

    def _refuse_fenced(self, checkpoints: Sequence[Checkpoint]) -> None:
        for mark in checkpoints:
            held = self._checkpoints.get((mark.consumer, mark.log, mark.partition))
            if held is not None and held.epoch != mark.epoch:
                raise Fenced("a checkpoint has another epoch")

    def _refuse_conflicts(self, appends: Sequence[Append]) -> None:
        conflicts = [index for index, outcome in enumerate(self._judge(appends)) if outcome is Outcome.CONFLICT]
        if conflicts:
            raise BatchConflict(conflicts)

    def _judge(self, appends: Sequence[Append]) -> list[Outcome]:
        """What would become of each append if they came one after another, storing nothing."""
        ids: set[UUID] = set()
        versions: dict[tuple[str, str], int] = {}
        outcomes = []
        for append in appends:
            if not append.events:
                outcomes.append(Outcome.STORED)
                continue
            first = append.events[0]
            key = (first.tenant, first.stream)
            version = versions.get(key, len(self._streams.get(key, ())))
            if any(event.event_id in self._by_id or event.event_id in ids for event in append.events):
                outcomes.append(Outcome.DUPLICATE)
            elif first.expected_version is not None and first.expected_version != version:
                outcomes.append(Outcome.CONFLICT)
            else:
                outcomes.append(Outcome.STORED)
                versions[key] = version + len(append.events)
                ids.update(event.event_id for event in append.events)
        return outcomes

    def _append_one(self, append: Append, now: datetime) -> Appended:
        if not append.events:
            return ROWS_STORED
        (outcome,) = self._judge([append])
        first = append.events[0]
        if outcome is Outcome.DUPLICATE:
            known = [self._by_id[event.event_id] for event in append.events if event.event_id in self._by_id]
            return _place(known[-1], Outcome.DUPLICATE)
        if outcome is Outcome.CONFLICT:
            return Appended(Outcome.CONFLICT, 0, 0, len(self._streams.get((first.tenant, first.stream), ())), None)
        return _place([self._store(event, now) for event in append.events][-1], Outcome.STORED)

    def _store(self, event: NewEvent, now: datetime) -> StoredEvent:
        stream = self._streams[event.tenant, event.stream]
        self._tenant_sequences[event.tenant] += 1
        stored = StoredEvent(
            position=len(self._events) + 1,
            tenant=event.tenant,
            tenant_sequence=self._tenant_sequences[event.tenant],
            stream=event.stream,
            version=len(stream) + 1,
            event_id=event.event_id,
            tag=event.tag,
            partition=event.partition,
            recorded_at=now,
            actor=event.actor,
            traceparent=event.traceparent,
            payload=event.payload,
        )
        self._events.append(stored)
        self._by_id[event.event_id] = stored
        stream.append(stored)
        return stored


def _place(event: StoredEvent, outcome: Outcome) -> Appended:
    return Appended(outcome, event.position, event.tenant_sequence, event.version, event.recorded_at)


def _refuse_more(count: int, maximum: int, what: str) -> None:
    if count > maximum:
        raise LimitExceeded(f"more than {maximum} {what} in one call")
