"""What ingestion's tests stand on: an intake on memory, running, with a document to hand in."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from uuid import UUID, uuid4

from relais.contracts.submission import Flags, Opposition, Recipient
from relais.eventlog.memory import MemoryEventLog
from relais.eventlog.record import StoredEvent
from relais.ingestion.handlers import Reception
from relais.ingestion.intake import Intake, Receipt
from relais.ingestion.ports import StagedUpload
from relais.ingestion.request import SubmissionRequest
from relais.ingestion.uploads import UploadDesk
from relais.sandbox.cda import SyntheticDocument
from relais.testing.clock import ManualClock
from relais.vault.blobs import MemoryBlobStore
from relais.vault.keys import MemoryKeyRing

FLAGS = Flags(
    masque_ps=False,
    invisible_patient=False,
    invisible_rep_legaux=False,
    connexion_secrete=False,
    modif_conf_code=False,
    destdmp=True,
    destmssanteps=True,
    destmssantepat=True,
    ack_reception=True,
    ack_lecture_mss=True,
)


class MemoryUploads:
    """Uploads under way, in memory."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, str], StagedUpload] = {}

    async def find(self, tenant: str, request: str) -> StagedUpload | None:
        return self.rows.get((tenant, request))

    async def start(self, upload: StagedUpload) -> StagedUpload:
        return self.rows.setdefault((upload.tenant, upload.request), upload)

    async def finish(self, tenant: str, request: str) -> None:
        self.rows.pop((tenant, request), None)


class AskedLog(MemoryEventLog):
    """The log in memory, and how many streams it was asked for."""

    streams_asked = 0

    async def read_streams(self, tenant_streams: Sequence[tuple[str, str]]) -> dict[tuple[str, str], list[StoredEvent]]:
        self.streams_asked += len(tenant_streams)
        return await super().read_streams(tenant_streams)


@dataclass
class Bench:
    """One replica's intake with everything behind it."""

    clock: ManualClock
    log: AskedLog
    keys: MemoryKeyRing
    blobs: MemoryBlobStore
    uploads: MemoryUploads
    intake: Intake
    reception: Reception
    desk: UploadDesk
    rings: list[None]

    async def submit(self, request: SubmissionRequest, body: bytes) -> Receipt:
        return await (await self.reception.receive(request, body, hashlib.sha256(body).digest()))


@asynccontextmanager
async def running_intake() -> AsyncIterator[Bench]:
    clock, keys, rings = ManualClock(), MemoryKeyRing(), list[None]()
    blobs = MemoryBlobStore(clock)
    named: list[UUID] = []

    def apply_work(rows: list[dict[str, object]]) -> None:
        named.extend(UUID(str(row["staged_blob"])) for row in rows if "staged_blob" in row)
        for blob in named:
            blobs._touched.pop(blob)
        named.clear()

    log = AskedLog("ingestion", clock, insert_chunks=blobs.insert, apply_work=apply_work)
    intake = Intake(log, keys, blobs, clock, lambda: rings.append(None))
    reception = Reception(intake, keys)
    uploads = MemoryUploads()
    desk = UploadDesk(intake, keys, blobs, uploads, clock, reception.tenant_keys)
    worker = asyncio.create_task(intake.run())
    try:
        yield Bench(clock, log, keys, blobs, uploads, intake, reception, desk, rings)
    finally:
        worker.cancel()
        await asyncio.wait([worker])


def request_for(document: SyntheticDocument, **changes: object) -> SubmissionRequest:
    fields: dict[str, object] = {
        "tenant": "chu",
        "request": str(uuid4()),
        "site": "nord",
        "sender": "his",
        "actor": "x509:aa",
        "professional": document.professional,
        "identity": document.identity,
        "flags": FLAGS,
        "opposition": Opposition.NO,
        "recipients": tuple[Recipient, ...](),
        **changes,
    }
    return SubmissionRequest(**fields)  # type: ignore[arg-type]
