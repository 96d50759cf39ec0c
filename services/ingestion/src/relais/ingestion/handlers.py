"""What happens to a submission between the edge and the intake: its document is checked and hashed, its names are computed."""

import asyncio
import hashlib

from relais.ingestion.cda import read_header
from relais.ingestion.domain import Verdict
from relais.ingestion.intake import Intake, Receipt
from relais.ingestion.request import Checked, SubmissionRequest, TenantKeys, check
from relais.ingestion.sealing import BodySource
from relais.vault.vault import KeyRing

DOCUMENT_BYTES_MAXIMUM = 4 * 1024 * 1024
THREAD_BYTES_MINIMUM = 512 * 1024


class DocumentTooLarge(Exception):
    """The document is larger than a message may hold: it must be uploaded in pieces."""


class HashMismatch(Exception):
    """The bytes are not those whose SHA-256 was declared."""


class Reception:
    """Receives whole documents. `receive` is the hot path: one pass of the parser, one of SHA-256, and a place in the queue."""

    def __init__(self, intake: Intake, keys: KeyRing) -> None:
        self._intake = intake
        self._keys = keys
        self._tenants: dict[str, TenantKeys] = {}

    async def receive(self, request: SubmissionRequest, body: bytes, declared_sha256: bytes) -> "asyncio.Future[Receipt]":
        """Check a document and queue it; the receipt comes through the future, when everything is durable.

        Raises `DocumentRefused`, `DocumentTooLarge`, `HashMismatch`, `QueueFull`; the future may raise `SubmissionRefused`.
        """
        return self._intake.enqueue(await self.examine(request, body, declared_sha256), BodySource(body=body))

    async def preview(self, request: SubmissionRequest, body: bytes, declared_sha256: bytes) -> tuple[Checked, Verdict]:
        """What a submission would be; nothing is stored, the refusals are those of `receive`."""
        checked = await self.examine(request, body, declared_sha256)
        return checked, await self._intake.preview(checked)

    async def examine(self, request: SubmissionRequest, body: bytes, declared_sha256: bytes) -> Checked:
        """Everything that can be said of a submission without asking the log."""
        if len(body) > DOCUMENT_BYTES_MAXIMUM:
            raise DocumentTooLarge
        sha256 = hashlib.sha256(body).digest()
        if declared_sha256 and declared_sha256 != sha256:
            raise HashMismatch
        # A large document must not hold the event loop: other senders' receipts wait in it.
        header = read_header(body) if len(body) < THREAD_BYTES_MINIMUM else await asyncio.to_thread(read_header, body)
        return check(request, header, sha256, await self.tenant_keys(request.tenant))

    async def tenant_keys(self, tenant: str) -> TenantKeys:
        """The tenant's HMAC keys; they never change, so each is asked for once."""
        keys = self._tenants.get(tenant)
        if keys is None:
            keys = TenantKeys(
                document_id=await self._keys.tenant_hmac(tenant, "document-id"),
                fingerprint=await self._keys.tenant_hmac(tenant, "fingerprint"),
            )
            self._tenants[tenant] = keys
        return keys
