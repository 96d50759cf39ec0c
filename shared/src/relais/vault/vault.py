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
     +-- VaultUnavailable  the database did not answer: nothing is known, try again
     +-- SubjectErased     the subject's key was destroyed: what it sealed is unreadable for ever
     +-- TenantKeyMissing  the tenant has no key yet, and this service may not make one
     +-- MasterKeyUnusable the provider's key is not there, is open to others, or is not the one that wrapped this
     +-- BodyMissing       a body is not in the store, or no longer staged
     +-- ChunkConflict     another writer stored other bytes under the same number
     +-- SealBroken        a ciphertext does not open: it was changed, or belongs to another document
    """


class VaultUnavailable(VaultError):
    """The world's fault, and it passes."""


class SubjectErased(VaultError):
    """The key is gone, on purpose."""


class TenantKeyMissing(VaultError):
    """Only ingestion makes tenant keys, when a tenant's first document arrives."""


class MasterKeyUnusable(VaultError):
    """Nothing can be opened until an operator mends it."""


class BodyMissing(VaultError):
    """The body, or one of its chunks, is not in the store."""


class ChunkConflict(VaultError):
    """Two connections upload the same body at once; nothing of the refused call was stored."""


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
    """Keys of tenants and subjects. Postgres database `relais_keys` in production, memory in tests.

    An erasure takes two steps, because a document may just be on its way in under a key that some replica has in memory: `retire`,
    wait for RETIREMENT_SECONDS, look once more for open deliveries, `erase`.
    """

    async def tenant_hmac(self, tenant: str, purpose: str) -> bytes:
        """A 32-byte HMAC key of the tenant for one purpose (`document-id`, `fingerprint`, `identity-index`), stable for ever.

        Raises `TenantKeyMissing` where the tenant has no key and the caller's role may not make one.
        """
        ...

    async def subjects_for(self, tenant_identities: Sequence[tuple[str, bytes]]) -> list[SubjectKey]:
        """The subjects of these (tenant, canonical identity bytes), made where they are new; one round trip for what is not cached."""
        ...

    async def subjects(self, tenant_subjects: Sequence[tuple[str, UUID]]) -> list[SubjectKey | None]:
        """The keys of known subjects, None where erased; one round trip for what is not cached."""
        ...

    async def retire(self, tenant: str, subject: UUID) -> bool:
        """Take a subject out of the index: its key still opens, but the same identity is a new subject from now on. False if not there."""
        ...

    async def erase(self, tenant: str, subject: UUID) -> bool:
        """Destroy a subject's key and its index entry; False when it was not there."""
        ...


class BlobStore(Protocol):
    """Sealed chunks. A small body is written by the append's own call and is never staged; a large one is staged by `put`,
    chunk by chunk, until the append that names it calls `name` in its transaction (`vault.name_bodies` in Postgres).
    """

    async def put(self, chunks: Sequence[SealedChunk]) -> None:
        """Stage chunks, durable before this returns; all or none. A chunk that is already there with the same bytes is no error.

        Raises `ChunkConflict` when other bytes are there, `BodyMissing` when a body that starts after chunk 0 is not staged (any more).
        """
        ...

    async def get_many(self, blobs: Sequence[UUID]) -> dict[UUID, list[SealedChunk]]:
        """All chunks of these blobs in order, in one round trip; a missing blob is absent. The caller bounds the sizes it asks for."""
        ...

    async def part(self, blob: UUID, first: int, count: int) -> list[SealedChunk]:
        """At most `count` chunks from number `first` on: how a large body is read in bounded memory. Empty past the end."""
        ...

    async def staged(self, blob: UUID) -> int:
        """How many consecutive chunks from 0 are stored of a staged body: where an upload resumes. 0 when it is not staged."""
        ...

    async def staged_part(self, blob: UUID, first: int, count: int) -> list[SealedChunk]:
        """As `part`, of a body that is still staged only: what ingestion may read back to resume an upload, and nothing else."""
        ...

    async def name(self, blobs: Sequence[UUID]) -> None:
        """A fact names these staged bodies from now on: they are never swept. Raises `BodyMissing` when one is not staged any more."""
        ...

    async def sweep(self, older_than_seconds: float) -> int:
        """Remove staged bodies that no fact names and whose last chunk is older than this; how many were removed."""
        ...

    async def remove(self, blobs: Sequence[UUID]) -> int:
        """Remove bodies after an erasure: the key's destruction made them noise, this gives the space back. How many were there."""
        ...
