"""The vault as a port: sealed bodies and the keys that open them. It is the one store that services share.

Document key <- subject key <- tenant key <- provider. A document's key is derived, HKDF-SHA256(subject key,
info="relais.document.v1" + document id), so that destroying one row, the subject's wrapped key, makes every body and every
sealed part of that subject unreadable everywhere, backups of the logs included.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from relais.eventlog.record import SealedChunk

CHUNK_BYTES_MAXIMUM = 256 * 1024
INLINE_BODY_BYTES_MAXIMUM = 1024 * 1024


class VaultError(Exception):
    """The root of the vault's errors.

    VaultError
     +-- SubjectErased    the subject's key was destroyed: what it sealed is unreadable for ever
     +-- BodyMissing      a chunk is not there
     +-- SealBroken       a ciphertext does not open: it was changed, or belongs to another document
    """


class SubjectErased(VaultError):
    """The key is gone, on purpose."""


class BodyMissing(VaultError):
    """The body, or one of its chunks, is not in the store."""


class SealBroken(VaultError):
    """Authentication failed."""


@dataclass(frozen=True, slots=True)
class SubjectKey:
    """A subject's pseudonym and its open key; it stays in memory and is never printed."""

    tenant: str
    subject: UUID
    key: bytes

    def __repr__(self) -> str:
        return f"SubjectKey(tenant={self.tenant!r}, subject={self.subject})"


class KeyRing(Protocol):
    """Keys of tenants and subjects. Postgres database `relais_keys` in production, memory in tests."""

    async def tenant_hmac(self, tenant: str, purpose: str) -> bytes:
        """A 32-byte HMAC key of the tenant for one purpose (`document-id`, `fingerprint`, `identity-index`), stable for ever."""
        ...

    async def subjects_for(self, tenant_identities: Sequence[tuple[str, bytes]]) -> list[SubjectKey]:
        """The subjects of these (tenant, canonical identity bytes), made where they are new; one round trip for what is not cached."""
        ...

    async def subjects(self, tenant_subjects: Sequence[tuple[str, UUID]]) -> list[SubjectKey | None]:
        """The keys of known subjects, None where erased; one round trip for what is not cached."""
        ...

    async def erase(self, tenant: str, subject: UUID) -> bool:
        """Destroy a subject's key and its index entry; False when it was not there."""
        ...


class BlobStore(Protocol):
    """Sealed chunks. Small bodies are written by the append's own call instead of `put`."""

    async def put(self, chunks: Sequence[SealedChunk]) -> None:
        """Store chunks durably before returning; a chunk that is already there with the same bytes is no error."""
        ...

    async def get_many(self, blobs: Sequence[UUID]) -> dict[UUID, list[SealedChunk]]:
        """All chunks of these blobs in order, in one round trip; a missing blob is absent from the answer."""
        ...

    async def staged(self, blob: UUID) -> int:
        """How many consecutive chunks from 0 are stored: where an upload resumes."""
        ...

    async def sweep(self, older_than_seconds: float) -> int:
        """Remove staged bodies that no fact names and that are older than this; how many were removed."""
        ...
