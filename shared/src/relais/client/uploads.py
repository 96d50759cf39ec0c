"""Large documents, in pieces that survive a cut: ask how far the platform has got, send the rest, ask again."""

import asyncio
import contextlib
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TypeAlias

import grpc

from relais.api.ingestion.v1 import document_pb2, ingestion_pb2
from relais.client import document_messages as messages
from relais.client.calls import Calls, listen, pause_seconds
from relais.client.document_records import Receipt, Submission, Upload
from relais.client.errors import ClientError, Conflict, Interrupted, NotFound, SettingsError, TooLate, Unavailable
from relais.client.statuses import error_of_call
from relais.client.words import name_of

if TYPE_CHECKING:
    from relais.api.ingestion.v1.ingestion_pb2_grpc import IngestionServiceAsyncStub

UPLOAD_BYTES_MAXIMUM = 100 * 1024 * 1024
PIECE_BYTES = 512 * 1024
UPLOAD_TIMEOUT_SECONDS = 60.0
# The slowest line that is worth waiting for adds to the deadline of one attempt.
UPLOAD_BYTES_PER_SECOND_MINIMUM = 128 * 1024
_OFFSET_WRONG = "UPLOAD_OFFSET_WRONG"

Progress = Callable[[int, int], None]
_Call: TypeAlias = "grpc.aio.StreamUnaryCall[ingestion_pb2.UploadDocumentRequest, document_pb2.Receipt]"


class Uploader:
    """One upload. A failure is counted only when the attempt brought the platform no further."""

    def __init__(self, stub: "IngestionServiceAsyncStub", calls: Calls, parent: str) -> None:
        self._stub = stub
        self._calls = calls
        self._parent = parent

    async def upload(self, submission: Submission, file: Path, progress: Progress | None) -> Receipt:
        """Send the file. Raises `SettingsError` when it cannot be read or is too large."""
        try:
            size, digest = await asyncio.to_thread(_measure, file)
        except OSError as error:
            raise SettingsError(f"{file} cannot be read: {error.strerror}") from None
        if size > UPLOAD_BYTES_MAXIMUM:
            raise SettingsError(f"{file} has {size} bytes; at most {UPLOAD_BYTES_MAXIMUM} can be uploaded")
        start = ingestion_pb2.UploadStart(parent=self._parent, submission=messages.submission_message(submission, digest), size_bytes=size)
        failures, furthest, interrupted = 0, -1, False
        while True:
            known = await self._known(submission.request_id)
            if known is not None and known.receipt is not None:
                return known.receipt
            start.offset_bytes = known.committed_bytes if known is not None else 0
            failures = 0 if start.offset_bytes > furthest else failures
            furthest = max(furthest, start.offset_bytes)
            try:
                return await self._attempt(start, file, progress or _silent, interrupted)
            except ClientError as error:
                failures += 1
                interrupted = isinstance(error, Interrupted)
                if failures >= self._calls.attempts_maximum or not _goes_on_after(error):
                    raise
                await asyncio.sleep(pause_seconds(error, failures) if isinstance(error, Unavailable) else 0)

    async def _known(self, request_id: str) -> Upload | None:
        request = ingestion_pb2.GetUploadRequest(name=name_of(self._parent, "uploads", request_id))
        try:
            return messages.upload(await self._calls.repeated(self._stub.GetUpload, request))
        except NotFound:
            return None

    async def _attempt(self, start: ingestion_pb2.UploadStart, file: Path, progress: Progress, interrupted: bool) -> Receipt:
        left = start.size_bytes - start.offset_bytes
        call: _Call = self._stub.UploadDocument(  # type: ignore[call-arg]  # Without an iterator, grpc gives us `write`.
            timeout=UPLOAD_TIMEOUT_SECONDS + left / UPLOAD_BYTES_PER_SECOND_MINIMUM, metadata=self._calls.metadata
        )
        try:
            # A call that ends between two pieces says how when it is awaited.
            with contextlib.suppress(asyncio.InvalidStateError), file.open("rb") as opened:
                await call.write(ingestion_pb2.UploadDocumentRequest(start=start))
                if interrupted:
                    await listen(call)
                await _send_rest(call, opened, start, progress)
            answer = await call
        except grpc.aio.AioRpcError as error:
            raise error_of_call(error) from None
        finally:
            call.cancel()
        progress(start.size_bytes, start.size_bytes)
        return messages.receipt(answer)


def _goes_on_after(error: ClientError) -> bool:
    return isinstance(error, Unavailable | TooLate) or (isinstance(error, Conflict) and error.reason == _OFFSET_WRONG)


async def _send_rest(call: _Call, opened: BinaryIO, start: ingestion_pb2.UploadStart, progress: Progress) -> None:
    opened.seek(start.offset_bytes)
    sent = start.offset_bytes
    while not call.done() and (piece := await asyncio.to_thread(opened.read, PIECE_BYTES)):
        progress(sent, start.size_bytes)
        await call.write(ingestion_pb2.UploadDocumentRequest(chunk=piece))
        sent += len(piece)
    await call.done_writing()


def _measure(file: Path) -> tuple[int, bytes]:
    digest, size = sha256(), 0
    with file.open("rb") as opened:
        while piece := opened.read(PIECE_BYTES):
            digest.update(piece)
            size += len(piece)
    return size, digest.digest()


def _silent(_sent: int, _size: int) -> None:
    """For callers who do not want to be told."""
