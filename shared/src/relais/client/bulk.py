"""The bulk stream: many documents under way at once, each with an answer of its own, over one call that may break and be made again.

The platform allows 64 documents or 8 MiB without an answer; `send` waits for room. When the call breaks, a new one is made and whatever has
no answer yet is sent again, in order: a request_id makes that harmless. A document that could not be taken in *now* is sent again
after the delay that the platform asked for.
"""

import asyncio
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
CLOSE_TIMEOUT_SECONDS = 5.0

_Call: TypeAlias = "grpc.aio.StreamStreamCall[ingestion_pb2.SubmitDocumentsRequest, ingestion_pb2.SubmitDocumentsResponse]"


@dataclass(slots=True)
class _Pending:
    message: ingestion_pb2.SubmitDocumentsRequest
    size: int
    answer: "asyncio.Future[Receipt]"
    sent_on: "_Call | None" = None
    failures: int = 0
    resting: bool = False


class BulkStream:
    """Use as an asynchronous context manager; leaving it waits for every answer."""

    def __init__(self, stub: "IngestionServiceAsyncStub", calls: Calls, parent: str) -> None:
        self._stub = stub
        self._calls = calls
        self._parent = parent
        self._pending: dict[int, _Pending] = {}
        self._unanswered_bytes = 0
        self._correlation = 0
        self._call: _Call | None = None
        self._writing = asyncio.Lock()
        self._changed = asyncio.Event()
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
        tasks = [task for task in (self._reader, *self._rests) if task is not None]
        if kind is None:
            await self._half_close()
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
        await self._write(pending)
        return pending.answer

    def _has_room(self, size: int) -> bool:
        return self._failure is not None or (
            len(self._pending) < UNANSWERED_DOCUMENTS_MAXIMUM
            and (not self._pending or self._unanswered_bytes + size <= UNANSWERED_BYTES_MAXIMUM)
        )

    async def _change(self) -> None:
        self._changed.clear()
        await self._changed.wait()

    async def _write(self, pending: _Pending) -> None:
        async with self._writing:
            call = self._call
            # Without a call it waits in `_pending`, and the next call begins with it; so it does when this one breaks now.
            if call is not None and pending.sent_on is not call and not await _wrote(call, pending):
                self._call = None

    async def _half_close(self) -> None:
        async with self._writing:
            if self._call is not None:
                await self._call.done_writing()

    async def _run(self) -> None:
        while self._failure is None and not self._closing:
            if not self._pending:
                await self._change()
                continue
            try:
                await self._one_call()
                # It ended well without our asking: the replica goes away.
                error: ClientError = Unavailable(Explanation(code="UNAVAILABLE"))
            except grpc.aio.AioRpcError as broken:
                error = error_of_call(broken)
            except asyncio.CancelledError:
                if _is_cancelled():
                    raise
                # A caller that gave up in the middle of a write takes grpc's call with it, though not our stream.
                error = Unavailable(Explanation(code="CANCELLED"))
            finally:
                self._call = None
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

    async def _one_call(self) -> None:
        async with self._writing:
            call: _Call = self._stub.SubmitDocuments(  # type: ignore[call-arg]  # Without an iterator, grpc gives us `write`.
                timeout=FOLLOW_TIMEOUT_SECONDS, metadata=self._calls.metadata
            )
            if self._interrupted:
                await listen(call)
            for pending in list(self._pending.values()):
                if not pending.resting and not await _wrote(call, pending):
                    break
            self._call = call
        async for message in call:
            self._failures = 0
            for answer in (message, *message.more):
                self._answer(answer)

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
        pending.sent_on = None
        await self._write(pending)

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


async def _wrote(call: _Call, pending: _Pending) -> bool:
    """Write one document; False when the call has ended. Why it ended is known to whoever reads: grpc tells a writer only that it did."""
    try:
        await call.write(pending.message)
    except (grpc.aio.AioRpcError, grpc.aio.UsageError, asyncio.InvalidStateError):
        return False
    pending.sent_on = call
    return True


def _is_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
