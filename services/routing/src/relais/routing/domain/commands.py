"""What can be asked of one document's routing, and what is remembered of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import Enum
from typing import TypeAlias

from relais.contracts.reasons import HoldReason
from relais.contracts.routing import DestinationKind
from relais.contracts.submission import InsStatus, SealedContent, Submission
from relais.routing.domain.case import Law
from relais.routing.domain.policy import EffectivePolicy


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What a decision is made with besides the request: its opened content, the day, the law, the policy, a key of the document's.

    `destination_key` makes the keyed hash that tells a destination again; it dies with the subject's key.
    """

    content: SealedContent
    day: date
    law: Law
    policy: EffectivePolicy | None
    destination_key: bytes


@dataclass(frozen=True, slots=True)
class Route:
    """Route a request whose identity was verified, or released by a person."""

    submission: Submission
    status: InsStatus
    circumstances: Circumstances


@dataclass(frozen=True, slots=True)
class HoldUnreadable:
    """A request whose sealed content does not open: its subject was erased, or the seal is broken."""

    submission: Submission
    status: InsStatus
    reason: HoldReason


@dataclass(frozen=True, slots=True)
class NoteIdentityHeld:
    """A later request on the document is held for its identity: what was planned before must not leave meanwhile."""

    submission: Submission
    reasons: tuple[HoldReason, ...]


@dataclass(frozen=True, slots=True)
class NoteRejected:
    """A person rejected the document at identity: nothing of it must leave any more."""

    document: str
    request: str


@dataclass(frozen=True, slots=True)
class Park:
    """A fact about this document could not be read at all; `log`, `position` and `tag` name it."""

    document: str
    log: str
    position: int
    tag: str


@dataclass(frozen=True, slots=True)
class Release:
    """A person has looked at a held request. What the law never allows is refused then; `circumstances` None: it cannot be read."""

    request: str
    reason: str
    circumstances: Circumstances | None


Command: TypeAlias = Route | HoldUnreadable | NoteIdentityHeld | NoteRejected | Park | Release


class Standing(Enum):
    """How one request stands."""

    ROUTED = "routed"
    HELD = "held"
    IDENTITY_HELD = "identity_held"


@dataclass(frozen=True, slots=True)
class RequestState:
    """One request; while it is held, what is needed to release it. `partly` says that the rest of it was planned already."""

    standing: Standing
    submission: Submission | None = None
    status: InsStatus = InsStatus.PROVISOIRE
    reasons: tuple[HoldReason, ...] = ()
    partly: bool = False


@dataclass(frozen=True, slots=True)
class Served:
    """A destination that was planned, and whether a later decision withdrew it."""

    ordinal: int
    kind: DestinationKind
    withdrawn: bool = False


@dataclass(frozen=True, slots=True)
class DocumentState:
    """What the next decision needs to know of a document. `served` is by destination key, `masking` what any request has set."""

    requests: Mapping[str, RequestState] = field(default_factory=dict)
    served: Mapping[bytes, Served] = field(default_factory=dict)
    ordinals: int = 0
    masking: frozenset[str] = frozenset()
    rejected: bool = False
    parked: bool = False
    version: int = 0

    def held(self) -> dict[str, RequestState]:
        """The requests that wait for a person here; those held for their identity wait at identity."""
        return {request: known for request, known in self.requests.items() if known.standing is Standing.HELD}
