"""Where trust in the keys begins: a provider wraps and unwraps tenant keys. A master key in a file here, a KMS elsewhere.

A provider is asked once per tenant and process; everything below a tenant key is wrapped and derived in memory. It is
asynchronous because a KMS is a network call.
"""

import base64
import binascii
import hashlib
import os
import stat
from pathlib import Path
from typing import Protocol

from relais.vault.seal import KEY_BYTES, open_bytes, seal_bytes
from relais.vault.vault import MasterKeyUnusable, SealBroken

MASTER_KEYS_MAXIMUM = 8
_KEY_ID_BYTES = 4
_FORMAT = b"\x01"


class KeyProvider(Protocol):
    """Wraps tenant keys. The wrapped form is bound to its tenant: it unwraps for no other."""

    async def wrap(self, tenant: str, key: bytes) -> bytes:
        """The key as it may be stored."""
        ...

    async def unwrap(self, tenant: str, wrapped: bytes) -> bytes:
        """The key again. Raises `MasterKeyUnusable` when this provider did not wrap it, or not for this tenant."""
        ...


class MasterKeyFile:
    """Master keys from a file: base64, 32 bytes each, one a line. The first wraps; the others still unwrap, so keys can be changed.

    A file of exactly 32 bytes is one key as it is; no base64 of a key is that short.

    wrapped = 0x01 || key id (4 bytes, from a hash of the key) || nonce || AES-256-GCM || tag, AAD "relais.tenant-key.v1" 0x00 tenant.
    """

    def __init__(self, keys: list[bytes]) -> None:
        if not 1 <= len(keys) <= MASTER_KEYS_MAXIMUM or any(len(key) != KEY_BYTES for key in keys):
            raise MasterKeyUnusable(f"there must be 1 to {MASTER_KEYS_MAXIMUM} master keys of {KEY_BYTES} bytes")
        self._keys = {_key_id(key): key for key in keys}
        self._first = _key_id(keys[0])

    @classmethod
    def load(cls, file: Path) -> "MasterKeyFile":
        """Read the file. Raises `MasterKeyUnusable` when it is not there, not base64, or open to anybody but its owner."""
        try:
            if stat.S_IMODE(file.stat().st_mode) & 0o077:
                raise MasterKeyUnusable("the master key file is open to others than its owner: chmod 600")
            content = file.read_bytes()
            if len(content) == KEY_BYTES:
                return cls([content])
            return cls([base64.b64decode(line, validate=True) for line in content.split()])
        except OSError as error:
            raise MasterKeyUnusable(f"the master key file cannot be read: {error.strerror}") from None
        except binascii.Error:
            raise MasterKeyUnusable("the master key file is not base64, one key a line") from None

    @classmethod
    def create(cls, file: Path) -> "MasterKeyFile":
        """Make a file with one new key, readable by its owner only. Raises FileExistsError rather than lose the key that is there."""
        key = os.urandom(KEY_BYTES)
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as opened:
            opened.write(base64.b64encode(key) + b"\n")
            opened.flush()
            os.fsync(opened.fileno())
        return cls([key])

    async def wrap(self, tenant: str, key: bytes) -> bytes:
        return _FORMAT + self._first + seal_bytes(self._keys[self._first], key, _associated(tenant))

    async def unwrap(self, tenant: str, wrapped: bytes) -> bytes:
        frame = len(_FORMAT) + _KEY_ID_BYTES
        master = self._keys.get(wrapped[len(_FORMAT) : frame])
        if wrapped[: len(_FORMAT)] != _FORMAT or master is None:
            raise MasterKeyUnusable("a tenant key was wrapped with a master key that is not in the file")
        try:
            return open_bytes(master, wrapped[frame:], _associated(tenant))
        except SealBroken:
            raise MasterKeyUnusable("a wrapped tenant key does not open: it was changed, or belongs to another tenant") from None


def _key_id(key: bytes) -> bytes:
    return hashlib.sha256(b"relais.master-key-id.v1" + key).digest()[:_KEY_ID_BYTES]


def _associated(tenant: str) -> bytes:
    return b"relais.tenant-key.v1\x00" + tenant.encode()
