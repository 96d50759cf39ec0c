"""Why identity refuses what a person or a tool asks."""

from collections.abc import Sequence

from relais.contracts.reasons import HoldReason


class IdentityRefusal(Exception):
    """The root; `code` is for machines, `field` names what is wrong, never a value.

    IdentityRefusal
     +-- NotHeld         there is nothing held under that name
     +-- StatusRaised    a release may keep the status or lower it, never raise it
     +-- CannotRelease   what was held cannot be released as it is; `reasons` say why
     +-- Changed         the etag is not that of what is there now
     +-- Invalid         a field does not have its form
     +-- Unknown         a name that must exist does not
     +-- Revoked         a credential that was revoked never acts again
     +-- NotYours        nobody gives a permission that they do not have
     +-- TakenElsewhere  a credential already speaks for another tenant
    """

    code = "REFUSED"

    def __init__(self, field: str) -> None:
        super().__init__(self.code, field)
        self.field = field

    def __str__(self) -> str:
        return f"{self.code} at {self.field}"


class NotHeld(IdentityRefusal):
    """Nothing is held there: it was never held, or somebody decided before."""

    code = "NOT_HELD"


class StatusRaised(IdentityRefusal):
    """Only the establishment, having seen a proof of identity, declares a status (SAFETY 8)."""

    code = "STATUS_RAISED"


class CannotRelease(IdentityRefusal):
    """The content cannot be read, so nobody can vouch for it."""

    code = "CANNOT_RELEASE"

    def __init__(self, field: str, reasons: Sequence[HoldReason]) -> None:
        super().__init__(field)
        self.reasons = tuple(reasons)


class Changed(IdentityRefusal):
    """Somebody else decided in between: read it again and decide again."""

    code = "ETAG_MISMATCH"


class Invalid(IdentityRefusal):
    """A field is empty, too long or of another form."""

    code = "INVALID_FIELD"


class Unknown(IdentityRefusal):
    """A field names something that is not registered."""

    code = "NOT_REGISTERED"


class Revoked(IdentityRefusal):
    """A revoked credential may be in anybody's hands."""

    code = "CREDENTIAL_REVOKED"


class NotYours(IdentityRefusal):
    """A permission beyond those of the one who gives it."""

    code = "PERMISSION_NOT_YOURS"


class TakenElsewhere(IdentityRefusal):
    """A credential names its tenant, so it can have only one (SAFETY 6)."""

    code = "CREDENTIAL_OF_ANOTHER_TENANT"
