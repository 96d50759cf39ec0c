"""A small ingestion service that keeps everything in memory: the contract played by a program of the tests, which shares no code with ours.

It takes documents in, knows repeats, counts what is unanswered on a bulk stream, keeps uploads up to a whole number of blocks, and
tells each document's steps. What shall go wrong is planned beforehand in `faults`.
"""

import asyncio
import hashlib
import uuid
from collections.abc import AsyncIterator
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc import code_pb2

from relais.api.ingestion.v1 import document_pb2, ingestion_pb2, submission_pb2
from relais.api.ingestion.v1.ingestion_pb2_grpc import IngestionServiceServicer
from tests.client.platform_state import Refusal, State, plan, refuse, status_of

UPLOAD_BLOCK_BYTES = 256 * 1024
START_SECONDS = 1_790_000_000


class Ingestion(IngestionServiceServicer):
    """See the module."""

    def __init__(self, state: State) -> None:
        self._state = state

    async def SubmitDocument(self, request: ingestion_pb2.SubmitDocumentRequest, context: Any) -> document_pb2.Receipt:
        fault = await plan(self._state, context, "SubmitDocument")
        receipt = await self._take_in_or_refuse(request, context)
        if fault is not None:
            await refuse(context, status_of(fault.code, fault.reason))
        return receipt

    async def ValidateDocument(
        self, request: ingestion_pb2.ValidateDocumentRequest, context: Any
    ) -> ingestion_pb2.ValidateDocumentResponse:
        await plan(self._state, context, "ValidateDocument")
        return ingestion_pb2.ValidateDocumentResponse(
            document=f"tenants/north/documents/{document_id(request.document)}",
            sha256=hashlib.sha256(request.document).digest(),
            verdict=ingestion_pb2.ValidateDocumentResponse.VERDICT_NEW_DOCUMENT,
            type_code="11490-0",
        )

    async def SubmitDocuments(self, request_iterator: Any, context: Any) -> AsyncIterator[ingestion_pb2.SubmitDocumentsResponse]:
        fault = await plan(self._state, context, "SubmitDocuments")
        waiting: asyncio.Queue[ingestion_pb2.SubmitDocumentsRequest | None] = asyncio.Queue()
        sizes = [0, 0]
        takes_more = self._state.takes_more

        async def read() -> None:
            async for together in request_iterator:
                assert takes_more or not together.more, "this platform never said that it reads `more`"
                self._state.sent_together_most = max(self._state.sent_together_most, 1 + len(together.more))
                for message in (together, *together.more):
                    sizes[0] += 1
                    sizes[1] += len(message.request.document)
                    self._state.unanswered_most = max(self._state.unanswered_most, sizes[0])
                    self._state.unanswered_bytes_most = max(self._state.unanswered_bytes_most, sizes[1])
                    waiting.put_nowait(message)
            waiting.put_nowait(None)

        reader = asyncio.ensure_future(read())
        answered = 0
        try:
            while (message := await waiting.get()) is not None:
                if fault is not None and answered >= fault.after_documents:
                    await refuse(context, status_of(fault.code, fault.reason))
                await asyncio.sleep(0)  # Lets the sender get ahead, as a real platform does while it commits.
                answers, ended = [], False
                while message is not None:
                    sizes[0] -= 1
                    sizes[1] -= len(message.request.document)
                    answered += 1
                    answers.append(self._answer(message))
                    alone = waiting.empty() or fault is not None or not message.answers_together
                    message = None if alone else waiting.get_nowait()
                    ended = not alone and message is None
                answers[0].more.extend(answers[1:])
                answers[0].takes_more = takes_more
                self._state.together_most = max(self._state.together_most, len(answers))
                yield answers[0]
                if ended:
                    break
        finally:
            reader.cancel()

    def _answer(self, message: ingestion_pb2.SubmitDocumentsRequest) -> ingestion_pb2.SubmitDocumentsResponse:
        busy = self._state.fault("one document")
        if busy is not None:
            status = status_of(busy.code, busy.reason, retry_after_seconds=busy.retry_after_seconds)
            return ingestion_pb2.SubmitDocumentsResponse(correlation=message.correlation, status=status)
        try:
            receipt = self._take_in(message.request.submission, message.request.document)
        except Refusal as refusal:
            return ingestion_pb2.SubmitDocumentsResponse(correlation=message.correlation, status=refusal.status)
        return ingestion_pb2.SubmitDocumentsResponse(correlation=message.correlation, receipt=receipt)

    async def UploadDocument(self, request_iterator: Any, context: Any) -> document_pb2.Receipt:
        fault = await plan(self._state, context, "UploadDocument")
        start: ingestion_pb2.UploadStart | None = None
        body, taken = bytearray(), 0
        async for message in request_iterator:
            if message.WhichOneof("frame") == "start":
                start = message.start
                body = self._state.uploads.setdefault(start.submission.request_id, bytearray())
                self._state.upload_sizes[start.submission.request_id] = start.size_bytes
                if start.offset_bytes != len(body):
                    await refuse(context, status_of(code_pb2.FAILED_PRECONDITION, "UPLOAD_OFFSET_WRONG"))
                continue
            body += message.chunk
            taken += len(message.chunk)
            self._state.bytes_uploaded += len(message.chunk)
            if fault is not None and fault.after_bytes and taken >= fault.after_bytes:
                # Only whole blocks are durable when the line is cut.
                del body[len(body) // UPLOAD_BLOCK_BYTES * UPLOAD_BLOCK_BYTES :]
                await refuse(context, status_of(fault.code, fault.reason))
        assert start is not None
        receipt = self._take_in(start.submission, bytes(body))
        if fault is not None:
            await refuse(context, status_of(fault.code, fault.reason))
        return receipt

    async def GetUpload(self, request: ingestion_pb2.GetUploadRequest, context: Any) -> ingestion_pb2.Upload:
        await plan(self._state, context, "GetUpload")
        request_id = request.name.rpartition("/")[2]
        if request_id not in self._state.uploads:
            await refuse(context, status_of(code_pb2.NOT_FOUND, "RESOURCE_NOT_FOUND"))
        known = self._state.requests.get(request_id)
        return ingestion_pb2.Upload(
            name=request.name,
            size_bytes=self._state.upload_sizes[request_id],
            committed_bytes=len(self._state.uploads[request_id]),
            receipt=known[1] if known else None,
        )

    async def GetDocument(self, request: ingestion_pb2.GetDocumentRequest, context: Any) -> document_pb2.Document:
        await plan(self._state, context, "GetDocument")
        found = self._state.documents.get(request.name)
        if found is None:
            await refuse(context, status_of(code_pb2.PERMISSION_DENIED, "RESOURCE_FOREIGN"))
            raise AssertionError("abort does not return")
        return found

    async def ListDocuments(self, request: ingestion_pb2.ListDocumentsRequest, context: Any) -> ingestion_pb2.ListDocumentsResponse:
        await plan(self._state, context, "ListDocuments")
        everything = [each for each in self._state.documents.values() if not request.filter or f"site = {each.site}" in request.filter]
        first = int(request.page_token or 0)
        shown = everything[first : first + min(request.page_size, 3)]
        following = str(first + len(shown)) if first + len(shown) < len(everything) else ""
        return ingestion_pb2.ListDocumentsResponse(documents=shown, next_page_token=following)

    async def WatchDocument(
        self, request: ingestion_pb2.WatchDocumentRequest, context: Any
    ) -> AsyncIterator[ingestion_pb2.WatchDocumentResponse]:
        fault = await plan(self._state, context, "WatchDocument")
        document = self._state.documents.get(request.name)
        if document is None:
            await refuse(context, status_of(code_pb2.PERMISSION_DENIED, "RESOURCE_FOREIGN"))
            return
        shown = document_pb2.Document()
        shown.CopyFrom(document)
        del shown.steps[:]
        for count, step in enumerate(document.steps, start=1):
            if fault is not None and fault.after_documents == count - 1:
                await refuse(context, status_of(fault.code, fault.reason))
            last = count == len(document.steps)
            shown.state = document.state if last else document_pb2.Document.STATE_VERIFIED
            yield ingestion_pb2.WatchDocumentResponse(document=shown, steps=[step])

    async def DeleteDocument(self, request: ingestion_pb2.DeleteDocumentRequest, context: Any) -> document_pb2.Receipt:
        await refuse(context, status_of(code_pb2.UNIMPLEMENTED, "NOT_IMPLEMENTED"))
        raise AssertionError("abort does not return")

    async def _take_in_or_refuse(self, request: ingestion_pb2.SubmitDocumentRequest, context: Any) -> document_pb2.Receipt:
        try:
            return self._take_in(request.submission, request.document)
        except Refusal as refusal:
            await refuse(context, refusal.status)
            raise AssertionError("abort does not return") from None

    def _take_in(self, submission: submission_pb2.Submission, body: bytes) -> document_pb2.Receipt:
        fingerprint = hashlib.sha256(body + submission.SerializeToString(deterministic=True)).digest()
        known = self._state.requests.get(submission.request_id)
        if known is not None:
            if known[0] != fingerprint:
                raise Refusal(status_of(code_pb2.ALREADY_EXISTS, "REQUEST_ID_REUSED"))
            again = document_pb2.Receipt()
            again.CopyFrom(known[1])
            again.duplicate = True
            return again
        if submission.site not in self._state.sites:
            raise Refusal(status_of(code_pb2.INVALID_ARGUMENT, "SITE_UNKNOWN", ("submission.site",)))
        if not body.lstrip().startswith(b"<"):
            raise Refusal(status_of(code_pb2.INVALID_ARGUMENT, "NOT_XML"))
        receipt = document_pb2.Receipt(
            document=f"tenants/north/documents/{document_id(body)}",
            sha256=hashlib.sha256(body).digest(),
            tenant_sequence=len(self._state.requests) + 1,
            record_time=at(0),
        )
        self._state.requests[submission.request_id] = (fingerprint, receipt)
        self._state.submissions[submission.request_id] = submission
        self._state.documents[receipt.document] = journey_of(
            receipt.document, submission, len(body), self._state.outcomes.get(submission.site)
        )
        return receipt


def document_id(body: bytes) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_OID, hashlib.sha256(body).hexdigest()))


def at(seconds: int) -> Timestamp:
    return Timestamp(seconds=START_SECONDS + seconds)


def journey_of(name: str, submission: submission_pb2.Submission, size: int, outcome: str | None) -> document_pb2.Document:
    """A document that went all the way to one destination of three; `outcome` HELD or REJECTED ends it earlier."""
    steps = [
        document_pb2.Step(log="ingestion", position=7, tag="ingestion.document_received.v1", record_time=at(0)),
        document_pb2.Step(log="identity", position=7, tag="identity.verified.v1", record_time=at(1)),
        document_pb2.Step(log="routing", position=9, tag="routing.planned.v1", record_time=at(2)),
        document_pb2.Step(log="routing", position=10, tag="routing.suppressed.v1", record_time=at(2), codes=["TYPE_NOT_FOR_DMP"]),
        document_pb2.Step(log="delivery", position=4, tag="delivery.deferred.v1", record_time=at(3), codes=["503"], ordinal=1),
        document_pb2.Step(log="delivery", position=5, tag="delivery.succeeded.v1", record_time=at(9), codes=["200"], ordinal=1),
    ]
    destinations = [
        document_pb2.Destination(ordinal=1, kind="mssante_professional", outcome=document_pb2.Destination.OUTCOME_SUCCEEDED, code="200"),
        document_pb2.Destination(kind="dmp", outcome=document_pb2.Destination.OUTCOME_SUPPRESSED, code="TYPE_NOT_FOR_DMP"),
    ]
    state = document_pb2.Document.STATE_DONE
    if outcome is not None:
        tags = {"HELD": "identity.held.v1", "REJECTED": "identity.rejected.v1"}
        steps = [steps[0], document_pb2.Step(log="identity", position=8, tag=tags[outcome], record_time=at(1), codes=["INS_KEY_WRONG"])]
        destinations = []
        state = document_pb2.Document.State.Value(f"STATE_{outcome}")
    return document_pb2.Document(
        name=name,
        state=state,
        site=submission.site,
        sender="his",
        request_id=submission.request_id,
        type_code="11490-0",
        size_bytes=size,
        tenant_sequence=1,
        receive_time=at(0),
        update_time=at(9),
        steps=steps,
        destinations=destinations,
    )
