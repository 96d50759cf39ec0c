"""What a partner does with a delivery before it believes it: digest (RFC 9530), signature (RFC 9421), sealed recipient (RFC 7516).

Written from the partner's side and sharing no code with the product, so that the two can disagree.
"""

import base64
import hashlib
import hmac
import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

CLOCK_SKEW_SECONDS_MAXIMUM = 300
_MUST_COVER = {"@method", "@target-uri", "content-digest", "content-type", "idempotency-key", "ce-id", "ce-subject"}


class NotBelieved(Exception):
    """The delivery is not what it says, or not from whom it says; `code` names the check that failed."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True, slots=True)
class SharedKeys:
    """The two secrets a partner shares with Relais, by key id: one signs, one seals the recipient's address."""

    signing: Mapping[str, bytes]
    sealing: Mapping[str, bytes]


def read_keys(file: Path) -> SharedKeys:
    """Read a JWK Set (RFC 7517) of symmetric keys: `use` is `sig` or `enc`, `k` the secret."""
    keys = json.loads(file.read_text())["keys"]
    by_use = {use: {key["kid"]: _decoded(key["k"]) for key in keys if key["use"] == use} for use in ("sig", "enc")}
    return SharedKeys(signing=by_use["sig"], sealing=by_use["enc"])


def verify_digest(headers: Mapping[str, str], body: bytes) -> str:
    """Check `Content-Digest` against the bytes that came; the SHA-256 in base64. `headers` have lower-case names."""
    digest = base64.b64encode(hashlib.sha256(body).digest()).decode()
    if headers.get("content-digest") != f"sha-256=:{digest}:":
        raise NotBelieved("DIGEST_DIFFERS")
    return digest


def verify_signature(method: str, url: str, headers: Mapping[str, str], keys: SharedKeys) -> None:
    """Check that the request was signed, lately, with a key we know, over everything that matters."""
    label, _, parameters = headers.get("signature-input", "").partition("=")
    covered = re.findall(r'"([^"]+)"', parameters.partition(")")[0])
    key_id = re.search(r';keyid="([^"]+)"', parameters)
    created = re.search(r";created=(\d+)", parameters)
    if not key_id or not created or not set(covered) >= _MUST_COVER:
        raise NotBelieved("SIGNATURE_INCOMPLETE")
    if "relais-recipient" in headers and "relais-recipient" not in covered:
        raise NotBelieved("SIGNATURE_INCOMPLETE")
    secret = keys.signing.get(key_id[1])
    if secret is None:
        raise NotBelieved("KEY_UNKNOWN")
    values = {"@method": method, "@target-uri": url, **headers}
    base = "".join(f'"{name}": {values.get(name, "")}\n' for name in covered) + f'"@signature-params": {parameters}'
    expected = hmac.digest(secret, base.encode(), "sha256")
    given = base64.b64decode(headers.get("signature", "").removeprefix(f"{label}=:").removesuffix(":"))
    if not hmac.compare_digest(expected, given):
        raise NotBelieved("SIGNATURE_DIFFERS")
    if abs(time.time() - int(created[1])) > CLOCK_SKEW_SECONDS_MAXIMUM:
        raise NotBelieved("SIGNATURE_TOO_OLD")


def open_recipient(headers: Mapping[str, str], keys: SharedKeys) -> dict[str, str]:
    """The recipient inside `Relais-Recipient` (JWE compact, `dir`, `A256GCM`); empty when the delivery names none."""
    token = headers.get("relais-recipient")
    if not token:
        return {}
    try:
        header, _, nonce, ciphertext, tag = token.split(".")
        secret = keys.sealing[json.loads(_decoded(header))["kid"]]
        plaintext = AESGCM(secret).decrypt(_decoded(nonce), _decoded(ciphertext) + _decoded(tag), header.encode())
    except Exception as error:
        raise NotBelieved("RECIPIENT_UNREADABLE") from error
    return {str(name): str(value) for name, value in json.loads(plaintext).items()}


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
