"""The bulk path: one stream, many documents, a receipt or a status for each, in whatever order they become durable.

A document costs no task of its own: its receipt comes through a future whose callback queues the answer. Messages may hold several
documents and several answers, because a message of its own costs a document more than being read. What is unacknowledged is bounded
by not reading on, so that a sender meets HTTP/2 flow control and never an error.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeAlias

import grpc.aio

from relais.api.ingestion.v1 import ingestion_pb2 as pb
from relais.chassis.api.errors import ApiError, FieldsInvalid, FieldViolation
from relais.ingestion.api.refusals import REFUSALS, refusal_of
from relais.ingestion.api.views import receipt_message
from relais.ingestion.intake import Receipt

UNACKNOWLEDGED_DOCUMENTS_MAXIMUM = 64
UNACKNOWLEDGED_BYTES_MAXIMUM = 8 * 1024 * 1024

Receive: TypeAlias = Callable[[pb.SubmitDocumentRequest], Awaitable[tuple[str, "asyncio.Future[Receipt]"]]]
Context: TypeAlias = "grpc.aio.ServicerContext[pb.SubmitDocumentsRequest, pb.SubmitDocumentsResponse]"


class BulkStream:
    """One SubmitDocuments stream. `refused` hears of each refusal at the edge, because the gate sees only what ends a call."""

    def __init__(self, context: Context, receive: Receive, refused: Callable[[ApiError], None]) -> None:
        self._context = context
        self._receive = receive
        self._refused = refused
        self._responses: deque[pb.SubmitDocumentsResponse] = deque()
        self._answered = asyncio.Event()
        self._room = asyncio.Event()
        self._documents = 0
        self._bytes = 0
        self._ended = False
        self._together = False
        self._introduced = False

    async def run(self, requests: AsyncIterator[pb.SubmitDocumentsRequest]) -> None:
        """Read until the sender has said everything, answer until everything has its answer."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._read(requests))
            group.create_task(self._write())

    async def _read(self, requests: AsyncIterator[pb.SubmitDocumentsRequest]) -> None:
        async for message in requests:
            self._together = self._together or message.answers_together
            await self._take(message)
            for other in message.more:
                # What one sender says in one breath does not keep the others of this replica waiting.
                await asyncio.sleep(0)
                await self._take(other, within_more=True)
        self._ended = True
        self._answered.set()

    async def _take(self, message: pb.SubmitDocumentsRequest, *, within_more: bool = False) -> None:
        """Take one document in, and come back when there is room for another."""
        correlation, size = message.correlation, len(message.request.document)
        self._documents += 1
        self._bytes += size
        try:
            if within_more and message.more:
                raise FieldsInvalid([FieldViolation("more.more")])
            tenant, receipt = await self._receive(message.request)
        except REFUSALS as error:
            refusal = refusal_of(error)
            self._refused(refusal)
            self._answer(size, pb.SubmitDocumentsResponse(correlation=correlation, status=refusal.status()))
        else:
            receipt.add_done_callback(lambda done: self._answer(size, _response(correlation, tenant, done)))
        while self._documents >= UNACKNOWLEDGED_DOCUMENTS_MAXIMUM or self._bytes >= UNACKNOWLEDGED_BYTES_MAXIMUM:
            self._room.clear()
            await self._room.wait()

    def _answer(self, size: int, response: pb.SubmitDocumentsResponse) -> None:
        self._documents -= 1
        self._bytes -= size
        self._responses.append(response)
        self._room.set()
        self._answered.set()

    async def _write(self) -> None:
        while not (self._ended and not self._documents and not self._responses):
            self._answered.clear()
            while self._responses:
                await self._context.write(self._next())
            if not (self._ended and not self._documents):
                await self._answered.wait()

    def _next(self) -> pb.SubmitDocumentsResponse:
        response = self._responses.popleft()
        if self._together and self._responses:
            # There are never more than a stream may leave unacknowledged, so a message of all of them is small.
            response.more.extend(self._responses)
            self._responses.clear()
        if not self._introduced:
            self._introduced = response.takes_more = True
        return response


def _response(correlation: int, tenant: str, done: "asyncio.Future[Receipt]") -> pb.SubmitDocumentsResponse:
    error = done.exception()
    if error is None:
        return pb.SubmitDocumentsResponse(correlation=correlation, receipt=receipt_message(tenant, done.result()))
    refusal = refusal_of(error)
    return pb.SubmitDocumentsResponse(correlation=correlation, status=refusal.status())
