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
    """

    ordinal: int
    kind: DestinationKind
    connector: str
    endpoint: str
    key: bytes
    rule: str
    recipient: int | None = None


class SuppressedDestination(msgspec.Struct, frozen=True, kw_only=True):
    """One destination that the sender wished for and the law refuses, with the rule that says so."""

    kind: DestinationKind
    reason: SuppressReason
    rule: str
    recipient: int | None = None


@fact("routing.planned.v1")
class RoutePlanned(Fact, frozen=True, kw_only=True):
    """These destinations must receive the document. The policy's scope and version, and the matrix's date, explain it years later."""

    submission: Submission
    ins_status: InsStatus
    destinations: tuple[PlannedDestination, ...]
    policy: str
    policy_version: int
    matrix: str


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
    """A person released a document that routing held; what is planned follows in its own facts."""

    document: str
    request: str
    reason: str
    overridden: tuple[HoldReason, ...] = ()


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
