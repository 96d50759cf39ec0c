"""From a checked submission to one append: everything about a person sealed, the body with it when it is small."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from uuid import UUID

from relais.contracts import encode
from relais.contracts.submission import BodyReference, SealedContent, Submission
from relais.eventlog.record import Append, NewEvent, SealedChunk
from relais.ingestion.domain import DocumentState, TakeIn, decide
from relais.ingestion.journeys import received_row
from relais.ingestion.request import Checked
from relais.vault.seal import document_key, seal_body, seal_content
from relais.vault.vault import INLINE_BODY_BYTES_MAXIMUM, SubjectKey


@dataclass(frozen=True, slots=True)
class BodySource:
    """Where the body of a submission is: in hand (`body`), sealed in the vault already (`reference`), exactly one of them."""

    body: bytes | None = None
    reference: BodyReference | None = None


@dataclass(frozen=True, slots=True)
class SealedSubmission:
    """One append ready to go, and the chunks that must be durable before it because they are too large to travel in it."""

    append: Append
    staged: tuple[SealedChunk, ...]


def seal_submission(checked: Checked, state: DocumentState, subject: SubjectKey, source: BodySource, now: datetime) -> SealedSubmission:
    """Seal a submission under its document's key and make its facts.

    The subject of a known document is the one of its first receipt, whatever a later request declares: the body was sealed
    under that key.
    """
    request = checked.request
    key = document_key(subject, checked.document)
    reference, inline, staged = _seal_source(key, source, now)
    content = SealedContent(
        header=checked.header,
        identity=request.identity,
        recipients=request.recipients,
        professional=request.professional,
        document_sha256=checked.sha256,
        title=checked.header.title,
    )
    submission = Submission(
        document=checked.document,
        request=request.request,
        site=request.site,
        sender=request.sender,
        subject=str(subject.subject),
        type_code=checked.header.type.code,
        flags=request.flags,
        opposition=request.opposition,
        recipients_count=len(request.recipients),
        received_at=now.isoformat(),
        body=reference,
        sealed=seal_content(key, checked.document, content),
    )
    facts = decide(TakeIn(submission, checked.fingerprints), state)
    events = tuple(
        NewEvent(
            tenant=request.tenant,
            stream=checked.document,
            tag=fact.TAG,
            payload=encode(fact),
            event_id=request.event_id,
            partition=checked.partition,
            actor=request.actor,
            traceparent=request.traceparent,
            expected_version=state.version,
        )
        for fact in facts
    )
    work = tuple(received_row(request.tenant, submission, fact.TAG) for fact in facts)
    return SealedSubmission(Append(events=events, chunks=inline, work=work), staged)


def _seal_source(key: bytes, source: BodySource, now: datetime) -> tuple[BodyReference, tuple[SealedChunk, ...], tuple[SealedChunk, ...]]:
    if source.reference is not None:
        return source.reference, (), ()
    body = source.body
    if body is None:
        raise ValueError("a submission has a body in hand or one in the vault")
    blob = time_ordered_uuid(now)
    chunks = tuple(seal_body(key, blob, body))
    reference = reference_of(blob, len(body), chunks)
    return (reference, chunks, ()) if len(body) <= INLINE_BODY_BYTES_MAXIMUM else (reference, (), chunks)


def reference_of(blob: UUID, size: int, chunks: Sequence[SealedChunk]) -> BodyReference:
    """The reference of a sealed body, with the SHA-256 of its ciphertext, chunk after chunk."""
    digest = sha256()
    for chunk in chunks:
        digest.update(chunk.ciphertext)
    return BodyReference(blob=str(blob), size=size, chunks=len(chunks), ciphertext_sha256=digest.digest())


def time_ordered_uuid(now: datetime) -> UUID:
    """A UUID version 7 (RFC 9562): new rows of the vault land beside one another in its index."""
    milliseconds = int(now.timestamp() * 1000)
    value = bytearray(milliseconds.to_bytes(6, "big") + os.urandom(10))
    value[6] = (value[6] & 0x0F) | 0x70
    value[8] = (value[8] & 0x3F) | 0x80
    return UUID(bytes=bytes(value))
