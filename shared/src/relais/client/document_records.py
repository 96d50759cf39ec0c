"""What goes in and comes out when documents are submitted and followed. Nothing that comes out is about a person."""

from dataclasses import dataclass, field
from datetime import datetime

from relais.contracts.submission import DeclaredIdentity, Flags, Opposition, Professional, Recipient

UNARY_BYTES_MAXIMUM = 4 * 1024 * 1024
FINAL_STATES = frozenset({"DONE", "REJECTED"})


@dataclass(frozen=True, kw_only=True)
class Submission:
    """Everything about a document that its bytes do not say.

    `request_id` (a UUID) makes a repeat harmless: choose it once per wish to send, keep it over retries.
    """

    request_id: str
    site: str
    patient: DeclaredIdentity
    flags: Flags
    opposition: Opposition
    professional: Professional = field(default_factory=Professional)
    recipients: tuple[Recipient, ...] = ()

    def __repr__(self) -> str:
        return f"Submission(request_id={self.request_id!r}, site={self.site!r})"


@dataclass(frozen=True, kw_only=True)
class Receipt:
    """The proof that a document was taken in: its resource name and hash (hex). `duplicate` says that this is the first receipt again."""

    document: str
    sha256: str
    tenant_sequence: int
    recorded_at: datetime | None
    duplicate: bool


@dataclass(frozen=True, kw_only=True)
class Validation:
    """What a submission would become: `verdict` is NEW_DOCUMENT, NEW_REQUEST or REPEAT."""

    document: str
    sha256: str
    verdict: str
    type_code: str


@dataclass(frozen=True, kw_only=True)
class Upload:
    """How much of an upload is durable, in bytes, and its receipt once it is complete."""

    name: str
    size_bytes: int
    committed_bytes: int
    expires_at: datetime | None
    receipt: Receipt | None


@dataclass(frozen=True, kw_only=True)
class Step:
    """One fact about a document, in short. `codes` are reasons and outcomes as words."""

    log: str
    position: int
    tag: str
    recorded_at: datetime | None
    codes: tuple[str, ...]
    ordinal: int | None


@dataclass(frozen=True, kw_only=True)
class Destination:
    """One destination: `outcome` is PLANNED, SUPPRESSED, DEFERRED, ACCEPTED, SUCCEEDED or ABANDONED."""

    ordinal: int | None
    kind: str
    outcome: str
    code: str
    due_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class Document:
    """Where a document is: `state` is RECEIVED, VERIFIED, HELD, REJECTED, DELIVERING, WAITING or DONE. `steps` are filled by `get` only."""

    name: str
    state: str
    site: str
    sender: str
    request_id: str
    type_code: str
    size_bytes: int
    tenant_sequence: int
    received_at: datetime | None
    updated_at: datetime | None
    steps: tuple[Step, ...]
    destinations: tuple[Destination, ...]


@dataclass(frozen=True, kw_only=True)
class Change:
    """What is new about a document that is followed: as it is now, and the steps not seen before."""

    document: Document
    steps: tuple[Step, ...]
