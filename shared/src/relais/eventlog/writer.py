"""Group commit for callers that append one by one: whatever is queued goes as one batch, and nobody waits for a batch to fill.

With every call in flight costing one fsync, the queue that builds up meanwhile *is* the next batch: small when little happens, large
under load. Tenants are served in turn, one append each, so that a tenant that floods waits behind its own appends and nobody else's.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from relais.clock import Clock
from relais.eventlog.limits import append_bytes, check_append
from relais.eventlog.log import (
    APPENDS_MAXIMUM,
    BATCH_BYTES_MAXIMUM,
    EVENTS_MAXIMUM,
    EventLog,
    EventLogError,
    LogUnavailable,
    Malformed,
    OutcomeUnknown,
    Overloaded,
)
from relais.eventlog.record import Append, Appended, Outcome, StoredEvent

CALLS_IN_FLIGHT: Final = 2
QUEUE_APPENDS_MAXIMUM: Final = 4000
QUEUE_BYTES_MAXIMUM: Final = 64 * 1024 * 1024
RETRY_AFTER_SECONDS: Final = 0.5
READ_BACKS_MAXIMUM: Final = 6
READ_BACK_PAUSE_SECONDS: Final = 0.1

# A tenant may fill at most one part in this many of the queue, so that there is always room for another.
TENANT_PARTS: Final = 2


@dataclass(slots=True, eq=False)
class _Waiting:
    append: Append
    size: int
    answer: "asyncio.Future[Appended]"


class BatchingWriter:
    """Appends for many callers through few calls. `run` must be running for anything to be answered; one task owns it.

    `committed` is called after each batch that stored something, so that the relay wakes. Appends of one stream that are awaited one
    after another keep their order; those handed in at the same time may be stored in any.
    """

    def __init__(
        self,
        log: EventLog,
        clock: Clock,
        committed: Callable[[], None],
        *,
        calls_in_flight: int = CALLS_IN_FLIGHT,
        queue_appends_maximum: int = QUEUE_APPENDS_MAXIMUM,
        queue_bytes_maximum: int = QUEUE_BYTES_MAXIMUM,
    ) -> None:
        self._log = log
        self._clock = clock
        self._committed = committed
        self._calls_in_flight = calls_in_flight
        self._queue = _FairQueue(queue_appends_maximum, queue_bytes_maximum)
        self._changed = asyncio.Event()
        self._closing = False

    async def append(self, append: Append) -> Appended:
        """Store one append, in a batch with whatever else is there; returns what the log answered for it.

        Raises `Malformed` or `LimitExceeded` at once, `Overloaded` when the queue is full, `LogUnavailable` when nothing was stored,
        `OutcomeUnknown` when it could not be found out. An append that was read back after a lost answer is a DUPLICATE of itself.
        """
        check_append(append)
        if not append.events:
            # Without an event id a lost answer could not be read back.
            raise Malformed("events", "the writer takes appends with events only")
        if self._closing:
            raise LogUnavailable("the writer is closing")
        waiting = _Waiting(append, append_bytes(append), asyncio.get_running_loop().create_future())
        self._queue.put(waiting)
        self._changed.set()
        return await waiting.answer

    async def run(self) -> None:
        """Work until `close`; when cancelled, whoever still waits is told that nothing was stored, or that nobody knows."""
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(self._calls_in_flight):
                    group.create_task(self._work())
        finally:
            self._closing = True
            while batch := self._queue.take():
                _fail(batch, LogUnavailable("the writer was stopped"))

    def close(self) -> None:
        """Take nothing in any more; `run` ends when all that was queued has its answer."""
        self._closing = True
        self._changed.set()

    async def _work(self) -> None:
        while True:
            batch = self._queue.take()
            if batch:
                await self._append(batch)
            elif self._closing:
                return
            else:
                self._changed.clear()
                await self._changed.wait()

    async def _append(self, batch: Sequence[_Waiting]) -> None:
        try:
            answers = await self._log.append([waiting.append for waiting in batch])
        except OutcomeUnknown:
            await self._read_back(batch)
        except EventLogError as error:
            _fail(batch, error)
        except asyncio.CancelledError:
            _fail(batch, OutcomeUnknown("the writer was stopped while the log was asked"))
            raise
        except Exception as error:  # noqa: BLE001 -- it goes to the caller whose append it is
            # Something in the batch cannot be stored, by its own fault. It must not take its neighbours along.
            if len(batch) == 1:
                _fail(batch, error)
            else:
                for waiting in batch:
                    await self._append([waiting])
        else:
            self._answer(batch, answers)

    def _answer(self, batch: Sequence[_Waiting], answers: Sequence[Appended]) -> None:
        for waiting, answer in zip(batch, answers, strict=True):
            if not waiting.answer.done():
                waiting.answer.set_result(answer)
        if any(answer.outcome is Outcome.STORED for answer in answers):
            self._committed()

    async def _read_back(self, batch: Sequence[_Waiting]) -> None:
        """Nobody knows whether the batch was committed: look for its events, and only then send again what is not there.

        A call whose answer was lost may still be running in the database; sent again, its events are judged by their ids after it.
        """
        left = list(batch)
        for turn in range(READ_BACKS_MAXIMUM):
            try:
                await self._clock.sleep(turn * READ_BACK_PAUSE_SECONDS)
                left = await self._answer_known(left)
                if left:
                    self._answer(left, await self._log.append([waiting.append for waiting in left]))
            except (LogUnavailable, OutcomeUnknown):
                continue
            except EventLogError as error:
                _fail(left, error)
            except asyncio.CancelledError:
                _fail(left, OutcomeUnknown("the writer was stopped before the outcome was known"))
                raise
            return
        _fail(left, OutcomeUnknown("the log could not be asked what became of the append"))

    async def _answer_known(self, batch: Sequence[_Waiting]) -> list[_Waiting]:
        """Answer those whose events are in the log; the others."""
        found = await self._log.find([event.event_id for waiting in batch for event in waiting.append.events])
        known, unknown, places = [], [], []
        for waiting in batch:
            stored = [found[event.event_id] for event in waiting.append.events if event.event_id in found]
            if stored:
                known.append(waiting)
                places.append(_place(stored[-1]))
            else:
                unknown.append(waiting)
        self._answer(known, places)
        if known:
            self._committed()
        return unknown


class _FairQueue:
    """Waiting appends by tenant; taken one from each tenant in turn."""

    def __init__(self, appends_maximum: int, bytes_maximum: int) -> None:
        self._appends_maximum = appends_maximum
        self._bytes_maximum = bytes_maximum
        self._tenants: OrderedDict[str, deque[_Waiting]] = OrderedDict()
        self._tenant_bytes: dict[str, int] = {}
        self._appends = 0
        self._bytes = 0

    def put(self, waiting: _Waiting) -> None:
        """Queue one append, or raise `Overloaded`."""
        tenant = waiting.append.events[0].tenant
        appends, size = len(self._tenants.get(tenant, ())), self._tenant_bytes.get(tenant, 0)
        if (
            self._appends >= self._appends_maximum
            or self._bytes + waiting.size > self._bytes_maximum
            or appends >= self._appends_maximum // TENANT_PARTS
            or size + waiting.size > self._bytes_maximum // TENANT_PARTS
        ):
            raise Overloaded(RETRY_AFTER_SECONDS)
        self._tenants.setdefault(tenant, deque()).append(waiting)
        self._tenant_bytes[tenant] = size + waiting.size
        self._appends += 1
        self._bytes += waiting.size

    def take(self) -> list[_Waiting]:
        """One batch: what is there, as far as one call may hold it. Empty when nothing is there."""
        batch: list[_Waiting] = []
        size = events = 0
        while self._tenants and len(batch) < APPENDS_MAXIMUM:
            tenant, queue = next(iter(self._tenants.items()))
            size += queue[0].size
            events += len(queue[0].append.events)
            if batch and (size > BATCH_BYTES_MAXIMUM or events > EVENTS_MAXIMUM):
                break
            waiting = queue.popleft()
            self._appends -= 1
            self._bytes -= waiting.size
            self._tenant_bytes[tenant] -= waiting.size
            if queue:
                self._tenants.move_to_end(tenant)
            else:
                del self._tenants[tenant], self._tenant_bytes[tenant]
            # Whoever gave up while it was queued is not stored.
            if not waiting.answer.done():
                batch.append(waiting)
            else:
                size -= waiting.size
                events -= len(waiting.append.events)
        return batch


def _place(event: StoredEvent) -> Appended:
    return Appended(Outcome.DUPLICATE, event.position, event.tenant_sequence, event.version, event.recorded_at)


def _fail(batch: Sequence[_Waiting], error: Exception) -> None:
    for waiting in batch:
        if not waiting.answer.done():
            waiting.answer.set_exception(error)
