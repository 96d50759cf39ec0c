"""One submission as ingestion sees it after the edge, and what can be said of it before anything is asked or stored."""

import hashlib
import hmac
from uuid import UUID, uuid5

import msgspec

from relais.contracts.header import HeaderExtract
from relais.contracts.subjects import partition_of
from relais.contracts.submission import DeclaredIdentity, Flags, Opposition, Professional, Recipient
from relais.ingestion.domain import Fingerprints

REQUEST_NAMESPACE = UUID("6f3f0a52-6d0b-5c3e-9d0e-5b0f6a0f5e11")
RECIPIENTS_MAXIMUM = 100


class SubmissionRequest(msgspec.Struct, frozen=True):
    """What a sender handed in, every field decided. `request` is the sender's request_id, a UUID in canonical form."""

    tenant: str
    request: str
    site: str
    sender: str
    actor: str
    professional: Professional
    identity: DeclaredIdentity
    flags: Flags
    opposition: Opposition
    recipients: tuple[Recipient, ...]
    traceparent: str = ""

    @property
    def event_id(self) -> UUID:
        """The id of the fact this request becomes: one request of a tenant is one fact, for ever."""
        return uuid5(REQUEST_NAMESPACE, f"{self.tenant}/{self.request}")


class TenantKeys(msgspec.Struct, frozen=True):
    """The tenant's HMAC keys that intake uses, 32 bytes each."""

    document_id: bytes
    fingerprint: bytes


class Checked(msgspec.Struct, frozen=True):
    """A submission whose document is well-formed: its names, hashes and place, computed once."""

    request: SubmissionRequest
    header: HeaderExtract
    document: str
    partition: int
    sha256: bytes
    fingerprints: Fingerprints
    identity: bytes


def check(request: SubmissionRequest, header: HeaderExtract, sha256: bytes, keys: TenantKeys) -> Checked:
    """Name and fingerprint a submission whose header was read and whose bytes were hashed."""
    tenant = request.tenant
    document_set = header.set_id if header.set_id is not None and (header.set_id.root or header.set_id.extension) else header.id
    content = hmac.digest(keys.fingerprint, sha256, "sha256")
    return Checked(
        request=request,
        header=header,
        document=document_of(keys, header),
        partition=partition_of(tenant, str(document_set)),
        sha256=sha256,
        fingerprints=Fingerprints(whole=_whole(request, content, keys.fingerprint), content=content),
        identity=canonical_identity(request.identity),
    )


def document_of(keys: TenantKeys, header: HeaderExtract) -> str:
    """The document's id: a UUID (RFC 9562 version 8) made of HMAC-SHA256(tenant key, CDA id), the same for ever."""
    digest = bytearray(hmac.digest(keys.document_id, str(header.id).encode(), "sha256")[:16])
    digest[6] = (digest[6] & 0x0F) | 0x80
    digest[8] = (digest[8] & 0x3F) | 0x80
    return str(UUID(bytes=bytes(digest)))


def canonical_identity(identity: DeclaredIdentity) -> bytes:
    """The bytes by which a subject is found again: what identifies a person, not what the sender thinks of the identity.

    The INS with its authority when there is one; without it the local id with its authority; without either the traits.
    """
    if identity.ins:
        parts: tuple[str, ...] = ("ins", identity.ins_oid, identity.ins)
    elif identity.local_id:
        parts = ("local", identity.local_id_authority, identity.local_id)
    else:
        parts = (
            "traits",
            identity.birth_family_name,
            identity.first_birth_given_name,
            identity.given_names,
            identity.sex,
            identity.birth_date,
            identity.birth_place,
        )
    return msgspec.msgpack.encode(parts)


def _whole(request: SubmissionRequest, content: bytes, key: bytes) -> bytes:
    parts = (content, request.site, request.identity, request.flags, request.opposition, request.recipients, request.professional)
    return hmac.digest(key, hashlib.sha256(msgspec.msgpack.encode(parts)).digest(), "sha256")
