"""The gRPC edge of ingestion as any program in any language meets it: requests of the contract in, a status with details out."""

from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import grpc
import grpc.aio
from google.rpc import error_details_pb2, status_pb2

from relais.api.ingestion.v1 import document_pb2
from relais.api.ingestion.v1 import ingestion_pb2 as pb
from relais.api.ingestion.v1.ingestion_pb2_grpc import IngestionServiceStub
from relais.client.calls import listen
from relais.client.settings import open_channel
from tests.journey.hospital import Hospital

CALL_SECONDS = 60.0
CHUNK_BYTES = 256 * 1024
WRITE_FAILED = "Internal error from Core"
DETAILS_TRAILER = "grpc-status-details-bin"


@dataclass(frozen=True)
class Refusal:
    """A refusal, whole: `raw` is the serialized `google.rpc.Status`, in which no byte of a patient may be."""

    reason: str
    domain: str
    french: str
    fields: tuple[str, ...]
    raw: bytes


Answer = document_pb2.Receipt | Refusal
Answered = TypeVar("Answered")


class Edge:
    """One sender's way in."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub: Any = IngestionServiceStub(channel)

    async def submit(self, request: pb.SubmitDocumentRequest) -> Answer:
        """One document in one message."""
        return await _answered(self._stub.SubmitDocument(request, timeout=CALL_SECONDS))

    async def validate(self, request: pb.SubmitDocumentRequest) -> pb.ValidateDocumentResponse | Refusal:
        """What `submit` would answer."""
        asked = pb.ValidateDocumentRequest(parent=request.parent, submission=request.submission, document=request.document)
        return await _answered(self._stub.ValidateDocument(asked, timeout=CALL_SECONDS))

    async def submit_all(
        self, requests: Sequence[pb.SubmitDocumentRequest], *, together: bool = False, in_one_message: int = 1
    ) -> list[Answer]:
        """All over one stream, each with an answer of its own; in the order of the requests."""
        numbered = [
            pb.SubmitDocumentsRequest(correlation=number, request=request, answers_together=together)
            for number, request in enumerate(requests, start=1)
        ]
        sent = []
        for at in range(0, len(numbered), in_one_message):
            numbered[at].more.extend(numbered[at + 1 : at + in_one_message])
            sent.append(numbered[at])
        return await self._answers(sent, len(requests), together=together)

    async def submit_nested(self, request: pb.SubmitDocumentRequest) -> list[Answer]:
        """The same document three times, each within `more` of the one before."""
        innermost = pb.SubmitDocumentsRequest(correlation=3, request=request)
        middle = pb.SubmitDocumentsRequest(correlation=2, request=request, more=[innermost])
        outer = pb.SubmitDocumentsRequest(correlation=1, request=request, more=[middle])
        return await self._answers([outer], 2, together=False)

    async def _answers(self, sent: Sequence[pb.SubmitDocumentsRequest], count: int, *, together: bool) -> list[Answer]:
        answers: dict[int, Answer] = {}
        async for message in self._stub.SubmitDocuments(iter(sent), timeout=CALL_SECONDS):
            assert message.takes_more is not bool(answers), "said with the first answer"
            assert together or not message.more, "nobody who did not ask gets several answers in one"
            for response in (message, *message.more):
                assert response.correlation not in answers, "one answer each"
                answers[response.correlation] = response.receipt if response.HasField("receipt") else _refusal(response.status)
        assert len(answers) == count
        return [answers[number] for number in range(1, count + 1)]

    async def upload(self, request: pb.SubmitDocumentRequest, *, size_bytes: int | None = None, body: bytes | None = None) -> Answer:
        """In pieces; `size_bytes` and `body` may lie about what the submission says."""
        sent = request.document if body is None else body
        size = len(request.document) if size_bytes is None else size_bytes
        start = pb.UploadStart(parent=request.parent, submission=request.submission, size_bytes=size)
        frames = [pb.UploadDocumentRequest(start=start)]
        frames += [pb.UploadDocumentRequest(chunk=sent[at : at + CHUNK_BYTES]) for at in range(0, len(sent), CHUNK_BYTES)]
        try:
            return await _answered(self._stub.UploadDocument(iter(frames), timeout=CALL_SECONDS))
        except grpc.aio.AioRpcError as error:
            if error.details() != WRITE_FAILED:
                raise
        # Refused while we were still sending, and grpc drops the status it was given: listen before sending the rest.
        call = self._stub.UploadDocument(timeout=CALL_SECONDS)
        await call.write(frames[0])
        await listen(call)
        return await _answered(call)


@asynccontextmanager
async def edge_of(hospital: Hospital) -> AsyncIterator[Edge]:
    """The edge as the hospital's own system reaches it."""
    async with open_channel(hospital.settings(hospital.certificate("sender")), "ingestion") as channel:
        yield Edge(channel)


async def _answered(call: "Awaitable[Answered]") -> "Answered | Refusal":
    try:
        return await call
    except grpc.aio.AioRpcError as error:
        trailers: Any = error.trailing_metadata() or ()
        for key, value in trailers:
            if key == DETAILS_TRAILER:
                return _refusal(status_pb2.Status.FromString(value))
        raise


def _refusal(status: status_pb2.Status) -> Refusal:
    info, french, fault = error_details_pb2.ErrorInfo(), error_details_pb2.LocalizedMessage(), error_details_pb2.BadRequest()
    for detail in status.details:
        for known in (info, french, fault):
            detail.Unpack(known)
    fields = tuple(sorted(each.field for each in fault.field_violations))
    return Refusal(info.reason, info.domain, french.message, fields, status.SerializeToString())
