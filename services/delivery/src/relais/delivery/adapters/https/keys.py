"""The secrets shared with one partner: a JWK Set (RFC 7517) with one symmetric key to sign and one to seal."""

import base64
import binascii
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

SECRET_BYTES_MINIMUM = 32


class KeysUnusable(Exception):
    """The keys file cannot be used; the message names the file and the fault, never a key."""


class _Key(msgspec.Struct, frozen=True):
    kid: str
    use: str
    k: str
    kty: str = "oct"


class _KeySet(msgspec.Struct, frozen=True):
    keys: tuple[_Key, ...]


@dataclass(frozen=True, slots=True)
class PartnerKeys:
    """`signing` is for HMAC-SHA256 (RFC 9421), `sealing` for A256GCM (RFC 7518); each with the id the partner finds it by."""

    signing_id: str
    signing: bytes = field(repr=False)
    sealing_id: str
    sealing: bytes = field(repr=False)


def read_keys(file: Path) -> PartnerKeys:
    """Read the keys; where there are several of one use, the first is used, so that a new one can be announced before its turn."""
    try:
        found = msgspec.json.decode(file.read_bytes(), type=_KeySet).keys
    except (OSError, msgspec.MsgspecError):
        # The decoder's own message could quote a secret.
        raise KeysUnusable(f"{file.name} is not a readable JWK Set") from None
    signing = _first(file, found, "sig")
    sealing = _first(file, found, "enc")
    secret = _secret(file, signing)
    sealing_secret = _secret(file, sealing)
    if len(secret) < SECRET_BYTES_MINIMUM or len(sealing_secret) != SECRET_BYTES_MINIMUM:
        raise KeysUnusable(f"{file.name}: a signing key has at least {SECRET_BYTES_MINIMUM} bytes, a sealing key exactly as many")
    return PartnerKeys(signing.kid, secret, sealing.kid, sealing_secret)


def _first(file: Path, keys: tuple[_Key, ...], use: str) -> _Key:
    for key in keys:
        if key.use == use and key.kty == "oct" and _is_printable(key.kid):
            return key
    raise KeysUnusable(f"{file.name} has no symmetric key with the use {use!r} and a plain kid")


def _secret(file: Path, key: _Key) -> bytes:
    try:
        return base64.b64decode(key.k + "=" * (-len(key.k) % 4), altchars=b"-_", validate=True)
    except binascii.Error:
        raise KeysUnusable(f"{file.name}: the key {key.kid!r} is not base64url") from None


def _is_printable(identifier: str) -> bool:
    return bool(identifier) and identifier.isascii() and identifier.isprintable() and not set(identifier) & {'"', "\\"}
