"""Facts of the routing log: who must receive a document, and why."""

from enum import StrEnum

import msgspec

from relais.contracts.fact import Fact, fact
from relais.contracts.reasons import HoldReason, SuppressReason
from relais.contracts.submission import InsStatus, Submission


class DestinationKind(StrEnum):
    """What a destination is to the law; the site's policy maps each kind to a connector and an endpoint."""

    DMP = "dmp"
    MSSANTE_PROFESSIONAL = "mssante_professional"
    MSSANTE_PATIENT = "mssante_patient"
    SOFTWARE = "software"


class PlannedDestination(msgspec.Struct, frozen=True, kw_only=True):
    """One destination of a document. `ordinal` is its number for ever; `key` (HMAC under the subject's key) tells a repeat.

    `recipient` indexes the sealed recipients, or is None where the destination is the patient's own record or mailbox.
    `fallback` says that the recipient's fallback address may be used: another address of the same recipient, under the same flags.
    """

    ordinal: int
    kind: DestinationKind
    connector: str
    endpoint: str
    key: bytes
    rule: str
    recipient: int | None = None
    fallback: bool = False


class SuppressedDestination(msgspec.Struct, frozen=True, kw_only=True):
    """One destination that the sender wished for and the law refuses, with the rule that says so.

    `ordinal` is set where a later request withdraws a destination that was planned: what is not sent yet must not be (SAFETY 17).
    """

    kind: DestinationKind
    reason: SuppressReason
    rule: str
    recipient: int | None = None
    ordinal: int | None = None


@fact("routing.planned.v1")
class RoutePlanned(Fact, frozen=True, kw_only=True):
    """These destinations must receive the document; none is a plan too. Policy version and matrix date explain it years later.

    `policy` is the most specific scope whose policy was active; `inherited` are the wider ones that took part, `scope@version`.
    `masking` are the masking flags in force: those of this request and of every earlier one on the same document.
    """

    submission: Submission
    ins_status: InsStatus
    destinations: tuple[PlannedDestination, ...]
    policy: str
    policy_version: int
    matrix: str
    matrix_row: str = ""
    inherited: tuple[str, ...] = ()
    masking: tuple[str, ...] = ()


@fact("routing.suppressed.v1")
class RouteSuppressed(Fact, frozen=True, kw_only=True):
    """These destinations do not receive the document; the others do."""

    document: str
    request: str
    suppressed: tuple[SuppressedDestination, ...]
    policy: str
    policy_version: int
    matrix: str


@fact("routing.document_held.v1")
class DocumentHeld(Fact, frozen=True, kw_only=True):
    """The law cannot decide without a person; what may already go is planned apart."""

    submission: Submission
    ins_status: InsStatus
    reasons: tuple[HoldReason, ...]
    rules: tuple[str, ...]
    policy: str = ""
    policy_version: int = 0


@fact("routing.document_released.v1")
class DocumentReleased(Fact, frozen=True, kw_only=True):
    """A person released a document that was held; what is planned follows in its own facts.

    `reinstated` are ordinals of earlier requests that the doubt about the identity had stopped and that may go on.
    """

    document: str
    request: str
    reason: str
    overridden: tuple[HoldReason, ...] = ()
    reinstated: tuple[int, ...] = ()


@fact("routing.parked.v1")
class RouteParked(Fact, frozen=True, kw_only=True):
    """A fact about this document could not be read; it and what follows for this document wait for a person.

    `log`, `position` and `tag` name the fact that could not be read.
    """

    document: str
    reason: HoldReason
    log: str
    position: int
    tag: str


@fact("routing.rejection_noted.v1", announced=False)
class RejectionNoted(Fact, frozen=True, kw_only=True):
    """A person rejected the document at identity: what is held here of its other requests cannot be released any more."""

    document: str
    request: str


class EndpointChoice(msgspec.Struct, frozen=True, kw_only=True):
    """For one destination kind: the connector (`https`) and the endpoint's id; `type_codes` narrows it, empty means all."""

    kind: DestinationKind
    connector: str
    endpoint: str
    type_codes: tuple[str, ...] = ()


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """What an administrator may decide. `matrix_mode` is strict or lenient; the first matching endpoint choice is taken."""

    endpoints: tuple[EndpointChoice, ...] = ()
    matrix_mode: str = "strict"
    matrix: str = "2026-04-21"
    insi_always: bool = False


@fact("routing.policy_created.v1", announced=False)
class PolicyCreated(Fact, frozen=True, kw_only=True):
    """A draft exists. `scope` is `tenant`, `group:<g>` or `site:<s>`; versions count from 1 in each scope."""

    scope: str
    version: int
    policy: Policy


@fact("routing.policy_activated.v1")
class PolicyActivated(Fact, frozen=True, kw_only=True):
    """From this fact on the scope's decisions use this version."""

    scope: str
    version: int
    policy: Policy
