"""The HTTPS connector: one POST of the exact bytes, and the partner's status code turned into an answer."""

import hashlib
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from relais.clock import Clock
from relais.delivery.adapters.https.client import Address, Client, NeverSent, NoResponse
from relais.delivery.adapters.https.keys import PartnerKeys
from relais.delivery.adapters.https.response import Response
from relais.delivery.adapters.https.signing import RecipientSealer, RequestSigner, content_digest
from relais.delivery.domain.answers import Answer, Refused, Retry, Succeeded, Unknown
from relais.delivery.ports import BodyUnreadable, Call, LargeBody

MEDIA_TYPE = "application/xml"
EVENT_TYPE = "relais.document.v1"
RETRY_AFTER_SECONDS_MAXIMUM = 86_400

# These judge the document, or the request as we will always make it: sending it again cannot help.
_JUDGE_THE_DOCUMENT = frozenset({400, 406, 411, 412, 413, 414, 415, 416, 417, 422, 428, 431, 451})
# A call under the same key is still being worked on (draft-ietf-httpapi-idempotency-key-header).
_CONFLICT = 409
# These leave open whether the document was taken in before something broke.
_SAY_NOTHING = frozenset({500, 502, 504})
_ALREADY_REPORTED = 208


@dataclass(frozen=True, slots=True)
class HttpsSettings:
    """Where and how to call one partner. `ca_file` is the only authority trusted for it; None means the system's."""

    url: str
    ca_file: Path | None
    client_certificate_file: Path | None
    client_key_file: Path | None
    connect_timeout_seconds: float
    source: str

    def tls(self) -> ssl.SSLContext:
        """The client's side of TLS. Raises OSError or ssl.SSLError for files that cannot be used."""
        context = ssl.create_default_context(cafile=self.ca_file)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if self.client_certificate_file is not None:
            context.load_cert_chain(self.client_certificate_file, self.client_key_file)
        return context


class HttpsConnector:
    """Implements `relais.delivery.ports.Connector`."""

    def __init__(self, settings: HttpsSettings, keys: PartnerKeys, clock: Clock) -> None:
        parts = urlsplit(settings.url)
        if parts.scheme not in ("https", "http") or not parts.hostname or parts.query or parts.fragment:
            raise ValueError("an endpoint's url is https://host[:port]/path, without a query")
        self._clock = clock
        self._signer = RequestSigner(settings.url, keys)
        self._sealer = RecipientSealer(keys)
        tls = settings.tls() if parts.scheme == "https" else None
        port = parts.port or (443 if tls is not None else 80)
        self._client = Client(Address(parts.hostname, port, tls, settings.connect_timeout_seconds))
        self._head = (
            f"POST {parts.path or '/'} HTTP/1.1\r\nHost: {parts.netloc}\r\nUser-Agent: relais\r\n"
            f"ce-specversion: 1.0\r\nce-type: {EVENT_TYPE}\r\nce-source: {settings.source}\r\n"
        )

    async def deliver(self, call: Call) -> Answer:
        size = len(call.body) if isinstance(call.body, bytes) else call.body.size
        head = self._head_of(call, size)
        body = call.body if isinstance(call.body, bytes) else _checked(call.body, call.content.document_sha256)
        if isinstance(body, bytes) and hashlib.sha256(body).digest() != call.content.document_sha256:
            raise BodyUnreadable
        try:
            response = await self._client.post(head, body, call.timeout_seconds)
        except NeverSent as error:
            return Retry(code=error.code)
        except NoResponse as error:
            return Unknown(code=error.code)
        return answer_of(response, content_digest(call.content.document_sha256))

    async def close(self) -> None:
        await self._client.close()

    def _head_of(self, call: Call, size: int) -> bytes:
        fields = {
            "content-type": MEDIA_TYPE,
            "content-digest": content_digest(call.content.document_sha256),
            "idempotency-key": f'"{call.idempotency_key}"',
            "ce-id": call.idempotency_key,
            "ce-subject": call.delivery.document,
            "ce-time": call.received_at,
        }
        if call.recipient is not None:
            fields["relais-recipient"] = self._sealer.seal(call.recipient)
        fields.update(self._signer.sign(fields, self._clock.now()))
        lines = "".join([f"{name}: {value}\r\n" for name, value in fields.items()])
        return f"{self._head}{lines}content-length: {size}\r\n\r\n".encode("ascii")


def answer_of(response: Response, digest: str) -> Answer:
    """What a status code says. `digest` is the `Content-Digest` of what was sent."""
    status, code = response.status, str(response.status)
    if 200 <= status < 300:
        received = _sha256_of(response.fields.get("relais-received-digest", ""))
        if received is not None and received != digest:
            # The partner says 200 and shows that it has something else: nobody may believe that it arrived (SAFETY 20).
            return Refused(code="DIGEST_DIFFERS")
        repeat = status == _ALREADY_REPORTED or response.fields.get("idempotent-replayed", "").lower() == "true"
        return Succeeded(status=code, repeat=repeat)
    if status in _JUDGE_THE_DOCUMENT:
        return Refused(code=code)
    if status in _SAY_NOTHING:
        return Unknown(code=code)
    if status == _CONFLICT:
        return Retry(code=code, after_seconds=_retry_after(response), endpoint_fault=False)
    # Everything else is about the endpoint and us: down, moved, or refusing our credential. A redirect is never followed,
    # because a document goes only where a configuration names.
    return Retry(code=code, after_seconds=_retry_after(response))


def _sha256_of(received: str) -> str | None:
    """The SHA-256 member of a digest field, None where the partner said nothing of the kind."""
    return next((member for part in received.split(",") if (member := part.strip()).startswith("sha-256=")), None)


def _retry_after(response: Response) -> float | None:
    """`Retry-After` in seconds; its other form, a date, is worth less than our own schedule."""
    text = response.fields.get("retry-after", "")
    return float(min(int(text), RETRY_AFTER_SECONDS_MAXIMUM)) if text.isascii() and text.isdigit() and len(text) < 9 else None


async def _checked(body: LargeBody, sha256: bytes) -> AsyncIterator[bytes]:
    """The parts of a large body. The last is held back until the hash is right, so that other bytes never make a whole request."""
    digest = hashlib.sha256()
    held = b""
    async for part in body.parts():
        digest.update(part)
        if held:
            yield held
        held = part
    if digest.digest() != sha256:
        raise BodyUnreadable
    yield held
