"""Submitting documents and following them."""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from pathlib import Path

import grpc

from relais.api.ingestion.v1 import document_pb2, ingestion_pb2
from relais.api.ingestion.v1.ingestion_pb2_grpc import IngestionServiceStub
from relais.client import document_messages as messages
from relais.client.bulk import BulkStream
from relais.client.calls import FOLLOW_TIMEOUT_SECONDS, Calls
from relais.client.document_records import FINAL_STATES, Change, Document, Receipt, Submission, Upload, Validation
from relais.client.pages import PAGE_SIZE, pages
from relais.client.uploads import Progress, Uploader
from relais.client.words import name_of


class Documents:
    """The ingestion service. Documents are named by their id or their whole resource name."""

    def __init__(self, channel: grpc.aio.Channel, calls: Calls, parent: str) -> None:
        self._stub = IngestionServiceStub(channel)
        self._calls = calls
        self._parent = parent

    async def submit(self, submission: Submission, body: bytes) -> Receipt:
        """Submit a document of at most 4 MiB. Repeated while the service is unavailable: the same request is the same receipt."""
        request = messages.submit_message(self._parent, submission, body)
        return messages.receipt(await self._calls.repeated(self._stub.SubmitDocument, request))

    async def validate(self, submission: Submission, body: bytes) -> Validation:
        """What `submit` would answer; nothing is stored."""
        whole = messages.submit_message(self._parent, submission, body)
        request = ingestion_pb2.ValidateDocumentRequest(parent=whole.parent, submission=whole.submission, document=whole.document)
        return messages.validation(await self._calls.repeated(self._stub.ValidateDocument, request))

    async def upload(self, submission: Submission, file: Path, progress: Progress | None = None) -> Receipt:
        """Submit a document of at most 100 MiB in pieces.

        After a cut, in this process or an earlier one with the same request_id, it goes on where the platform has got to.
        `progress` is told how many bytes of how many are durable or on their way.
        """
        return await Uploader(self._stub, self._calls, self._parent).upload(submission, file, progress)

    async def get_upload(self, request_id: str) -> Upload:
        """How much of an upload is durable."""
        request = ingestion_pb2.GetUploadRequest(name=name_of(self._parent, "uploads", request_id))
        return messages.upload(await self._calls.repeated(self._stub.GetUpload, request))

    def bulk(self) -> BulkStream:
        """A stream for many documents: `async with documents.bulk() as bulk: receipt = await (await bulk.send(submission, body))`."""
        return BulkStream(self._stub, self._calls, self._parent)

    async def get(self, document: str) -> Document:
        """Where a document is, with every step so far."""
        request = ingestion_pb2.GetDocumentRequest(name=self.name(document))
        return messages.document(await self._calls.repeated(self._stub.GetDocument, request))

    async def list(self, matching: str = "", *, limit: int = PAGE_SIZE) -> AsyncIterator[Document]:
        """At most `limit` documents, newest first, without their steps; `matching` is a filter as in `ListDocumentsRequest`."""

        async def fetch(size: int, token: str) -> tuple[Sequence[document_pb2.Document], str]:
            request = ingestion_pb2.ListDocumentsRequest(parent=self._parent, page_size=size, page_token=token, filter=matching)
            page = await self._calls.repeated(self._stub.ListDocuments, request)
            return page.documents, page.next_page_token

        async for message in pages(fetch, limit):
            yield messages.document(message)

    async def watch(self, document: str) -> AsyncIterator[Change]:
        """Each change of a document, from its first step to its outcome. Opened again when a replica goes away; no step is told twice."""
        request = ingestion_pb2.WatchDocumentRequest(name=self.name(document))
        told: set[tuple[str, str, int | None, datetime | None]] = set()
        async for message in self._calls.followed(lambda: self._calls.stream(self._stub.WatchDocument, request, FOLLOW_TIMEOUT_SECONDS)):
            change = messages.change(message)
            fresh = []
            for step in change.steps:
                # Not by position: that of the receipt's own fact is 0 until it was read back.
                key = (step.log, step.tag, step.ordinal, step.recorded_at)
                if key not in told:
                    told.add(key)
                    fresh.append(step)
            yield Change(document=change.document, steps=tuple(fresh))
            if change.document.state in FINAL_STATES:
                return

    def name(self, document: str) -> str:
        """A document's resource name from its id."""
        return name_of(self._parent, "documents", document)
