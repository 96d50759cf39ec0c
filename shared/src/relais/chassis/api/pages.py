"""Paging (AIP-158): sizes, and tokens that are opaque and good for one list with the same other arguments only."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from os import urandom
from pathlib import Path
from typing import Final, TypeVar

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from relais.api.access.v1.error_reason_pb2 import ErrorReason
from relais.chassis.api.errors import ApiError, FieldsInvalid, FieldViolation

PAGE_SIZE_DEFAULT: Final = 50
PAGE_SIZE_MAXIMUM: Final = 500
TOKEN_CHARACTERS_MAXIMUM: Final = 2048

T = TypeVar("T")

_NONCE_BYTES = 12
_INFO = b"relais.page-token.v1"


def page_size(requested: int, maximum: int = PAGE_SIZE_MAXIMUM) -> int:
    """How many to return: 0 means the default, too many the maximum. Raises `FieldsInvalid` for less than 0."""
    if requested < 0:
        raise FieldsInvalid([FieldViolation("page_size")])
    return min(requested or PAGE_SIZE_DEFAULT, maximum)


class PageTokens:
    """Makes and reads tokens. Every replica of a service has the same key, derived from the vault's master key file."""

    def __init__(self, secret: bytes) -> None:
        self._cipher = AESGCM(HKDF(algorithm=SHA256(), length=32, salt=None, info=_INFO).derive(secret))

    @classmethod
    def from_master_key(cls, file: Path) -> "PageTokens":
        """The tokens of a deployment; when its master key changes, lists under way begin again."""
        return cls(file.read_bytes())

    def make(self, arguments: tuple[object, ...], cursor: object) -> str:
        """The token that goes on after `cursor`. `arguments` are the method and every field that must stay the same."""
        nonce = urandom(_NONCE_BYTES)
        sealed = self._cipher.encrypt(nonce, msgspec.msgpack.encode(cursor), msgspec.msgpack.encode(arguments))
        return urlsafe_b64encode(nonce + sealed).decode("ascii").rstrip("=")

    def read(self, token: str, arguments: tuple[object, ...], kind: type[T]) -> T | None:
        """The cursor, None for the first page. Raises `ApiError` with PAGE_TOKEN_INVALID for a token of another list or nobody's."""
        if not token:
            return None
        try:
            if len(token) > TOKEN_CHARACTERS_MAXIMUM:
                raise ValueError
            sealed = urlsafe_b64decode(token + "=" * (-len(token) % 4))
            cursor = self._cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], msgspec.msgpack.encode(arguments))
            return msgspec.msgpack.decode(cursor, type=kind)
        except (ValueError, InvalidTag, msgspec.MsgspecError):
            raise ApiError(ErrorReason.ERROR_REASON_PAGE_TOKEN_INVALID) from None
