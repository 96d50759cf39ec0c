"""What is derived from one tenant's key: HMAC keys by purpose, the index of identities, and the wrapping of subject keys."""

import hmac
import os
from uuid import UUID, uuid4

from relais.vault.seal import KEY_BYTES, open_bytes, seal_bytes
from relais.vault.vault import SubjectKey

IDENTITY_INDEX_PURPOSE = "identity-index"

_HMAC_INFO = b"relais.tenant.v1\x00hmac\x00"
_WRAP_INFO = b"relais.tenant.v1\x00wrap"


class TenantKey:
    """A tenant's open key. It stays in memory and is never printed."""

    def __init__(self, tenant: str, key: bytes) -> None:
        self._tenant = tenant
        self._key = key
        self._index_key = self.hmac_key(IDENTITY_INDEX_PURPOSE)
        self._wrapping_key = _expand(key, _WRAP_INFO)

    def __repr__(self) -> str:
        return f"TenantKey(tenant={self._tenant!r})"

    def hmac_key(self, purpose: str) -> bytes:
        """The tenant's 32-byte key for one purpose; purposes do not reveal one another's keys."""
        return _expand(self._key, _HMAC_INFO + purpose.encode())

    def identity_index(self, identity: bytes) -> bytes:
        """Under what a subject with this canonical identity is found; 32 bytes."""
        return hmac.digest(self._index_key, identity, "sha256")

    def new_subject(self) -> tuple[SubjectKey, bytes]:
        """A random subject with a random key, and the key as it may be stored."""
        subject = SubjectKey(self._tenant, uuid4(), os.urandom(KEY_BYTES))
        return subject, seal_bytes(self._wrapping_key, subject.key, self._associated(subject.subject))

    def open_subject(self, subject: UUID, wrapped: bytes) -> SubjectKey:
        """The subject's key again. Raises `SealBroken` when the row was changed or is another subject's."""
        return SubjectKey(self._tenant, subject, open_bytes(self._wrapping_key, wrapped, self._associated(subject)))

    def _associated(self, subject: UUID) -> bytes:
        return b"relais.subject-key.v1\x00" + subject.bytes + self._tenant.encode()


def new_tenant_key() -> bytes:
    """A random key for a new tenant."""
    return os.urandom(KEY_BYTES)


def _expand(key: bytes, info: bytes) -> bytes:
    """RFC 5869 HKDF-Expand with SHA-256, one block."""
    return hmac.digest(key, info + b"\x01", "sha256")
