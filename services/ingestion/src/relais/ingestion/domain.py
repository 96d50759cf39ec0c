"""What ingestion decides: is this a new document, a new request on a known one, a repeat, or a misuse of an identifier?

The stream is one document, (tenant, CDA id). The first fact of it fixes the bytes for ever; every later request on it must
carry the same bytes and may never loosen masking (SAFETY 3).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, StrEnum
from typing import assert_never

from relais.contracts.fact import Fact
from relais.contracts.ingestion import DistributionRequested, DocumentReceived
from relais.contracts.submission import Flags, Submission
from relais.decider import Decider

REQUESTS_MAXIMUM = 1000


class RefusalReason(StrEnum):
    """Why a well-formed submission is refused for what was sent before it."""

    REQUEST_ID_REUSED = "REQUEST_ID_REUSED"
    DOCUMENT_ID_REUSED = "DOCUMENT_ID_REUSED"
    MASKING_LOOSENED = "MASKING_LOOSENED"
    TOO_MANY_REQUESTS = "TOO_MANY_REQUESTS"
    FIELD_TOO_LONG = "FIELD_TOO_LONG"


class SubmissionRefused(Exception):
    """The submission contradicts what the log already holds. `field` names what contradicts, never a value."""

    def __init__(self, reason: RefusalReason, field_name: str) -> None:
        super().__init__(f"{reason} on {field_name}")
        self.reason = reason
        self.field = field_name


class Verdict(Enum):
    """What a submission is, seen from its document's stream."""

    NEW_DOCUMENT = "new_document"
    NEW_REQUEST = "new_request"
    REPEAT = "repeat"


@dataclass(frozen=True, slots=True)
class Fingerprints:
    """Both are HMAC-SHA256 under the tenant's key: `whole` over bytes, site, declared identity, flags and recipients, without
    time; `content` over the bytes alone.
    """

    whole: bytes
    content: bytes


@dataclass(frozen=True, slots=True)
class TakeIn:
    """Take this submission in; everything about a person in it is sealed already."""

    submission: Submission
    fingerprints: Fingerprints


@dataclass(frozen=True, slots=True)
class DocumentState:
    """What the next decision needs: the bytes' fingerprint, each request's fingerprint and version, the strictest masking so far."""

    content: bytes = b""
    requests: Mapping[str, tuple[bytes, int]] = field(default_factory=dict)
    masking: tuple[bool, ...] = ()
    version: int = 0


def masking_of(flags: Flags) -> tuple[bool, ...]:
    """The flags that hide a document; turning one off is loosening."""
    return (flags.masque_ps, flags.invisible_patient, flags.invisible_rep_legaux, flags.connexion_secrete)


def judge(state: DocumentState, request: str, fingerprints: Fingerprints, flags: Flags) -> Verdict:
    """What this submission is, decided before anything is sealed. Raises `SubmissionRefused`."""
    known = state.requests.get(request)
    if known is not None:
        if known[0] != fingerprints.whole:
            raise SubmissionRefused(RefusalReason.REQUEST_ID_REUSED, "request_id")
        return Verdict.REPEAT
    if state.version == 0:
        return Verdict.NEW_DOCUMENT
    if state.content != fingerprints.content:
        raise SubmissionRefused(RefusalReason.DOCUMENT_ID_REUSED, "document.id")
    if any(before and not now for before, now in zip(state.masking, masking_of(flags), strict=True)):
        raise SubmissionRefused(RefusalReason.MASKING_LOOSENED, "flags")
    if len(state.requests) >= REQUESTS_MAXIMUM:
        raise SubmissionRefused(RefusalReason.TOO_MANY_REQUESTS, "request_id")
    return Verdict.NEW_REQUEST


def decide(command: TakeIn, state: DocumentState) -> Sequence[DocumentReceived | DistributionRequested]:
    """The facts of taking a submission in; a repeat is no fact."""
    submission, fingerprints = command.submission, command.fingerprints
    verdict = judge(state, submission.request, fingerprints, submission.flags)
    match verdict:
        case Verdict.NEW_DOCUMENT:
            return (DocumentReceived(submission=submission, fingerprint=fingerprints.whole, content=fingerprints.content),)
        case Verdict.NEW_REQUEST:
            return (DistributionRequested(submission=submission, fingerprint=fingerprints.whole),)
        case Verdict.REPEAT:
            return ()
        case _:
            assert_never(verdict)


def evolve(state: DocumentState, fact: Fact) -> DocumentState:
    """Fold one fact of the document's stream."""
    match fact:
        case DocumentReceived():
            return _with_request(state, fact.submission, fact.fingerprint, fact.content)
        case DistributionRequested():
            return _with_request(state, fact.submission, fact.fingerprint, state.content)
        case _:
            return DocumentState(state.content, state.requests, state.masking, state.version + 1)


def _with_request(state: DocumentState, submission: Submission, fingerprint: bytes, content: bytes) -> DocumentState:
    version = state.version + 1
    requests = {**state.requests, submission.request: (fingerprint, version)}
    return DocumentState(content, requests, masking_of(submission.flags), version)


DOCUMENT: Decider[TakeIn, DocumentState, Fact] = Decider(initial=DocumentState(), decide=decide, evolve=evolve)
