"""Every secret of the stack that is not a certificate: made once, kept in files only this user may read, never printed.

What is lost here is lost for ever: without `vault.master` no document of the stack can be opened again. `backup` keeps them with the keys
database, apart from the record.
"""

import base64
import json
import os
import secrets
import time
from pathlib import Path

import nkeys
from joserfc import jwt
from joserfc.jwk import ECKey

from relais.embedded.state import write_whole

SECRET_BYTES = 32
TOKEN_ISSUER = "relais-embedded"  # noqa: S105 - a name, not a secret.
TOKEN_AUDIENCE = "relais"  # noqa: S105 - a name, not a secret.
TOKEN_SECONDS_DEFAULT = 3_600


class Keys:
    """The secrets of one stack, by name; each is made when it is first asked for."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def vault_master(self) -> Path:
        """32 random bytes that wrap the tenants' keys."""
        return self._random("vault.master")

    @property
    def trusted_tokens(self) -> Path:
        """JWKS with the public half of the key that signs this stack's tokens (ES256)."""
        file = self._folder / "tokens.public.json"
        if not file.exists():
            # `iss` is the one issuer this key may sign for.
            public = {**self._token_key().as_dict(private=False), "iss": TOKEN_ISSUER}
            write_whole(file, json.dumps({"keys": [public]}, indent=2).encode())
        return file

    def endpoint(self, name: str) -> Path:
        """JWKS with the two secrets shared with one HTTPS endpoint: one signs deliveries (`sig`), one seals the recipient (`enc`)."""
        shared = [
            {"kty": "oct", "kid": f"{name}-{use}", "use": use, "alg": algorithm, "k": _base64url(secrets.token_bytes(SECRET_BYTES))}
            for use, algorithm in (("sig", "HS256"), ("enc", "A256GCM"))
        ]
        return self._once(f"endpoint-{name}.json", json.dumps({"keys": shared}, indent=2).encode())

    def database_password(self, role: str) -> str:
        """The password of one database role."""
        return self._hex(f"postgres-{role}.password").read_text()

    def nkey_seed(self, user: str) -> Path:
        """The seed with which one user proves itself to nats-server."""
        file = self._folder / f"nkey-{user}.seed"
        if not file.exists():
            write_whole(file, bytes(nkeys.encode_seed(secrets.token_bytes(SECRET_BYTES), nkeys.PREFIX_BYTE_USER)), mode=0o600)
        return file

    def nkey_public(self, user: str) -> str:
        """The public half of a user's NATS key, as the server's configuration names it."""
        pair = nkeys.from_seed(bytearray(self.nkey_seed(user).read_bytes()))
        return bytes(pair.public_key).decode()

    def sign_token(self, subject: str, seconds: int = TOKEN_SECONDS_DEFAULT) -> str:
        """A JWT for `subject`, ES256, issuer `relais-embedded`, audience `relais`, with a lifetime in seconds."""
        key = self._token_key()
        now = int(time.time())
        claims = {
            "iss": TOKEN_ISSUER,
            "aud": TOKEN_AUDIENCE,
            "sub": subject,
            "iat": now,
            "exp": now + seconds,
            "jti": secrets.token_hex(16),
        }
        return jwt.encode({"alg": "ES256", "kid": key.kid}, claims, key)

    def _token_key(self) -> ECKey:
        file = self._folder / "tokens.private.json"
        if not file.exists():
            key = ECKey.generate_key("P-256", {"use": "sig", "alg": "ES256"}, private=True, auto_kid=True)
            write_whole(file, json.dumps(key.as_dict(private=True)).encode(), mode=0o600)
        return ECKey.import_key(json.loads(file.read_bytes()))

    def _random(self, name: str) -> Path:
        return self._once(name, os.urandom(SECRET_BYTES))

    def _hex(self, name: str) -> Path:
        return self._once(name, secrets.token_hex(SECRET_BYTES).encode())

    def _once(self, name: str, content: bytes) -> Path:
        file = self._folder / name
        if not file.exists():
            write_whole(file, content, mode=0o600)
        return file


def _base64url(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()
