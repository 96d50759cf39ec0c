"""Large documents: sealed and staged in the vault as they stream in, in bounded memory, and resumable from the last chunk stored.

A document's key needs its id, and its id is in its header: bytes are held back until the header has been read, at most
the reader's header limit and a block. From then on only the reader's block, one unfinished chunk and the chunks under way are in memory.
"""

import hashlib
import hmac
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from relais.clock import Clock
from relais.contracts.header import HeaderExtract
from relais.eventlog.record import SealedChunk
from relais.ingestion.cda import CdaReader
from relais.ingestion.domain import RefusalReason, SubmissionRefused
from relais.ingestion.intake import Intake, Receipt
from relais.ingestion.ports import StagedUpload, Uploads
from relais.ingestion.request import SubmissionRequest, TenantKeys, canonical_identity, check, document_of
from relais.ingestion.sealing import BodySource
from relais.vault.seal import CHUNK_PLAINTEXT_BYTES, BodySealer, document_key, new_blob
from relais.vault.vault import BlobStore, KeyRing, SubjectErased, SubjectKey

UPLOAD_LIFETIME = timedelta(hours=24)
UPLOAD_BYTES_MAXIMUM = 100 * 1024 * 1024
REPLAY_CHUNKS = 16
PUT_CHUNKS = 4


@dataclass(frozen=True, slots=True)
class UploadProgress:
    """An upload under way: declared size and durable bytes, and when it is forgotten if nobody goes on with it."""

    size: int
    committed_bytes: int
    expires_at: datetime


class UploadMismatch(Exception):
    """What arrived is not what was declared. `field` is `size`, `sha256` or `committed_bytes`."""

    def __init__(self, field: str) -> None:
        super().__init__(f"the upload disagrees with its declaration on {field}")
        self.field = field


class Upload:
    """One upload of one stream of chunks. `begin`, then `feed` in order from `committed_bytes` on, then `finish`."""

    def __init__(self, desk: "UploadDesk", request: SubmissionRequest, size: int, sha256: bytes, keys: TenantKeys) -> None:
        self._desk = desk
        self._request = request
        self._size = size
        self._sha256 = sha256
        self._tenant_keys = keys
        self._reader = CdaReader(document_bytes_maximum=UPLOAD_BYTES_MAXIMUM)
        self._digest = hashlib.sha256()
        self._taken = 0
        self._held = bytearray()
        self._sealer: BodySealer | None = None
        self._subject: UUID | None = None
        self._chunks: list[SealedChunk] = []

    @property
    def committed_bytes(self) -> int:
        """Bytes that need not be sent again: where the sender goes on."""
        return self._taken

    async def resume(self, staged: StagedUpload, subject: SubjectKey) -> None:
        """Read back what was stored, so that hash and header go on where they stopped."""
        self._subject = subject.subject
        sealer = BodySealer(document_key(subject, staged.document), staged.blob)
        count, first = await self._desk.blobs.staged(staged.blob), 0
        while first < count:
            for chunk in await self._desk.blobs.staged_part(staged.blob, first, min(REPLAY_CHUNKS, count - first)):
                plaintext = sealer.replay(chunk)
                self._reader.feed(plaintext)
                self._digest.update(plaintext)
                self._taken += len(plaintext)
                first += 1
        self._sealer = sealer

    async def feed(self, part: bytes) -> None:
        """Take the next bytes. Raises `DocumentRefused` as soon as they can't be a document, `UploadMismatch` past the declared size."""
        self._taken += len(part)
        if self._taken > self._size:
            raise UploadMismatch("size")
        self._reader.feed(part)
        self._digest.update(part)
        if self._sealer is None:
            self._held += part
            if self._reader.header_so_far is None:
                return
            self._sealer = await self._start(self._reader.header_so_far)
            part, self._held = bytes(self._held), bytearray()
        self._chunks += self._sealer.feed(part)
        if len(self._chunks) >= PUT_CHUNKS:
            await self._put()

    async def finish(self) -> Receipt:
        """The document is complete: check it against its declaration, record it, and only then give the receipt."""
        if self._taken != self._size:
            raise UploadMismatch("size")
        header = self._reader.close()
        if self._digest.digest() != self._sha256:
            raise UploadMismatch("sha256")
        checked = check(self._request, header, self._sha256, self._tenant_keys)
        sealer = self._sealer
        if sealer is None:
            # Smaller than one parser block: the document is in hand, and goes the short way.
            return await self._desk.intake.enqueue(checked, BodySource(body=bytes(self._held)))
        self._chunks += sealer.finish()
        await self._put()
        await self._require_subject()
        receipt = await self._desk.intake.enqueue(checked, BodySource(reference=sealer.reference(), staged=True))
        await self._desk.uploads.finish(self._request.tenant, self._request.request)
        return receipt

    async def _start(self, header: HeaderExtract) -> BodySealer:
        document = document_of(self._tenant_keys, header)
        now = self._desk.clock.now()
        (subject,) = await self._desk.keys.subjects_for([(self._request.tenant, canonical_identity(self._request.identity))])
        wanted = StagedUpload(
            tenant=self._request.tenant,
            request=self._request.request,
            blob=new_blob(now),
            document=document,
            subject=subject.subject,
            size=self._size,
            declared=_declared(self._sha256, self._tenant_keys),
            started_at=now,
        )
        staged = await self._desk.uploads.start(wanted)
        if staged.blob != wanted.blob:
            # Two connections upload the same request at once: the first goes on, this one may resume it later.
            raise UploadMismatch("committed_bytes")
        self._subject = subject.subject
        return BodySealer(document_key(subject, document), staged.blob)

    async def _require_subject(self) -> None:
        """Refuse to name a body sealed under a key that an erasure has retired meanwhile: the upload must start anew."""
        (subject,) = await self._desk.keys.subjects_for([(self._request.tenant, canonical_identity(self._request.identity))])
        if subject.subject != self._subject:
            await self._desk.uploads.finish(self._request.tenant, self._request.request)
            raise UploadMismatch("committed_bytes")

    async def _put(self) -> None:
        if self._chunks:
            await self._desk.blobs.put(self._chunks)
            self._chunks = []


class UploadDesk:
    """Where uploads begin and resume, on any replica."""

    def __init__(
        self,
        intake: Intake,
        keys: KeyRing,
        blobs: BlobStore,
        uploads: Uploads,
        clock: Clock,
        tenant_keys: Callable[[str], Awaitable[TenantKeys]],
    ) -> None:
        self.intake = intake
        self.keys = keys
        self.blobs = blobs
        self.uploads = uploads
        self.clock = clock
        self._tenant_keys = tenant_keys

    async def begin(self, request: SubmissionRequest, size: int, sha256: bytes) -> Upload:
        """An upload ready for its bytes, resumed when this request was under way. `size` in bytes; `sha256` of the whole document.

        Raises `SubmissionRefused` when the request id is under way with another declaration, `SubjectErased`.
        """
        keys = await self._tenant_keys(request.tenant)
        upload = Upload(self, request, size, sha256, keys)
        staged = await self.uploads.find(request.tenant, request.request)
        if staged is None:
            return upload
        if staged.size != size or staged.declared != _declared(sha256, keys):
            raise SubmissionRefused(RefusalReason.REQUEST_ID_REUSED, "request_id")
        (subject,) = await self.keys.subjects([(request.tenant, staged.subject)])
        if subject is None:
            raise SubjectErased
        await upload.resume(staged, subject)
        return upload

    async def progress(self, tenant: str, request: str) -> UploadProgress | None:
        """How far an upload is; None when none is under way."""
        staged = await self.uploads.find(tenant, request)
        if staged is None:
            return None
        committed = await self.blobs.staged(staged.blob) * CHUNK_PLAINTEXT_BYTES
        return UploadProgress(staged.size, min(committed, staged.size), staged.started_at + UPLOAD_LIFETIME)


def _declared(sha256: bytes, keys: TenantKeys) -> bytes:
    """What is kept of a declared hash: enough to tell another declaration, nothing by which to recognise the document."""
    return hmac.digest(keys.fingerprint, sha256, "sha256")
