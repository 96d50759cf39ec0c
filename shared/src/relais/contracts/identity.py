"""Facts of the identity log: whose document it is. They carry the submission on, so that routing reads one log only."""

from relais.contracts.fact import Fact, fact
from relais.contracts.reasons import HoldReason
from relais.contracts.submission import InsStatus, Submission


@fact("identity.verified.v1")
class IdentityVerified(Fact, frozen=True, kw_only=True):
    """The identity is fit to route. `ins_status` is never above what the sender declared (SAFETY 8); `checked` names the checks made.

    `insi` says what the INSi teleservice answered: `not_asked`, or its code 00, 01, 02. `warnings` names what was wrong without
    being a reason to hold, such as a wrong key under a test OID.
    """

    submission: Submission
    ins_status: InsStatus
    insi: str = "not_asked"
    checked: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


@fact("identity.held.v1")
class IdentityHeld(Fact, frozen=True, kw_only=True):
    """Somebody must look before this document goes anywhere. `evidence` names fields that disagree, never their values.

    `rules` are the ids of the rules that hold it, one for each reason and in the same order.
    """

    submission: Submission
    reasons: tuple[HoldReason, ...]
    evidence: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()


@fact("identity.released.v1")
class IdentityReleased(Fact, frozen=True, kw_only=True):
    """A person released a held document; the envelope's actor says who, `reason` why. The status may only be equal or lower."""

    submission: Submission
    ins_status: InsStatus
    reason: str
    overridden: tuple[HoldReason, ...] = ()


@fact("identity.rejected.v1")
class IdentityRejected(Fact, frozen=True, kw_only=True):
    """A person decided that this document must not go anywhere."""

    document: str
    request: str
    reason: str


@fact("identity.parked.v1")
class IdentityParked(Fact, frozen=True, kw_only=True):
    """A fact about this document could not be read; it and what follows for this document wait for a person.

    `log`, `position` and `tag` name the fact that could not be read.
    """

    document: str
    reason: HoldReason
    log: str
    position: int
    tag: str


@fact("identity.local_id_linked.v1", announced=False)
class LocalIdLinked(Fact, frozen=True, kw_only=True):
    """A local patient id belongs to this INS from now on; the stream is named by a keyed hash of the local id.

    `ins` is HMAC-SHA256 under the tenant's key of the INS with its OID; `document` is the one whose verification or release said so.
    """

    ins: bytes
    document: str
