"""IngestionService on gRPC: reads requests, asks the reception, the desk of uploads and the read model, and answers."""

import asyncio
from collections.abc import AsyncIterator

import grpc.aio
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc import code_pb2

from relais.api.access.v1.error_reason_pb2 import ErrorReason
from relais.api.ingestion.v1 import document_pb2, ingestion_pb2, ingestion_pb2_grpc, submission_pb2
from relais.chassis.access.directory import Directory
from relais.chassis.access.principal import caller
from relais.chassis.access.recorder import AccessRecorder
from relais.chassis.api.access import not_found, require_site, tenant_of
from relais.chassis.api.errors import ApiError, FieldsInvalid, FieldViolation
from relais.chassis.api.names import parse_name
from relais.chassis.api.pages import PageTokens, page_size
from relais.chassis.api.server import Offer
from relais.chassis.tracing import Tracing, current_traceparent
from relais.ingestion.api.bulk import BulkStream
from relais.ingestion.api.listing import Cursor, narrowing
from relais.ingestion.api.submission import Sender, read_submission
from relais.ingestion.api.views import document_message, document_name, receipt_message, step_message
from relais.ingestion.domain import Verdict
from relais.ingestion.handlers import Reception
from relais.ingestion.intake import Receipt
from relais.ingestion.ports import Journey, Journeys
from relais.ingestion.request import SubmissionRequest
from relais.ingestion.uploads import UPLOAD_BYTES_MAXIMUM, UploadDesk
from relais.ingestion.watching import WatchDesk

UPLOAD_CHUNK_BYTES_MAXIMUM = 1024 * 1024
DOCUMENT_PATTERN = "tenants/{tenant}/documents/{document}"
FINAL_STATES = frozenset({"DONE", "REJECTED"})

_SUBMIT_DOCUMENTS = "/relais.api.ingestion.v1.IngestionService/SubmitDocuments"

_VERDICTS = {
    Verdict.NEW_DOCUMENT: ingestion_pb2.ValidateDocumentResponse.VERDICT_NEW_DOCUMENT,
    Verdict.NEW_REQUEST: ingestion_pb2.ValidateDocumentResponse.VERDICT_NEW_REQUEST,
    Verdict.REPEAT: ingestion_pb2.ValidateDocumentResponse.VERDICT_REPEAT,
}


class IngestionService(ingestion_pb2_grpc.IngestionServiceServicer):
    """The methods of the contract. The chassis has already judged the caller and the tenant of unary requests."""

    def __init__(
        self,
        reception: Reception,
        uploads: UploadDesk,
        journeys: Journeys,
        watching: WatchDesk,
        recorder: AccessRecorder,
        tracing: Tracing,
        page_tokens: PageTokens,
        directory: Directory,
    ) -> None:
        self._reception = reception
        self._uploads = uploads
        self._journeys = journeys
        self._watching = watching
        self._recorder = recorder
        self._tracing = tracing
        self._page_tokens = page_tokens
        self._directory = directory

    def offer(self) -> Offer:
        """What to hand to `ApiServer`."""
        descriptor = ingestion_pb2.DESCRIPTOR.services_by_name["IngestionService"]
        return Offer(descriptor, self, ingestion_pb2_grpc.add_IngestionServiceServicer_to_server)

    async def SubmitDocument(self, request: ingestion_pb2.SubmitDocumentRequest, context: object) -> document_pb2.Receipt:
        """One document in one message."""
        submission = self._submission(request.parent, request.submission, current_traceparent())
        receipt = await self._reception.receive(submission, request.document, request.submission.sha256)
        return receipt_message(submission.tenant, await receipt)

    # The generated base knows only generators; grpc.aio also takes a coroutine that writes, which costs less for each answer.
    async def SubmitDocuments(  # type: ignore[override]
        self,
        requests: AsyncIterator[ingestion_pb2.SubmitDocumentsRequest],
        context: "grpc.aio.ServicerContext[ingestion_pb2.SubmitDocumentsRequest, ingestion_pb2.SubmitDocumentsResponse]",
    ) -> None:
        """Many documents over one stream."""
        await BulkStream(context, self._receive_one, self._record_denial).run(requests)

    def _record_denial(self, refusal: ApiError) -> None:
        if refusal.explanation.code == code_pb2.PERMISSION_DENIED:
            principal = caller()
            tenant = "" if principal.of_platform else principal.tenant
            self._recorder.denied(method=_SUBMIT_DOCUMENTS, code=refusal.explanation.word, credential=principal.credential, tenant=tenant)

    async def _receive_one(self, request: ingestion_pb2.SubmitDocumentRequest) -> tuple[str, asyncio.Future[Receipt]]:
        # A trace for each submission of the stream, as if it had come alone.
        with self._tracing.root("ingestion.submission") as traceparent:
            submission = self._submission(request.parent, request.submission, traceparent)
            return submission.tenant, await self._reception.receive(submission, request.document, request.submission.sha256)

    async def UploadDocument(self, requests: AsyncIterator[ingestion_pb2.UploadDocumentRequest], context: object) -> document_pb2.Receipt:
        """A large document in pieces."""
        start = await _start_of(requests)
        submission = self._submission(start.parent, start.submission, current_traceparent())
        upload = await self._uploads.begin(submission, start.size_bytes, start.submission.sha256)
        if start.offset_bytes != upload.committed_bytes:
            raise FieldsInvalid([FieldViolation("start.offset_bytes", ErrorReason.ERROR_REASON_UPLOAD_OFFSET_WRONG)])
        async for frame in requests:
            if frame.WhichOneof("frame") != "chunk" or not 0 < len(frame.chunk) <= UPLOAD_CHUNK_BYTES_MAXIMUM:
                raise FieldsInvalid([FieldViolation("chunk")])
            await upload.feed(frame.chunk)
        return receipt_message(submission.tenant, await upload.finish())

    async def GetUpload(self, request: ingestion_pb2.GetUploadRequest, context: object) -> ingestion_pb2.Upload:
        """How far an upload is."""
        tenant, upload = parse_name(request.name, "tenants/{tenant}/uploads/{upload}")
        progress = await self._uploads.progress(tenant, upload)
        if progress is None:
            # An upload is its sender's own and belongs to no site yet: whoever asks must learn that it has to begin.
            raise ApiError(ErrorReason.ERROR_REASON_RESOURCE_NOT_FOUND)
        expires = Timestamp()
        expires.FromDatetime(progress.expires_at)
        return ingestion_pb2.Upload(
            name=request.name, size_bytes=progress.size, committed_bytes=progress.committed_bytes, expire_time=expires
        )

    async def ValidateDocument(
        self, request: ingestion_pb2.ValidateDocumentRequest, context: object
    ) -> ingestion_pb2.ValidateDocumentResponse:
        """What SubmitDocument would answer."""
        submission = self._submission(request.parent, request.submission, "")
        checked, verdict = await self._reception.preview(submission, request.document, request.submission.sha256)
        return ingestion_pb2.ValidateDocumentResponse(
            document=document_name(submission.tenant, checked.document),
            sha256=checked.sha256,
            verdict=_VERDICTS[verdict],
            type_code=checked.header.type.code,
        )

    async def GetDocument(self, request: ingestion_pb2.GetDocumentRequest, context: object) -> document_pb2.Document:
        """Where one document is."""
        return document_message(await self._journey(request.name, "GetDocument"), steps=True)

    async def ListDocuments(self, request: ingestion_pb2.ListDocumentsRequest, context: object) -> ingestion_pb2.ListDocumentsResponse:
        """A page of documents, newest first."""
        (tenant,) = parse_name(request.parent, "tenants/{tenant}", "parent")
        size = page_size(request.page_size)
        narrowed = narrowing(request.filter, caller().sites)
        arguments = ("ListDocuments", request.parent, request.filter)
        cursor = self._page_tokens.read(request.page_token, arguments, Cursor)
        before = (cursor.received_at, cursor.document) if cursor is not None else None
        found = await self._journeys.list(tenant, narrowed, size + 1, before)
        page = found[:size]
        await self._recorder.read(caller(), "ListDocuments", tenant=tenant, documents=[one.document for one in page])
        token = ""
        if len(found) > size and (received_at := page[-1].received_at) is not None:
            token = self._page_tokens.make(arguments, Cursor(received_at, page[-1].document))
        return ingestion_pb2.ListDocumentsResponse(documents=[document_message(one, steps=False) for one in page], next_page_token=token)

    async def WatchDocument(
        self, request: ingestion_pb2.WatchDocumentRequest, context: object
    ) -> AsyncIterator[ingestion_pb2.WatchDocumentResponse]:
        """Every step until the outcome."""
        tenant, document = parse_name(request.name, DOCUMENT_PATTERN)
        async with self._watching.watch(tenant, document) as news:
            journey = await self._journey(request.name, "WatchDocument")
            told = 0
            while True:
                if len(journey.steps) > told:
                    steps = [step_message(step) for step in journey.steps[told:]]
                    told = len(journey.steps)
                    yield ingestion_pb2.WatchDocumentResponse(document=document_message(journey, steps=False), steps=steps)
                if journey.state in FINAL_STATES:
                    return
                journey = await news.get()

    async def DeleteDocument(self, request: ingestion_pb2.DeleteDocumentRequest, context: object) -> document_pb2.Receipt:
        """Part of the contract; not of this version."""
        raise ApiError(ErrorReason.ERROR_REASON_NOT_IMPLEMENTED)

    def _submission(self, parent: str, message: submission_pb2.Submission, traceparent: str) -> SubmissionRequest:
        principal, tenant = caller(), tenant_of(parent)

        def may_send_for(site: str) -> bool:
            return principal.reaches(site) and self._directory.site(tenant, site) is not None

        return read_submission(message, Sender(tenant, principal.sender, principal.credential, may_send_for), traceparent)

    async def _journey(self, name: str, method: str) -> Journey:
        tenant, document = parse_name(name, DOCUMENT_PATTERN)
        journey = await self._journeys.get(tenant, document)
        if journey is None:
            raise not_found()
        require_site(journey.site)
        await self._recorder.read(caller(), method, tenant=tenant, documents=[document])
        return journey


async def _start_of(requests: AsyncIterator[ingestion_pb2.UploadDocumentRequest]) -> ingestion_pb2.UploadStart:
    first = await anext(requests, None)
    if first is None or first.WhichOneof("frame") != "start":
        raise FieldsInvalid([FieldViolation("start")])
    start = first.start
    # Whose it is comes before what it is: another tenant's upload is refused as such, whatever else is wrong with it.
    tenant_of(start.parent)
    if not 0 < start.size_bytes <= UPLOAD_BYTES_MAXIMUM:
        raise FieldsInvalid([FieldViolation("start.size_bytes", ErrorReason.ERROR_REASON_TOO_LARGE)])
    if not start.submission.sha256:
        raise FieldsInvalid([FieldViolation("start.submission.sha256")])
    return start
