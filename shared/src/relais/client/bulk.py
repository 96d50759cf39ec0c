"""The bulk stream: many documents under way at once, each with an answer of its own, over one call that may break and be made again.

The platform allows 64 documents or 8 MiB without an answer; `send` waits for room. What waits to be written goes in one message, as far as
the platform takes that. When the call breaks, a new one is made and whatever has no answer yet is sent again, in order: a request_id makes
that harmless. A document that could not be taken in *now* is sent again after the delay that the platform asked for.
"""

import asyncio
from collections import deque
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeAlias

import grpc

from relais.api.ingestion.v1 import ingestion_pb2
from relais.client import document_messages as messages
from relais.client.calls import FOLLOW_TIMEOUT_SECONDS, Calls, listen, pause_seconds
from relais.client.document_records import Receipt, Submission
from relais.client.errors import Broken, ClientError, Explanation, Interrupted, TooLate, Unavailable
from relais.client.statuses import error_of_call, error_of_status

if TYPE_CHECKING:
    from relais.api.ingestion.v1.ingestion_pb2_grpc import IngestionServiceAsyncStub

UNANSWERED_DOCUMENTS_MAXIMUM = 64
UNANSWERED_BYTES_MAXIMUM = 8 * 1024 * 1024
# A message of its own costs a small document more than anything else on the way; above this size it no longer does.
MESSAGE_BYTES_MAXIMUM = 512 * 1024
CLOSE_TIMEOUT_SECONDS = 5.0

_Call: TypeAlias = "grpc.aio.StreamStreamCall[ingestion_pb2.SubmitDocumentsRequest, ingestion_pb2.SubmitDocumentsResponse]"


@dataclass(slots=True)
class _Pending:
    message: ingestion_pb2.SubmitDocumentsRequest
    size: int
    answer: "asyncio.Future[Receipt]"
    failures: int = 0
    resting: bool = False


class BulkStream:
    """Use as an asynchronous context manager; leaving it waits for every answer."""

    def __init__(self, stub: "IngestionServiceAsyncStub", calls: Calls, parent: str) -> None:
        self._stub = stub
        self._calls = calls
        self._parent = parent
        self._pending: dict[int, _Pending] = {}
        self._unsent: deque[_Pending] = deque()
        self._unanswered_bytes = 0
        self._correlation = 0
        self._changed = asyncio.Event()
        self._to_write = asyncio.Event()
        self._takes_more = False
        self._closing = False
        self._failure: ClientError | None = None
        self._failures = 0
        self._interrupted = False
        self._reader: asyncio.Task[None] | None = None
        self._rests: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._reader = asyncio.create_task(self._run())
        self._reader.add_done_callback(self._ended)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        while kind is None and self._pending and self._failure is None:
            await self._change()
        self._closing = True
        self._changed.set()
        self._to_write.set()
        tasks = [task for task in (self._reader, *self._rests) if task is not None]
        if kind is None:
            await asyncio.wait(tasks, timeout=CLOSE_TIMEOUT_SECONDS)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for pending in self._pending.values():
            pending.answer.cancel()

    async def send(self, submission: Submission, body: bytes) -> "asyncio.Future[Receipt]":
        """Send one document, when there is room for it. The future gives its receipt or raises its refusal."""
        request = messages.submit_message(self._parent, submission, body)
        message = ingestion_pb2.SubmitDocumentsRequest(answers_together=True, request=request)
        size = message.ByteSize()
        while not self._has_room(size):
            await self._change()
        if self._failure is not None:
            raise self._failure
        self._correlation += 1
        message.correlation = self._correlation
        pending = _Pending(message, size, asyncio.get_running_loop().create_future())
        self._pending[self._correlation] = pending
        self._unanswered_bytes += size
        self._changed.set()
        self._queue(pending)
        return pending.answer

    def _has_room(self, size: int) -> bool:
        return self._failure is not None or (
            len(self._pending) < UNANSWERED_DOCUMENTS_MAXIMUM
            and (not self._pending or self._unanswered_bytes + size <= UNANSWERED_BYTES_MAXIMUM)
        )

    async def _change(self) -> None:
        self._changed.clear()
        await self._changed.wait()

    def _queue(self, pending: _Pending) -> None:
        self._unsent.append(pending)
        self._to_write.set()

    async def _write(self, call: _Call) -> None:
        """Write whatever waits, until there is nothing more to come or the call has ended. Why it ended is known to whoever reads."""
        try:
            while not (self._closing and not self._unsent):
                if self._unsent:
                    await call.write(self._next())
                else:
                    self._to_write.clear()
                    await self._to_write.wait()
            await call.done_writing()
        except (grpc.aio.AioRpcError, grpc.aio.UsageError, asyncio.InvalidStateError):
            return

    def _next(self) -> ingestion_pb2.SubmitDocumentsRequest:
        first = self._unsent.popleft()
        room, more = MESSAGE_BYTES_MAXIMUM - first.size, []
        while self._takes_more and self._unsent and self._unsent[0].size <= room:
            other = self._unsent.popleft()
            room -= other.size
            more.append(other.message)
        if not more:
            return first.message
        message = ingestion_pb2.SubmitDocumentsRequest(answers_together=True, more=more)
        message.correlation = first.message.correlation
        message.request.CopyFrom(first.message.request)
        return message

    async def _run(self) -> None:
        while self._failure is None and not self._closing:
            if not self._pending:
                await self._change()
                continue
            error = await self._one_call()
            self._interrupted = isinstance(error, Interrupted)
            if not self._closing:
                await self._after(error)

    async def _after(self, error: ClientError) -> None:
        """Wait before the next call, or end everything: refused calls stay refused, and a platform that stays away is not waited for."""
        if not isinstance(error, Unavailable) or self._failures >= self._calls.attempts_maximum:
            self._end(error)
        elif not isinstance(error, TooLate):
            self._failures += 1
            await asyncio.sleep(pause_seconds(error, self._failures))

    async def _one_call(self) -> ClientError:
        """One call from beginning to end, and why it ended."""
        call: _Call = self._stub.SubmitDocuments(  # type: ignore[call-arg]  # Without an iterator, grpc gives us `write`.
            timeout=FOLLOW_TIMEOUT_SECONDS, metadata=self._calls.metadata
        )
        if self._interrupted:
            await listen(call)
        # Another replica may answer this call, of another build.
        self._takes_more = False
        self._unsent = deque(pending for pending in self._pending.values() if not pending.resting)
        async with asyncio.TaskGroup() as tasks:
            writing = tasks.create_task(self._write(call))
            error = await self._read(call)
            writing.cancel()
        return error

    async def _read(self, call: _Call) -> ClientError:
        try:
            async for message in call:
                self._failures = 0
                self._takes_more = self._takes_more or message.takes_more
                for answer in (message, *message.more):
                    self._answer(answer)
        except grpc.aio.AioRpcError as broken:
            return error_of_call(broken)
        # It ended well without our asking: the replica goes away.
        return Unavailable(Explanation(code="UNAVAILABLE"))

    def _answer(self, message: ingestion_pb2.SubmitDocumentsResponse) -> None:
        pending = self._pending.get(message.correlation)
        if pending is None or pending.resting:
            return  # Answered on the call before, and asked again because that answer was still on its way.
        if message.HasField("receipt"):
            self._settle(message.correlation, messages.receipt(message.receipt))
            return
        error = error_of_status(message.status)
        pending.failures += 1
        if not isinstance(error, Unavailable) or pending.failures >= self._calls.attempts_maximum:
            self._settle(message.correlation, error)
            return
        pending.resting = True
        rest = asyncio.create_task(self._rest(pending, pause_seconds(error, pending.failures)))
        self._rests.add(rest)
        rest.add_done_callback(self._rests.discard)

    async def _rest(self, pending: _Pending, seconds: float) -> None:
        await asyncio.sleep(seconds)
        pending.resting = False
        self._queue(pending)

    def _settle(self, correlation: int, outcome: Receipt | ClientError) -> None:
        pending = self._pending.pop(correlation)
        self._unanswered_bytes -= pending.size
        self._changed.set()
        if pending.answer.done():
            return  # The caller gave it up.
        if isinstance(outcome, Receipt):
            pending.answer.set_result(outcome)
        else:
            pending.answer.set_exception(outcome)

    def _end(self, error: ClientError) -> None:
        self._failure = error
        for correlation in list(self._pending):
            self._settle(correlation, error)
        self._changed.set()

    def _ended(self, reader: "asyncio.Task[None]") -> None:
        # A defect in here must not leave callers waiting for answers that nobody reads.
        if not reader.cancelled() and reader.exception() is not None:
            self._end(Broken(Explanation(code="INTERNAL", message=f"the stream's reader ended with {type(reader.exception()).__name__}")))
