"""Bearer tokens: signed JWTs, verified against configured keys (RFC 7519, RFC 7517). `alg` comes from the key, never from the token."""

import json
import re
from base64 import urlsafe_b64decode
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeGuard

import msgspec
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import JWKRegistry, Key

from relais.api.access.v1.error_reason_pb2 import ErrorReason
from relais.chassis.api.errors import ApiError
from relais.chassis.refusal import StartRefused

AUDIENCE: Final = "relais"
ALGORITHMS: Final = ("ES256", "ES384", "EdDSA", "Ed25519", "PS256", "RS256")
TOKEN_CHARACTERS_MAXIMUM: Final = 8192
LIFETIME_SECONDS_MAXIMUM: Final = 24 * 3600
LEEWAY_SECONDS: Final = 30
CACHE_TOKENS_MAXIMUM: Final = 1000

_PART: Final = re.compile(r"[!-~]{1,120}")


class TokenKeysRefused(StartRefused):
    """The key file cannot be used; the message says why."""


class TokenVerifier:
    """Turns a token into its credential `jwt:<issuer>:<subject>`, where a colon in the subject is written `%3A`.

    Each key of the JWKS names in a member `iss` the one issuer that it may sign for, so that one issuer's key can never speak
    in another's name. Tokens need `iss`, `sub`, `aud` holding `relais`, and `exp` at most 24 h ahead.
    """

    def __init__(self, keys: dict[str, tuple[Key, str]], now: Callable[[], float]) -> None:
        self._keys = keys
        self._now = now
        self._verified: dict[str, tuple[str, float]] = {}

    @classmethod
    def load(cls, file: Path, now: Callable[[], float]) -> "TokenVerifier":
        """Read a JWKS. `now` is the wall clock in seconds since 1970. Raises `TokenKeysRefused`."""
        try:
            content = json.loads(file.read_bytes())
            keys = {}
            for entry in content["keys"]:
                key = JWKRegistry.import_key(entry)
                if not entry.get("kid") or not entry.get("iss") or entry.get("alg") not in ALGORITHMS or entry["kty"] == "oct":
                    raise TokenKeysRefused(f"every token key needs kid, iss and alg, one of {', '.join(ALGORITHMS)}")
                if key.is_private:
                    raise TokenKeysRefused("the token key file must hold public keys only")
                keys[entry["kid"]] = (key, str(entry["iss"]))
        except (OSError, ValueError, KeyError, TypeError, AttributeError, JoseError) as error:
            raise TokenKeysRefused(f"the token key file is not a readable JWKS ({type(error).__name__})") from None
        return cls(keys, now)

    def credential(self, token: str) -> str:
        """The credential that the token proves. Raises `ApiError` with TOKEN_INVALID or TOKEN_EXPIRED."""
        known = self._verified.get(token)
        if known is not None and known[1] > self._now():
            return known[0]
        credential, expires = self._verify(token)
        if len(self._verified) >= CACHE_TOKENS_MAXIMUM:
            self._verified.clear()
        self._verified[token] = (credential, expires)
        return credential

    def _verify(self, token: str) -> tuple[str, float]:
        if len(token) > TOKEN_CHARACTERS_MAXIMUM:
            raise ApiError(ErrorReason.ERROR_REASON_TOKEN_INVALID)
        try:
            key, issuer = self._keys[_key_id(token)]
            claims = jwt.decode(token, key, algorithms=[str(key.alg)]).claims
        except (JoseError, ValueError, KeyError, TypeError):
            raise ApiError(ErrorReason.ERROR_REASON_TOKEN_INVALID) from None
        subject, expires, begins = claims.get("sub"), claims.get("exp"), claims.get("nbf", 0)
        audience = claims.get("aud")
        audiences = audience if isinstance(audience, list) else [audience]
        if claims.get("iss") != issuer or AUDIENCE not in audiences or not isinstance(subject, str) or not _PART.fullmatch(subject):
            raise ApiError(ErrorReason.ERROR_REASON_TOKEN_INVALID)
        if not _is_time(expires) or not _is_time(begins) or expires > self._now() + LIFETIME_SECONDS_MAXIMUM:
            raise ApiError(ErrorReason.ERROR_REASON_TOKEN_INVALID)
        if expires <= self._now() or begins > self._now() + LEEWAY_SECONDS:
            raise ApiError(ErrorReason.ERROR_REASON_TOKEN_EXPIRED)
        # A colon of the subject is escaped, so that the last colon always ends the issuer and no two pairs make one credential.
        return f"jwt:{issuer}:{subject.replace('%', '%25').replace(':', '%3A')}", float(expires)


class _Header(msgspec.Struct):
    """The one member of a JOSE header that is looked at before the signature is verified."""

    kid: str


def _key_id(token: str) -> str:
    header = token.partition(".")[0]
    return msgspec.json.decode(urlsafe_b64decode(header + "=" * (-len(header) % 4)), type=_Header).kid


def _is_time(value: object) -> TypeGuard[float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
