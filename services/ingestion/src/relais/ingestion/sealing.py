"""From a checked submission to one append: everything about a person sealed, the body with it when it is small."""

from datetime import datetime

import msgspec

from relais.contracts import encode
from relais.contracts.submission import BodyReference, SealedContent, Submission
from relais.eventlog.record import Append, NewEvent, SealedChunk
from relais.ingestion.domain import DocumentState, RefusalReason, SubmissionRefused, TakeIn, decide
from relais.ingestion.journeys import received_row
from relais.ingestion.request import Checked
from relais.vault.seal import body_reference, document_key, new_blob, seal_body, seal_content
from relais.vault.vault import INLINE_BODY_BYTES_MAXIMUM, SubjectKey

# Every later fact of the road carries the sealed part on, as Base64 in at most 64 KiB, beside what it says itself.
SEALED_BYTES_MAXIMUM = 36 * 1024


class BodySource(msgspec.Struct, frozen=True):
    """Where the body of a submission is: in hand (`body`), or sealed in the vault already (`reference`), exactly one of them.

    `staged` says that no fact names the body in the vault yet: the append of this submission must.
    """

    body: bytes | None = None
    reference: BodyReference | None = None
    staged: bool = False


class SealedSubmission(msgspec.Struct, frozen=True):
    """One append ready to go, and the chunks that must be durable before it because they are too large to travel in it.

    `names_staged_body` appends travel alone: naming a body that was swept meanwhile fails the whole call, and must hurt nobody else.
    """

    append: Append
    staged: tuple[SealedChunk, ...]
    names_staged_body: bool


def seal_submission(checked: Checked, state: DocumentState, subject: SubjectKey, source: BodySource, now: datetime) -> SealedSubmission:
    """Seal a submission under its document's key and make its facts.

    Raises `SubmissionRefused` when header and recipients together are more than a fact may carry on.

    The subject of a known document is the one of its first receipt, whatever a later request declares: the body was sealed
    under that key.
    """
    request = checked.request
    key = document_key(subject, checked.document)
    reference, inline, staged = _seal_source(key, source, now, deflated=checked.header.structured)
    content = SealedContent(
        header=checked.header,
        identity=request.identity,
        recipients=request.recipients,
        professional=request.professional,
        document_sha256=checked.sha256,
        title=checked.header.title,
    )
    sealed = seal_content(key, checked.document, content)
    if len(sealed) > SEALED_BYTES_MAXIMUM:
        raise SubmissionRefused(RefusalReason.FIELD_TOO_LONG, "recipients")
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
        sealed=sealed,
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
    names_staged_body = bool(staged) or source.staged
    work = [received_row(request.tenant, submission, fact.TAG) for fact in facts]
    if names_staged_body:
        work.append({"staged_blob": reference.blob})
    return SealedSubmission(Append(events=events, chunks=inline, work=tuple(work)), staged, names_staged_body)


def _seal_source(
    key: bytes, source: BodySource, now: datetime, *, deflated: bool
) -> tuple[BodyReference, tuple[SealedChunk, ...], tuple[SealedChunk, ...]]:
    if source.reference is not None:
        return source.reference, (), ()
    if source.body is None:
        raise ValueError("a submission has a body in hand or one in the vault")
    chunks = tuple(seal_body(key, new_blob(now), source.body, deflated=deflated))
    reference = body_reference(chunks, len(source.body), deflated=deflated)
    return (reference, chunks, ()) if len(source.body) <= INLINE_BODY_BYTES_MAXIMUM else (reference, (), chunks)
